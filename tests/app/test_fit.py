"""A rule on a graph for which it is not made: one line that names both, before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

from node.app.rules.fit import fitted
from node.config import check_config
from node.errors import ConfigError
from node.graph.topology import Topology

RIGHT = {"name": "ring", "direction": "right"}
BASE: dict[str, Any] = {"schedule": {"name": "base", "k": 1}}
LOCAL: dict[str, Any] = {"schedule": {"name": "epidemic", "s": 2, "oracle": False}}
SIZES: dict[str, Any] = {"generator": "ring", "weights": "data_size", "sizes": {f"n{i}": 1.0 + i for i in range(4)}}
ONE_WAY: dict[str, Any] = {"generator": RIGHT, "weights": "uniform"}
PUSHED: dict[str, Any] = {"generator": RIGHT, "weights": "push_sum"}

REFUSED: dict[str, tuple[dict[str, Any], object, dict[str, Any], str]] = {  # topology, rule, more of gossip, words
    "exact on pairs at random": ({"schedule": "random_matching"}, "exact", {}, "never gives the exact mean"),
    "chebyshev on a schedule": (BASE, "chebyshev", {}, "mixing: chebyshev, but t.yaml has a schedule"),
    "exact diffusion on a schedule": (BASE, "exact-diffusion", {}, "t.yaml has a schedule"),
    "joins on a schedule": (BASE, "dpsgd", {"joins": True}, "gossip.joins: t.yaml has a schedule"),
    "joins by auto": (BASE, "auto", {"joins": True}, "gossip.joins: t.yaml has a schedule"),
    "joins where anyone talks": ({"edges": "any"}, "auto", {"joins": True}, "no edges, and gossip.joins is on"),
    "pairs without settlement": ({"generator": "ring"}, "ad-psgd", {"settle": False}, "gossip.settle: true"),
    "pairs one way": ({"schedule": "one_peer_exponential"}, "ad-psgd", {}, "a symmetric W"),
    "a rule where anyone talks": ({"edges": "any"}, "dpsgd", {}, "edges: any wants gossip.mixing: auto, not dpsgd"),
    "exact along arrows": (ONE_WAY, "exact", {}, "t.yaml has directed edges; wanted push-sum"),
    "noloco along arrows": (ONE_WAY, "noloco", {}, "t.yaml has directed edges; wanted push-sum"),
    "rows for columns": (PUSHED, "dpsgd", {}, "weights: push_sum; wanted mixing: push-sum"),
    "chebyshev by data sizes": (SIZES, "chebyshev", {}, "weights: data_size, which are not symmetric"),
    "D2 on an even ring": ({"generator": "ring"}, {"name": "exact-diffusion", "lazy": False}, {}, "lazy: true"),
    "books that lose bits": (ONE_WAY, "push-sum", {"codec": "int8"}, "mixing: push-sum keeps books of what it sent"),
    "books that auto chose": (ONE_WAY, "auto", {"codec": {"m": "int4"}}, "wanted codec: float32"),
    "exact on a local schedule": (LOCAL, "exact", {}, "never gives the exact mean"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_one_line(case: str):
    graph, rule, more, words = REFUSED[case]
    config = check_config({"gossip": {"mixing": rule, **more}}, "node.yaml")
    topology = Topology.from_mapping({"nodes": 4, **graph}, "t.yaml")

    with pytest.raises(ConfigError) as caught:
        fitted(config, topology)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
