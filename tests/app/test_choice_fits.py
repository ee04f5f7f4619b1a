"""Whatever `mixing: auto` comes to can be run: the rule takes the graph, and the node file's other settings."""

from __future__ import annotations

from typing import Any

import pytest

from node.app.rules.fit import fitted
from node.config import check_config
from node.graph.topology import Topology
from node.mixings import MIXINGS

RING = [[f"n{i}", f"n{(i + 1) % 6}"] for i in range(6)]
TOPOLOGIES: dict[str, dict[str, Any]] = {
    "ring": {"generator": "ring"},
    "star": {"generator": "star"},
    "directed": {"edges": RING, "directed": True, "weights": "uniform"},
    "directed, irregular": {"edges": [*RING, ["n0", "n2"]], "directed": True, "weights": "push_sum"},
    "push-sum weights": {"generator": "ring", "weights": "push_sum"},
    "data sizes": {"generator": "ring", "weights": "data_size", "sizes": {f"n{i}": 1.0 + i for i in range(6)}},
    "one-peer exponential": {"schedule": "one_peer_exponential"},
    "base": {"schedule": {"name": "base", "k": 2}},
    "random matching": {"schedule": {"name": "random_matching", "seed": 1}},
    "epidemic": {"schedule": {"name": "epidemic", "s": 2, "oracle": False}},
    "failing links": {"generator": "ring", "schedule": {"name": "failing_links", "p": 0.1}},
    "edges: any": {"edges": "any"},
}


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_the_chosen_rule_takes_the_graph(name: str, mode: str):
    config = check_config({"gossip": {"mixing": "auto", "mode": mode}}, "node.yaml")
    topology = Topology.from_mapping({"nodes": 6, **TOPOLOGIES[name]}, "t.yaml")

    settings, ready, choice = fitted(config, topology)

    assert choice is not None
    assert settings.gossip.mixing.name == choice.mixing
    assert MIXINGS[choice.mixing].asynchronous or mode == "synchronous"
    assert all(ready.neighbours(peer) for peer in ready.nodes)


def test_a_graph_that_may_grow_takes_a_rule_that_can():
    config = check_config({"gossip": {"mixing": "auto", "joins": True}}, "node.yaml")

    _, _, choice = fitted(config, Topology.from_mapping({"nodes": 6, "generator": "ring"}, "t.yaml"))

    assert choice is not None
    assert MIXINGS[choice.mixing].joins
