"""What was measured, and the numbers that follow from it: all ratios are of the same round."""

from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from figures import BYTES, CALLS, RATE
from workloads import RAW, Workload


@dataclass
class Result:
    workload: Workload
    laps: dict = field(default_factory=dict)    # contestant -> Lap of each round
    calls: dict = field(default_factory=dict)   # contestant -> name -> system calls of one operation
    memory: dict = field(default_factory=dict)  # contestant -> (bytes in Lua or None, bytes in all)
    skipped: dict = field(default_factory=dict) # contestant -> why

    def values(self, who, measure):
        """One number for each round; none where there is no measurement."""
        if measure == CALLS:
            return [sum(self.calls[who].values())] if who in self.calls else []
        if measure == BYTES:
            return [self.memory[who][0]] if who in self.memory else []
        return [lap.rate if measure == RATE else lap.cost for lap in self.laps.get(who, ())]


class Spread:
    """The median of some numbers, and where the rest lies."""

    def __init__(self, numbers):
        self.median, self.least, self.most = median(numbers), min(numbers), max(numbers)

    def text(self, show):
        if self.least == self.most:
            return show(self.median)
        return f"{show(self.median)} ({show(self.least)}–{show(self.most)})"


def ratio(result, who, other, measure, elsewhere=None):
    """How `who` stands to `other`, round by round; None without both."""
    pairs = list(zip(result.values(who, measure), (elsewhere or result).values(other, measure)))
    return Spread([a / b for a, b in pairs]) if pairs else None


def reached(figure, results):
    """The Spread that the figure is about, or None; of several contestants the strongest counts."""
    result, elsewhere = results.get(figure.workload), results.get(figure.elsewhere)
    if not result or (figure.elsewhere and not elsewhere):
        return None
    if not figure.against:
        values = result.values(figure.who, figure.measure)
        return Spread(values) if values else None
    ratios = [ratio(result, figure.who, other, figure.measure, elsewhere) for other in figure.against]
    worst = max if figure.sign == "≤" else min
    return worst((r for r in ratios if r), key=lambda r: r.median, default=None)


def applies(figure, results):
    """Whether there is anything to be said about the figure: on what was measured, on this system."""
    result = results.get(figure.workload)
    return result is not None and (figure.offload is None or figure.offload == (RAW in result.laps))


def per_operation(calls, n):
    return Counter({name: count / n for name, count in calls.items()})
