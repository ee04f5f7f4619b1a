"""gossip down: end the nodes of a run on this machine; each writes a checkpoint first."""

from __future__ import annotations

from typing import Annotated

import typer

from node.app.launching import launcher
from node.app.run.processes import running
from node.cli.console import Json, RunOption, find_run, note, print_json


def down(
    run: RunOption = None,
    grace: Annotated[float, typer.Option(min=0.0, help="Seconds to write a checkpoint; then it is killed.")] = 30.0,
    json: Json = False,
) -> None:
    """End all nodes of a run that were started on this machine. The same `gossip up` goes on where they stopped."""
    folder = find_run(run)
    alive = [folder.node(name) for name in folder.started() if running(folder.node(name)) is not None]
    soon = launcher.starting(folder)
    killed = [f for f in launcher.stop(folder, folder.started(), grace) if f != folder.server]
    ended = sorted({f.path.name for f in alive} | soon)
    if json:
        print_json({"ended": ended, "killed": [f.path.name for f in killed]})
    elif not ended:
        note(f"{folder.path}: no node is running")
    for f in killed:
        note(f"{f.path.name} did not end within {grace:g} s and was killed; its last checkpoint stands")
    if ended and not json:
        note(f"{folder.path}: ended {', '.join(ended)}")
