"""From results of several seeds to figures: mean with deviation, worst node, paired difference with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from _figures import Figure, at_least, at_most

if TYPE_CHECKING:
    from _learning.network import Result

T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 8: 2.365, 10: 2.262}  # two-sided, by number of seeds
SHARE = "accuracy"
REACHED = 0.8  # an accuracy; what it takes to come there is told of networks that were looked at on the way
WORST, SPREAD, SENT = ": worst node", ": best node minus worst", ": sent a node"  # endings that `make results` knows
SENT_TO = f"{SENT} to {REACHED:.0%}"
NOT_THERE = ", and not there"  # ending of a unit


def seeds(quick: bool, full: int = 3) -> range:
    """Paired over all rows: the same seed has the same start, deal and order of data."""
    return range(1 if quick else full)


def several(name: str, values: Sequence[float], unit: str = SHARE) -> Figure:
    """Mean over seeds; the deviation stands in the unit."""
    return Figure(name, fmean(values), f"{unit}{_deviation(values)}")


def nodes(name: str, accuracies: Sequence[Sequence[float]]) -> list[Figure]:
    """Of each seed each node's own accuracy: mean of nodes, worst node of any seed, spread between the nodes.

    `make results` puts these, and what is sent, into one line of a table.
    """
    spread = fmean(max(seed) - min(seed) for seed in accuracies)
    return [
        several(name, [fmean(seed) for seed in accuracies]),
        Figure(f"{name}{WORST}", min(map(min, accuracies)), SHARE),
        Figure(f"{name}{SPREAD}", 100 * spread, "points"),
    ]


def networks(name: str, results: Sequence[Result]) -> list[Figure]:
    """`nodes` of one result a seed, and the bytes that a node has sent; also until the nodes were at REACHED."""
    sent = fmean(r.bytes for r in results) / 1e6
    figures = [*nodes(name, [r.accuracies for r in results]), Figure(f"{name}{SENT}", sent, "MB")]
    if not all(r.course for r in results):
        return figures
    reached = fmean(r.bytes_to(REACHED) for r in results) / 1e6
    found = (reached, "MB") if math.isfinite(reached) else (sent, f"MB{NOT_THERE}")
    return [*figures, Figure(f"{name}{SENT_TO}", *found)]


def gain(
    name: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    least: float | None = None,
    most: float | None = None,
    unit: str = "points",
    scale: float = 100.0,
) -> Figure:
    """Ours minus theirs, seed by seed: the mean, and half the width of its 95 % interval where there are seeds.

    Args:
        least, most: the bar, in `unit`.
        scale: 100: from shares to points.
    """
    differences = [scale * (a - b) for a, b in zip(ours, theirs, strict=True)]
    mean, said = fmean(differences), f"{unit}{_interval(differences)}"
    if least is not None:
        return at_least(name, mean, said, least)
    return Figure(name, mean, said) if most is None else at_most(name, mean, said, most)


def _deviation(values: Sequence[float]) -> str:
    return f", ± {stdev(values):.2g} over {len(values)} seeds" if len(values) > 1 else ", one seed"


def _interval(differences: Sequence[float]) -> str:
    n = len(differences)
    if n < 2:
        return ", one seed"
    half = T95.get(n, 2.0) * stdev(differences) / math.sqrt(n)
    return f", ± {half:.2g} (95 %, {n} seeds)"
