"""The expander and the two networks of people."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from node.errors import ConfigError
from node.graph.families.known_graphs import florentine, karate, margulis
from tests.graph.shapes import degrees, digest, graph, ids, pairs


def test_margulis_of_four_by_hand():
    # (x, y) of 2 x 2 at place 2 x + y. Twice anything is 0 modulo 2, twice and one is 1: only the +- 1 moves are left.
    assert pairs(margulis(ids(4))) == [(0, 1), (0, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize("m", [3, 4, 7, 12])
def test_margulis_follows_its_eight_maps(m: int):
    moves = {
        tuple(sorted((x * m + y, (x + dx) % m * m + (y + dy) % m)))
        for x in range(m)
        for y in range(m)
        for dx, dy in [(2 * y, 0), (2 * y + 1, 0), (0, 2 * x), (0, 2 * x + 1)]
    }

    assert pairs(margulis(ids(m * m))) == sorted(edge for edge in moves if edge[0] != edge[1])


@pytest.mark.parametrize("m", [5, 9, 16, 24])
def test_the_gap_of_margulis_does_not_shrink(m: int):
    wiring = margulis(ids(m * m))
    values = np.linalg.eigvalsh(nx.laplacian_matrix(graph(wiring)).toarray())

    assert values[1] > 8 - 5 * np.sqrt(2)  # Gabber, Galil's bound, 0.93; a torus of 576 has 0.07
    assert 4 <= degrees(wiring)[0] <= degrees(wiring)[-1] == 8


def test_karate_is_zacharys_club():
    wiring = karate(ids(34))

    assert (len(wiring.edges), degrees(wiring)[-1]) == (78, 17)
    assert (graph(wiring).degree[0], graph(wiring).degree[33]) == (16, 17)
    assert digest(wiring) == "763bf8d93629391b"


def test_the_medici_marry_most():
    wiring = florentine(ids(15))

    assert len(wiring.edges) == 20
    assert graph(wiring).degree[8] == degrees(wiring)[-1] == 6
    assert digest(wiring) == "727e561653159bfd"


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (lambda: margulis(ids(12)), "margulis: 12 nodes; wanted a square (9 or 16)"),
        (lambda: margulis(ids(2)), "margulis: 2 nodes; wanted a square (4 or 9)"),
        (lambda: karate(ids(30)), "karate: 30 nodes; wanted 34, there is one such graph"),
        (lambda: florentine(ids(16)), "florentine: 16 nodes; wanted 15, there is one such graph"),
    ],
)
def test_a_graph_that_does_not_exist_is_refused_with_the_reason(draw, reason: str):
    with pytest.raises(ConfigError) as refused:
        draw()

    assert str(refused.value) == reason
