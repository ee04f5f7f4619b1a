"""The command `gossip`: mounts the verbs and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from node import __version__
from node.cli.console import note
from node.errors import ConfigError, GossipError

# verb -> module below node.cli, which has a function (or a group of verbs) of its own name
VERBS = {
    "demo": "demo",
    "init": "init",
    "check": "check",
    "up": "up",
    "run": "run",
    "simulate": "simulate",
    "join": "join",
    "down": "down",
    "members": "members",
    "health": "health",
    "logs": "logs",
    "top": "top",
    "topology": "topology",
    "data": "data",
    "audit": "audit",
    "try": "try_",
    "export": "export",
}

# Typer brings a click of its own since 0.2x; before, it was the package's. This is the one that it raises.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def command(arguments: Sequence[str]) -> typer.Typer:
    """The command line. Only the verb that is asked for is imported: a health check runs every few seconds."""
    app = typer.Typer(
        help="Gossip learning: nodes fine-tune LoRA adapters and average them with their neighbours. No server.",
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode=None,
    )
    app.callback()(common)
    wanted = [verb for verb in VERBS if verb in arguments[:1]] or VERBS
    for verb in wanted:
        found = getattr(importlib.import_module(f"node.cli.{VERBS[verb]}"), VERBS[verb])
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=verb)
        else:
            app.command(verb)(found)
    return app


def show_version(wanted: bool) -> None:
    if wanted:
        print(f"gossip-node {__version__}")
        raise typer.Exit


def common(
    version: bool = typer.Option(False, "--version", callback=show_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> NoReturn:
    """Run one verb and exit: 0 done, 1 failed while running, 2 wrong input."""
    try:
        arguments = sys.argv[1:] or ["--help"]
        code = command(arguments)(arguments, standalone_mode=False)
    except UsageError as error:
        note(f"gossip: {error.format_message()}")  # type: ignore[attr-defined]
        code = 2
    except ConfigError as error:
        note(f"gossip: {error}")
        code = 2
    except GossipError as error:
        note(f"gossip: {type(error).__name__}: {error}")
        code = 1
    except OSError as error:
        note(f"gossip: {error}")
        code = 1
    except (KeyboardInterrupt, typer.Abort):
        note("gossip: interrupted")
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
