"""What eigenvalues promise, against figures worked out by hand and against mixing itself."""

from __future__ import annotations

from math import cos, pi

import numpy as np
import pytest

from node.graph.topology import Topology
from node.graph.weighting.spectrum import (
    _leja,
    contraction,
    contraction_of_a_round,
    contraction_of_pushes,
    exact_error,
    exact_steps,
    rounds_to,
    spectral_gap,
    stationary,
)
from node.graph.weighting.weights import matrix, push_sum_matrix
from tests.graph.plain import exponential, hypercube, path, plain, ring, star
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


# ---- W that is not symmetric

# Each of four takes half from two others: W^2 is J, as in a de Bruijn graph. Columns sum to 1.
SHUFFLE = np.array([[0.5, 0, 0.5, 0], [0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5], [0, 0.5, 0, 0.5]])


def test_a_directed_ring_by_hand():
    # Half of one's own and half of the one before: eigenvalues (1 + e^(2 pi i k / n)) / 2, lengths cos(pi k / n).
    w = matrix(plain(16, ring(16), "uniform", directed=True))

    assert contraction(w) == pytest.approx(cos(pi / 16))
    assert contraction_of_a_round(w) == pytest.approx(cos(pi / 16))
    assert rounds_to(w) == 357  # log 1000 / -log cos(pi / 16) = 356.04


@pytest.mark.parametrize(
    ("n", "pairs", "rounds"), [(10, exponential(10), 14), (16, exponential(16), 14), (32, exponential(32), 18)]
)
def test_predicted_rounds_on_the_static_exponential_graph(n: int, pairs: list[tuple[int, int]], rounds: int):
    # Each hears itself and those 1, 2, 4 ... before it, all alike; n = 2^k: (k - 1) / (k + 1) = 3/5, 2/3.
    w = matrix(plain(n, pairs, "uniform", directed=True))

    assert rounds_to(w) == rounds


def test_predicted_rounds_on_a_hypercube():
    assert rounds_to(matrix(plain(16, hypercube(16)))) == 14  # (4 - 1) / (4 + 1) = 3/5


def test_a_shuffle_of_four_by_hand():
    # One round may leave a spread as long as it was (1, 1, -1, -1 becomes 1, -1, 1, -1 up to order), two leave nothing.
    assert contraction_of_a_round(SHUFFLE) == pytest.approx(1.0)
    assert contraction(SHUFFLE) < 1e-6
    assert rounds_to(SHUFFLE) == 2


@pytest.mark.parametrize("seed", range(8))
def test_rounds_of_a_w_that_is_not_normal_are_the_first_that_suffice(seed: int):
    draw = np.random.default_rng(seed)
    n = 4 + 4 * seed
    w = np.mean([np.eye(n)[draw.permutation(n)] for _ in range(3)] + [np.eye(n)], axis=0)
    epsilon = 10.0 ** -(1 + seed % 3)
    t = rounds_to(w, epsilon)
    left = [np.linalg.norm(np.linalg.matrix_power(w, k) - 1 / n, 2) for k in (t - 1, t)]

    assert left[1] <= epsilon < left[0]
    assert contraction(w) <= contraction_of_a_round(w) + 1e-12


def test_a_w_that_is_not_normal_and_never_mixes_has_no_number_of_rounds():
    apart = np.kron(np.eye(2), SHUFFLE)

    with pytest.raises(ValueError, match="no number of rounds"):
        rounds_to(apart)


def test_rounds_to_data_sizes_are_what_the_slowest_start_takes():
    # Reversible: the worst start shrinks by the contraction each round, in lengths weighted by the sizes.
    graph = plain(9, path(9), "data_size", sizes={chr(97 + i): float(1 + i % 3) for i in range(9)})
    w = matrix(graph)
    pi_ = stationary(w)
    values, vectors = np.linalg.eig(w)
    slowest = vectors[:, np.argsort(-np.abs(values))[1]].real

    length = lambda x: float(np.sqrt(pi_ @ (x - pi_ @ x) ** 2))  # noqa: E731
    left = [length(np.linalg.matrix_power(w, k) @ slowest) / length(slowest) for k in (rounds_to(w) - 1, rounds_to(w))]

    assert left[1] <= 1e-3 < left[0]


