"""A graph cut into matchings."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import pytest

from node.graph.draws import stream
from node.graph.scheduling.edge_colouring import matchings_of

PETERSEN = sorted((min(e), max(e)) for e in nx.petersen_graph().edges)


def test_path_of_four_by_hand():
    assert matchings_of(4, [(0, 1), (1, 2), (2, 3)]) == [[(0, 1), (2, 3)], [(1, 2)]]


def test_triangle_by_hand():
    assert matchings_of(3, [(0, 1), (0, 2), (1, 2)]) == [[(0, 1)], [(0, 2)], [(1, 2)]]


def test_the_petersen_graph_needs_one_more_than_its_degree():
    assert len(matchings_of(10, PETERSEN)) == 4


@pytest.mark.parametrize("seed", range(60))
def test_matchings_are_disjoint_few_and_all_edges(seed: int):
    draw = stream(seed)
    n, density = 2 + draw.below(22), draw.uniform()
    two_sided = draw.below(2)
    pairs = [
        (i, j)
        for i, j in combinations(range(n), 2)
        if draw.uniform() < density and not (two_sided and (i + j) % 2 == 0)
    ]
    degree = max((sum(i in p for p in pairs) for i in range(n)), default=0)

    matchings = matchings_of(n, pairs)

    assert sorted(pair for matching in matchings for pair in matching) == pairs
    assert all(len({end for pair in matching for end in pair}) == 2 * len(matching) for matching in matchings)
    assert len(matchings) <= degree + (0 if nx.is_bipartite(nx.Graph(pairs)) else 1)


def test_the_order_of_pairs_decides_nothing():
    assert matchings_of(10, PETERSEN[::-1]) == matchings_of(10, PETERSEN)
