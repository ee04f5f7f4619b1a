"""A metric over the nodes of a run: mean, worst node, spread and deviation; an average alone hides who was left behind.

Pure; knows no vectors. A metric is named after the set that it was taken on and what was counted: "common/f1".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from node.types import PeerId

SMALLER_IS_BETTER = ("loss", "perplexity")


@dataclass(frozen=True, slots=True)
class Across:
    """One metric of all nodes that have it."""

    mean: float
    worst: float
    worst_node: PeerId
    spread: float  # largest - smallest
    deviation: float  # square root of the mean squared difference to the mean: these are all nodes, no sample
    nodes: int


def across(metric: str, values: Mapping[PeerId, float]) -> Across:
    """What `values`, one node or more, come to; of equally bad nodes the first is the worst."""
    mean = math.fsum(values.values()) / len(values)
    smaller = metric.rpartition("/")[2] in SMALLER_IS_BETTER
    worst_node = (max if smaller else min)(values, key=lambda peer: values[peer])
    return Across(
        mean=mean,
        worst=values[worst_node],
        worst_node=worst_node,
        spread=max(values.values()) - min(values.values()),
        deviation=math.sqrt(math.fsum((value - mean) ** 2 for value in values.values()) / len(values)),
        nodes=len(values),
    )


def by_metric(nodes: Mapping[PeerId, Mapping[str, float | None]]) -> dict[str, Across]:
    """For each metric that some node has, in the order of its name; what is not finite is left out."""
    names = sorted({name for metrics in nodes.values() for name in metrics})
    known = {
        name: {
            peer: value
            for peer, metrics in nodes.items()
            if (value := metrics.get(name)) is not None and math.isfinite(value)
        }
        for name in names
    }
    return {name: across(name, values) for name, values in known.items() if values}


def to_document(found: Mapping[str, Across]) -> dict[str, Any]:
    """For JSON."""
    return {name: asdict(one) for name, one in found.items()}


def lines(found: Mapping[str, Across]) -> list[str]:
    """A line a metric, columns under each other."""
    if not found:
        return []
    width = max(map(len, found))
    return [
        f"{name:<{width}}  mean {one.mean:8.4f}  worst {one.worst:8.4f} ({one.worst_node})"
        f"  spread {one.spread:7.4f}  deviation {one.deviation:7.4f}"
        for name, one in found.items()
    ]
