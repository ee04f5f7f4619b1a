"""Who dials an edge."""

from __future__ import annotations

import itertools

import pytest

from node.errors import ConfigError
from node.graph.reach import NOWHERE, dialler
from node.graph.topology import Topology

HERE, THERE = "127.0.0.1:1", "127.0.0.1:2"


@pytest.mark.parametrize(
    ("addresses", "who"),
    [
        ({"a": HERE, "b": THERE}, "a"),  # the smaller id
        ({"a": NOWHERE, "b": THERE}, "a"),
        ({"a": HERE, "b": NOWHERE}, "b"),  # a cannot reach b
        ({"a": NOWHERE, "b": NOWHERE}, None),
        ({}, "a"),  # not listed: known to whoever dials
    ],
)
def test_the_smaller_id_dials_unless_it_cannot_reach_the_other(addresses, who):
    assert dialler("a", "b", addresses) == who
    assert dialler("b", "a", addresses) == who  # both ends come to the same answer


def test_every_edge_is_dialled_by_exactly_one_end():
    for hidden in itertools.chain.from_iterable(itertools.combinations(("n0", "n2", "n4"), k) for k in range(4)):
        nodes = {f"n{i}": None if f"n{i}" in hidden else f"h{i}:1" for i in range(6)}
        ring = Topology.from_mapping({"nodes": nodes, "generator": "ring"}, "t.yaml")
        dialled = [tuple(sorted((peer, other))) for peer in ring.nodes for other in ring.dials(peer)]
        assert sorted(dialled) == sorted(ring.edges)
        assert all(other not in hidden for peer in ring.nodes for other in ring.dials(peer))
        assert set(ring.reachable) == set(ring.nodes) - set(hidden)


def test_an_edge_that_nobody_can_dial_is_refused():
    nodes = {"a": HERE, "b": None, "c": None}
    with pytest.raises(ConfigError) as wrong:
        Topology.from_mapping({"nodes": nodes, "edges": [["a", "b"], ["a", "c"], ["b", "c"]]}, "t.yaml")
    assert str(wrong.value) == (
        "t.yaml: edges: neither 'b' nor 'c' has an address, so neither can dial the other; "
        "wanted host:port for one of them under nodes, or no edge [b, c]"
    )


def test_addresses_are_no_part_of_what_neighbours_must_agree_on():
    edges = [["a", "b"]]
    one = Topology.from_mapping({"nodes": {"a": HERE, "b": THERE}, "edges": edges}, "t.yaml")
    other = Topology.from_mapping({"nodes": {"a": HERE, "b": None}, "edges": edges}, "t.yaml")
    assert one.digest == other.digest
