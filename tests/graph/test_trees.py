"""Trees, joined cliques and groups of groups, by hand and by what they promise."""

from __future__ import annotations

from math import log2

import networkx as nx
import pytest

from node.errors import ConfigError
from node.graph.families.trees import clusters, double_binary_tree, hierarchical, tree, two_cliques
from tests.graph.shapes import degrees, graph, ids, pairs


def test_binary_tree_of_six_by_hand():
    assert pairs(tree(ids(6))) == [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5)]


@pytest.mark.parametrize("branching", [2, 3, 5])
@pytest.mark.parametrize("n", [6, 13, 40])
def test_a_tree_has_n_minus_1_edges_and_bounded_branching(n: int, branching: int):
    wiring = tree(ids(n), branching=branching)

    assert nx.is_tree(graph(wiring))
    assert degrees(wiring)[-1] <= branching + 1
    assert graph(wiring).degree[0] == branching


def test_double_binary_tree_of_eight_by_hand():
    #        0                    7
    #        4                    3
    #    2       6            5       1        the mirror image: 7 - i
    #  1   3   5   7        6   4   2   0
    first = {(0, 4), (2, 4), (4, 6), (1, 2), (2, 3), (5, 6), (6, 7)}
    second = {(3, 7), (3, 5), (1, 3), (5, 6), (4, 5), (1, 2), (0, 1)}

    assert pairs(double_binary_tree(ids(8))) == sorted(first | second)


def test_double_binary_tree_of_five_by_hand():
    #        0                    1
    #        4                    0
    #     2                    3               one place on: i + 1 modulo 5
    #   1   3                2   4
    first = {(0, 4), (2, 4), (1, 2), (2, 3)}
    second = {(0, 1), (0, 3), (2, 3), (3, 4)}

    assert pairs(double_binary_tree(ids(5))) == sorted(first | second)


@pytest.mark.parametrize("n", [4, 5, 6, 7, 10, 15, 16, 33, 64, 100, 127])
def test_a_double_binary_tree_is_shallow_and_has_no_cut(n: int):
    wiring = double_binary_tree(ids(n))

    assert degrees(wiring)[-2] <= 4
    assert degrees(wiring)[-1] <= 4 + n % 2
    assert nx.diameter(graph(wiring)) < 2 * log2(n)
    assert list(nx.articulation_points(graph(wiring))) == []


def test_two_cliques_of_five_by_hand():
    assert pairs(two_cliques(ids(5))) == [(0, 1), (0, 2), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("n", [8, 14])
def test_two_cliques_are_a_barbell(n: int):
    assert nx.is_isomorphic(graph(two_cliques(ids(n))), nx.barbell_graph(n // 2, 0))


def test_clusters_of_nine_by_hand():
    inside = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5), (6, 7), (6, 8), (7, 8)]

    assert pairs(clusters(ids(9))) == sorted([*inside, (2, 3), (5, 6), (0, 8)])


@pytest.mark.parametrize(("n", "count"), [(8, 2), (16, 4), (17, 4), (30, 15)])
def test_clusters_are_a_ring_of_cliques(n: int, count: int):
    found = graph(clusters(ids(n), count=count))
    sizes = sorted(len(clique) for clique in nx.find_cliques(found) if len(clique) > 2)

    assert len(nx.minimum_edge_cut(found)) == 2
    if n // count > 2:
        assert sizes == sorted(n // count + (k < n % count) for k in range(count))


def test_hierarchy_of_nine_in_threes_by_hand():
    inside = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5), (6, 7), (6, 8), (7, 8)]
    heads = [(0, 3), (0, 6), (3, 6)]

    assert pairs(hierarchical(ids(9), group=3)) == sorted(inside + heads)


def test_heads_of_many_groups_have_heads_again():
    found = graph(hierarchical(ids(64)))  # 16 groups, 4 groups of heads, 1 group of their heads

    assert {node: found.degree[node] for node in (0, 4, 16, 20, 1)} == {0: 9, 4: 6, 16: 9, 20: 6, 1: 3}
    assert nx.diameter(found) == 5


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (lambda: tree(ids(8), branching=1), "tree: branching 1 of 8 nodes; wanted 2 to 7 (1 is generator: path)"),
        (lambda: tree(ids(8), branching=8), "tree: branching 8 of 8 nodes"),
        (lambda: tree(ids(8), branching=2.0), "branching: 2.0; wanted a whole number"),
        (lambda: double_binary_tree(ids(2)), "double_binary_tree: 2 nodes; wanted 3 or more"),
        (lambda: two_cliques(ids(3)), "two_cliques: 3 nodes; wanted 4 or more"),
        (lambda: clusters(ids(8), count=5), "clusters: count 5 of 8 nodes; wanted 2 to 4"),
        (lambda: clusters(ids(8), count=1), "clusters: count 1 of 8 nodes; wanted 2 to 4"),
        (lambda: hierarchical(ids(8), group=1), "hierarchical: group 1 of 8 nodes; wanted 2 to 8"),
        (lambda: hierarchical(ids(8), group=9), "hierarchical: group 9 of 8 nodes; wanted 2 to 8"),
    ],
)
def test_a_graph_that_does_not_exist_is_refused_with_the_reason(draw, reason: str):
    with pytest.raises(ConfigError) as refused:
        draw()

    assert str(refused.value).startswith(reason)
