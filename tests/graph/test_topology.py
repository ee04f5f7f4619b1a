"""What a topology file may say, and what each mistake is told."""

from __future__ import annotations

import time
from typing import Any

import pytest

from node.errors import ConfigError
from node.graph.topology import Topology
from node.graph.weighting.weights import WEIGHTS

FOUR = {f"n{i}": f"127.0.0.1:{7001 + i}" for i in range(4)}
RING = [["n0", "n1"], ["n1", "n2"], ["n2", "n3"], ["n3", "n0"]]


def load(**data: Any) -> Topology:
    return Topology.from_mapping(data, "t.yaml")


def test_a_ring_written_out():
    ring = load(nodes=FOUR, edges=RING)

    assert ring.nodes == ("n0", "n1", "n2", "n3")
    assert ring.addresses["n2"] == "127.0.0.1:7003"
    assert ring.edges == (("n0", "n1"), ("n0", "n3"), ("n1", "n2"), ("n2", "n3"))
    assert ring.neighbours(ring.nodes[0]) == ("n1", "n3")


def test_a_number_of_nodes_stands_for_names_and_ports_in_a_row():
    ring = load(nodes=3, generator="ring", base_port=9000)

    assert ring.addresses == {"n0": "127.0.0.1:9000", "n1": "127.0.0.1:9001", "n2": "127.0.0.1:9002"}


def test_a_host_with_i_in_it_is_a_machine_each_on_one_port():
    ring = load(nodes=3, generator="ring", host="gossip-{i}.lab", base_port=7000)

    assert ring.addresses == {f"n{i}": f"gossip-{i}.lab:7000" for i in range(3)}


def test_edges_beside_a_generator_are_added():
    chord = load(nodes=6, generator="ring", edges=[["n0", "n3"]])

    assert chord.neighbours(chord.nodes[0]) == ("n1", "n3", "n5")


def test_numbers_become_names():
    pair = load(nodes={0: "a:1", 1: "b:1"}, edges=[[0, 1]])

    assert pair.nodes == ("0", "1")
    assert pair.edges == (("0", "1"),)


def test_one_more_edge_changes_neighbours_and_digest():
    ring, chord = load(nodes=FOUR, edges=RING), load(nodes=FOUR, edges=[*RING, ["n0", "n2"]])

    assert chord.neighbours(chord.nodes[0]) == ("n1", "n2", "n3")
    assert chord.digest != ring.digest


def test_the_digest_ignores_addresses_order_and_direction():
    ring = load(nodes=FOUR, edges=RING)
    turned = load(nodes=dict(reversed(FOUR.items())) | {"n0": "elsewhere:1"}, edges=[edge[::-1] for edge in RING[::-1]])

    assert turned.digest == ring.digest
    assert turned != ring


def test_the_digest_is_pinned():
    # Nodes of different versions compare it at the hello: a change here is a change of the protocol.
    assert load(nodes=FOUR, edges=RING).digest == "c3dcab613f888109577863af57a19880c2b4cc09360d8e3ab6b0899a50612147"


def test_a_topology_can_be_a_key():
    assert len({load(nodes=4, generator="ring"), load(nodes=FOUR, edges=RING)}) == 1


