"""W: worked by hand, by law, and against the double loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.graph.topology import Topology
from node.graph.weighting.spectrum import contraction_of_pushes, exact_steps
from node.graph.weighting.weights import matrix, push_sum_matrix, row_of
from node.types import PeerId
from tests.reference.metropolis_by_hand import metropolis_matrix
from tests.reference.push_sum_by_matrix import push_matrix


def topology(nodes: int, generator: object) -> Topology:
    return Topology.from_mapping({"nodes": nodes, "generator": generator}, "test.yaml")


@st.composite
def connected(draw: st.DrawFn) -> Topology:
    """A random tree and some chords, under shuffled ids."""
    n = draw(st.integers(2, 12))
    names = draw(st.permutations([f"p{i}" for i in range(n)]))
    tree = [(names[draw(st.integers(0, i - 1))], names[i]) for i in range(1, n)]
    more = draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=12))
    edges = {(min(a, b), max(a, b)) for a, b in [*tree, *more] if a != b}
    nodes = {name: f"127.0.0.1:{7001 + i}" for i, name in enumerate(names)}
    return Topology.from_mapping({"nodes": nodes, "edges": [list(edge) for edge in sorted(edges)]}, "test.yaml")


def test_path_of_three_by_hand():
    w = matrix(topology(3, "path"))

    np.testing.assert_allclose(w, [[2 / 3, 1 / 3, 0], [1 / 3, 1 / 3, 1 / 3], [0, 1 / 3, 2 / 3]], atol=1e-15)


def test_star_of_four_by_hand():
    row = row_of(topology(4, "star"), PeerId("n1"))

    assert row == {"n0": 0.25, "n1": 0.75}


def test_a_row_lists_ids_in_sorted_order():
    # Peers are added up in this order: float addition is not associative, and all drivers must give the same bits.
    row = row_of(topology(12, "ring"), PeerId("n0"))

    assert list(row) == ["n0", "n1", "n11"]


@settings(max_examples=60, deadline=None)
@given(connected())
def test_w_is_symmetric_doubly_stochastic_and_contracts(graph: Topology):
    w = matrix(graph)

    np.testing.assert_array_equal(w, w.T)
    np.testing.assert_allclose(w.sum(axis=0), 1.0, atol=1e-14)
    assert (w >= 0).all()
    assert (np.diag(w) > 0).all()
    assert np.sort(np.abs(np.linalg.eigvalsh(w)))[-2] < 1


@settings(max_examples=60, deadline=None)
@given(connected())
def test_w_is_what_the_double_loop_gives(graph: Topology):
    slow = metropolis_matrix(graph.nodes, graph.edges)

    np.testing.assert_allclose(matrix(graph), slow, atol=1e-15)


@settings(max_examples=60, deadline=None)
@given(connected())
def test_a_topology_survives_being_written_out(graph: Topology):
    written = {"nodes": dict(graph.addresses), "edges": [list(edge) for edge in graph.edges], "weights": graph.weights}

    again = Topology.from_mapping(written, "again.yaml")

    assert again == graph
    assert again.digest == graph.digest


@settings(max_examples=30, deadline=None)
@given(connected())
def test_every_step_is_an_eigenvalue_and_every_eigenvalue_has_a_step(graph: Topology):
    values = [1 - value for value in np.linalg.eigvalsh(graph.matrix()) if value < 1 - 1e-9]

    steps = exact_steps(graph)

    assert all(min(abs(step - value) for value in values) < 1e-9 for step in steps)
    assert all(min(abs(step - value) for step in steps) < 1e-7 for value in values)


def test_pushes_on_a_path_of_three_by_hand():
    # the ends keep a half, the middle a third; read by columns
    p = push_sum_matrix(topology(3, "path"))

    np.testing.assert_allclose(p, [[1 / 2, 1 / 3, 0], [1 / 2, 1 / 3, 1 / 2], [0, 1 / 3, 1 / 2]], atol=1e-15)
    assert contraction_of_pushes(p) == pytest.approx(1 / 2)  # eigenvalues 1, 1/2 (1, 0, -1), -1/6


@settings(max_examples=60, deadline=None)
@given(connected())
def test_pushes_lose_nothing_contract_and_end_in_shares_that_fit_the_degrees(graph: Topology):
    p = push_sum_matrix(graph)
    held = np.array([1.0 + len(graph.neighbours(peer)) for peer in graph.nodes])

    np.testing.assert_allclose(p.sum(axis=0), 1.0, atol=1e-14)
    np.testing.assert_allclose(p @ held, held, atol=1e-12)
    assert contraction_of_pushes(p) < 1
    np.testing.assert_allclose(p, push_matrix(graph.nodes, graph.edges), atol=1e-15)
