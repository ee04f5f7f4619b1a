"""gossip try: what the adapters of a run say of a text, as they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from node.app.run.run_folder import RunFolder
from node.cli.console import Json, NodeOption, RunOption, find_nodes, find_run, note, print_json, results
from node.config import load_node_config

SHOWN = 3  # labels


def try_(
    text: Annotated[str, typer.Argument(help="The text to classify, to tag, or to go on from.")],
    run: RunOption = None,
    node: NodeOption = None,
    all: Annotated[bool, typer.Option("--all", help="Ask every node, and say how far they agree.")] = False,
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", min=1, max=4096, help="Of a causal language model.")
    ] = 40,
    json: Json = False,
) -> None:
    """Use the adapter of a node as it stands: what it ended with, or its newest checkpoint while it runs."""
    folder = find_run(run)
    config, peers = load_node_config(folder.config), find_nodes(folder, node, all)
    from node.app.adapters.current import each
    from node.app.adapters.predict import agreement, say

    said = [
        {
            "node": now.peer,
            "round": now.round,
            "source": now.source,
            **say(now, text, config.train.sequence_len, max_new_tokens),
        }
        for now in each(folder, config, peers)
    ]
    rounds = config.gossip.rounds
    if not all:
        _say_one(folder, said[0], rounds, text, json)
    elif json:
        print_json({"run": str(folder.path), "text": text, "nodes": said, "agreement": agreement(said)})
    else:
        for one in said:
            results().print(f"{one['node']}, round {one['round']}: {in_short(one)}", markup=False)
        agreed = agreement(said)
        apart = f"; at most {agreed['apart']:.3f} apart" if "apart" in agreed else ""
        results().print(f"agreement {agreed['share']:.0%} of {'words' if 'tags' in said[0] else 'nodes'}{apart}")


def _say_one(folder: RunFolder, said: Mapping[str, Any], rounds: int, text: str, json: bool) -> None:
    if json:
        print_json({"run": str(folder.path), "text": text, **said})
        return
    if said["source"] == "checkpoint":
        note(f"{said['node']}: its checkpoint after round {said['round']} of {rounds}")
    if "labels" in said:
        for label, probability in list(said["labels"].items())[:SHOWN]:
            results().print(f"{probability:6.1%}  {label}", markup=False)
    elif "tags" in said:
        for word, tag in said["tags"]:
            results().print(f"{tag:12}  {word}", markup=False)
    else:
        results().print(said["continuation"], markup=False)


def in_short(said: Mapping[str, Any]) -> str:
    """One node's answer in a line."""
    if "labels" in said:
        label, probability = next(iter(said["labels"].items()))
        return f"{label} ({probability:.1%})"
    if "tags" in said:
        return " ".join(f"{word}/{tag}" for word, tag in said["tags"])
    return str(said["continuation"])
