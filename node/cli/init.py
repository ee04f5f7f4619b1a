"""gossip init: a node file and a topology file, ready to run and to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.app.demo import DemoPlan
from node.app.run.run_folder import make_folder
from node.cli.console import Json, note, print_json
from node.config import config_text
from node.errors import ConfigError
from node.yaml_files import to_yaml, write_text

NODES = 4
PORT = 7001


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write node.yaml and topology.yaml.")],
    json: Json = False,
) -> None:
    """Write the two files that a run needs: the demo's task on a ring of four, every key explained."""
    node_file, topology_file = folder / "node.yaml", folder / "topology.yaml"
    for path in (node_file, topology_file):
        if path.exists():
            raise ConfigError(f"{path} exists already and is left as it is; wanted a folder without it")
    ids = [f"n{i}" for i in range(NODES)]
    nodes = {peer: f"127.0.0.1:{PORT + i}" for i, peer in enumerate(ids)}
    edges = [[ids[i], ids[(i + 1) % NODES]] for i in range(NODES)]
    settings = DemoPlan().config(Path("runs") / folder.resolve().name)
    make_folder(folder, "name another")
    write_text(node_file, config_text(settings, comments=True))
    write_text(topology_file, to_yaml({"nodes": nodes, "edges": edges}))
    if json:
        print_json({"node": str(node_file), "topology": str(topology_file)})
    else:
        note(f"wrote {node_file} and {topology_file}")
        note(f"try them:   gossip check --config {node_file}")
        note(f"run them:   gossip up --config {node_file}")
