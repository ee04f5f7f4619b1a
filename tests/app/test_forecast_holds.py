"""What `node.graph.advice.forecast` says is what the rules do: from the worst start, to the round.

Peers that start with the rows of the identity end with the columns of what a linear rule does to any start; the norm of
that, less its mean, is what is left of the worst spread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from node.app.simulating.simulate import simulate
from node.gossip.chebyshev import chebyshev
from node.gossip.push_sum import FLOOR
from node.graph.advice import pace
from node.graph.advice.forecast import Forecast, forecasts
from node.graph.topology import Topology

ROUNDING = 1e-9

TOPOLOGIES: dict[str, dict[str, Any]] = {
    "ring": {"nodes": 10, "generator": "ring"},
    "star": {"nodes": 8, "generator": "star"},
    "torus": {"nodes": 16, "generator": "torus"},
    "lazy path": {"nodes": 6, "generator": "path", "weights": "lazy"},
    "push-sum on a star": {"nodes": 6, "generator": "star", "weights": "push_sum"},
    "push-sum one way": {
        "nodes": 10,
        "generator": {"name": "exponential", "symmetric": False},
        "weights": "push_sum",
    },
    "one way": {"nodes": 10, "generator": {"name": "exponential", "symmetric": False}, "weights": "uniform"},
    "one-peer exponential": {"nodes": 10, "schedule": "one_peer_exponential"},
    "base": {"nodes": 10, "schedule": {"name": "base", "k": 1}},
    "random matching": {"nodes": 12, "schedule": {"name": "random_matching", "seed": 4}},
    "epidemic": {"nodes": 12, "schedule": {"name": "epidemic", "s": 2, "seed": 1, "oracle": False}},
}
CASES = [
    pytest.param(name, place, id=f"{name}, {forecast.rule}")
    for name, file in TOPOLOGIES.items()
    for place, forecast in enumerate(forecasts(Topology.from_mapping({**file}, name)))
]


def left_of_the_worst(graph: Topology, forecast: Forecast, rounds: int) -> float:
    n = len(graph.nodes)
    rule: Any = forecast.rule
    if rule == "chebyshev":
        values = np.linalg.eigvalsh(graph.matrix())
        low, high = float(values[0]), float(values[-2])
        rule = chebyshev(low, high, pace.hops_to(low, high))
    end = simulate(graph, rule, rounds, start=np.eye(n)).x if rounds else np.eye(n)
    return float(np.linalg.norm(end - np.mean(end, axis=0), 2))


@pytest.mark.parametrize(("name", "place"), CASES)
def test_the_worst_start_takes_as_many_rounds_as_said(name: str, place: int):
    graph = Topology.from_mapping(TOPOLOGIES[name], name)
    forecast = forecasts(graph)[place]
    assert forecast.rounds is not None

    before, after = (left_of_the_worst(graph, forecast, rounds) for rounds in (forecast.rounds - 1, forecast.rounds))

    assert after <= 1e-3 + ROUNDING < before
    assert forecast.rule != "exact" or after < ROUNDING


def test_push_sum_is_counted_with_the_floor_that_it_keeps():
    assert pace.FLOOR == FLOOR
