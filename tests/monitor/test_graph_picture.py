"""Pictures of topologies: what is drawn, not how it looks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from node.graph.advice.prediction import summary
from node.graph.topology import Topology
from node.monitor.graph_picture import draw_topology


def drawn(path: Path, title: str = "title", **said: Any) -> str:
    """The text of the picture."""
    topology = Topology.from_mapping({"nodes": 4, **said}, "test")
    draw_topology(topology, path, summary(topology), title)
    return path.read_text() if path.suffix == ".svg" else ""


def words(svg: str) -> list[str]:
    """matplotlib writes each text as a comment beside its glyphs."""
    return [line.strip() for block in re.findall(r"<!-- (.*?) -->", svg, re.DOTALL) for line in block.split("\n")]


@pytest.mark.parametrize("n", [2, 4, 16, 64])
def test_a_png_of_a_useful_size(tmp_path: Path, n: int):
    drawn(tmp_path / "t.png", nodes=n, generator="path")

    height, width, _ = imread(tmp_path / "t.png").shape
    assert 700 < width < 2500
    assert 200 < height < 2500


def test_the_promise_stands_above_and_the_weights_below(tmp_path: Path):
    svg = drawn(tmp_path / "t.svg", title="my ring", generator="ring")

    said = words(svg)
    assert {"my ring", "4 nodes, 4 edges, spectral gap 0.6667, 7 rounds to 1e-3"} <= set(said)
    assert "width: weight W_ij (metropolis), 0.333" in said
    assert {"n0", "n1", "n2", "n3"} <= set(said)


def test_every_edge_is_drawn(tmp_path: Path):
    svg = drawn(tmp_path / "t.svg", nodes=9, generator="torus")

    assert len(re.findall(r'id="patch_\d+"', svg)) == 18 + 1  # and the background


def test_a_heavier_edge_is_wider(tmp_path: Path):
    # A path of four with a chord: W is 1/4 at the node of degree 3 and 1/3 elsewhere.
    svg = drawn(tmp_path / "t.svg", edges=[["n0", "n1"], ["n1", "n2"], ["n2", "n3"], ["n1", "n3"]])

    widths = {float(width) for width in re.findall(r"stroke-width: ([\d.]+); stroke-linecap: round", svg)}
    assert max(widths) / min(widths) == pytest.approx(4 / 3, rel=1e-4)


def test_one_topology_gives_one_picture(tmp_path: Path):
    first = drawn(tmp_path / "a.svg", nodes=16, generator={"name": "random_regular", "degree": 3})

    assert first == drawn(tmp_path / "b.svg", nodes=16, generator={"name": "random_regular", "degree": 3})


def test_long_names_stand_below_their_nodes_and_names_of_a_crowd_are_left_out(tmp_path: Path):
    named = {f"hospital-of-town-{i}": f"h{i}:1" for i in range(4)}
    listed = [[f"hospital-of-town-{i}", f"hospital-of-town-{i + 1}"] for i in range(3)]

    assert set(named) <= set(words(drawn(tmp_path / "a.svg", nodes=named, edges=listed)))
    assert "n7" not in words(drawn(tmp_path / "b.svg", nodes=300, generator="ring"))


def test_a_schedule_is_drawn_round_by_round(tmp_path: Path):
    said = words(drawn(tmp_path / "t.svg", nodes=8, schedule="one_peer_exponential"))

    assert {"round 0", "round 1", "round 2"} <= set(said)
    assert "round 3" not in said  # its period
    assert any(line.startswith("8 nodes, 20 pairs that meet") for line in said)


def test_arrows_have_heads(tmp_path: Path):
    topology = {"nodes": 5, "generator": {"name": "ring", "direction": "right"}, "weights": "push_sum"}
    facts = {"rounds_to_1e-3": None, "spectral_gap": 0.0}

    draw_topology(Topology.from_mapping(topology, "test"), tmp_path / "t.svg", facts, "right")

    svg = (tmp_path / "t.svg").read_text()
    assert len(re.findall(r'<g id="patch_\d+">\s*<path[^>]*/>\s*<path', svg)) == 5  # a line and a head each
    assert "5 nodes, 5 directed edges, spectral gap 0, never mixes" in words(svg)


def test_an_edge_bends_around_nodes_in_its_way(tmp_path: Path):
    svg = drawn(tmp_path / "t.svg", nodes=9, generator="torus")

    curves = [
        [float(number) for number in re.findall(r"-?[\d.]+", path)]
        for path in re.findall(r'<g id="patch_\d+">\s*<path d="(M [^"]* Q [^"]*|M [^"]*\nQ [^"]*)"', svg)
    ]
    off = [abs(c - (a + b) / 2) + abs(d - (e + f) / 2) for a, e, c, d, b, f in curves]  # of the control point
    assert [o > 1 for o in off].count(True) == 6  # the wrapping edges pass the middle of three
    assert len(curves) == 18
