"""gossip simulate: every node of a topology in this one process, on virtual time."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.app.preflight import check_code, check_files
from node.app.run.run_files import write_files
from node.app.run.run_folder import RunFolder, read_json
from node.cli.console import Json, note, plain, print_json, results
from node.cli.options import NODE_FILE, AllowCode, Config, Set, read_settings, tell
from node.errors import ConfigError

if TYPE_CHECKING:
    from node.app.simulating.together import AfterRound

LINES = 10  # of a run, where there is no terminal


def simulate(
    topology: Annotated[Path | None, typer.Argument(help="The topology file; default: the node file's.")] = None,
    config: Config = NODE_FILE,
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove the run folder that is there.")] = False,
    allow_code: AllowCode = False,
    changes: Set = None,
    json: Json = False,
) -> None:
    """Run all nodes of a topology in this process: the vectors that real processes end with, without ports or waiting.

    It leaves a run folder as `gossip up` does; its records hold no seconds, and it cannot be continued.
    """
    settings, graph, choice = read_settings(config, topology, changes)
    check_code(settings, allow_code)
    run = RunFolder(Path(settings.output_dir))
    if run.path.exists() and not fresh:
        raise ConfigError(f"{run.path}: exists already; wanted another output_dir, or --fresh to run it anew")
    check_files(settings, graph.nodes)
    from node.app.simulating.one_process import in_one_process
    from node.app.warm import prepare

    warm = prepare(settings, graph, allow_code=allow_code)
    if run.path.exists():
        _remove(run)
    write_files(run, settings, graph)
    tell(choice)
    rounds = settings.gossip.rounds
    outcome = in_one_process(run, warm, lambda after: _tell(after, rounds))
    document = _document(run, outcome.rounds[-1])
    if json:
        print_json(document)
    else:
        _print(document)


def _remove(run: RunFolder) -> None:
    """Raises ConfigError where the folder is no run's: nothing else is removed."""
    if not run.config.is_file() or not run.topology.is_file():
        raise ConfigError(f"{run.path}: is no run folder (no node.yaml and topology.yaml); wanted another output_dir")
    shutil.rmtree(run.path)


def _tell(after: AfterRound, rounds: int) -> None:
    done = after.round + 1
    line = (
        f"round {done}/{rounds}: loss {after.loss:.3f}, distance {after.distance:.1e}, {after.sent / 1e6:.1f} MB a node"
    )
    if not plain():
        print(f"\r\x1b[K{line}", end="\n" if done == rounds else "", flush=True, file=sys.stderr)
    elif done * LINES // rounds > after.round * LINES // rounds:
        note(line)


def _document(run: RunFolder, last: AfterRound) -> dict[str, Any]:
    nodes = [read_json(path) or {} for path in sorted(run.path.glob("*/result.json"))]
    known = [n["accuracy"] for n in nodes if n["accuracy"] is not None]
    return {
        "run": str(run.path),
        "rounds": last.round + 1,
        "consensus_distance": last.distance,
        "accuracy": {"mean": sum(known) / len(known), "worst": min(known), "best": max(known)} if known else None,
        "bytes_per_node": round(sum(n["bytes_sent"] for n in nodes) / len(nodes)),
        "nodes": [{"id": n["node"], "result": n} for n in nodes],
    }


def _print(document: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("node", *("examples", "classes", "accuracy", "loss", "MB sent"), box=None)
    for node in document["nodes"]:
        r = node["result"]
        held = sum(count > 0 for count in r["classes"])
        measured = ["" if r[key] is None else f"{r[key]:.3f}" for key in ("accuracy", "loss")]
        table.add_row(node["id"], str(r["examples"]), str(held or ""), *measured, f"{r['bytes_sent'] / 1e6:.2f}")
    results().print(table)
    if (accuracy := document["accuracy"]) is not None:
        spread = accuracy["best"] - accuracy["worst"]
        results().print(f"accuracy {accuracy['mean']:.3f}, worst node {accuracy['worst']:.3f}, spread {spread:.3f}")
    results().print(f"distance {document['consensus_distance']:.1e}; {document['run']}")
