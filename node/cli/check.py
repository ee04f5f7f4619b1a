"""gossip check: try everything that a run needs, and say ok or the fix."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from node.app.adapters.model_card import TEST_SETS
from node.app.preflight import check_code, check_files, check_ports
from node.cli.console import Json, note, print_json
from node.cli.options import NODE_FILE, AllowCode, Config, Set, TopologyFile, read_settings, tell
from node.config import NodeConfig, code_of
from node.errors import ConfigError
from node.graph.topology import Topology
from node.types import PeerId

REACH = 2.0  # seconds to reach a neighbour


def check(
    topology: TopologyFile = None,
    config: Config = NODE_FILE,
    id: Annotated[
        str | None, typer.Option("--id", help="Check as this node; default: all nodes, on this machine.")
    ] = None,
    allow_code: AllowCode = False,
    changes: Set = None,
    json: Json = False,
) -> int:
    """Try config, topology, files, ports, model and data; with --id also the neighbours. Nothing is written."""
    settings, graph, choice = read_settings(config, topology, changes)
    if id is not None and id not in graph.nodes:
        raise ConfigError(f"--id {id}: not a node of {graph.source} ({', '.join(graph.nodes)})")
    peers = [PeerId(id)] if id else list(graph.nodes)
    tell(choice)
    edges = f"{len(graph.edges)} edges" if graph.is_static else f"{len(graph.links)} pairs that meet by schedule"
    found = {"config": "ok", "topology": f"ok: {len(graph.nodes)} nodes, {edges}"}
    if code_of(settings) is not None:
        found["rule"] = _tried(lambda: _rule(settings, allow_code))
    found["files"] = _tried(lambda: check_files(settings, peers))
    found["ports"] = _tried(lambda: check_ports(graph, peers))
    if found["files"] == "ok":
        for peer in peers if not _is_common(settings) else peers[:1]:
            found |= _learner(settings, graph, peer)
    found["dialling"] = _dialling(graph, PeerId(id) if id else None)
    if id:
        found["neighbours"] = _neighbours(graph, PeerId(id))
    bad = [text for text in found.values() if not text.startswith("ok")]
    if json:
        print_json({"ok": not bad, "checks": found})
    else:
        for what, text in found.items():
            note(f"{what}: {text}")
    return 2 if bad else 0


def _tried(work: Callable[[], str | None]) -> str:
    try:
        said = work()
    except ConfigError as error:
        return str(error)
    return f"ok: {said}" if said else "ok"


def _rule(settings: NodeConfig, allow_code: bool) -> str:
    check_code(settings, allow_code)
    from node.app.warm import load_code

    code = load_code(settings, allow_code)
    return "" if code is None else f"{code_of(settings)} with source {code.source[:12]}, the same on all nodes"


def _is_common(settings: NodeConfig) -> bool:
    return not any("{id}" in d.path for d in settings.datasets)


def _learner(settings: NodeConfig, graph: Topology, peer: PeerId) -> dict[str, str]:
    """What the learner of `peer` is made of, what its texts come to, and one of them as the model sees it."""
    from node.app.settings import learn_settings
    from node.learn.model.sharing import listed
    from node.learn.prepare import open_model, prepare
    from node.learn.preview import example, numbers

    learn = learn_settings(settings, peer)
    place = graph.nodes.index(peer)
    try:
        one = prepare(learn, open_model(learn, peer), peer=peer, index=place, nodes=len(graph.nodes))
    except ConfigError as error:
        return {f"model and data of {peer}": str(error)}
    counts = ", ".join(f"{count:,} {kind} parameters" for kind, count in one.parameters.items() if count)
    kept = listed(e.name for e in one.adapter.whole.entries[len(one.adapter.schema.entries) :])
    private = f" (private: {kept})" if kept else ""
    made = (
        f"{one.examples} examples, {counts}{private}, tested on {TEST_SETS[one.tested_on]}, prefix cache {one.prefix}"
    )
    return {
        f"model and data of {peer}": f"ok: {made}",
        f"texts of {peer}": f"ok: {numbers(one)}",
        f"example of {peer}": f"ok: {example(one)!r}",
    }


def _neighbours(graph: Topology, peer: PeerId) -> str:
    """A neighbour that is not up yet is no fault: it may start later."""
    there = [other for other in graph.neighbours(peer) if other in graph.reachable]
    if not there:
        return "ok: none has an address, so they come to us"
    silent = [other for other in there if not _reachable(graph.addresses[other])]
    return f"ok: not up yet: {', '.join(silent)}" if silent else "ok: all answer"


def _dialling(graph: Topology, peer: PeerId | None) -> str:
    """Who opens which connection, so that firewalls can be set: of `peer`, or what is out of the ordinary in all."""
    if peer is not None:
        theirs = [other for other in graph.neighbours(peer) if other not in graph.dials(peer)]
        return f"ok: {peer} dials {_listed(graph.dials(peer))}, and is dialled by {_listed(theirs)}"
    hidden = [
        f"{p} has no address and dials {_listed(graph.dials(p))}" for p in graph.nodes if p not in graph.reachable
    ]
    return "ok: " + "; ".join(["the smaller id of an edge dials", *hidden])


def _listed(peers: Sequence[PeerId]) -> str:
    return ", ".join(peers) or "nobody"


def _reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH).close()
    except OSError:
        return False
    return True
