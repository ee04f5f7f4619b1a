"""Options that several verbs take, and how they become settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.app.demo import DemoPlan
from node.app.rules.fit import fitted
from node.cli.console import RUNS, note
from node.config import NodeConfig, anchored, load_node_config, load_topology, set_values
from node.errors import ConfigError
from node.graph.advice.choice import Choice
from node.graph.topology import Topology

Config = Annotated[Path, typer.Option("--config", "-c", help="The node file; none: the demo's settings.")]
TopologyFile = Annotated[
    Path | None, typer.Option("--topology", "-t", help="The topology file; default: the node file's.")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Replace a setting: train.learning_rate=3e-3 (again for more).")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start at round 0 although there is a checkpoint.")]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Run the code that gossip.mixing: module:name of the node file names.")
]

NODE_FILE = Path("node.yaml")


def read_settings(
    config: Path, topology: Path | None, changes: list[str] | None
) -> tuple[NodeConfig, Topology, Choice | None]:
    """Both files, checked. Where a topology is named and there is no node file, the demo's settings serve.

    Returns:
        Settings and graph as they are to be run, and what `gossip.mixing: auto` became: to be told (`tell`) by verbs
        that have found nothing wrong.

    Raises:
        ConfigError: the first thing that is wrong.
    """
    if config == NODE_FILE and topology is not None and not config.exists():
        note(f"no {NODE_FILE} here: using the demo's settings; `gossip init` writes a file to edit")
        settings = DemoPlan().config(RUNS / topology.stem)
    else:
        settings = load_node_config(config)
    settings = change_settings(settings, changes)
    path = topology or (Path(settings.gossip.topology) if settings.gossip.topology else None)
    if path is None:
        raise ConfigError(f"{config}: gossip.topology is not set; name a topology file there or on the command line")
    return fitted(settings, load_topology(path))


def tell(choice: Choice | None) -> None:
    """Say what `auto` became."""
    if choice is not None:
        note(choice.line)


def change_settings(settings: NodeConfig, changes: list[str] | None) -> NodeConfig:
    """Settings with what --set says; a path on the command line is seen from where you are, not from the node file."""
    if not changes:
        return settings
    return anchored(set_values(settings, dict(_pair(change) for change in changes)), Path.cwd())


def _pair(change: str) -> tuple[str, str]:
    key, separator, value = change.partition("=")
    if not separator:
        raise ConfigError(f"--set {change}: no '='; wanted a setting and its value, such as train.learning_rate=3e-3")
    return key.strip(), value
