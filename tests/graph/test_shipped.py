"""The files in topology/ are what their README says."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import mean

import pytest

from node.config import load_topology
from node.graph.advice.prediction import summary
from node.graph.families.generators import GENERATORS
from node.graph.topology import Topology
from node.graph.weighting.weights import WEIGHTS

FOLDER = Path(__file__).parents[2] / "topology"


@pytest.mark.parametrize(
    ("name", "rounds", "hops"),
    [
        ("ring-4", 7, 2),
        ("ring-8", 32, 4),
        ("path-4", 32, 3),
        ("star-5", 31, 2),
        ("complete-4", 1, 1),
        ("torus-4x4", 14, 4),
        ("random-regular-16", 25, 13),
        ("compose-ring-4", 7, 2),
        ("hypercube-16", 14, 4),
        ("exponential-16", 10, 8),
        ("mesh-4x4", 50, 11),
        ("hierarchical-16", 87, 4),
        ("two-cliques-16", 302, 4),
        ("karate-34", 218, 30),
        ("base-10", 6, 6),
    ],
)
def test_each_file_loads_and_predicts(name: str, rounds: int, hops: int):
    said = summary(load_topology(FOLDER / f"{name}.yaml"))

    assert (said["rounds_to_1e-3"], said["exact_rounds"]) == (rounds, hops)


def test_no_file_is_forgotten_here():
    shipped = {path.stem for path in FOLDER.glob("*.yaml")}

    assert len(shipped) == 15


def test_the_readmes_table_is_true():
    row = r"^\| `(\w+)` \| [^|]*\| (\d+)(?: \(n = (\d+)\))? \| (\d+) \| ([\d.]+)(?:, most (\d+))? \|$"
    rows = re.findall(row, (FOLDER / "README.md").read_text(), re.MULTILINE)

    assert [name for name, *_ in rows] == list(GENERATORS)
    for name, rounds, n, hops, messages, most in rows:
        generator = {"name": name, "degree": 3} if name == "random_regular" else name
        graph = Topology.from_mapping({"nodes": int(n or 16), "generator": generator}, "README")
        said = summary(graph)
        told = [len(graph.tells(peer)) for peer in graph.nodes]
        assert (said["rounds_to_1e-3"], said["exact_rounds"]) == (int(rounds), int(hops)), name
        assert (round(mean(told), 1), max(told)) == (float(messages), int(most or messages)), name


def test_the_readmes_table_of_weights_is_true():
    cell = r" (\d+|-) \|"
    rows = re.findall(rf"^\| `(\w+)` \|[^|]*\|{4 * cell}$", (FOLDER / "README.md").read_text(), re.MULTILINE)

    assert {scheme for scheme, *_ in rows} == set(WEIGHTS)
    for scheme, *told in rows:
        for family, rounds in zip(("ring", "star", "clusters", "erdos_renyi"), told, strict=True):
            if rounds != "-":
                said = {"nodes": 16, "generator": family, "weights": scheme}
                assert summary(Topology.from_mapping(said, "README"))["rounds_to_1e-3"] == int(rounds), (scheme, family)


@pytest.mark.parametrize("name", [path.stem for path in sorted(FOLDER.glob("*.yaml"))])
def test_each_file_opens_with_a_line_that_says_its_rounds(name: str):
    first = (FOLDER / f"{name}.yaml").read_text().partition("\nnodes:")[0]

    assert first.startswith("# ")
    for rounds in re.findall(r"(\d+) rounds (?:to|shrink)", first):
        assert int(rounds) == summary(load_topology(FOLDER / f"{name}.yaml"))["rounds_to_1e-3"]


def test_the_readmes_examples_load(tmp_path: Path):
    examples = re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)

    for example in examples:
        (tmp_path / "t.yaml").write_text(example)
        load_topology(tmp_path / "t.yaml")

    assert len(examples) == 4


def test_one_more_line_under_edges_changes_the_ring(tmp_path: Path):
    text = (FOLDER / "ring-4.yaml").read_text()
    (tmp_path / "t.yaml").write_text(text + "  - [n0, n2]\n")

    ring, chord = load_topology(FOLDER / "ring-4.yaml"), load_topology(tmp_path / "t.yaml")

    assert (ring.neighbours(ring.nodes[0]), chord.neighbours(ring.nodes[0])) == (("n1", "n3"), ("n1", "n2", "n3"))
    assert summary(chord)["rounds_to_1e-3"] == 10
    assert chord.digest != ring.digest