NAN = float("nan")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (None, "t.yaml: None; wanted a mapping with nodes, and edges or generator"),
        ([], "t.yaml: []; wanted a mapping with nodes, and edges or generator"),
        ({}, "t.yaml: nodes is missing"),
        ({"nodes": FOUR}, "t.yaml: no edges, no generator; wanted edges: [[n0, n1], ...] or generator: ring"),
        ({"nodes": FOUR, "edgs": RING}, "did you mean 'edges'?"),
        ({"nodes": FOUR, "edges": RING, 3: 4}, "t.yaml: 3 is not one of the keys nodes, host,"),
        ({"nodes": 1, "generator": "path"}, "t.yaml: nodes: 1 nodes; wanted 2 to 1024"),
        ({"nodes": 10**9, "generator": "complete"}, "t.yaml: nodes: 1000000000 nodes; wanted 2 to 1024"),
        ({"nodes": -3, "generator": "ring"}, "t.yaml: nodes: -3 nodes"),
        ({"nodes": True, "generator": "ring"}, "t.yaml: nodes: True; wanted a number"),
        ({"nodes": NAN, "generator": "ring"}, "t.yaml: nodes: nan; wanted a number"),
        ({"nodes": {}, "generator": "ring"}, "t.yaml: nodes: 0 nodes"),
        ({"nodes": 1024, "generator": "complete"}, "complete of 1024 nodes has 523776 edges; wanted 100000 or fewer"),
        (
            {"nodes": FOUR, "edges": [*RING, ["n0", "n7"]]},
            "t.yaml: edges[4]: node 'n7' is not listed under nodes (n0 to n3)",
        ),
        ({"nodes": FOUR, "edges": [*RING, ["n1", "n0"]]}, "t.yaml: edges[4]: n0 and n1 are joined already"),
        ({"nodes": FOUR, "edges": [*RING, ["n1", "n1"]]}, "t.yaml: edges[4]: 'n1' is joined to itself"),
        ({"nodes": FOUR, "edges": [["n0", "n1", "n2"]]}, "t.yaml: edges[0]: 'n2'; wanted a weight such as 0.25"),
        ({"nodes": FOUR, "edges": ["n0"]}, "t.yaml: edges[0]: 'n0'; wanted a pair"),
        ({"nodes": FOUR, "edges": [[["n0"], "n1"]]}, "t.yaml: edges[0]: ['n0']; wanted a node id"),
        ({"nodes": FOUR, "edges": [[NAN, "n1"]]}, "t.yaml: edges[0]: nan; wanted a node id"),
        ({"nodes": FOUR, "edges": "n0-n1"}, "t.yaml: edges: 'n0-n1'; wanted a list of pairs"),
        ({"nodes": FOUR, "edges": None}, "t.yaml: edges: None; wanted a list of pairs"),
        (
            {"nodes": FOUR, "edges": [["n0", "n1"], ["n2", "n3"]]},
            "the graph falls into 2 parts (n0, n1 | n2, n3); wanted one: add [n0, n2] to edges",
        ),
        ({"nodes": FOUR, "edges": []}, "the graph falls into 4 parts (n0 | n1 | n2 | n3)"),
        ({"nodes": {"n0": "a:1", "n1": "A:1"}, "edges": [["n0", "n1"]]}, "nodes.n1: 'a:1' is the address of 'n0', too"),
        ({"nodes": {"1": "a:1", 1: "b:1"}, "edges": [[1, 1]]}, "t.yaml: nodes: '1' is listed twice"),
        ({"nodes": {"../x": "a:1", "b": "b:1"}, "generator": "path"}, "t.yaml: nodes: '../x'; wanted a node id"),
        ({"nodes": {True: "a:1", "b": "b:1"}, "generator": "path"}, "t.yaml: nodes: True; wanted a node id"),
        ({"nodes": {"x" * 10**6: "a:1", "b": "b:1"}, "generator": "path"}, "wanted a node id"),
        ({"nodes": 4, "generator": "rign"}, "t.yaml: generator: 'rign'; wanted one of path, ring"),
        ({"nodes": 4, "generator": "rign"}, "did you mean 'ring'?"),
        ({"nodes": 4, "generator": None}, "t.yaml: generator: None; wanted one of"),
        ({"nodes": 4, "generator": {"degree": 3}}, "t.yaml: generator: None; wanted one of"),
        (
            {"nodes": 4, "generator": {"name": "ring", "degree": 3}},
            "generator: 'degree' is unknown; ring takes direction",
        ),
        ({"nodes": 4, "generator": {"name": "random_regular", "degre": 3}}, "did you mean 'degree'?"),
        ({"nodes": 4, "generator": {"name": "random_regular", "ids": 3}}, "generator: 'ids' is unknown"),
        ({"nodes": 4, "generator": "random_regular"}, "random_regular wants degree"),
        ({"nodes": 8, "generator": {"name": "random_regular", "degree": NAN}}, "degree: nan; wanted a whole number"),
        ({"nodes": 8, "generator": "torus"}, "t.yaml: generator: torus: 8 nodes in 2 rows; wanted 3 rows by 3 columns"),
        ({"nodes": 4, "generator": "ring", "weights": "metropolos"}, "did you mean 'metropolis'?"),
        ({"nodes": 4, "generator": "ring", "weights": []}, "t.yaml: weights: []; wanted one of metropolis"),
        ({"nodes": 4, "edges": "any", "weights": "lazy"}, "t.yaml: weights: 'lazy' has no use with edges: any"),
        ({"nodes": FOUR, "edges": RING, "host": "a"}, "t.yaml: host: 'a' has no use where nodes lists addresses"),
        ({"nodes": 4, "generator": "ring", "host": 3}, "t.yaml: host: 3; wanted a host name"),
        ({"nodes": 4, "generator": "ring", "host": "a b"}, "t.yaml: host: 'a b'; wanted a host name"),
        ({"nodes": 4, "generator": "ring", "base_port": "x"}, "t.yaml: base_port: 'x'; wanted a port"),
        ({"nodes": 4, "generator": "ring", "base_port": 65533}, "t.yaml: base_port: 65533 with 4 nodes"),
        ({"nodes": 4, "generator": "ring", "base_port": 0}, "t.yaml: base_port: 0 with 4 nodes"),
    ],
)
def test_each_mistake_is_told_in_one_line(data: Any, told: str):
    with pytest.raises(ConfigError) as caught:
        Topology.from_mapping(data, "t.yaml")

    message = str(caught.value)
    assert told in message
    assert message.startswith("t.yaml: ")
    assert "\n" not in message
    assert len(message) < 300


