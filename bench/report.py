"""docs/benchmarks.md and its plots."""

import os
import platform
import re
import subprocess

from figures import COST, FIGURES, RATE, SHOWN, microseconds, number, two
from measure import HERE
from plot import bars
from results import Spread, applies, ratio, reached
from workloads import COPAS, JIT, LSEC, LSJ, LUA, NGINX, PEERS, PY, PYTHON, SS

HEAD = """# Benchmarks

<!-- Written by `make bench`; changes made by hand are lost. -->

{machine}

`make bench` installs what is lacking (where there is apt-get), builds all programs, measures, and writes this
page; it takes about a quarter of an hour. `make bench ONLY=lines ROUNDS=3` is for a quick look and writes nothing; ONLY takes
the beginnings of names, separated by commas. `make bench-counts` counts system calls and instructions, which hardly
depend on the machine, and compares them with `bench/counts.txt`.

How it is done:

- The contestants are the short programs of `bench/lua` and `bench/c/raw.c`. The other side is always the
  same program in C, `bench/c/peer.c`, so that only the measured side differs. What it sends is random.
- Over TLS they are `bench/lua/tls_*.lua`, `bench/python/tls_*.py` and `bench/c/tls_raw.c`, all on the same OpenSSL,
  and the other side is `bench/c/tls_peer.c`. Plain C has a buffer for each direction below OpenSSL, where nothing else
  is said.
- Servers (`bench/c/server.c` is the one in plain C) are called by `bench/c/client.c`, which looks at every answer: one
  that is wrong or does not come is a failure. Time is taken when all connections have had an answer, and a while after.
- Both sides are pinned, to one processor each, or both to the same one where that is said.
- Rounds are interleaved (A B C A B C …), {rounds} of them (of servers three at most, but for 100
  connections); every ratio is of two runs of the same round. Shown is the median, with the least and the greatest
  value in parentheses.
- Processor time is user + system time of the measured process, and steadier than the clock. What the kernel does for
  a packet in passing is charged to whoever runs just then, for all contestants alike.
- System calls are counted with strace in a run of their own: those of twice as many operations less those of
  the operations themselves. Calls for memory and for the time are left out. strace slows a server down, so that it
  finds more connections ready at once, and waits less often, than it does otherwise.
- Where no other Lua is named, it is Lua 5.4. Every Lua uses its collector as it comes.
"""

MEASURES = ((RATE, "rate"), (COST, "processor time"))


