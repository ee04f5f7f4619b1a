"""gossip members: who is in the network, and where each stands."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Column, Table

from node.app.run.processes import running, state_of
from node.cli.console import Json, RunOption, find_run, print_json, results
from node.config import load_topology
from node.monitor.verbs import members as ask
from node.monitor.view import fixed, place, scientific, whole


def address_of_run(run: RunOption) -> str:
    """The address of a node of the run: one that runs here if any does."""
    folder = find_run(run)
    graph = load_topology(folder.topology)
    alive = [peer for peer in graph.nodes if running(folder.node(peer)) is not None]
    for peer in (*alive, *graph.reachable):
        state = state_of(folder.node(peer))
        if address := graph.addresses[peer] or (state.address if state is not None else ""):
            return address
    raise AssertionError("a topology has a node with an address")


def members(
    address: Annotated[str | None, typer.Argument(help="HOST:PORT of any node; default: the newest run's.")] = None,
    run: RunOption = None,
    json: Json = False,
) -> None:
    """List all nodes of a running network."""
    document: dict[str, Any] = dict(ask(address or address_of_run(run)))
    if json:
        print_json(document)
        return
    whole_words = [Column(name, no_wrap=True) for name in ("id", "address", "state")]
    table = Table(*whole_words, "incarnation", "round", "loss", "distance", "pid", "age", box=None, pad_edge=False)
    for n in document["nodes"]:
        numbers = (
            whole(n["incarnation"]),
            whole(n["round"]),
            fixed(n["loss"]),
            scientific(n["distance"]),
            whole(n["pid"]),
        )
        table.add_row(n["id"], place(n["address"], n["seen_by"]), n["state"], *numbers, fixed(n["age_s"]))
    results().print(table)
