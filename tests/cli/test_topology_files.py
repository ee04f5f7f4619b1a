"""gossip topology new and draw: files that load, pictures, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.config import load_topology
from node.graph.families.generators import GENERATORS
from node.graph.topology import Topology
from node.yaml_files import parse_yaml
from tests.cli.test_bad_input import refused
from tests.graph.test_generators import ONLY, WANTED
from tests.lab import Lab


@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("family", GENERATORS)
def test_a_new_file_of_every_family_loads_again(lab: Lab, family: str, expand: bool) -> None:
    settings = [word for key, value in WANTED.get(family, {}).items() for word in ("--set", f"{key}={value}")]

    done = lab.verb("topology", "new", family, *settings, "-o", "t.yaml", "--json", *(["--expand"] if expand else []))

    assert done.code == 0
    made = load_topology(lab.path / "t.yaml")
    assert made.digest == done.document["digest"]
    assert (len(made.nodes), len(made.edges)) == (done.document["nodes"], done.document["edges"])
    assert len(made.nodes) == ONLY.get(family, 16)
    asked = {"name": family, **WANTED.get(family, {})}
    assert made.edges == Topology.from_mapping({"nodes": len(made.nodes), "generator": asked}, "asked").edges


def test_without_a_file_the_text_goes_to_standard_output(lab: Lab) -> None:
    done = lab.verb("topology", "new", "hypercube", "--nodes", "8")

    assert (done.code, done.err) == (0, "")
    assert done.out == "# hypercube: 8 nodes, 12 edges\nnodes: 8\ngenerator: hypercube\n"


def test_a_written_out_file_has_a_line_for_each_node_and_edge(lab: Lab) -> None:
    text = lab.verb("topology", "new", "path", "-n", "3", "--expand", "--host", "h{i}", "--base-port", "9").out

    assert text == (
        "# path: 3 nodes, 2 edges\nnodes:\n  n0: h0:9\n  n1: h1:9\n  n2: h2:9\nedges:\n- [n0, n1]\n- [n1, n2]\n"
        "weights: metropolis\n"
    )


def test_settings_are_read_as_in_the_file(lab: Lab) -> None:
    words = ("--set", "p=0.5", "--set", "seed=7", "--host", "h{i}", "--base-port", "70", "--weights", "metropolis")
    done = lab.verb("topology", "new", "erdos_renyi", "-n", "10", *words)

    assert parse_yaml(done.out, "out") == {
        "nodes": 10,
        "host": "h{i}",
        "base_port": 70,
        "generator": {"name": "erdos_renyi", "p": 0.5, "seed": 7},
        "weights": "metropolis",
    }


@pytest.mark.parametrize("expand", [(), ("--expand",)])
@pytest.mark.parametrize(
    "words",
    [
        ("--schedule", "base", "--set", "schedule.k=1", "-n", "10"),
        ("--schedule", "one_peer_exponential"),
        ("torus", "--set", "rows=4", "--schedule", "failing_links", "--set", "schedule.p=0.2"),
        ("ring", "--set", "direction=left", "--weights", "push_sum"),
    ],
)
def test_a_new_file_with_a_schedule_or_arrows_loads_again(
    lab: Lab, words: tuple[str, ...], expand: tuple[str, ...]
) -> None:
    done = lab.verb("topology", "new", *words, *expand, "-o", "t.yaml", "--json")

    assert done.code == 0
    made = load_topology(lab.path / "t.yaml")
    assert made.digest == done.document["digest"]
    assert made.is_static == ("--schedule" not in words)
    assert made.directed == ("direction=left" in words)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("new",), "no graph: wanted a family (path, ring"),
        (("new", "rign"), "did you mean 'ring'?"),
        (("new", "hypercube", "-n", "12"), "hypercube: 12 nodes; wanted a power of two (8 or 16)"),
        (("new", "ring", "-n", "1000000000"), "nodes: 1000000000 nodes; wanted 2 to 1024"),
        (("new", "complete", "-n", "1024"), "complete of 1024 nodes has 523776 edges; wanted 100000 or fewer"),
        (("new", "complete", "-n", "300", "--expand"), "--expand: "),
        (("new", "random_regular"), "random_regular wants degree; write --set degree=3"),
        (("new", "ring", "--set", "degree=3"), "'degree' is unknown; ring takes direction"),
        (("new", "ring", "--set", "degree"), "--set degree: wanted a setting and its value, such as degree=4"),
        (("new", "ring", "--set", "schedule.seed=3"), "--set seed: nothing takes it; wanted --schedule NAME"),
        (("new", "ring", "--schedule", "nothing"), "schedule: 'nothing'; wanted one of"),
        (("new", "ring", "--weights", "metropolos"), "did you mean 'metropolis'?"),
        (("new", "ring", "-o", "t.json5"), "t.json5: the suffix is .json5; wanted .yaml or .yml"),
        (("new", "ring", "-o", "no/t.yaml"), "there is no folder no; make it, or name another"),
        (("new", "ring", "-o", "topology.yaml"), "topology.yaml: exists already and is left as it is"),
        (("draw", "topology.yaml", "-o", "t.gif"), "t.gif: the suffix is .gif; wanted .png or .svg"),
        (("draw", "topology.yaml", "-o", "t"), "t: the suffix is missing; wanted .png or .svg"),
        (("draw", "nothing.yaml", "-o", "t.png"), "nothing.yaml: cannot be read: No such file"),
        (("draw", "topology.yaml"), "Missing option"),
    ],
)
def test_what_cannot_be_is_told_in_one_line_and_nothing_is_written(
    lab: Lab, arguments: tuple[str, ...], told: str
) -> None:
    assert told in refused(lab, "topology", *arguments).err


def test_a_file_that_is_there_is_replaced_by_force_only(lab: Lab) -> None:
    done = lab.verb("topology", "new", "star", "-n", "5", "-o", "topology.yaml", "--force")

    assert done.code == 0
    assert done.err.startswith("wrote topology.yaml: 5 nodes, 4 edges\n")
    assert load_topology(lab.path / "topology.yaml").neighbours(load_topology(lab.path / "topology.yaml").nodes[0]) == (
        "n1",
        "n2",
        "n3",
        "n4",
    )


@pytest.mark.parametrize(("suffix", "opening"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".SVG", b"<?xml")])
def test_draw_writes_a_picture_of_the_format_that_the_name_says(lab: Lab, suffix: str, opening: bytes) -> None:
    picture = Path(f"ring{suffix}")

    done = lab.verb("topology", "draw", "topology.yaml", "-o", str(picture), "--json")

    assert (done.code, done.err) == (0, "")
    assert (lab.path / picture).read_bytes().startswith(opening)
    assert done.document == {
        "file": "topology.yaml",
        "picture": str(picture),
        "nodes": 4,
        "edges": 4,
        "spectral_gap": pytest.approx(2 / 3),
        "rounds_to_1e-3": 7,
    }
