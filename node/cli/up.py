"""gossip up: every node of a topology as a process on this machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from node.app.launching import launcher
from node.app.preflight import check_code, check_files, check_ports
from node.app.run.processes import ProcessState, running
from node.app.run.run_files import write_files
from node.app.run.run_folder import RunFolder, read_json
from node.cli.console import Json, note, print_json
from node.cli.options import NODE_FILE, AllowCode, Config, Fresh, Set, read_settings, tell
from node.cli.progress import RunProgress
from node.config import NodeConfig
from node.errors import ConfigError
from node.observe.across import by_metric, lines, to_document
from node.types import PeerId


def up(
    topology: Annotated[Path | None, typer.Argument(help="The topology file; default: the node file's.")] = None,
    config: Config = NODE_FILE,
    fresh: Fresh = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start the nodes and return.")] = False,
    restart: Annotated[
        int, typer.Option(min=0, help="Start a node that crashed or was killed again, this often at the most.")
    ] = 0,
    allow_code: AllowCode = False,
    changes: Set = None,
    json: Json = False,
) -> int:
    """Start a process for each node of a topology on this machine, and follow them to the end.

    Nodes that stopped before go on from their checkpoints; nodes that run already are left alone.
    """
    settings, graph, choice = read_settings(config, topology, changes)
    check_code(settings, allow_code)
    run = RunFolder(Path(settings.output_dir))
    soon = launcher.starting(run)
    idle = [peer for peer in graph.nodes if peer not in soon and running(run.node(peer)) is None]
    if not idle:
        raise ConfigError(f"{run.path}: all nodes run already; watch them by `gossip top`, end them by `gossip down`")
    check_files(settings, graph.nodes)
    check_ports(graph, idle)
    isnew = not run.path.exists()
    write_files(run, settings, graph)
    tell(choice)
    note(f"{run.path}: starting {', '.join(idle)}; watch: ./monitor.py {graph.addresses[graph.reachable[0]]}")
    jobs = [{"kind": "node", "name": p, "fresh": fresh} for p in idle]
    server = launcher.start(run, jobs, settings.threads, restart=restart, allow_code=allow_code)
    if detach:
        if json:
            print_json({"run": str(run.path), "nodes": [{"id": peer, "state": "starting"} for peer in idle]})
        return 0
    states = _follow(run, settings, idle, server)
    wrong = [s.message for s in states.values() if s.exit_code == 2]
    if wrong:
        if isnew:
            shutil.rmtree(run.path)
        raise ConfigError(wrong[0])
    return report(run, states, json)


def _follow(
    run: RunFolder, settings: NodeConfig, names: Sequence[str], server: subprocess.Popen[bytes]
) -> dict[str, ProcessState]:
    try:
        with RunProgress(dict.fromkeys(names, settings.gossip.rounds)) as progress:
            return launcher.follow(run, names, server, progress)
    except KeyboardInterrupt:
        note(f"ending {', '.join(names)}: each writes a checkpoint")
        launcher.stop(run, names)
        return launcher.follow(run, names, server)


def report(run: RunFolder, states: Mapping[str, ProcessState], json: bool) -> int:
    """What became of each node, and its metrics across all of them; 0 when none failed."""
    results = {name: read_json(run.node(name).result) for name in states}
    found = by_metric({PeerId(name): (result or {}).get("metrics", {}) for name, result in results.items()})
    if json:
        nodes = [{"id": n, "state": s.phase, "message": s.message, "result": results[n]} for n, s in states.items()]
        print_json({"run": str(run.path), "nodes": nodes, "metrics": to_document(found)})
    else:
        for name, s in states.items():
            note(f"{name}: {s.phase}{': ' + s.message if s.message else ''}{_took(results[name])}")
        for line in lines(found):
            note(line)
    return 1 if any(s.phase == "failed" for s in states.values()) else 0


def _took(result: Mapping[str, Any] | None) -> str:
    """What a node took of the machine and the network."""
    if result is None or "memory" not in result:
        return ""
    return f"; at most {result['memory']['peak_rss'] / 1e6:.0f} MB in memory, {result['bytes_sent'] / 1e6:.1f} MB sent"
