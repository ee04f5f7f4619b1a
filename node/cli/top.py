"""`gossip top HOST:PORT`: watch a network learn."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from node.errors import ConfigError


def top(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Any node; the others are found from there.")],
    interval: Annotated[float, typer.Option(help="Seconds between looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and exit.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
    until_distance: Annotated[
        float | None, typer.Option(help="Exit 0 once the consensus distance of all nodes is this small, as in 1e-2.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait for the first answer and for --until-distance (then exit 1).")
    ] = None,
) -> None:
    """Watch a network learn: a live table of all nodes, the consensus distance, and whether it shrinks as predicted."""
    # Before gRPC is imported: its C core would write a line into the table whenever a node goes away.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from node.monitor.verbs import run_top

    try:
        code = run_top(address, interval, once, json, until_distance, timeout)
    except ConfigError as error:
        print(error, file=sys.stderr)
        code = 2
    raise typer.Exit(code)
