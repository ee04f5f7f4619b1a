"""What a round of push-sum leaves of a spread, beside the second eigenvalue of its column-stochastic P.

P as the rule has it: nobody keeps less than a quarter of w (`node.graph.advice.pace.floored`). Graphs in which all have
as many neighbours, so that P is normal and w stays 1. What push-sum says is float32: the contraction is measured until
the spread is a ten thousandth of what it was.
"""

from __future__ import annotations

from math import log
from typing import Any

from _figures import Figure, at_most

from _consensus.networks import course, deviation, lockstep, network, slowest
from node.gossip.push_sum import push_sum
from node.graph.advice.pace import floored
from node.graph.topology import Topology
from node.graph.weighting.weights import PUSH_SUM

GRAPHS: list[tuple[str, int, dict[str, Any]]] = [
    ("ring", 8, {}),
    ("ring", 16, {}),
    ("ring", 16, {"direction": "right"}),
    ("random_regular", 16, {"degree": 3}),
    ("torus", 16, {}),
    ("hypercube", 8, {}),
    ("hypercube", 16, {}),
    ("exponential", 16, {}),
    ("exponential", 16, {"symmetric": False}),
]
UNTIL = 1e-4


def rows(quick: bool) -> list[Figure]:
    graphs = [(name, n, network(name, n, more, weights=PUSH_SUM)) for name, n, more in GRAPHS]
    found = {f"{name}{' one way' if g.directed else ''} of {n}": _off(g) for name, n, g in graphs}
    worst = max(found, key=found.__getitem__)
    what = "contraction of push-sum, off log10 of P's second eigenvalue"
    return [
        at_most(f"{what}, worst of {len(found)} regular graphs ({worst})", found[worst], "%", 2),
        *(Figure(f"{what}, {name}", off, "%") for name, off in found.items()),
    ]


def _off(graph: Topology) -> float:
    rate, vector = slowest(floored(graph.matrix()))
    rounds = max(2, min(80, int(log(UNTIL) / log(rate))))
    d = course(lockstep(graph, push_sum(), vector[:, None]), rounds)
    return deviation((d[-1] / d[0]) ** (1 / rounds), rate)
