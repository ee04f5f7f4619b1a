"""What holds for every family: connected and simple graphs, and a reason in one line where there is none."""

from __future__ import annotations

import inspect
import time
from typing import Any

import networkx as nx
import pytest

from node.errors import ConfigError
from node.graph.checks import MAX_EDGES
from node.graph.families.generators import GENERATORS
from tests.graph.shapes import graph, ids, pairs

ONLY = {"karate": 34, "florentine": 15}
WANTED = {"random_regular": {"degree": 4}}  # settings without a default
DIRECTED = [("ring", {"direction": "left"}), ("ring", {"direction": "right"}), ("exponential", {"symmetric": False})]


@pytest.mark.parametrize("n", [16, 64])
@pytest.mark.parametrize("family", GENERATORS)
def test_every_graph_is_connected_and_its_edges_stand_once_in_order(family: str, n: int):
    nodes = ids(ONLY.get(family, n))

    wiring = GENERATORS[family](nodes, **WANTED.get(family, {}))

    assert not wiring.directed
    assert list(wiring.edges) == sorted(set(wiring.edges))
    assert all(a < b for a, b in wiring.edges)
    assert set(graph(wiring)) == set(range(len(nodes)))
    assert nx.is_connected(graph(wiring))


@pytest.mark.parametrize("n", [3, 10, 16])
@pytest.mark.parametrize(("family", "settings"), DIRECTED)
def test_a_directed_graph_leads_from_everyone_to_everyone(family: str, settings: dict[str, Any], n: int):
    wiring = GENERATORS[family](ids(n), **settings)

    assert wiring.directed
    assert list(wiring.edges) == sorted(set(wiring.edges))
    assert nx.is_strongly_connected(nx.DiGraph(pairs(wiring)))


def attempt(family: str, n: int) -> nx.Graph | str:
    """The graph, or why there is none."""
    try:
        return graph(GENERATORS[family](ids(n), **WANTED.get(family, {})))
    except ConfigError as error:
        return str(error)


@pytest.mark.parametrize("family", GENERATORS)
def test_every_size_gives_a_graph_or_one_line(family: str):
    for n in range(2, 41):
        found = attempt(family, n)

        if isinstance(found, str):
            assert "wanted" in found
            assert "\n" not in found
            assert len(found) < 160
        else:
            assert nx.is_connected(found)
            assert len(found) == n


@pytest.mark.parametrize("family", GENERATORS)
def test_the_order_of_ids_is_the_order_of_places(family: str):
    n = ONLY.get(family, 16)
    named = [f"n{i}" for i in range(n)]
    turned = [f"n{n - 1 - i}" for i in range(n)]

    one = GENERATORS[family](named, **WANTED.get(family, {}))
    other = GENERATORS[family](turned, **WANTED.get(family, {}))

    assert pairs(other) == sorted((n - 1 - b, n - 1 - a) for a, b in pairs(one))


@pytest.mark.parametrize("family", GENERATORS)
def test_a_setting_of_the_wrong_kind_is_told_with_its_name(family: str):
    for setting in list(inspect.signature(GENERATORS[family]).parameters)[1:]:
        for wrong in ("three", [1], {"a": 1}, float("nan"), -7, 2**80):
            with pytest.raises(ConfigError, match=rf"\b{setting}\b"):
                GENERATORS[family](ids(16), **{**WANTED.get(family, {}), setting: wrong})


@pytest.mark.parametrize(
    ("family", "settings", "edges"),
    [
        ("complete", {}, 523_776),
        ("two_cliques", {}, 261_632),
        ("clusters", {"count": 4}, 130_564),
        ("hierarchical", {"group": 512}, 261_633),
        ("erdos_renyi", {"p": 0.5}, 261_888),
        ("barabasi_albert", {"m": 200}, 184_700),
        ("watts_strogatz", {"k": 400}, 204_800),
        ("random_regular", {"degree": 1022}, 523_264),
        ("random_geometric", {"radius": 1.5}, 523_776),
    ],
)
def test_too_many_edges_are_refused_before_they_are_built(family: str, settings: dict[str, Any], edges: int):
    started = time.process_time()

    with pytest.raises(ConfigError, match=f"^{family} of 1024 nodes has {edges} edges; wanted {MAX_EDGES} or fewer$"):
        GENERATORS[family](ids(1024), **settings)

    assert time.process_time() - started < 0.1


def test_a_family_that_counts_its_edges_beforehand_counts_right():
    # The refusal above gives the number; here the same formulas, where the graph is small enough to be built.
    sizes = {
        "complete": ({}, 20 * 19 // 2),
        "two_cliques": ({}, 2 * 45 + 1),
        "clusters": ({"count": 4}, 4 * 10 + 4),
        "hierarchical": ({"group": 5}, 4 * 10 + 6),
        "barabasi_albert": ({"m": 3}, 6 + 3 * 16),
        "watts_strogatz": ({"k": 6}, 60),
        "random_regular": ({"degree": 7}, 70),
        "random_geometric": ({"radius": 1.5}, 190),
        "erdos_renyi": ({"p": 1}, 190),
    }
    for family, (settings, edges) in sizes.items():
        assert len(GENERATORS[family](ids(20), **settings).edges) == edges, family
