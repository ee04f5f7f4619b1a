"""What a rule promises on a graph: beside what a monitor measures in a run, and in pure averaging."""

from __future__ import annotations

from typing import Any

import pytest

from node.app.rules.mixing import is_due, predicted_contraction
from node.config import NodeConfig
from node.graph.topology import Topology


def promised(rule: object, in_a_run: bool = True, **said: Any) -> float:
    config = NodeConfig.model_validate({"gossip": {"mixing": rule}})
    return predicted_contraction(config, Topology.from_mapping(said, "t.yaml"), training=in_a_run)


def test_a_schedule_that_is_exact_after_some_rounds_promises_no_exact_round_in_a_run():
    base = {"nodes": 6, "schedule": {"name": "base", "k": 1}}

    assert promised("dpsgd", in_a_run=False, **base) == 0.0
    assert promised("push-sum", **base) == promised("dpsgd", **base)
    assert 0.6 < promised("dpsgd", **base) < 0.8  # six processes measured .45 to .57 over eight rounds
    assert promised("exact", **base) == 0.0


def test_parameters_that_are_mixed_in_every_third_round_shrink_by_the_third_root():
    path = {"nodes": 3, "generator": "path"}  # eigenvalues 1, 2/3, 0

    assert promised("des-loc", **path) == pytest.approx(2 / 3)
    assert promised({"name": "des-loc", "theta": 3}, **path) == pytest.approx((2 / 3) ** (1 / 3))


def test_exact_diffusion_mixes_half():
    path = {"nodes": 3, "generator": "path"}

    assert promised("exact-diffusion", **path) == pytest.approx(5 / 6)
    assert promised({"name": "exact-diffusion", "lazy": False}, **path) == pytest.approx(2 / 3)


def test_rules_that_take_a_part_of_w_promise_less_on_a_schedule_too():
    pairs = {"nodes": 6, "schedule": "random_matching"}
    whole = promised("dpsgd", **pairs)

    assert promised({"name": "choco", "step_size": 0.5}, **pairs) == pytest.approx((1 + whole) / 2)
    assert promised("ad-psgd", **pairs) == pytest.approx((3 + whole) / 4)
    assert promised({"name": "des-loc", "theta": 2}, **pairs) == pytest.approx(whole**0.5)


def test_channels_are_due_in_the_last_round_of_their_period():
    rule = NodeConfig.model_validate({"gossip": {"mixing": {"name": "des-loc", "theta": 2}}}).gossip.mixing

    assert [is_due(rule, "theta", r) for r in range(4)] == [False, True, False, True]
    assert [r for r in range(12) if is_due(rule, "m", r)] == [2, 5, 8, 11]
    assert [r for r in range(12) if is_due(rule, "s", r)] == [5, 11]
    assert all(is_due(rule, "scalars", r) for r in range(4))
    assert is_due(NodeConfig().gossip.mixing, "theta", 0)
