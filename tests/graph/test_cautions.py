"""One line a matter, and a better graph named where one is hopeless."""

from __future__ import annotations

from node.graph.advice.cautions import better_at_the_same_degree
from node.graph.advice.prediction import summary
from node.graph.topology import Topology


def warnings(nodes: object, generator: object = None, **more: object) -> list[str]:
    said = {"nodes": nodes, **({"generator": generator} if generator else {}), **more}
    return list(summary(Topology.from_mapping(said, "test.yaml"))["warnings"])


def test_a_ring_of_64_is_hopeless_and_a_schedule_with_fewer_messages_is_named():
    (said,) = warnings(64, "ring")

    assert said.startswith("64 nodes need 2149 rounds to shrink their spread to 0.001: ")
    assert "schedule: one_peer_exponential needs 6 with 1 messages a node and round" in said
    assert "generator: " in said.partition(";")[2]


def test_what_is_named_is_true(tmp_path):
    (said,) = warnings(64, "ring")
    for offer in said.partition(": ")[2].split("; "):
        line, _, rounds = offer.partition(" needs ")
        key, _, value = line.partition(": ")
        name = value if value[0] != "{" else dict(part.split(": ") for part in value.strip("{}").split(", "))
        settings = name if isinstance(name, str) else {k: int(v) if v.isdigit() else v for k, v in name.items()}
        facts = summary(Topology.from_mapping({"nodes": 64, key: settings}, "test.yaml"))
        assert facts["rounds_to_1e-3"] == int(rounds.split()[0])


def test_a_better_graph_has_no_node_that_works_more():
    star = Topology.from_mapping({"nodes": 30, "generator": "star"}, "test.yaml")

    said = better_at_the_same_degree(star, 202, 1e-3)

    assert said is not None
    assert "star" not in said
    assert "complete" not in said


def test_nodes_that_cannot_be_dialled_are_not_sent_to_each_other():
    hidden = {f"n{i:02}": None if i % 2 else f"h{i}:7000" for i in range(20)}
    ring = [[f"n{i:02}", f"n{(i + 1) % 20:02}"] for i in range(20)]

    (said,) = warnings(hidden, edges=ring)

    assert said == "20 nodes need 209 rounds to shrink their spread to 0.001"


def test_a_graph_that_mixes_is_left_alone():
    assert warnings(16, "torus") == []
    assert warnings(16, schedule="one_peer_exponential") == []


def test_nodes_that_hold_the_graph_together_are_named():
    assert warnings(5, "star") == ["the graph falls apart where one of these stops: n0"]


def test_exact_mixing_that_loses_float32_is_warned_of():
    assert any("gossip.mixing: exact takes 199 hops" in line for line in warnings(200, "path"))


def test_a_schedule_that_moves_the_mean_is_told():
    said = warnings(16, schedule={"name": "epidemic", "s": 2, "oracle": False})

    assert said == ["schedule: epidemic moves the mean: rows of W(t) sum to 1, columns do not"]


def test_weights_that_move_the_mean_are_told():
    sizes = {f"n{i}": 100.0 * (i + 1) for i in range(5)}

    said = warnings(5, "ring", weights="data_size", sizes=sizes)

    assert said == [
        "weights: data_size moves the mean: nodes agree on one weighted by data sizes, not on the plain one"
    ]


def test_push_sum_weights_want_the_rule():
    (said,) = warnings(5, "ring", weights="push_sum")

    assert "gossip.mixing: push-sum" in said


def test_weights_of_edges_that_nobody_uses_are_told():
    edges = [["n0", "n1", 0.2], ["n1", "n2", 0.3], ["n0", "n2", 0.3]]

    assert warnings(3, edges=edges) == [
        "weights: metropolis takes no notice of the weights of edges in the file; weights: file would"
    ]
    assert warnings(3, edges=edges, weights="file") == []
