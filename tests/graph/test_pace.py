"""How many exchanges a fixed matrix takes, worked out by hand and against doing the exchanges."""

from __future__ import annotations

import numpy as np
import pytest

from node.graph.advice.pace import SHRINKS, chebyshev, first_power, floored, norm, pushes
from node.graph.topology import Topology
from node.graph.weighting.spectrum import rounds_to
from node.graph.weighting.weights import push_sum_matrix
from tests.reference.pace_by_hand import pushes_of_the_worst_start


def graph(nodes: int, generator: object) -> Topology:
    return Topology.from_mapping({"nodes": nodes, "generator": generator}, "test.yaml")


def test_a_number_below_a_target_is_found_by_squaring():
    # 0.5^t <= 0.1 from t = 4 on.
    assert first_power(np.array([[0.5]]), lambda m: float(m[0, 0]), 0.1) == 4
    assert first_power(np.array([[0.05]]), lambda m: float(m[0, 0]), 0.1) == 1
    assert first_power(np.array([[1.0]]), lambda m: float(m[0, 0]), 0.1) is None


@pytest.mark.parametrize(("nodes", "generator"), [(5, "path"), (6, "star"), (8, "ring")])
def test_push_sum_takes_as_many_exchanges_as_its_worst_start(nodes: int, generator: str):
    p = push_sum_matrix(graph(nodes, generator))

    assert pushes(p) == pushes_of_the_worst_start(p.tolist(), 1e-3)


def test_the_last_quarter_of_a_weight_is_kept_by_hand():
    # All of five tell four others: 1/5 each by P, but w = 1 keeps 1/4, which leaves 3/16 for each of the four.
    p = floored(np.full((5, 5), 0.2))

    np.testing.assert_allclose(p, np.where(np.eye(5), 1 / 4, 3 / 16))
    np.testing.assert_allclose(floored(np.full((3, 3), 1 / 3)), np.full((3, 3), 1 / 3))


def test_push_sum_on_a_regular_graph_is_plain_averaging():
    ring = graph(10, "ring")

    assert pushes(push_sum_matrix(ring)) == rounds_to(ring.matrix()) == 51


def test_chebyshev_by_hand():
    # Eigenvalues from 0 to 2/3: T_k(2) = 2, 7, 26. Three hops shrink ten times and more; 26^-2 > 1e-3 > 26^-3.
    assert chebyshev(0.0, 2 / 3) == (3, 3)
    assert chebyshev(0.0, 0.0) == (1, 1)
    assert chebyshev(-0.5, 1.0) is None


@pytest.mark.parametrize(("n", "hops"), [(16, 8), (64, 31)])
def test_chebyshevs_polynomial_of_w_leaves_what_is_said(n: int, hops: int):
    w = graph(n, "ring").matrix()
    values = np.linalg.eigvalsh(w)
    low, high = values[0], values[-2]
    mapped = (2 * values[:-1] - low - high) / (high - low)  # of all spreads onto [-1, 1]
    t = np.polynomial.chebyshev.Chebyshev.basis(hops)

    left = np.abs(t(mapped)).max() / t((2 - low - high) / (high - low))

    assert chebyshev(low, high) == (3, hops)
    assert left**3 <= 1e-3
    assert SHRINKS * left <= 1.0


def test_the_norm_is_the_largest_singular_value():
    m = np.random.default_rng(0).standard_normal((6, 6))

    assert norm(m) == pytest.approx(np.linalg.norm(m, 2))
