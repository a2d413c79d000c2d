"""What was measured, and the numbers that follow from it: all ratios are of the same round."""

from collections import Counter
from dataclasses import dataclass, field
from operator import sub, truediv
from statistics import median

from figures import ALL_BYTES, BYTES, CALLS, RATE, RESIDENT, TRANSFERS
from workloads import RAW, Workload


# The system calls of TRANSFERS begin so.
TRANSFERRING = ("recv", "read", "send", "write", "poll", "ppoll", "select", "pselect", "epoll")


@dataclass
class Result:
    workload: Workload
    laps: dict = field(default_factory=dict)    # contestant -> Lap of each round
    calls: dict = field(default_factory=dict)   # contestant -> name -> system calls of one operation
    memory: dict = field(default_factory=dict)  # contestant -> Memory
    skipped: dict = field(default_factory=dict) # contestant -> why

    def values(self, who, measure):
        """One number for each round; none where there is no measurement."""
        if measure in (CALLS, TRANSFERS):
            beginnings = TRANSFERRING if measure == TRANSFERS else ""
            counts = [n for name, n in self.calls.get(who, {}).items() if name.startswith(beginnings)]
            return [sum(counts)] if who in self.calls else []
        if measure in (BYTES, ALL_BYTES, RESIDENT):
            memory = self.memory.get(who)
            value = memory and {BYTES: memory.in_lua, ALL_BYTES: memory.in_all, RESIDENT: memory.resident}[measure]
            return [] if value is None else [value]
        return [lap.rate if measure == RATE else lap.cost for lap in self.laps.get(who, ())]


class Spread:
    """The median of some numbers, and where the rest lies."""

    def __init__(self, numbers):
        self.median, self.least, self.most = median(numbers), min(numbers), max(numbers)

    def text(self, show):
        if self.least == self.most:
            return show(self.median)
        return f"{show(self.median)} ({show(self.least)}–{show(self.most)})"


def ratio(result, who, other, measure, elsewhere=None, compare=truediv):
    """How `who` stands to `other`, round by round; None without both."""
    pairs = list(zip(result.values(who, measure), (elsewhere or result).values(other, measure)))
    return Spread([compare(a, b) for a, b in pairs]) if pairs else None


def reached(figure, results):
    """The Spread that the figure is about, or None; of several contestants the strongest counts."""
    result, elsewhere = results.get(figure.workload), results.get(figure.elsewhere)
    if not result or (figure.elsewhere and not elsewhere):
        return None
    if not figure.against:
        values = result.values(figure.who, figure.measure)
        return Spread(values) if values else None
    compare = sub if figure.difference else truediv
    ratios = [ratio(result, figure.who, other, figure.measure, elsewhere, compare) for other in figure.against]
    worst = max if figure.sign == "≤" else min
    return worst((r for r in ratios if r), key=lambda r: r.median, default=None)


def applies(figure, results):
    """Whether there is anything to be said about the figure: on what was measured, on this system."""
    result = results.get(figure.workload)
    return result is not None and (figure.offload is None or figure.offload == (RAW in result.laps))


def per_operation(calls, n):
    return Counter({name: count / n for name, count in calls.items()})
