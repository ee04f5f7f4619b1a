"""A graph that grows: the rows of W by hand, then what holds for any joins."""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
import pytest

from node.errors import ConfigError
from node.graph.growth import chosen, grown, rows_of
from node.graph.topology import Topology
from node.graph.weighting.spectrum import contraction
from node.graph.weighting.weights import matrix
from node.types import PeerId

A, B, C, D, E = (PeerId(p) for p in "abcde")


class Join(NamedTuple):
    node: PeerId
    neighbours: tuple[PeerId, ...]
    round: int
    address: str = "127.0.0.1:7100"


def graph(edges: list[list[str]], nodes: str = "abc") -> Topology:
    places = {p: f"127.0.0.1:{7001 + i}" for i, p in enumerate(nodes)}
    return Topology.from_mapping({"nodes": places, "edges": edges}, "here")


PATH = graph([["a", "b"], ["b", "c"]])


def test_a_path_of_three_becomes_a_ring_of_four():
    rows = {p: rows_of(PATH, [Join(D, (A, C), 10)], p) for p in (A, B, C, D)}
    third, half = pytest.approx(1 / 3), pytest.approx(1 / 2)
    assert rows[A](9) == {A: pytest.approx(2 / 3), B: third}
    assert rows[B](9) == {A: third, B: third, C: third}
    assert rows[D](9) == {D: 1.0}
    for peer, (left, right) in {A: (B, D), B: (A, C), C: (B, D), D: (A, C)}.items():
        assert rows[peer](10) == {peer: third, left: third, right: third}
    assert half != third


def test_a_row_two_edges_away_changes_because_a_degree_does():
    chain = graph([["a", "b"], ["b", "c"]])
    row = rows_of(chain, [Join(D, (B,), 5)], A)  # b had two neighbours, and has three
    assert row(4)[B] == pytest.approx(1 / 3)
    assert row(5)[B] == pytest.approx(1 / 4)


def test_an_edge_between_two_that_joined_counts_from_the_later_round():
    joins = [Join(D, (C, E), 10), Join(E, (A, D), 20, "127.0.0.1:7101")]
    assert grown(PATH, joins, 15).edges == ((A, B), (B, C), (C, D))
    assert grown(PATH, joins, 20).edges == ((A, B), (A, E), (B, C), (C, D), (D, E))
    assert grown(PATH, joins).nodes == (A, B, C, D, E)


def test_before_the_first_join_the_topology_is_the_one_of_the_file():
    assert grown(PATH, [Join(D, (A,), 10)], 9) is PATH


@pytest.mark.parametrize("seed", range(20))
def test_w_is_doubly_stochastic_and_the_same_at_every_node_in_every_round(seed):
    rng = random.Random(seed)
    base = Topology.from_mapping({"nodes": 5, "generator": rng.choice(["ring", "path", "star"])}, "here")
    nodes, joins = list(base.nodes), []
    for i in range(4):
        new = PeerId(f"x{i}")
        joins.append(Join(new, tuple(rng.sample(nodes, rng.randint(1, 3))), rng.randint(0, 40), f"h:{i + 1}"))
        nodes.append(new)
    shuffled = rng.sample(joins, len(joins))  # every node has heard of them in an order of its own
    ours, theirs = ({p: rows_of(base, j, p) for p in nodes} for j in (joins, shuffled))
    for r in range(0, 45, 3):
        w = np.array([[ours[p](r).get(q, 0.0) for q in nodes] for p in nodes])
        assert all(ours[p](r) == theirs[p](r) for p in nodes)
        assert np.array_equal(w, w.T)
        assert np.allclose(w.sum(axis=1), 1.0, atol=1e-12)
        assert (w >= 0).all()
    assert contraction(matrix(grown(base, joins))) < 1.0


@pytest.mark.parametrize(
    ("join", "said"),
    [
        (Join(B, (A,), 1), "'b' is a node of the network already"),
        (Join(D, (), 1), "'d' joins without neighbours"),
        (Join(D, (PeerId("z"),), 1), "names the neighbour 'z', which is not a node"),
        (Join(D, (D,), 1), "'d' is joined to itself"),
        (Join(D, (A, A), 1), "names the neighbour 'a' twice"),
        (Join(PeerId("no spaces"), (A,), 1), "'no spaces' joins; wanted a node id"),
    ],
)
def test_a_join_that_cannot_be_is_refused_in_one_line(join, said):
    for ask in (lambda: grown(PATH, [join]), lambda: rows_of(PATH, [join], A)):
        with pytest.raises(ConfigError, match=said) as error:
            ask()
        assert "\n" not in str(error.value)


def test_two_ends_without_an_address_cannot_be_neighbours():
    places = {"a": "127.0.0.1:7001", "b": None}
    base = Topology.from_mapping({"nodes": places, "edges": [["a", "b"]]}, "here")
    with pytest.raises(ConfigError, match="neither 'd' nor 'b' has an address"):
        grown(base, [Join(D, (B,), 1, "")])
    assert chosen(base, A) == (A,)


def test_neighbours_that_nobody_named_are_the_one_asked_and_its_least_busy_neighbours():
    star = graph([["a", "b"], ["a", "c"], ["a", "d"], ["c", "d"]], "abcd")
    assert chosen(star, A) == (A, B, C)
    assert chosen(star, B) == (B, A)
