"""gossip logs: what a node said, older files included."""

from __future__ import annotations

import io
import sys
import time
from contextlib import closing
from typing import Annotated

import typer

from node.app.run.output import Tail, files_of
from node.app.run.processes import running
from node.cli.console import Json, RunOption, find_run, print_json
from node.errors import ConfigError

POLL = 0.3  # seconds


def logs(
    node: Annotated[str, typer.Argument(help="Id of the node, e.g. n2.")],
    run: RunOption = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines from the end; 0: all.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on while the node runs.")] = False,
    json: Json = False,
) -> None:
    """Print the log of a node."""
    folder = find_run(run).node(node)
    if not folder.log.is_file():
        known = ", ".join(find_run(run).started()) or "none"
        raise ConfigError(f"{folder.log}: no log of node {node!r}; this run has {known}")
    with closing(Tail(folder.log)) as tail:
        older = [path.read_text(encoding="utf-8", errors="replace") for path in files_of(folder.log)[:-1]]
        kept = io.StringIO("".join([*older, tail.read()])).readlines()[-lines:]  # -0: all
        if json:
            print_json({"node": node, "lines": [line.rstrip("\n") for line in kept]})
            return
        sys.stdout.writelines(kept)
        while follow:
            alive = running(folder) is not None
            sys.stdout.write(tail.read() if alive else tail.read() + tail.read())  # twice: it may have turned over
            sys.stdout.flush()
            if not alive:
                return
            time.sleep(POLL)
