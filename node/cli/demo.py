"""gossip demo: four nodes learn together; a table and a picture at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import typer
from rich.table import Table

from node.app.demo import ALONE, POOLED, ROUNDS, DemoPlan, execute, prepare
from node.cli.console import RUNS, Json, note, print_json, results
from node.cli.progress import RunProgress
from node.config import load_topology

TITLES = {ALONE: "each node alone", POOLED: "one learner, all data"}


def demo(
    seed: Annotated[int, typer.Option(help="Of start values, data order and who gets which areas.")] = 0,
    mixing: Annotated[str, typer.Option(help="moments (D-PSGD, Adam's moments too), exact, or dpsgd.")] = "moments",
    partition: Annotated[
        str, typer.Option(help="class (each area on one node only), dirichlet:0.3, or iid.")
    ] = "class",
    rounds: Annotated[int, typer.Option(help="Rounds of one step of 16 texts and one exchange.")] = ROUNDS,
    run: Annotated[
        Path | None, typer.Option("--run", help="Folder to write; default: runs/demo, runs/demo-2, ...")
    ] = None,
    json: Json = False,
) -> None:
    """Four nodes on a ring learn to tell what Python's docstrings are about; each knows three of twelve areas."""
    plan = DemoPlan(seed, mixing, partition, rounds)
    folder = prepare(plan, run or next(_free_names()))
    graph = load_topology(folder.topology)
    note("Four nodes on a ring, four processes. Each has private texts; only adapters travel.")
    note(f"Watch them from a second terminal:  ./monitor.py {graph.addresses[graph.nodes[0]]}")
    totals: dict[str, int] = dict.fromkeys(graph.nodes, rounds)
    totals |= {ALONE: rounds * len(graph.nodes), POOLED: 2 * rounds}
    with RunProgress(totals, TITLES) as progress:
        document = execute(folder, graph, progress)
    from node.monitor.report import draw_report  # matplotlib takes a second

    draw_report(folder.path, folder.picture, title=f"{len(graph.nodes)} nodes on a ring", marks=_marks(document))
    if json:
        print_json(document)
        return
    _print(document, list(graph.nodes))
    note(f"\nWhat they leave: {folder.path}/ (picture: {folder.picture})")
    note(f'Ask an adapter:  gossip try "Send a message to a mail server." --run {folder.path}')


def _free_names() -> Iterator[Path]:
    yield from (p for p in [RUNS / "demo"] if not p.exists())
    yield from (p for p in (RUNS / f"demo-{k}" for k in range(2, 10_000)) if not p.exists())


def _marks(d: Mapping[str, Any]) -> dict[str, float]:
    """Levels to compare the nodes' accuracy with."""
    return {
        "one learner with all data": max(d["centralised"], d["centralised_4x"]),
        "best node alone": max(d["isolated"]),
    }


def _print(d: Mapping[str, Any], nodes: list[str]) -> None:
    console = results()
    table = Table(
        "accuracy on the common test set", *nodes, "mean", "worst", box=None, pad_edge=False, header_style="bold"
    )
    for title, row in (
        ("each node alone", d["isolated"]),
        ("  ceiling: it knows its own areas only", d["isolated_ceiling"]),
        ("gossip", d["gossip"]),
    ):
        table.add_row(title, *(f"{x:.3f}" for x in row), f"{mean(row):.3f}", f"{min(row):.3f}")
    blank = [""] * len(nodes)
    for title, key in (
        ("adapters averaged once, at the end", "one_shot"),
        ("one learner with all data, same steps", "centralised"),
        ("one learner with all data, 4x batch", "centralised_4x"),
    ):
        table.add_row(title, *blank, f"{d[key]:.3f}", "")
    console.print()
    console.print(table)
    distance = d["consensus_distance"]
    console.print(
        f"\nconsensus distance {distance['start']:.2g} at the first exchange, {distance['end']:.2g} at the end of "
        f"{d['rounds']} rounds"
    )
    overhead = d["bytes_per_node"] / d["ideal_bytes_per_node"] - 1
    console.print(
        f"sent {d['bytes_per_node'] / 1e6:.1f} MB a node, {overhead:.1%} above the payload; {d['seconds']:.0f} s\n"
    )
    said = Table(
        "three sentences", f"{nodes[0]} alone says", "the network says", box=None, pad_edge=False, header_style="bold"
    )
    for s in d["sentences"]:
        said.add_row(s["text"], *(f"{label} ({p:.0%})" for label, p in (s["alone"], s["network"])))
    console.print(said)
