"""gossip try: what an adapter of a run says of a text."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.console import Json, RunOption, find_run, print_json, results
from node.config import load_node_config, load_topology
from node.errors import ConfigError

SHOWN = 3  # labels


def try_(
    text: Annotated[str, typer.Argument(help="The text to classify, or to go on from.")],
    run: RunOption = None,
    node: Annotated[str | None, typer.Option("--node", help="Whose adapter; default: the first node's.")] = None,
    json: Json = False,
) -> None:
    """Use the adapter that a node of a run ended with."""
    folder = find_run(run)
    graph, config = load_topology(folder.topology), load_node_config(folder.config)
    peer = node or graph.nodes[0]
    if peer not in graph.nodes:
        raise ConfigError(f"--node {peer}: not a node of {folder.path} ({', '.join(graph.nodes)})")
    adapter = folder.node(peer).adapter
    if not adapter.is_dir():
        raise ConfigError(f"{adapter}: not there yet; {peer} saves it after its last round")
    from node.app.predict import say

    answer = say(config, adapter, text, peer)
    if json:
        print_json({"run": str(folder.path), "node": peer, "text": text, **answer})
    elif "labels" in answer:
        for label, probability in list(answer["labels"].items())[:SHOWN]:
            results().print(f"{probability:6.1%}  {label}")
    else:
        results().print(answer["continuation"])
