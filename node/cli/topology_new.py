"""gossip topology new: a topology file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.app.new_topology import Draft, written
from node.cli.console import Json, note, print_json
from node.cli.outputs import check_output
from node.errors import ConfigError
from node.graph.families.generators import GENERATORS
from node.graph.scheduling.schedules import SCHEDULES
from node.yaml_files import parse_yaml, write_text

SUFFIXES = (".yaml", ".yml")


def new(
    family: Annotated[
        str | None, typer.Argument(help=f"The graph: {', '.join(GENERATORS)}. None: the schedule's own.")
    ] = None,
    nodes: Annotated[
        int | None, typer.Option("--nodes", "-n", help="How many; default: 16, karate 34, florentine 15.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A setting of the family: degree=4; of the schedule: schedule.seed=3 (again for more)."
        ),
    ] = None,
    schedule: Annotated[str | None, typer.Option(help=f"Another W each round: {', '.join(SCHEDULES)}.")] = None,
    weights: Annotated[str | None, typer.Option(help="How W is made; default: metropolis.")] = None,
    host: Annotated[str | None, typer.Option(help="Default: 127.0.0.1; n{i}.lab is a machine each.")] = None,
    base_port: Annotated[int | None, typer.Option(help="Port of the first node; default: 7001.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The file; none: standard output.")] = None,
    expand: Annotated[bool, typer.Option("--expand", help="List all addresses and edges.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    json: Json = False,
) -> None:
    """Write a topology file: a family of graphs, or a schedule, ready to edit and to run."""
    if output is not None:
        check_output(output, SUFFIXES, force)
    draft = Draft(family, nodes, dict(map(_setting, settings or ())), schedule, weights, host, base_port)
    text, topology = written(draft, expand)
    if output is not None:
        write_text(output, text)
    if json:
        facts = {"nodes": len(topology.nodes), "edges": len(topology.edges), "directed": topology.directed}
        print_json({"file": str(output) if output else None, **facts, "digest": topology.digest, "text": text})
    elif output is None:
        print(text, end="")
    else:
        note(f"wrote {output}: {len(topology.nodes)} nodes, {len(topology.edges) or len(topology.links)} edges")
        note(f"what it promises:   gossip topology show {output}")


def _setting(change: str) -> tuple[str, object]:
    key, separator, value = change.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"--set {change}: wanted a setting and its value, such as degree=4")
    return key.strip(), parse_yaml(value, f"--set {change}")
