"""gossip export: a node's model as a folder that others load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.console import Json, NodeOption, RunOption, find_nodes, find_run, note, print_json
from node.config import load_node_config


def export(
    out: Annotated[Path, typer.Option("--output", "-o", help="A new folder.")],
    run: RunOption = None,
    node: NodeOption = None,
    merge: Annotated[bool, typer.Option("--merge", help="The whole model, the adapter merged into it.")] = False,
    json: Json = False,
) -> None:
    """Write a node's adapter (or, with --merge, its model) as it stands: finished, stopped or running."""
    folder = find_run(run)
    config, peer = load_node_config(folder.config), find_nodes(folder, node)[0]
    from node.app.adapters.export import export as write

    done = write(folder, config, peer, out, merge)
    if json:
        said = {
            "round": done.round,
            "source": done.source,
            "merged": merge,
            "folder": str(out),
            "files": list(done.files),
        }
        print_json({"run": str(folder.path), "node": peer, **said})
        return
    what = "merged model" if merge else "adapter"
    at = "" if done.source == "adapter" else f", from its checkpoint (of {config.gossip.rounds} rounds)"
    note(f"{out}: the {what} of {peer} after round {done.round}{at}")
