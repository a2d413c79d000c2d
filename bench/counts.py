"""System calls and instructions per operation of ssocket on Lua 5.4, compared with what is written down."""

import os
import shutil
import subprocess

import measure
from workloads import LUA, SS

LIMITS = os.path.join(measure.HERE, "counts.txt")
SLACK = 1.03  # instructions vary a little with the compiler and the seeds of Lua's hashes

HEAD = """# System calls and instructions of ssocket on Lua 5.4 (make bench-counts; `bench/run counts --write` writes this).
# A run fails when system calls grow at all or instructions by more than 3 %.
#
# workload             operations  system calls  instructions an operation
"""


def unable():
    """Why nothing can be counted here, if so."""
    for program, package in (("strace", "strace"), ("valgrind", "valgrind"), (LUA, "lua5.4"), ("taskset", "util-linux")):
        if not shutil.which(program):
            return f"{program} is lacking (script/setup bench installs it; its package is {package})"
    traced = subprocess.run(["strace", "-c", "-o", "/dev/null", "true"], stderr=subprocess.PIPE, text=True, check=False)
    return f"strace can't trace here: {traced.stderr.strip()}" if traced.returncode else None


def count(workload):
    """(operations, their system calls, instructions of one), and the names of the calls."""
    calls = measure.system_calls(workload, SS, workload.count, exact=True)
    return ((workload.count, sum(calls.values()), round(measure.instructions(workload, SS, workload.instructions))),
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
        for name, (operations, calls, instructions) in limits.items():
            out.write(f"{name:<22} {operations:>10} {calls:>13} {instructions:>26}\n")


def complaint(counted, limit):
    """What has grown, if anything."""
    if not limit or limit[0] != counted[0]:
        return "nothing is written down for so many operations"
    if counted[1] > limit[1]:
        return f"system calls grew from {limit[1]}"
    if counted[2] > limit[2] * SLACK:
        return f"instructions grew from {limit[2]}"
    return None


def main(workloads, arguments):
    reason = unable()
    if reason:
        print(f"{reason}\n0 passed, 1 failed")
        return 1
    limits, failed = read_limits(), 0
    workloads = [w for w in workloads if SS in w.work and w.name != "memory"]
    print(f"{'workload':<20} {'operations':>10} {'system calls':>13} {'instructions/op':>16}")
    for workload in workloads:
        counted, names = count(workload)
        if arguments == ["--write"]:
            limits[workload.name] = counted
        wrong = complaint(counted, limits.get(workload.name))
        failed += wrong is not None
        print(f"{workload.name:<20} {counted[0]:>10} {counted[1]:>13} {counted[2]:>16}   {wrong or names}", flush=True)
    if arguments == ["--write"]:
        write_limits(limits)
    print(f"{len(workloads) - failed} passed, {failed} failed")
    return 1 if failed else 0
