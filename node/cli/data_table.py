"""What `gossip data split` and `gossip data show` print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

NAMED = 2  # classes of a node, the largest first
WIDE = 14  # letters of a class: a line has 80


def print_holdings(facts: Mapping[str, Any], console: Console) -> None:
    """The document of `node.app.data.holdings`, for people."""
    labelled = bool(facts["labels"])
    table = Table("node", "texts", "share", box=None, pad_edge=False)
    if labelled:
        for name in ("effective", "off", "most of"):
            table.add_column(name)
    for node in facts["nodes"]:
        cells = [node["id"], f"{node['examples']:,}", f"{100 * node['share']:.1f} %"]
        if labelled:
            cells += [f"{node['effective_classes']:.1f}", f"{node['total_variation']:.2f}", _most(node["classes"])]
        table.add_row(*cells)
    console.print(table)
    words = f"{facts['examples']:,} texts, worth {facts['effective_nodes']:.3g} equal nodes"
    if labelled:
        words += (
            f"; {len(facts['labels'])} classes (effective: how many a node's mix is worth), off the whole by "
            f"{facts['mean_total_variation']:.2f} on average"
        )
    console.print(words, soft_wrap=True)


def _most(classes: Mapping[str, int]) -> str:
    largest = sorted(classes.items(), key=lambda item: (-item[1], item[0]))
    rest = f" +{len(largest) - NAMED}" if len(largest) > NAMED else ""
    return ", ".join(f"{_short(label)} {count}" for label, count in largest[:NAMED]) + rest


def _short(label: str) -> str:
    return label if len(label) <= WIDE else f"{label[: WIDE - 1]}…"
