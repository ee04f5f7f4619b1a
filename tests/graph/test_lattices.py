"""Lines, circles, grids and cubes, by hand and by their degrees and diameters."""

from __future__ import annotations

import networkx as nx
import pytest

from node.errors import ConfigError
from node.graph.families.lattices import complete, exponential, hypercube, mesh, path, ring, star, torus
from node.types import PeerId
from tests.graph.shapes import degrees, graph, ids, pairs


def test_ring_of_four_by_hand():
    assert ring(ids(4)).edges == (("n0", "n1"), ("n0", "n3"), ("n1", "n2"), ("n2", "n3"))


def test_on_a_ring_to_the_right_everyone_tells_the_next():
    assert ring(ids(3), direction="right") == ((("n0", "n1"), ("n1", "n2"), ("n2", "n0")), True)


def test_a_ring_to_the_left_is_one_to_the_right_read_backwards():
    left, right = pairs(ring(ids(7), direction="left")), pairs(ring(ids(7), direction="right"))

    assert left == sorted((j, i) for i, j in right)


def test_path_follows_the_order_of_the_file():
    order = (PeerId("c"), PeerId("a"), PeerId("b"))

    assert path(order).edges == (("a", "b"), ("a", "c"))


def test_the_first_node_is_the_middle_of_a_star():
    assert star(ids(4)).edges == (("n0", "n1"), ("n0", "n2"), ("n0", "n3"))


def test_complete_joins_all_pairs():
    assert complete(ids(3)).edges == (("n0", "n1"), ("n0", "n2"), ("n1", "n2"))


@pytest.mark.parametrize("n", [9, 12, 16, 35])
def test_everyone_on_a_torus_has_four_neighbours(n: int):
    assert set(degrees(torus(ids(n)))) == {4}


def test_rows_shape_a_torus():
    assert nx.is_isomorphic(graph(torus(ids(24), rows=3)), nx.grid_2d_graph(3, 8, periodic=True))


def test_mesh_of_two_by_three_by_hand():
    # 0 1 2
    # 3 4 5
    assert pairs(mesh(ids(6))) == [(0, 1), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (4, 5)]


@pytest.mark.parametrize(("n", "rows"), [(4, 2), (12, 3), (12, 2), (16, 4), (24, 6)])
def test_mesh_is_a_grid_with_borders(n: int, rows: int):
    found = graph(mesh(ids(n), rows=rows))

    assert nx.is_isomorphic(found, nx.grid_2d_graph(rows, n // rows))
    assert nx.diameter(found) == rows + n // rows - 2


def test_hypercube_of_eight_by_hand():
    assert pairs(hypercube(ids(8))) == sorted(
        [(0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (0, 4), (1, 5), (2, 6), (3, 7)]
    )


@pytest.mark.parametrize("bits", range(1, 8))
def test_degree_and_diameter_of_a_hypercube_are_its_dimension(bits: int):
    wiring = hypercube(ids(2**bits))

    assert set(degrees(wiring)) == {bits}
    assert nx.diameter(graph(wiring)) == bits


def test_exponential_of_six_by_hand():
    # 1, 2 and 4 places on; 4 on is 2 back, so both ways only distances 1 and 2 are left.
    one_way = exponential(ids(6), symmetric=False)

    assert [j for i, j in pairs(one_way) if i == 5] == [0, 1, 3]
    assert pairs(exponential(ids(6))) == sorted(
        [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5), (0, 2), (1, 3), (2, 4), (3, 5), (0, 4), (1, 5)]
    )


@pytest.mark.parametrize(("n", "told"), [(3, 2), (4, 2), (8, 3), (10, 4), (16, 4), (17, 5), (1000, 10)])
def test_everyone_tells_log2_n_on_a_one_way_exponential_graph(n: int, told: int):
    one_way = nx.DiGraph(pairs(exponential(ids(n), symmetric=False)))

    assert {degree for _, degree in one_way.out_degree} == {degree for _, degree in one_way.in_degree} == {told}


def test_both_ways_an_exponential_graph_is_the_one_way_one_read_twice():
    for n, base in [(5, 2), (10, 2), (11, 3), (16, 4)]:
        one_way = pairs(exponential(ids(n), base=base, symmetric=False))

        assert pairs(exponential(ids(n), base=base)) == sorted({(min(e), max(e)) for e in one_way})


def test_a_larger_base_makes_fewer_edges_and_a_ring_in_the_end():
    counts = [len(exponential(ids(64), base=base).edges) for base in (2, 4, 8, 63)]

    assert counts == [64 * 6 - 32, 64 * 3, 64 * 2, 64 * 2 - 64]
    assert exponential(ids(9), base=8) == ring(ids(9))


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (lambda: ring(ids(2)), "ring: 2 nodes; wanted 3 or more"),
        (lambda: ring(ids(4), direction="up"), "ring: direction 'up'; wanted one of bi, left, right"),
        (lambda: torus(ids(8)), "torus: 8 nodes in 2 rows"),
        (lambda: torus(ids(13)), "torus: 13 nodes in 1 rows"),
        (lambda: torus(ids(12), rows=0), "torus: 12 nodes in 0 rows"),
        (lambda: torus(ids(12), rows=True), "rows: True; wanted a whole number"),
        (lambda: mesh(ids(7)), "mesh: 7 nodes in 1 rows; wanted 2 rows by 2 columns or more (4, 6, 8, 9 ... nodes)"),
        (lambda: mesh(ids(8), rows=8), "mesh: 8 nodes in 8 rows"),
        (lambda: hypercube(ids(12)), "hypercube: 12 nodes; wanted a power of two (8 or 16)"),
        (lambda: hypercube(ids(3)), "hypercube: 3 nodes; wanted a power of two (2 or 4)"),
        (lambda: exponential(ids(8), base=1), "exponential: base 1 of 8 nodes; wanted 2 to 7"),
        (lambda: exponential(ids(8), base=8), "exponential: base 8 of 8 nodes; wanted 2 to 7"),
        (lambda: exponential(ids(8), symmetric="no"), "symmetric: 'no'; wanted true or false"),
    ],
)
def test_a_graph_that_does_not_exist_is_refused_with_the_reason(draw, reason: str):
    with pytest.raises(ConfigError) as refused:
        draw()

    assert str(refused.value).startswith(reason)
