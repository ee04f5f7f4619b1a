"""What each rule costs: counts by hand, and the issue's figures."""

from __future__ import annotations

import numpy as np
import pytest

from node.graph.advice.forecast import Forecast, busiest, forecasts, messages_a_round, messages_until
from node.graph.topology import Topology


def topology(nodes: int, generator: object) -> Topology:
    return Topology.from_mapping({"nodes": nodes, "generator": generator}, "test.yaml")


def turns(nodes: int, schedule: object, **more: object) -> Topology:
    return Topology.from_mapping({"nodes": nodes, "schedule": schedule, **more}, "test.yaml")


def by_rule(graph: Topology, target: float = 1e-3) -> dict[str, Forecast]:
    return {forecast.rule: forecast for forecast in forecasts(graph, target)}


def test_a_ring_of_four_by_hand():
    # W has eigenvalues 1, 1/3, 1/3, -1/3: 3^-7 < 1e-3. T_2(3) = 17: three rounds of two hops. L has 2 and 4: two hops.
    found = by_rule(topology(4, "ring"))

    assert {rule: (f.rounds, f.hops, f.messages) for rule, f in found.items()} == {
        "dpsgd": (7, 1, 56),
        "chebyshev": (3, 2, 48),
        "exact": (1, 2, 16),
    }
    assert found["dpsgd"].left == 1e-3
    assert found["exact"].left < 1e-6


@pytest.mark.parametrize(
    ("nodes", "generator", "rounds"),
    [
        (10, "path", 209),
        (10, "ring", 51),
        (10, "star", 66),
        (10, {"name": "exponential", "symmetric": False}, 14),
        (16, "path", 536),
        (16, "ring", 133),
        (16, "torus", 14),
        (16, "hypercube", 14),
        (64, "ring", 2149),
    ],
)
def test_metropolis_rounds_to_a_thousandth(nodes: int, generator: object, rounds: int):
    # On a directed graph in which all tell equally many, Metropolis weights are uniform ones.
    weights = "uniform" if isinstance(generator, dict) else "metropolis"
    graph = Topology.from_mapping({"nodes": nodes, "generator": generator, "weights": weights}, "test.yaml")

    assert by_rule(graph)["dpsgd"].rounds == rounds


@pytest.mark.parametrize(
    ("schedule", "n", "rounds"),
    [("one_peer_exponential", 16, 4)]
    + [
        ({"name": "base", "k": k}, n, rounds)
        for n, counts in {
            10: (6, 4, 4, 2),
            16: (4, 4, 2, 2),
            20: (7, 5, 4, 2),
            32: (5, 5, 3, 3),
            100: (11, 8, 6, 3),
        }.items()
        for k, rounds in enumerate(counts, 1)
    ],
)
def test_schedules_are_exact_in_the_tabulated_rounds(schedule: object, n: int, rounds: int):
    found = by_rule(turns(n, schedule))

    assert found["exact"].hops == rounds
    assert found["exact"].left < 1e-5
    assert found["dpsgd"].rounds == rounds


def test_push_sum_is_all_there_is_where_the_file_asks_for_it():
    graph = Topology.from_mapping({"nodes": 10, "generator": "ring", "weights": "push_sum"}, "test.yaml")

    assert [(f.rule, f.rounds) for f in forecasts(graph)] == [("push-sum", 51)]


def test_a_nearer_target_takes_more_rounds():
    graph = topology(10, "ring")

    assert by_rule(graph, 1e-6)["dpsgd"].rounds == 102  # 50.7 rounds take three digits
    assert by_rule(graph, 0.5)["dpsgd"].rounds == 6


def test_an_edge_that_works_one_way_carries_one_message():
    graph = Topology.from_mapping(
        {"nodes": 10, "generator": {"name": "exponential", "symmetric": False}, "weights": "uniform"}, "test.yaml"
    )

    assert messages_a_round(graph) == 40  # 1, 2, 4 and 8 places on
    assert forecasts(graph)[0].messages == 14 * 40


def test_messages_of_a_schedule_are_those_of_its_rounds():
    graph = turns(10, {"name": "base", "k": 1})
    sent = [int((graph.matrix(t) > 0).sum()) - 10 for t in range(6)]

    assert [messages_until(graph, t) for t in range(14)] == [sum((sent * 3)[:t]) for t in range(14)]
    assert messages_a_round(graph) == pytest.approx(np.mean(sent))
    assert busiest(graph) == 1


def test_messages_of_a_drawn_schedule_go_on_as_they_began():
    graph = turns(16, {"name": "random_matching", "seed": 3})

    assert messages_until(graph, 20) == 320  # all 16 meet somebody in every round
    assert messages_until(graph, 200) == 3200


def test_the_busiest_node_of_a_star_is_the_middle():
    assert busiest(topology(7, "star")) == 6