def first_line(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout.split("\n")[0].strip()
    except FileNotFoundError:
        return ""


def package(name):
    found = re.match(r"\d\S*", first_line("dpkg-query", "-W", "-f", "${Version}", name))
    return f"{name} {found[0]}" if found else ""


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = re.search(r"^model name\s*: (.*)$", info.read(), re.M)
    kernel = re.match(r"[\d.]+", platform.release())
    words = [f"{len(os.sched_getaffinity(0))} processors ({model[1] if model else platform.machine()})",
             f"{platform.system()} {kernel[0] if kernel else ''}", first_line("cc", "--version"),
             first_line(LUA, "-v").split(" Copyright")[0].strip(), first_line(JIT, "-v").split(" -- ")[0],
             *map(package, ("lua-socket", "lua-cqueues", "lua-luv", "lua-copas", "nginx", "lua-sec", "lua-luaossl")),
             first_line(PYTHON, "--version"), first_line("openssl", "version").split(" (Library")[0]]
    return "Measured on: " + ", ".join(word for word in words if word) + "."


def calls_text(calls):
    total = sum(calls.values())
    names = ", ".join(f"{name} {count:.3g}" for name, count in sorted(calls.items()) if count > total / 100)
    return f"{total:.3g} ({names})" if total > 0 else "0"


def row(cells):
    return "| " + " | ".join(cells) + " |"


def table(head, rows):
    return "\n".join([row(head), row(["---"] * len(head)), *map(row, rows)]) + "\n"


def text_of(spread, show):
    return spread.text(show) if spread else ""


def contestant_rows(result):
    reference = result.workload.reference
    for who, laps in result.laps.items():
        yield [who, Spread([lap.rate for lap in laps]).text(number),
               text_of(ratio(result, who, reference, RATE), two),
               *([microseconds(Spread([lap.p99 for lap in laps]).median)] if result.workload.clients else []),
               microseconds(Spread([lap.cost for lap in laps]).median),
               text_of(ratio(result, who, reference, COST), two),
               calls_text(result.calls[who]) if who in result.calls else ""]


def memory_table(result):
    weighed = any(memory.resident is not None for memory in result.memory.values())
    return table(["", "bytes in Lua's accounts", "bytes in all", *(["MB resident"] if weighed else [])],
                 [[who, *("" if value is None else number(value) for value in memory[:2]),
                   *([number(memory.resident / 1e6)] if weighed else [])] for who, memory in result.memory.items()])


def peer_rows(result, peers):
    for who in result.laps:
        if who.startswith(SS):
            for measure, title in MEASURES:
                yield [f"{who}: {title}"] + [text_of(ratio(result, who, peer, measure), two) for peer in peers]


def section(result):
    w = result.workload
    yield f"### {w.title}\n\n`{w.name}`" + (f". {w.note}" if w.note else "") + "\n"
    if result.memory:
        yield memory_table(result)
    if result.laps:
        yield table(["", f"{w.unit}s a second", f"÷ {w.reference}", *(["99 % sooner than"] if w.clients else []),
                     f"processor time a {w.unit}", f"÷ {w.reference}", f"system calls a {w.unit}"], contestant_rows(result))
    peers = [who for who in result.laps if who in (*PEERS, LSJ, COPAS, NGINX, LSEC, PY)]
    if peers:
        yield table(["divided by that of:", *peers], peer_rows(result, peers))
    for who, why in result.skipped.items():
        yield f"Not measured: {who} ({why}).\n"


def verdict(figure, results):
    spread = reached(figure, results)
    if not spread:
        return "", "not measured"
    show = two if figure.against else SHOWN.get(figure.measure, number)
    return spread.text(show), "reached" if figure.holds(spread.median) else "**missed**"


def summary_rows(results):
    before = None
    for figure in FIGURES:
        if applies(figure, results):
            title = results[figure.workload].workload.title
            yield ["" if title == before else title, figure.who, figure.text(), *verdict(figure, results)]
            before = title


def summary(results):
    return table(["work", "who", "figure to reach", "reached", "verdict"], summary_rows(results))


def page(results, rounds):
    yield HEAD.format(machine=machine(), rounds=rounds)
    yield "## Figures\n"
    yield summary(results)
    with open(os.path.join(HERE, "missed.md"), encoding="utf-8") as why:
        yield why.read()
    group = None
    for result in results.values():
        if result.workload.group != group:
            group = result.workload.group
            yield f"## {group}\n"
            yield f"![{group}](bench/{group}.svg)\n"
        yield from section(result)


def plots(results):
    """File name -> SVG."""
    groups = {}
    for result in results.values():
        groups.setdefault(result.workload.group, []).append(result)
    return {f"{group}.svg": bars(*plot_data(members)) for group, members in groups.items()}


def plot_data(members):
    """Of a group with both, the rates."""
    if all(r.memory for r in members):
        return "bytes in Lua's accounts (shorter is better)", [
            (r.workload.title, [(who, r.memory[who][0]) for who in r.memory if r.memory[who][0]]) for r in members]
    return "rate, as multiples of the first (longer is better)", [
        (r.workload.title, [(who, ratio(r, who, r.workload.reference, RATE).median) for who in r.laps])
        for r in members if r.workload.reference in r.laps]


def write(results, rounds, directory):
    os.makedirs(os.path.join(directory, "bench"), exist_ok=True)
    with open(os.path.join(directory, "benchmarks.md"), "w", encoding="utf-8") as out:
        out.write("\n".join(page(results, rounds)))
    for name, svg in plots(results).items():
        with open(os.path.join(directory, "bench", name), "w", encoding="utf-8") as out:
            out.write(svg)
