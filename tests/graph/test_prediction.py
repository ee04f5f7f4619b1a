"""The document of `gossip topology show`."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from node.errors import ConfigError
from node.graph.advice.prediction import rate_of, rate_while_training, summary
from node.graph.topology import Topology

CONTRACT = [
    "nodes",
    "edges",
    "connected",
    "spectral_gap",
    "rounds_to_1e-3",
    "exact_rounds",
    "bytes_per_round",
    "warnings",
]  # scripts rely on these


def topology(nodes: int, **said: object) -> Topology:
    return Topology.from_mapping({"nodes": nodes, **said}, "test.yaml")


def test_summary_has_the_shape_that_scripts_rely_on():
    said = summary(topology(4, generator="ring"), bytes_per_message=1000)

    assert list(said)[: len(CONTRACT)] == CONTRACT
    assert said["nodes"][0] == {"id": "n0", "address": "127.0.0.1:7001", "neighbours": ["n1", "n3"]}
    assert said["edges"][0] == ["n0", "n1"]
    assert said["connected"] is True
    assert said["spectral_gap"] == pytest.approx(2 / 3)
    assert said["exact_rounds"] == 2
    assert said["bytes_per_round"] == 8000
    assert said["warnings"] == []


def test_rules_tell_rounds_messages_and_bytes_to_the_target():
    said = summary(topology(4, generator="ring"), bytes_per_message=1000)

    assert [{key: rule[key] for key in ("rule", "rounds", "hops", "messages", "bytes")} for rule in said["rules"]] == [
        {"rule": "dpsgd", "rounds": 7, "hops": 1, "messages": 56, "bytes": 56_000},
        {"rule": "chebyshev", "rounds": 3, "hops": 2, "messages": 48, "bytes": 48_000},
        {"rule": "exact", "rounds": 1, "hops": 2, "messages": 16, "bytes": 16_000},
    ]
    assert said["auto"]["mixing"] == "exact"


def test_bytes_are_unknown_where_the_adapter_is():
    said = summary(topology(4, generator="ring"))

    assert said["bytes_per_round"] is None
    assert {rule["bytes"] for rule in said["rules"]} == {None}


def test_the_target_is_of_the_rules_and_the_contracts_key_stays():
    said = summary(topology(10, generator="ring"), target=1e-6)

    assert (said["rounds_to_1e-3"], said["rules"][0]["rounds"], said["target"]) == (51, 102, 1e-6)


def test_a_schedule_is_summed_up_like_a_graph():
    said = summary(topology(10, schedule={"name": "base", "k": 1}), bytes_per_message=1000)

    assert (said["schedule"], said["period"], said["weights"]) == ("{name: base, k: 1}", 6, None)
    assert (said["rounds_to_1e-3"], said["exact_rounds"]) == (6, 6)
    assert said["spectral_gap"] == pytest.approx(1.0)
    assert said["bytes_per_round"] == pytest.approx(1000 * said["messages_per_round"], abs=1)
    assert ["n0", "n1"] in said["edges"]


def test_what_float32_cannot_hold_is_null_in_the_document():
    said = summary(topology(256, generator="barabasi_albert"))  # 254 hops

    assert json.loads(json.dumps(said, allow_nan=False))["rules"][-1]["left"] is None
    assert any("leaves inf of the spread" in warning for warning in said["warnings"])


def test_edges_left_open_are_summed_up_as_auto_would_run_them():
    said = summary(topology(10, edges="any"))

    assert (said["schedule"], said["rounds_to_1e-3"], said["exact_rounds"]) == ("{name: base, k: 1}", 6, 6)
    assert said["auto"] == {
        "mixing": "dpsgd",
        "schedule": "{name: base, k: 1}",
        "reason": "anyone may talk to anyone: one message a node and round",
    }


def test_the_rate_of_a_schedule_is_that_of_its_period():
    graph = topology(10, schedule="one_peer_exponential")
    period = np.linalg.multi_dot([graph.matrix(t) for t in range(4)]) - 0.1

    assert rate_of(graph) == pytest.approx(np.abs(np.linalg.eigvals(period)).max() ** 0.25)


@pytest.mark.parametrize(
    "file",
    [
        {"nodes": 16, "schedule": "one_peer_exponential"},
        {"nodes": 10, "schedule": {"name": "base", "k": 1}},
        {"nodes": 10, "schedule": {"name": "base", "k": 2}},
        {"nodes": 16, "schedule": {"name": "random_matching", "seed": 1}},
        {"nodes": 16, "schedule": {"name": "epidemic", "s": 2, "oracle": False}},
        {"nodes": 16, "generator": "ring"},
    ],
)
def test_a_run_that_trains_keeps_what_is_promised(file: dict[str, object]):
    graph = Topology.from_mapping(file, "t.yaml")
    x, left = np.zeros((len(graph.nodes), 300)), []
    for t in range(40):
        x = x + np.random.default_rng(t).standard_normal(x.shape)
        mixed = graph.matrix(t) @ x
        left.append(np.linalg.norm(mixed - mixed.mean(axis=0)) / np.linalg.norm(x - x.mean(axis=0)))
        x = mixed

    promised = rate_while_training(graph)

    assert np.exp(np.mean(np.log(left[8:]))) <= 1.05 * promised < 1.0


def test_the_rate_of_push_sum_is_that_of_its_columns():
    assert rate_of(topology(10, generator="ring", weights="push_sum")) == pytest.approx(
        rate_of(topology(10, generator="ring"))
    )


@pytest.mark.parametrize("target", [0.0, 1.0, -1e-3, float("nan"), 1e-12])
def test_a_target_that_is_none_is_refused(target: float):
    with pytest.raises(ConfigError, match="--target"):
        summary(topology(4, generator="ring"), target=target)


def test_a_thousand_nodes_take_seconds():
    graph = topology(1024, generator="torus")
    start = time.process_time()

    said = summary(graph)

    assert said["rounds_to_1e-3"] == 896
    assert time.process_time() - start < 20  # 4 on a quiet core
