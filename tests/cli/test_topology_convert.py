"""gossip topology convert: any format to any other, and what is said of what got lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.config import load_topology
from node.graph.formats.formats import SUFFIXES
from tests.lab import call

RING = """\
nodes: {a: "lab-1:7000", b: null, c: "lab-3:7000", d: "lab-4:7000"}
edges: [[a, b, 0.25], [b, c, 0.25], [c, d, 0.25], [a, d, 0.25]]
"""


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    path = tmp_path / "ring.yaml"
    path.write_text(RING)
    return path


def convert(*arguments: object) -> int:
    return call(["topology", "convert", *map(str, arguments)])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_ring_goes_into_each_format_and_comes_back(ring: Path, suffix: str, capsys: pytest.CaptureFixture[str]):
    between, back = ring.with_name(f"between{suffix}"), ring.with_name("back.yml")

    assert convert(ring, between) == 0
    assert convert(between, back, "--json") == 0

    told = json.loads(capsys.readouterr().out.split("\n", 1)[1])
    numbered = suffix in (".edges", ".adj")
    assert (told["digest"] == load_topology(ring).digest) is not numbered
    assert told["same_digest"]
    assert told["left_out"] == []
    assert load_topology(back).digest == load_topology(between).digest


@pytest.mark.parametrize("suffix", [".json", ".graphml", ".gml", ".yml"])
def test_addresses_and_weights_of_edges_are_kept_where_there_are_attributes(ring: Path, suffix: str):
    assert convert(ring, ring.with_name(f"x{suffix}")) == 0

    assert load_topology(ring.with_name(f"x{suffix}")) == load_topology(ring)


def test_what_is_lost_is_told_on_standard_error(ring: Path, capsys: pytest.CaptureFixture[str]):
    out = ring.with_name("x.adj")

    assert convert(ring, out) == 0

    said = capsys.readouterr()
    assert said.err.splitlines() == [
        f"{out}: left out: addresses: it holds numbers of nodes and edges; read back, the nodes are at 127.0.0.1",
        f"{out}: left out: weights of edges",
        f"{out}: left out: ids: nodes are numbers in the order of the file, a is 0",
    ]
    assert said.out == f"{out}: 4 nodes, 4 edges, another graph or W to a run, as the lines above say\n"
    assert out.read_text() == "4\n1 3\n0 2\n1 3\n0 2\n"


def test_generated_edges_are_written_out(tmp_path: Path):
    (tmp_path / "x.yaml").write_text("nodes: 3\ngenerator: ring\n")

    assert convert(tmp_path / "x.yaml", tmp_path / "x.csv") == 0

    assert (tmp_path / "x.csv").read_text() == "source,target\nn0,n1\nn0,n2\nn1,n2\n"


SCHEDULED = "nodes: 8\nschedule: {name: random_matching, seed: 3}\n"


@pytest.mark.parametrize("suffix", [".yml", ".json", ".graphml", ".gml"])
def test_a_schedule_is_an_attribute_of_the_graph(tmp_path: Path, suffix: str):
    (tmp_path / "x.yaml").write_text(SCHEDULED)
    before = load_topology(tmp_path / "x.yaml")

    assert convert(tmp_path / "x.yaml", tmp_path / f"y{suffix}") == 0

    after = load_topology(tmp_path / f"y{suffix}")
    assert after.schedule == before.schedule
    assert after.digest == before.digest


def test_a_list_of_edges_cannot_hold_a_schedule_that_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "x.yaml").write_text(SCHEDULED)

    assert convert(tmp_path / "x.yaml", tmp_path / "y.csv") == 2

    wanted = "cannot hold a schedule without edges; wanted .yaml, .json, .graphml or .gml"
    assert capsys.readouterr().err == f"gossip: {tmp_path / 'y.csv'}: {wanted}\n"
    assert not (tmp_path / "y.csv").exists()


def test_a_file_that_is_there_stays_unless_force_says_so(ring: Path, capsys: pytest.CaptureFixture[str]):
    out = ring.with_name("x.csv")
    out.write_text("mine")

    assert convert(ring, out) == 2
    assert out.read_text() == "mine"
    assert capsys.readouterr().err == f"gossip: {out}: is there already; wanted a new name, or --force\n"

    assert convert(ring, out, "--force") == 0
    assert load_topology(out).digest == load_topology(ring).digest


def test_yaml_of_a_large_graph_has_the_form_of_json_and_is_read_again(tmp_path: Path):
    (tmp_path / "x.yaml").write_text("nodes: 200\ngenerator: complete\n")

    assert convert(tmp_path / "x.yaml", tmp_path / "y.yaml") == 0

    assert (tmp_path / "y.yaml").stat().st_size > 128 * 1024
    assert load_topology(tmp_path / "y.yaml") == load_topology(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("out", "told"),
    [("x.dot", "the name tells no format"), ("no/x.csv", "cannot be written: No such file"), ("", "is there already")],
)
def test_a_place_that_cannot_be_written_is_refused(ring: Path, out: str, told: str, capsys: pytest.CaptureFixture[str]):
    assert convert(ring, ring.parent / out) == 2

    said = capsys.readouterr()
    assert told in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_edges_that_are_left_open_go_into_yaml_only(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "any.yaml").write_text("nodes: 4\nedges: any\n")

    assert convert(tmp_path / "any.yaml", tmp_path / f"any{suffix}") == 2
    assert "cannot hold edges: any; wanted .yaml or .yml" in capsys.readouterr().err
    assert convert(tmp_path / "any.yaml", tmp_path / "again.yml") == 0