def test_every_start_counts_alike_where_columns_sum_to_one():
    np.testing.assert_array_equal(stationary(SHUFFLE), np.full(4, 1 / 4))


def test_a_start_that_is_forgotten_is_told():
    with pytest.raises(ValueError, match="not all nodes hear of each other"):
        stationary(np.array([[1.0, 0.0], [0.5, 0.5]]))


def test_slow_and_reversible_w_of_a_thousand_keeps_its_digits():
    # A linear solve left pi with six digits here, W did not look reversible, and rounds took ten seconds.
    sizes = {f"n{i:04d}": float(1 + i % 7) for i in range(512)}
    w = matrix(plain(512, path(512), "data_size", sizes=sizes))

    np.testing.assert_allclose(stationary(w), np.array(list(sizes.values())) / sum(sizes.values()), rtol=1e-10)
    assert contraction(w) == contraction_of_a_round(w)


def test_pushes_on_a_star_contract_as_fast_as_without_a_middle():
    # Leaves keep a half: (1, -1, 0 ...) becomes half of itself. The middle keeps 1/16.
    assert contraction_of_pushes(push_sum_matrix(plain(16, star(16)))) == pytest.approx(1 / 2)


# ---- finite-time exact


def test_steps_of_a_ring_of_four_by_hand():
    # Eigenvalues of I - W = L / 3 are 0, 2/3, 2/3, 4/3; Leja starts at the largest.
    assert exact_steps(topology(4, "ring")) == pytest.approx((4 / 3, 2 / 3))


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
    product = np.eye(nodes, dtype=np.float32)
    gaps = product - graph.matrix().astype(np.float32)

    for step in exact_steps(graph):
        product = product - gaps @ product / np.float32(step)

    assert len(exact_steps(graph)) == hops
    np.testing.assert_allclose(product, np.full((nodes, nodes), 1 / nodes), atol=1e-6)


def test_degrees_that_differ_cost_few_digits():
    # by the Laplacian, whose eigenvalues lie further apart, the same hops would multiply the spread by 4e3
    clique = [[f"n{i}", f"n{j}"] for i in range(12) for j in range(i)]
    tail = [[f"n{i}", f"n{i + 1}"] for i in range(11, 23)]
    graph = Topology.from_mapping({"nodes": 24, "edges": clique + tail}, "lollipop")

    assert exact_error(graph) < 1e-5


@pytest.mark.parametrize("weights", ["fmmc", "fdla", "best_constant", "sinkhorn", "lazy"])
def test_any_symmetric_w_can_be_exact(weights: str):
    graph = Topology.from_mapping({"nodes": 16, "generator": "clusters", "weights": weights}, "clusters")

    assert exact_error(graph) < 1e-4
    assert len(exact_steps(graph)) <= 9


def test_weights_by_data_are_exact_to_the_weighted_mean():
    sizes = {f"n{i}": i + 1 for i in range(6)}
    graph = Topology.from_mapping({"nodes": 6, "generator": "path", "weights": "data_size", "sizes": sizes}, "path")

    assert exact_error(graph) < 1e-5


def test_lejas_order_keeps_the_digits_that_a_rising_order_loses():
    graph = topology(64, "ring")
    gaps = (np.eye(64) - graph.matrix()).astype(np.float32)
    x = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)

    rising = x
    for step in sorted(exact_steps(graph)):
        rising = rising - gaps @ rising / np.float32(step)

    assert exact_error(graph) < 1e-5
    assert np.abs(rising).max() > 100


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_the_steps_is_the_same_on_every_build(seed: int):
    # A hypercube of 16 has 2, 4, 6 and 8; after 8 and 4 the other two tie, and the last bits of LAPACK would decide.
    noise = 1 + 1e-14 * np.random.default_rng(seed).standard_normal(4)

    order = _leja(list(np.array([2.0, 4.0, 6.0, 8.0]) * noise))

    assert np.round(order, 6).tolist() == [8, 4, 2, 6]
