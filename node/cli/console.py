"""What every verb shares: where words go, what `--json` prints, and how a verb ends.

Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 it failed while running, 2 the
user's input is wrong.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from node.app.run.run_folder import RunFolder
from node.errors import ConfigError
from node.types import PeerId

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document on standard output.")]
RunOption = Annotated[Path | None, typer.Option("--run", help="Folder of the run; default: the newest below runs/.")]
NodeOption = Annotated[str | None, typer.Option("--node", help="Which node; default: the first of the topology.")]

RUNS = Path("runs")  # where `newest_run` looks


def plain() -> bool:
    """Whether to print plain lines: no terminal, NO_COLOR, or CI=true."""
    return not sys.stderr.isatty() or "NO_COLOR" in os.environ or os.environ.get("CI", "").lower() in ("1", "true")


def errors() -> Console:
    """Progress and notes."""
    return Console(stderr=True, highlight=False, no_color=plain() or None)


def results() -> Console:
    return Console(highlight=False, no_color=plain() or None)


def note(message: str) -> None:
    """A line for the person at the terminal; never part of the result."""
    print(message, file=sys.stderr, flush=True)


def print_json(document: Mapping[str, Any]) -> None:
    """One document on standard output."""
    print(json.dumps(document, indent=1, allow_nan=False))


def find_run(given: Path | None) -> RunFolder:
    """The run folder that was named, or the newest one.

    Raises:
        ConfigError: no such folder, or none at all.
    """
    if given is not None:
        if not (given / "node.yaml").is_file():
            raise ConfigError(f"--run {given}: no run is kept there (no node.yaml); wanted a folder like runs/demo")
        return RunFolder(given)
    found = sorted(RUNS.glob("*/node.yaml"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise ConfigError(
            f"{RUNS}/: no run is kept below it; start one by `gossip demo` or `gossip up`, or name one by --run"
        )
    return RunFolder(found[-1].parent)


def find_nodes(run: RunFolder, named: str | None, everybody: bool = False) -> list[PeerId]:
    """The node that was named (the first of the topology where none was), or all of them; also those that joined.

    Raises:
        ConfigError: no such node, or a name where all are meant.
    """
    from node.config import load_topology  # here: a health check needs none of it
    from node.graph.reading import did_you_mean

    known = [*load_topology(run.topology).nodes]
    known += [PeerId(p.parent.name) for p in sorted(run.path.glob("*/join.json")) if p.parent.name not in known]
    if everybody and named is not None:
        raise ConfigError(f"--node {named}: --all means every node; wanted one of the two")
    if named is not None and named not in known:
        raise ConfigError(f"--node {named}: not a node of {run.path} ({', '.join(known)}){did_you_mean(named, known)}")
    return known if everybody else [PeerId(named) if named is not None else known[0]]
