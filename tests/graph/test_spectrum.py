"""What eigenvalues promise, against figures worked out by hand and against mixing itself."""

from __future__ import annotations

from math import cos, pi

import numpy as np
import pytest

from node.graph.prediction import summary
from node.graph.spectrum import contraction, exact_error, exact_steps, laplacian, rounds_to, spectral_gap
from node.graph.topology import Topology
from node.graph.weights import matrix
from tests.reference.metropolis_by_hand import rounds_of_the_worst_start


def topology(nodes: int, generator: object) -> Topology:
    return Topology.from_mapping({"nodes": nodes, "generator": generator}, "test.yaml")


def test_contraction_of_a_ring_by_hand():
    # W of a ring is circulant with entries 1/3: eigenvalues (1 + 2 cos(2 pi k / n)) / 3.
    assert contraction(matrix(topology(16, "ring"))) == pytest.approx((1 + 2 * cos(2 * pi / 16)) / 3)


def test_one_round_on_a_complete_graph_is_exact():
    w = matrix(topology(5, "complete"))

    assert spectral_gap(w) == pytest.approx(1.0)
    assert rounds_to(w) == 1


@pytest.mark.parametrize(
    ("nodes", "generator", "rounds"),
    [
        (10, "path", 209),
        (10, "ring", 51),
        (10, "star", 66),
        (16, "path", 536),
        (16, "ring", 133),
        (16, "torus", 14),
        (16, "complete", 1),
        (2, "path", 1),
    ],
)
def test_predicted_rounds_to_a_thousandth(nodes: int, generator: str, rounds: int):
    assert rounds_to(matrix(topology(nodes, generator)), 1e-3) == rounds


@pytest.mark.parametrize(("nodes", "generator"), [(10, "path"), (10, "star"), (16, "ring"), (16, "torus")])
def test_the_worst_start_takes_just_as_many_rounds_as_predicted(nodes: int, generator: str):
    w = matrix(topology(nodes, generator))
    values, vectors = np.linalg.eigh(w)
    slowest = vectors[:, 0] if abs(values[0]) > abs(values[-2]) else vectors[:, -2]

    assert rounds_of_the_worst_start(w.tolist(), slowest.tolist(), 1e-3) == rounds_to(w, 1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_no_random_start_is_slower_than_predicted(seed: int):
    w = matrix(topology(12, {"name": "random_regular", "degree": 3, "seed": seed}))
    x = np.random.default_rng(seed).standard_normal((12, 8))
    x -= x.mean(axis=0)

    left = np.linalg.matrix_power(w, rounds_to(w, 1e-3)) @ x

    assert np.linalg.norm(left) <= 1e-3 * np.linalg.norm(x)


def test_a_graph_in_two_parts_has_no_number_of_rounds():
    apart = np.kron(np.eye(2), np.full((2, 2), 0.5))

    with pytest.raises(ValueError, match="no number of rounds"):
        rounds_to(apart)


def test_steps_of_a_ring_of_four_by_hand():
    # Eigenvalues of L are 0, 2, 2, 4; Leja starts at the largest.
    assert exact_steps(topology(4, "ring")) == pytest.approx((4.0, 2.0))


@pytest.mark.parametrize(
    ("nodes", "generator", "hops"),
    [
        (5, "ring", 2),
        (8, "ring", 4),
        (9, "path", 8),
        (9, "star", 2),
        (16, "torus", 4),
        (7, "complete", 1),
        (2, "path", 1),
    ],
)
def test_exact_hops_multiply_to_the_mean_in_float32(nodes: int, generator: str, hops: int):
    graph = topology(nodes, generator)
    lap, product = laplacian(graph).astype(np.float32), np.eye(nodes, dtype=np.float32)

    for step in exact_steps(graph):
        product = product - lap @ product / np.float32(step)

    assert len(exact_steps(graph)) == hops
    np.testing.assert_allclose(product, np.full((nodes, nodes), 1 / nodes), atol=1e-6)


def test_lejas_order_keeps_the_digits_that_a_rising_order_loses():
    graph = topology(64, "ring")
    lap = laplacian(graph).astype(np.float32)
    x = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)

    rising = x
    for step in sorted(exact_steps(graph)):
        rising = rising - lap @ rising / np.float32(step)

    assert exact_error(graph) < 1e-5
    assert np.abs(rising).max() > 100


def test_summary_has_the_shape_that_scripts_rely_on():
    said = summary(topology(4, "ring"), bytes_per_message=1000)

    assert list(said) == [
        "nodes",
        "edges",
        "connected",
        "spectral_gap",
        "rounds_to_1e-3",
        "exact_rounds",
        "bytes_per_round",
        "warnings",
    ]
    assert said["nodes"][0] == {"id": "n0", "address": "127.0.0.1:7001", "neighbours": ["n1", "n3"]}
    assert said["edges"][0] == ["n0", "n1"]
    assert said["connected"] is True
    assert said["spectral_gap"] == pytest.approx(2 / 3)
    assert said["exact_rounds"] == 2
    assert said["bytes_per_round"] == 8000
    assert said["warnings"] == []


def test_a_ring_of_64_is_called_hopeless_and_a_better_graph_is_named():
    said = summary(topology(64, "ring"))

    assert said["rounds_to_1e-3"] == 2149
    assert said["bytes_per_round"] is None
    assert said["warnings"] == ["64 nodes need 2149 rounds to shrink their spread to 1e-3: generator: torus needs 56"]


def test_a_prime_number_of_nodes_is_offered_a_random_regular_graph():
    (warning,) = summary(topology(37, "ring"))["warnings"]

    assert "generator: {name: random_regular, degree: 4, seed: 0} needs" in warning


def test_nodes_that_hold_the_graph_together_are_named():
    warnings = summary(topology(5, "star"))["warnings"]

    assert warnings == ["the graph falls apart where one of these stops: n0"]


def test_exact_mixing_that_loses_float32_is_warned_of():
    warnings = summary(topology(200, "path"))["warnings"]

    assert any("gossip.mixing: exact takes 199 hops" in warning for warning in warnings)
