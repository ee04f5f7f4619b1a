"""The files in topology/ are what their README says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from node.config import load_topology
from node.graph.generators import GENERATORS
from node.graph.prediction import summary
from node.graph.topology import Topology

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
    ],
)
def test_each_file_loads_and_predicts(name: str, rounds: int, hops: int):
    said = summary(load_topology(FOLDER / f"{name}.yaml"))

    assert (said["rounds_to_1e-3"], said["exact_rounds"]) == (rounds, hops)


def test_no_file_is_forgotten_here():
    shipped = {path.stem for path in FOLDER.glob("*.yaml")}

    assert len(shipped) == 8


def test_the_readmes_table_is_true():
    rows = re.findall(r"^\| `(\w+)` \| [^|]*\| (\d+)[^|]*\| (\d+) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)

    assert {name for name, _, _ in rows} == set(GENERATORS)
    for name, rounds, hops in rows:
        generator = {"name": name, "degree": 3} if name == "random_regular" else name
        said = summary(Topology.from_mapping({"nodes": 16, "generator": generator}, "README"))
        assert (said["rounds_to_1e-3"], said["exact_rounds"]) == (int(rounds), int(hops)), name


def test_the_readmes_examples_load(tmp_path: Path):
    examples = re.findall(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)

    for example in examples:
        (tmp_path / "t.yaml").write_text(example)
        load_topology(tmp_path / "t.yaml")

    assert len(examples) == 3


def test_one_more_line_under_edges_changes_the_ring(tmp_path: Path):
    text = (FOLDER / "ring-4.yaml").read_text()
    (tmp_path / "t.yaml").write_text(text + "  - [n0, n2]\n")

    ring, chord = load_topology(FOLDER / "ring-4.yaml"), load_topology(tmp_path / "t.yaml")

    assert (ring.neighbours(ring.nodes[0]), chord.neighbours(ring.nodes[0])) == (("n1", "n3"), ("n1", "n2", "n3"))
    assert summary(chord)["rounds_to_1e-3"] == 10
    assert chord.digest != ring.digest
