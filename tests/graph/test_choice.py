"""What `gossip.mixing: auto` is, line by line of its list."""

from __future__ import annotations

import pytest

from node.errors import ConfigError
from node.graph.advice.choice import HOPS, Choice, choose
from node.graph.reading import Chosen
from node.graph.topology import Topology
from node.graph.weighting.spectrum import exact_steps


def graph(nodes: object = 16, **said: object) -> Topology:
    return Topology.from_mapping({"nodes": nodes, **said}, "t.yaml")


def nodes_only(n: int, hidden: int = 0) -> Topology:
    ids = tuple(f"n{i}" for i in range(n))
    return Topology(ids, {p: "" if i < hidden else f"h:{7000 + i}" for i, p in enumerate(ids)}, (), source="t.yaml")


def chosen(topology: Topology, joins: bool = False, asynchronous: bool = False, moments: bool = True) -> Choice:
    return choose(topology, joins=joins, asynchronous=asynchronous, moments=moments)


def test_a_graph_that_stands_still_is_mixed_exactly():
    choice = chosen(graph(generator="ring"))

    assert (choice.mixing, choice.schedule) == ("exact", None)
    assert choice.line == ("gossip.mixing: auto is exact, because the graph stands still and 8 hops make it exact")


def test_the_longest_ring_that_is_mixed_exactly_has_64_nodes():
    assert len(exact_steps(graph(64, generator="ring"))) == HOPS
    assert chosen(graph(64, generator="ring")).mixing == "exact"
    choice = chosen(graph(66, generator="ring"))

    assert choice.mixing == "dpsgd"
    assert "33 hops" in choice.reason


def test_a_graph_on_which_float32_would_be_lost_is_not_mixed_exactly():
    # hubs and leaves: 31 hops, which leave 5e-3 of the spread
    choice = chosen(graph(32, generator="barabasi_albert"))

    assert choice.mixing == "dpsgd"
    assert "float32" in choice.reason


@pytest.mark.parametrize("setting", ["joins", "asynchronous"])
def test_churn_takes_push_sum(setting: str):
    assert chosen(graph(generator="ring"), **{setting: True}).mixing == "push-sum"


def test_edges_that_work_one_way_take_push_sum():
    edges = [[f"n{i}", f"n{(i + 1) % 5}"] for i in range(5)] + [["n0", "n2"]]

    assert chosen(graph(5, edges=edges, directed=True, weights="push_sum")).mixing == "push-sum"


def test_push_sum_weights_take_push_sum():
    assert chosen(graph(generator="ring", weights="push_sum")).mixing == "push-sum"


def test_weights_by_data_are_not_undone():
    sizes = {f"n{i}": 1.0 + i for i in range(16)}

    topology = graph(generator="ring", weights="data_size", sizes=sizes)

    for asynchronous in (False, True):
        choice = chosen(topology, asynchronous=asynchronous)
        assert choice.mixing == "dpsgd"
        assert "weights: data_size is there to count" in choice.reason


def test_a_schedule_is_used_as_it_is():
    choice = chosen(graph(schedule="one_peer_exponential"))

    assert (choice.mixing, choice.schedule) == ("dpsgd", None)
    assert "4 rounds of it are exact" in choice.reason


def test_a_schedule_that_moves_the_mean_takes_push_sum():
    assert chosen(graph(schedule={"name": "epidemic", "s": 2, "oracle": False})).mixing == "push-sum"


@pytest.mark.parametrize("n", [2, 3, 10, 16, 37])
def test_nodes_and_nothing_else_take_an_exact_schedule(n: int):
    topology = nodes_only(n)

    choice = chosen(topology)

    assert topology.is_open
    assert (choice.mixing, choice.schedule) == ("dpsgd", Chosen("base", (("k", 1),)))
    assert "on schedule {name: base, k: 1}, because anyone may talk to anyone" in choice.line
    assert choice.on(topology).schedule == choice.schedule
    assert choice.on(topology).digest != topology.digest


def test_nodes_and_nothing_else_that_never_wait_take_push_sum_one_way():
    choice = chosen(nodes_only(10), asynchronous=True)

    assert (choice.mixing, choice.schedule) == ("push-sum", Chosen("one_peer_exponential"))


def test_one_node_without_an_address_can_still_meet_everyone_and_two_cannot():
    assert chosen(nodes_only(8, hidden=1)).schedule is not None

    with pytest.raises(ConfigError, match="neither 'n0' nor 'n1' has an address"):
        chosen(nodes_only(8, hidden=2))


def test_nodes_without_edges_cannot_be_joined():
    with pytest.raises(ConfigError, match=r"t\.yaml: no edges, and gossip.joins is on"):
        chosen(nodes_only(8), joins=True)


def test_private_moments_are_spoken_of_where_mixing_is_sparse():
    assert "gossip.moments" in chosen(nodes_only(8), moments=False).reason
    assert "gossip.moments" not in chosen(nodes_only(8)).reason


def test_products_are_mixed_by_a_mean_over_neighbours():
    choice = choose(graph(generator="ring"), joins=False, asynchronous=False, moments=True, products="lora.own_rank")

    assert (choice.mixing, choice.schedule) == ("dpsgd", None)
    assert "lora.own_rank" in choice.reason
