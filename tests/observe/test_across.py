"""Metrics over nodes: never the average alone."""

from __future__ import annotations

import math

import pytest

from node.observe.across import Across, across, by_metric, lines, to_document
from node.types import PeerId

N0, N1, N2 = (PeerId(f"n{i}") for i in range(3))


def test_three_nodes_by_hand() -> None:
    found = across("common/f1", {N0: 0.9, N1: 0.3, N2: 0.6})

    assert found == Across(
        mean=pytest.approx(0.6), worst=0.3, worst_node=N1, spread=pytest.approx(0.6),
        deviation=pytest.approx(math.sqrt(0.06)), nodes=3,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["private/loss", "common/perplexity"])
def test_of_a_loss_the_largest_is_the_worst(name: str) -> None:
    assert across(name, {N0: 2.0, N1: 3.0, N2: 1.0}).worst_node == N1


def test_nodes_that_lack_a_metric_are_not_counted_for_it() -> None:
    found = by_metric({N0: {"a/f1": 0.5, "b/loss": math.inf}, N1: {"a/f1": 0.7}, N2: {"a/f1": None}})

    assert {name: one.nodes for name, one in found.items()} == {"a/f1": 2}
    assert to_document(found)["a/f1"]["worst_node"] == N0
    assert by_metric({}) == {}


def test_a_line_shows_mean_worst_node_spread_and_deviation() -> None:
    (line,) = lines(by_metric({N0: {"common/f1": 0.5}, N1: {"common/f1": 0.7}}))

    assert " ".join(line.split()) == "common/f1 mean 0.6000 worst 0.5000 (n0) spread 0.2000 deviation 0.1000"
    assert lines({}) == []
