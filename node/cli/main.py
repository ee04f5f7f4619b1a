"""The command `gossip`: mounts the verbs and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click
import typer

from node import __version__
from node.cli.console import note
from node.errors import ConfigError, GossipError

# verb -> module below node.cli, which has a function of its own name (with a trailing _ where it is a keyword)
VERBS = {
    "demo": "demo",
    "init": "init",
    "check": "check",
    "up": "up",
    "run": "run",
    "down": "down",
    "members": "members",
    "health": "health",
    "logs": "logs",
    "top": "top",
    "try": "try_",
}

app = typer.Typer(
    help="Gossip learning: nodes fine-tune LoRA adapters and average them with their neighbours. No server.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
for verb, module in VERBS.items():
    app.command(verb)(getattr(importlib.import_module(f"node.cli.{module}"), module))
app.add_typer(importlib.import_module("node.cli.topology").topology, name="topology")


def show_version(wanted: bool) -> None:
    if wanted:
        print(f"gossip-node {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: bool = typer.Option(False, "--version", callback=show_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> NoReturn:
    """Run one verb and exit: 0 done, 1 failed while running, 2 wrong input."""
    try:
        code = app(standalone_mode=False)
    except click.ClickException as error:
        note(f"gossip: {error.format_message()}")
        code = 2
    except ConfigError as error:
        note(f"gossip: {error}")
        code = 2
    except GossipError as error:
        note(f"gossip: {type(error).__name__}: {error}")
        code = 1
    except (KeyboardInterrupt, click.exceptions.Abort):
        note("gossip: interrupted")
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
