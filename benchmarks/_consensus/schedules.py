"""Schedules: rounds to 1e-3 from the worst start, by the product of W(t) and by doing them, and what they cost.

The worst start is the one that the product of all rounds but the last shrinks least. A schedule that is drawn is
predicted and measured on the same draw, of seed 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from _figures import Figure, just

from _consensus.networks import Array, course, generic, lockstep, network
from node.gossip.dpsgd import dpsgd
from node.graph.advice.forecast import COUNTED, messages_until
from node.graph.advice.products import centred, rounds_to_by_products
from node.graph.topology import Topology
from node.observe.distance import spread

TARGET = 1e-3
CASES: list[tuple[str, dict[str, Any], str | None]] = [  # schedule, settings, graph whose edges it goes by
    ("one_peer_exponential", {}, None),
    ("exponential_peers", {"peers": 2}, None),
    ("base", {"k": 1}, None),
    ("base", {"k": 2}, None),
    ("random_matching", {"seed": 0}, None),
    ("random_matching", {"seed": 0}, "torus"),
    ("bipartite_pairing", {"seed": 0}, None),
    ("bipartite_pairing", {"seed": 0}, "torus"),
    ("epidemic", {"s": 1, "seed": 0}, None),
    ("epidemic", {"s": 4, "seed": 0}, None),
    ("epidemic", {"s": 4, "seed": 0, "oracle": False}, None),
    ("matcha", {"budget": 0.5, "seed": 0}, "torus"),
    ("failing_links", {"p": 0.3, "seed": 0}, "torus"),
]


class Outcome(NamedTuple):
    """Rounds to TARGET."""

    predicted: int
    measured: int
    messages: int  # of all nodes until then
    foretold: int
    generic: int  # rounds from a start in general position


def rows(quick: bool) -> list[Figure]:
    figures = []
    for n in (16,) if quick else (16, 64):
        for name, settings, graph in CASES:
            topology = network(graph, n, schedule={"name": name, **settings})
            found = _run(topology)
            said = [*(f"{key} = {value}" for key, value in settings.items() if key != "seed")]
            what = " ".join([f"schedule {name}", *said, *([f"on a {graph}"] if graph else []), f"of {n}"])
            figures += [
                just(f"{what}: rounds to 1e-3, as predicted", found.measured, "rounds", found.predicted),
                _messages(f"{what}: messages until then", topology, found),
                Figure(f"{what}: rounds to 1e-3 from a generic start", found.generic, "rounds"),
            ]
    return figures


def _messages(name: str, topology: Topology, found: Outcome) -> Figure:
    """What is foretold of many drawn rounds is a mean, and no bar."""
    if topology.period is None and found.predicted > COUNTED:
        return Figure(f"{name} (predicted {found.foretold})", found.messages, "messages")
    return just(f"{name}, as predicted", found.messages, "messages", found.foretold)


def _run(topology: Topology) -> Outcome:
    assert topology.plan is not None
    n = len(topology.nodes)
    predicted = rounds_to_by_products(topology.plan, n, TARGET) or 0
    measured, messages = _measured(topology, _worst(topology, predicted - 1))
    foretold = messages_until(topology, predicted)
    return Outcome(predicted, measured, messages, foretold, _measured(topology, generic(n))[0])


def _worst(topology: Topology, rounds: int) -> Array:
    """(n, 1) the start of which that many rounds leave most."""
    product = np.eye(len(topology.nodes))
    for t in range(rounds):
        product = topology.matrix(t) @ product
    _, _, starts = np.linalg.svd(centred(product))
    return np.asarray(centred(starts[0][:, None]))


def _measured(topology: Topology, start: Array) -> tuple[int, int]:
    """Rounds until TARGET, and messages."""
    run, before = lockstep(topology, dpsgd(), start), spread(start)
    while course(run, 1)[-1] > TARGET * before:
        pass
    return run.round, run.traffic.messages
