"""gossip topology draw: a picture of a topology file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.console import Json, note, print_json
from node.cli.outputs import check_output
from node.config import load_topology
from node.graph.advice.prediction import summary
from node.monitor.graph_picture import SUFFIXES, draw_topology


def draw(
    file: Annotated[Path, typer.Argument(help="A topology file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture: .png or .svg.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a picture that is there.")] = False,
    json: Json = False,
) -> None:
    """Draw nodes and edges, as thick as their weight in W, with what the graph promises above."""
    topology = load_topology(file)
    check_output(output, SUFFIXES, force)
    facts = summary(topology)
    draw_topology(topology, output, facts, file.stem)
    if json:
        promise = {"spectral_gap": facts["spectral_gap"], "rounds_to_1e-3": facts["rounds_to_1e-3"]}
        counts = {"nodes": len(topology.nodes), "edges": len(topology.edges)}
        print_json({"file": str(file), "picture": str(output), **counts, **promise})
    else:
        note(f"drew {output}")
