"""gossip topology advise: which edges to add, and what agrees soonest on links as measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from node.app.link_files import load_links
from node.cli.console import Json, note, print_json, results
from node.cli.traffic import CodecOption, size_of
from node.config import load_topology
from node.errors import ConfigError
from node.graph.advice.advisor import added_edges, judged, lines
from node.graph.advice.fastest import Offer, offers
from node.graph.advice.prediction import TARGET, rate_of
from node.graph.links import Links, filled
from node.graph.topology import Topology

EDGES = 3  # that are advised where nothing else is asked for
SHOWN = 8  # offers; --json has all


def advise(
    file: Annotated[Path, typer.Argument(help="A topology file.")],
    edges: Annotated[int | None, typer.Option(help="How many edges to add; default: 3, none with links.")] = None,
    links: Annotated[
        Path | None, typer.Option(help="CSV or YAML: a, b, latency_ms, mbit_per_s of pairs; others take the median.")
    ] = None,
    via: Annotated[
        str | None, typer.Option(help="HOST:PORT of a node of a run of this topology: take what its records tell.")
    ] = None,
    message_bytes: Annotated[
        int | None, typer.Option(min=1, help="Bytes that a node sends a neighbour in one exchange.")
    ] = None,
    params: Annotated[
        int | None, typer.Option(min=1, help="The same by shared parameters: 12 bytes each, moments included.")
    ] = None,
    codec: CodecOption = None,
    json: Json = False,
) -> None:
    """Edges that help most; with links, the topology, schedule and rule that agree soonest."""
    if links is not None and via is not None:
        raise ConfigError("--links and --via: wanted one of the two")
    graph = load_topology(file)
    size = size_of(message_bytes, params, codec)
    document: dict[str, Any] = {}
    if edges is not None or (links is None and via is None):
        document |= _edges(graph, EDGES if edges is None else edges)
    if links is not None:
        if size is None:
            raise ConfigError(f"--links {links}: how large is a message? wanted --message-bytes, or --params")
        document |= _offers(graph, load_links(links, graph), size)
    if via is not None:
        document |= _asked(graph, via, size)
    if json:
        print_json(document)
    else:
        _print(document)


def _edges(graph: Topology, count: int) -> dict[str, Any]:
    found = added_edges(graph, count)
    return {
        "weights": judged(graph).weights,
        "spectral_gap": 1.0 - rate_of(judged(graph)),
        "edges": [{"edge": list(a.edge), "spectral_gap": a.gap, "rounds_to_1e-3": a.rounds} for a in found],
        "lines": lines(found),
    }


def _asked(graph: Topology, via: str, size: int | None) -> dict[str, Any]:
    from node.monitor.verbs import measured_links

    seconds, seen = measured_links(via)
    found = {edge: late for edge, late in seconds.items() if set(edge) <= set(graph.nodes)}
    if not found or seen is None:
        raise ConfigError(f"--via {via}: no two neighbours have told of a whole round yet; wait, or use --links")
    note("records bound the time of a message, and do not tell latency from bandwidth: seconds are for a message")
    note("that is all bandwidth, at best for one that is all latency")
    wires = filled({edge: (0.0, late / seen) for edge, late in found.items()}, graph.nodes)
    ways = filled({edge: (late, 0.0) for edge, late in found.items()}, graph.nodes)
    told = [{"a": a, "b": b, "message_ms": 1e3 * late} for (a, b), late in found.items()]
    return {"links": told, **_offers(graph, wires, size or seen, ways)}


def _offers(graph: Topology, links: Links, size: int, at_best: Links | None = None) -> dict[str, Any]:
    ranked = [_offer(offer) for offer in offers(graph, links, size, TARGET, at_best)]
    return {"message_bytes": size, "links_measured": links.measured, "offers": ranked}


def _offer(offer: Offer) -> dict[str, Any]:
    f = offer.forecast
    counts = {"mixing": f.rule, "rounds": f.rounds, "hops": f.hops, "messages": f.messages}
    best = {} if offer.at_best is None else {"seconds_at_best": offer.at_best}
    return {"topology": offer.line, **counts, "bytes": offer.bytes, "seconds": offer.seconds, **best}


def _print(document: dict[str, Any]) -> None:
    console = results()
    if "edges" in document:
        console.print(
            f"spectral gap {document['spectral_gap']:.3g} by {document['weights']} weights; one after the other:"
        )
        for line, found in zip(document["lines"], document["edges"], strict=True):
            gap, rounds = found["spectral_gap"], found["rounds_to_1e-3"]
            console.print(f"{line}  # gap {gap:.3g}, {rounds} rounds to {TARGET:g}", markup=False)
    for link in document.get("links", ()):
        console.print(f"{link['a']} - {link['b']}: a message takes {link['message_ms']:.1f} ms at most")
    if "offers" in document:
        console.print(f"soonest to {TARGET:g}, messages of {document['message_bytes']} bytes, training not counted:")
        console.print(_table(document["offers"][:SHOWN]))


def _table(found: list[dict[str, Any]]) -> Table:
    more = ["at best"] if "seconds_at_best" in found[0] else []
    table = Table("topology file", "mixing", "rounds", "hops", "MB", "seconds", *more, box=None, pad_edge=False)
    for o in found:
        times = [f"{o[key]:.3g}" for key in ("seconds", "seconds_at_best") if key in o]
        table.add_row(o["topology"], o["mixing"], str(o["rounds"]), str(o["hops"]), f"{o['bytes'] / 1e6:.2f}", *times)
    return table