def test_a_weight_rule_that_would_move_the_mean_is_caught_on_load(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(
        WEIGHTS, "lopsided", lambda graph: {q: {p: 1 / (1 + len(p)) for p in graph.nodes} for q in graph.nodes}
    )

    with pytest.raises(ConfigError, match=r"t\.yaml: W: the row of 'n0' sums to 1\.33"):
        load(nodes=4, generator="ring", weights="lopsided")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "n0",
        "n0:",
        ":7001",
        "n0:0",
        "n0:65536",
        "n0:-1",
        "n0:07",
        "n0:7 ",
        "-x:1",
        "a/b:1",
        "::1:7001",
        "[::1",
        "[:::]:1",
        "http://n0:1",
        "n0:\u0661",
        "n0:1\n",
        7001,
        1.5,
        True,
        ["n0", 1],
        "x" * 300 + ":1",
    ],
)
def test_an_address_is_a_host_and_a_port(address: object):
    with pytest.raises(ConfigError, match="wanted host:port such as"):
        load(nodes={"n0": address, "n1": "b:1"}, generator="path")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "n0.lab_2.example:65535", "[::1]:7001", "localhost:7001"])
def test_names_and_both_kinds_of_ip_addresses_are_read(address: str):
    assert load(nodes={"n0": address, "n1": "b:1"}, generator="path").addresses["n0"] == address


@pytest.mark.parametrize(
    "data",
    [
        {"nodes": 16**20000, "generator": "ring"},
        {"nodes": 4, "generator": "ring", "base_port": -(16**20000)},
        {"nodes": {16**20000: "a:1", "b": "b:1"}, "generator": "path"},
        {"nodes": 8, "generator": {"name": "random_regular", "degree": 16**20000}},
        {"nodes": 8, "generator": {"name": "random_regular", "degree": -(16**20000)}},
        {"nodes": 9, "generator": {"name": "torus", "rows": 16**20000}},
        {"nodes": 8, "generator": {"name": "random_regular", "degree": 3, "seed": 16**20000}},
        {"nodes": 8, "generator": {"name": "ring", 16**20000: 1}},
        {16**20000: 1},
    ],
    ids=range(9),
)
def test_a_number_too_long_to_print_is_refused_in_a_short_line(data: Any):
    with pytest.raises(ConfigError) as caught:
        Topology.from_mapping(data, "t.yaml")

    assert len(str(caught.value)) < 300


def test_refusing_a_list_that_refers_to_itself_is_quick():
    loop: list[Any] = ["n0"]
    loop.append(loop)
    started = time.perf_counter()

    with pytest.raises(ConfigError, match="wanted a node id"):
        load(nodes=FOUR, edges=[loop])

    assert time.perf_counter() - started < 1.0
