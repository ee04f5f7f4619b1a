"""What is worth a try on given nodes: all of it can be written into a file, and read back."""

from __future__ import annotations

import pytest

from node.graph.advice.candidates import candidates
from node.graph.topology import Topology
from node.yaml_files import parse_yaml


def nodes(n: int) -> dict[str, str]:
    return {f"n{i}": f"h{i}:7000" for i in range(n)}


@pytest.mark.parametrize("n", [2, 3, 4, 5, 9, 10, 16, 31])
def test_each_line_stands_for_its_topology(n: int):
    for line, topology in candidates(nodes(n)):
        file = {"nodes": nodes(n), **parse_yaml(line, "line")}
        read = Topology.from_mapping(file, "t.yaml")
        assert (read.edges, read.schedule, read.directed) == (topology.edges, topology.schedule, topology.directed), (
            line
        )


def test_sixteen_nodes_are_offered_all_of_the_list():
    assert [line for line, _ in candidates(nodes(16))] == [
        "generator: ring",
        "generator: star",
        "generator: torus",
        "generator: hypercube",
        "generator: exponential",
        "generator: {name: random_regular, degree: 3}",
        "generator: {name: random_regular, degree: 4}",
        "generator: complete",
        "schedule: one_peer_exponential",
        "schedule: {name: base, k: 1}",
        "schedule: {name: base, k: 2}",
        "schedule: {name: base, k: 3}",
        "schedule: {name: base, k: 4}",
        "schedule: {name: random_matching, seed: 0}",
    ]


def test_what_does_not_fit_so_many_nodes_is_left_out():
    lines = [line for line, _ in candidates(nodes(11))]

    assert "generator: torus" not in lines
    assert "generator: hypercube" not in lines
    assert "generator: {name: random_regular, degree: 3}" not in lines
    assert "generator: complete" in lines


def test_graphs_of_all_pairs_end_where_files_do():
    lines = [line for line, _ in candidates(nodes(448))]

    assert "generator: complete" not in lines
    assert not any("random_matching" in line for line in lines)
    assert "schedule: {name: base, k: 1}" in lines


def test_two_nodes_that_cannot_be_dialled_never_meet():
    hidden = {**nodes(8), "n0": "", "n4": ""}

    for _, topology in candidates(hidden):
        assert ("n0", "n4") not in topology.links
