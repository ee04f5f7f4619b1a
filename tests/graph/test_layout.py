"""Where nodes are put: the shape that a graph has, however it was written down."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest

from node.graph.families.generators import GENERATORS
from node.graph.layout import circle, places, stress
from node.graph.topology import Topology
from tests.graph.test_generators import ONLY, WANTED, attempt


def graph(nodes: Any, generator: Any = None, **more: Any) -> Topology:
    said = {"nodes": nodes, **({"generator": generator} if generator else {}), **more}
    return Topology.from_mapping(said, "test")


def test_a_ring_written_by_hand_is_a_circle_from_the_top_clockwise():
    nodes = {peer: f"127.0.0.1:{7000 + i}" for i, peer in enumerate("abcd")}

    found = places(graph(nodes, edges=[["a", "b"], ["b", "c"], ["c", "d"], ["d", "a"]]))

    np.testing.assert_allclose(found, [[0, 1], [1, 0], [0, -1], [-1, 0]], atol=1e-12)


@pytest.mark.parametrize("family", ["ring", "complete", "exponential"])
def test_what_looks_alike_from_everyone_is_a_circle(family: str):
    np.testing.assert_allclose(places(graph(16, family)), circle(16))


def test_the_middle_of_a_star_is_in_the_middle():
    np.testing.assert_allclose(places(graph(5, "star"))[0], [0, 0])
    np.testing.assert_allclose(np.linalg.norm(places(graph(5, "star"))[1:], axis=1), 1)


@pytest.mark.parametrize("family", ["torus", "mesh"])
def test_a_grid_is_filled_row_by_row_from_the_top(family: str):
    found = places(graph(12, {"name": family, "rows": 3}))

    np.testing.assert_allclose(found[[0, 1, 3, 4, 11]], [[0, 0], [1, 0], [3, 0], [0, -1], [3, -2]])


def test_a_long_line_turns_back_and_forth():
    found = places(graph(32, "path"))

    np.testing.assert_allclose(np.linalg.norm(np.diff(found, axis=0), axis=1), 1)
    assert np.ptp(found[:, 0]) == 7


def test_edges_of_one_digit_of_a_cube_are_parallel():
    found = places(graph(16, "hypercube"))

    for digit in (1, 2, 4, 8):
        steps = [found[i | digit] - found[i] for i in range(16) if not i & digit]
        np.testing.assert_allclose(steps, [steps[0]] * 8)


def test_a_tree_stands_on_levels_and_parents_above_the_middle():
    found = places(graph(7, "tree"))

    np.testing.assert_allclose(found[[3, 4, 5, 6], 0], [0, 1, 2, 3])
    np.testing.assert_allclose(found[[0, 1, 2], 0], [1.5, 0.5, 2.5])
    assert len({*found[[3, 4, 5, 6], 1]}) == 1


def test_distances_follow_hops():
    # A path of four as stress sees it: a straight line at unit steps has no stress at all.
    found = stress(4, {(0, 1), (1, 2), (2, 3)})

    np.testing.assert_allclose(np.linalg.norm(np.diff(found, axis=0), axis=1), 1, atol=0.02)
    np.testing.assert_allclose(found[:, 1], 0, atol=0.05)


@pytest.mark.parametrize("family", ["random_regular", "karate", "barabasi_albert"])
def test_nodes_that_stress_leaves_on_top_of_each_other_are_pushed_apart(family: str):
    n = ONLY.get(family, 64)

    found = places(graph(n, {"name": family, **WANTED.get(family, {})}))

    apart = np.linalg.norm(found[:, None] - found[None], axis=2) + 1e9 * np.eye(n)
    assert apart.min() > 0.3 * np.sqrt(np.prod(np.ptp(found, axis=0)) / n)


@pytest.mark.parametrize("family", GENERATORS)
def test_no_two_nodes_share_a_place_and_the_picture_is_the_same_each_time(family: str):
    sizes = (
        [ONLY[family]] if family in ONLY else [n for n in (4, 16, 25, 64) if isinstance(attempt(family, n), nx.Graph)]
    )
    for n in sizes:
        topology = graph(n, {"name": family, **WANTED.get(family, {})})

        found = places(topology)

        apart = np.linalg.norm(found[:, None] - found[None], axis=2) + 1e9 * np.eye(n)
        assert np.isfinite(found).all()
        assert apart.min() > 0.2 * np.ptp(found, axis=0).max() / n
        np.testing.assert_array_equal(found, places(topology))
    assert sizes
