"""What `gossip topology show` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_topology(facts: Mapping[str, Any], console: Console) -> None:
    """The document of `node.graph.advice.prediction.summary`, for people."""
    table = Table("node", "address", "neighbours", box=None, pad_edge=False)
    for node in facts["nodes"]:
        table.add_row(node["id"], node["address"] or "none: dials out", " ".join(node["neighbours"]))
    console.print(table)
    what = f"schedule {facts['schedule']}" if facts["schedule"] else f"{facts['weights']} weights"
    edges = f"{len(facts['edges'])} {'directed ' if facts['directed'] else ''}edges"
    console.print(
        f"{len(facts['nodes'])} nodes, {edges}, {what}, spectral gap {facts['spectral_gap']:.4f}", soft_wrap=True
    )
    each = f"{round(facts['messages_per_round'], 1):g} messages in an exchange"
    sent = facts["bytes_per_round"]
    console.print(each if sent is None else f"{each}, {sent / 1e6:.2f} MB, all nodes together", soft_wrap=True)
    console.print(
        f"until any differences between nodes are {facts['target']:g} of what they were, without training:",
        soft_wrap=True,
    )
    console.print(_rules(facts))
    schedule = f" on schedule {facts['auto']['schedule']}" if facts["auto"]["schedule"] else ""
    console.print(f"mixing: auto is {facts['auto']['mixing']}{schedule}: {facts['auto']['reason']}", soft_wrap=True)
    for warning in facts["warnings"]:
        console.print(f"warning: {warning}", soft_wrap=True)


def _rules(facts: Mapping[str, Any]) -> Table:
    table = Table("mixing", "rounds", "hops a round", "messages", "MB", "left", box=None, pad_edge=False)
    for rule in facts["rules"]:
        sent = "-" if rule["bytes"] is None else f"{rule['bytes'] / 1e6:.2f}"
        left = "too much for float32" if rule["left"] is None else f"{rule['left']:.0e}"
        counts = ("never" if rule["rounds"] is None else rule["rounds"], rule["hops"], rule["messages"] or "-")
        table.add_row(rule["rule"], *map(str, counts), sent, left)
    return table
