"""System calls and instructions per operation of ssocket on Lua 5.4, compared with what is written down."""

import os
import shutil

import measure
from workloads import LUA, SS, WORKLOADS

LIMITS = os.path.join(measure.HERE, "counts.txt")

HEAD = """# Of ssocket on Lua 5.4, for `make bench-counts`; written by `bench/run counts --write`.
# A run fails when system calls grow (by more than chance allows the first operations) or instructions by more than 5 % (of
# long records, whose strings the collector takes when it likes: 20 %).
# Instructions are those of the module and of Lua: the C library has others for other processors.
#
# workload             operations  system calls  instructions an operation
"""


def lacking():
    """The programs without which nothing can be counted here."""
    return [program for program in (LUA, "taskset", "valgrind") if not shutil.which(program)]


def count(workload, limit, untraceable):
    """(operations, their system calls, instructions of one), and the names of the calls."""
    instructions = round(measure.instructions(workload, SS, workload.instructions))
    if untraceable:
        return (*limit[:2], instructions), "only instructions"
    calls = measure.system_calls(workload, SS, workload.count, 2 * workload.count * workload.ahead)
    return ((workload.count, sum(calls.values()), instructions),
            ", ".join(f"{name} {n}" for name, n in sorted(calls.items())))


def read_limits():
    if not os.path.exists(LIMITS):
        return {}
    with open(LIMITS, encoding="utf-8") as lines:
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return {name: tuple(map(int, numbers)) for name, *numbers in rows}


def write_limits(limits):
    with open(LIMITS, "w", encoding="utf-8") as out:
        out.write(HEAD)
        for name in (w.name for w in WORKLOADS if w.name in limits and w.counted):
            operations, calls, instructions = limits[name]
            out.write(f"{name:<22} {operations:>10} {calls:>13} {instructions:>26}\n")


def complaint(workload, counted, limit):
    """What has grown, if anything."""
    if limit[0] != counted[0]:
        return "nothing is written down for so many operations"
    if counted[1] > limit[1] + workload.chance:
        return f"system calls grew from {limit[1]}"
    if counted[2] > limit[2] * workload.slack:
        return f"instructions grew from {limit[2]}"
    return None


def checked(workload, limits, write, untraceable):
    """Counts, prints, and says whether it is as it should be."""
    limit = limits.get(workload.name, (0, 0, 0))
    try:
        counted, names = count(workload, limit, untraceable)
    except (measure.Failed, measure.Skipped) as why:
        print(f"{workload.name:<20} not counted: {why}")
        return False
    if write:
        limits[workload.name] = limit = counted
    wrong = complaint(workload, counted, limit)
    print(f"{workload.name:<20} {counted[0]:>10} {counted[1]:>13} {counted[2]:>16}   {wrong or names}", flush=True)
    return not wrong


def main(workloads, write):
    untraceable = measure.untraceable()
    if lacking() or (write and untraceable):
        print(f"{', '.join(lacking()) or untraceable} (script/setup bench installs what is lacking)\n0 passed, 1 failed")
        return 1
    if untraceable:
        print(f"system calls are not counted: {untraceable}")
    limits = read_limits()
    print(f"{'workload':<20} {'operations':>10} {'system calls':>13} {'instructions/op':>16}")
    passed = [checked(w, limits, write, untraceable) for w in workloads if w.counted]
    if write:
        write_limits(limits)
    print(f"{passed.count(True)} passed, {passed.count(False)} failed")
    return 0 if all(passed) else 1
