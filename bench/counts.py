"""System calls and instructions per operation of ssocket on Lua 5.4, compared with what is written down."""

import os
import shutil

import measure
from workloads import LUA, SS, WORKLOADS

LIMITS = os.path.join(measure.HERE, "counts.txt")
SLACK = 1.03  # instructions vary a little with the compiler

HEAD = """# Of ssocket on Lua 5.4, for `make bench-counts`; written by `bench/run counts --write`.
# A run fails when system calls grow (by more than chance allows the first operations) or instructions by more than 3 %,
# and do so again when they are counted once more.
# Instructions are those of the module and of Lua from the start of the work to its end, where the collector frees all at
# once: its rounds would be more or fewer from run to run, and the C library and OpenSSL have other instructions for other
# processors.
#
# workload             operations  system calls  instructions an operation
"""


def unable():
    """Why nothing can be counted here, if so."""
    lacking = [program for program in (LUA, "taskset", "valgrind") if not shutil.which(program)]
    return f"{', '.join(lacking)} lacking" if lacking else measure.untraceable()


def count(workload):
    """(operations, their system calls, instructions of one), and the names of the calls."""
    some, ahead = workload.count, 2 * workload.count * workload.ahead
    calls = measure.system_calls(workload, SS, some, ahead)
    instructed = measure.instructions(workload, SS, *((workload.instructions,) if workload.instructions else (some, ahead)))
    return (some, sum(calls.values()), round(instructed)), ", ".join(f"{name} {n}" for name, n in sorted(calls.items()))


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
    if not limit or limit[0] != counted[0]:
        return "nothing is written down for so many operations"
    if counted[1] > limit[1] + workload.chance:
        return f"system calls grew from {limit[1]}"
    if counted[2] > limit[2] * SLACK:
        return f"instructions grew from {limit[2]}"
    return None


def checked(workload, limits, write):
    """Counts, prints, and says whether it is as it should be. What seems to have grown is counted once more: growth is there
    again, chance (how strings fall into Lua's table of them) hardly."""
    for _ in range(2):
        try:
            counted, names = count(workload)
        except (measure.Failed, measure.Skipped) as why:
            print(f"{workload.name:<20} not counted: {why}")
            return False
        if write:
            limits[workload.name] = counted
        wrong = complaint(workload, counted, limits.get(workload.name))
        print(f"{workload.name:<20} {counted[0]:>10} {counted[1]:>13} {counted[2]:>16}   {wrong or names}", flush=True)
        if not wrong:
            return True
    return False


def main(workloads, write):
    reason = unable()
    if reason:
        print(f"{reason} (script/setup bench installs what is needed)\n0 passed, 1 failed")
        return 1
    limits = read_limits()
    print(f"{'workload':<20} {'operations':>10} {'system calls':>13} {'instructions/op':>16}")
    passed = [checked(w, limits, write) for w in workloads if w.counted]
    if write:
        write_limits(limits)
    print(f"{passed.count(True)} passed, {passed.count(False)} failed")
    return 0 if all(passed) else 1
