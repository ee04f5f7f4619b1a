"""gossip topology: look at a topology file before it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.console import Json, print_json, results
from node.cli.topology_advise import advise
from node.cli.topology_convert import convert
from node.cli.topology_draw import draw
from node.cli.topology_new import new
from node.cli.topology_show import print_topology
from node.cli.traffic import CodecOption, size_of
from node.config import load_topology
from node.graph.advice.prediction import TARGET, summary

topology = typer.Typer(help="Look at topology files.", rich_markup_mode=None)


@topology.callback()
def common() -> None:
    """Look at topology files."""


@topology.command()
def show(
    file: Annotated[Path, typer.Argument(help="A topology file.")],
    message_bytes: Annotated[
        int | None,
        typer.Option(min=1, help="Bytes that a node sends a neighbour in one exchange, to predict the traffic."),
    ] = None,
    params: Annotated[
        int | None, typer.Option(min=1, help="The same by shared parameters: 12 bytes each, moments included.")
    ] = None,
    codec: CodecOption = None,
    target: Annotated[float, typer.Option(help="Predict until differences are this much of what they were.")] = TARGET,
    json: Json = False,
) -> None:
    """Nodes, neighbours, spectral gap, and how many rounds consensus will take."""
    size = size_of(message_bytes, params, codec)
    facts = summary(load_topology(file), size, target)
    if json:
        print_json(facts)
    else:
        print_topology(facts, results())


topology.command()(new)
topology.command()(draw)
topology.command()(convert)
topology.command()(advise)
