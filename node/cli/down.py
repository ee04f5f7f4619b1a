"""gossip down: end the nodes of a run on this machine; each writes a checkpoint first."""

from __future__ import annotations

from node.app.processes import end, running
from node.cli.console import Json, RunOption, find_run, note, print_json


def down(
    run: RunOption = None,
    grace: float = 30.0,
    json: Json = False,
) -> None:
    """End all nodes of a run that were started on this machine. The same `gossip up` goes on where they stopped."""
    folder = find_run(run)
    alive = [folder.node(name) for name in folder.started() if running(folder.node(name)) is not None]
    killed = end(alive, grace)
    if json:
        print_json({"ended": [f.path.name for f in alive], "killed": [f.path.name for f in killed]})
    elif not alive:
        note(f"{folder.path}: no node is running")
    for f in killed:
        note(f"{f.path.name} did not end within {grace:g} s and was killed; its last checkpoint stands")
    if alive and not json:
        note(f"{folder.path}: ended {', '.join(f.path.name for f in alive)}")
