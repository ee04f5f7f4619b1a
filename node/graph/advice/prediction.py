"""What to expect of a topology before anything runs: the document of `gossip topology show`.

Puts together what others work out: `forecast` (rounds and messages of each rule), `cautions` (warnings), `choice` (what
`gossip.mixing: auto` would take).
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from node.errors import ConfigError
from node.graph.advice import products
from node.graph.advice.cautions import cautions
from node.graph.advice.choice import choose, written
from node.graph.advice.forecast import Forecast, forecasts, messages_a_round, plain
from node.graph.advice.pace import floored
from node.graph.topology import Topology
from node.graph.weighting.spectrum import contraction, contraction_of_pushes
from node.graph.weighting.weights import PUSH_SUM

TARGET = 1e-3
MEASURED = 100  # rounds over which the rate of a drawn schedule is measured; 1.5 s at n = 1000


def summary(topology: Topology, bytes_per_message: int | None = None, target: float = TARGET) -> dict[str, Any]:
    """The document of `gossip topology show --json`.

    Args:
        topology: with edges: any, the schedule that `gossip.mixing: auto` takes is summed up.
        bytes_per_message: what a node sends a neighbour in one exchange, all channels; None where that is not known.
        target: distance for `rules`: spread after / spread before.

    Returns:
        nodes: [{"id", "address", "neighbours"}]; edges: [[a, b]]: pairs that ever meet, or [sender, receiver];
        connected; spectral_gap: 1 - what a late round leaves of the spread;
        rounds_to_1e-3: from the worst start, None where it never mixes;
        exact_rounds: exchanges that end at the mean itself, None where none do;
        bytes_per_round: sent by all nodes together in one exchange (of a schedule: on the mean), or None;
        warnings: [str], one line each; directed; weights (None with a schedule); schedule: as in the file, or None;
        period: of W(t), None where it is drawn; messages_per_round; target;
        rules: [{"rule", "rounds", "hops", "messages", "bytes", "left"}] until `target`;
        auto: {"mixing", "schedule", "reason"}: what `gossip.mixing: auto` is with default settings.

    Raises:
        ConfigError: a target that is none.
    """
    auto = choose(topology, joins=False, asynchronous=False, moments=True)
    topology = auto.on(topology)
    if not 1e-9 <= target < 1.0:
        raise ConfigError(f"--target {target:g}; wanted spread after by spread before: 1e-9 or more, below 1")
    found = forecasts(topology, target)
    first = found[0] if target == TARGET else plain(topology, TARGET)
    exact = next((f.hops for f in found if f.rule == "exact"), None)
    messages = messages_a_round(topology)
    return {
        "nodes": [
            {"id": peer, "address": topology.addresses[peer] or None, "neighbours": list(topology.neighbours(peer))}
            for peer in topology.nodes
        ],
        "edges": [list(edge) for edge in (topology.edges if topology.is_static else topology.links)],
        "connected": True,  # a topology that is not is refused
        "spectral_gap": 1.0 - rate_of(topology),
        "rounds_to_1e-3": first.rounds,
        "exact_rounds": exact,
        "bytes_per_round": None if bytes_per_message is None else round(messages * bytes_per_message),
        "warnings": cautions(topology, found, target),
        "directed": topology.directed,
        "weights": topology.weights if topology.is_static else None,
        "schedule": None if topology.schedule is None else written(topology.schedule),
        "period": topology.period,
        "messages_per_round": messages,
        "target": target,
        "rules": [_rule(forecast, bytes_per_message) for forecast in found],
        "auto": {**auto._asdict(), "schedule": auto.schedule and written(auto.schedule)},
    }


def rate_of(topology: Topology) -> float:
    """What a late round leaves of the spread; of a schedule its geometric mean."""
    if topology.plan is not None:
        return products.rate(topology.plan, len(topology.nodes), MEASURED)
    w = topology.matrix()
    return contraction_of_pushes(floored(w)) if topology.weights == PUSH_SUM else contraction(w)


def rate_while_training(topology: Topology) -> float:
    """What a round leaves of a spread at most, on the mean of rounds, where training adds to it in each of them.

    `rate_of`, but for a schedule not below what W(t) leaves of a spread that is new and lies in all directions alike:
    sqrt(mean over t of |W(t) - J|^2 / (n - 1)), Frobenius. An exact schedule would promise 0 otherwise, which four
    rounds without training keep and no single round does: one-peer exponential of 16 leaves .65 a round, said is .68.
    """
    if topology.plan is None:
        return rate_of(topology)
    looked = min(topology.period or MEASURED, MEASURED)
    squares = [float(np.sum(products.centred(topology.matrix(t)) ** 2)) for t in range(looked)]
    return max(rate_of(topology), float(np.sqrt(np.mean(squares) / max(1, len(topology.nodes) - 1))))


def _rule(forecast: Forecast, bytes_per_message: int | None) -> dict[str, Any]:
    sent = None if bytes_per_message is None or forecast.messages is None else forecast.messages * bytes_per_message
    left = forecast.left if forecast.left is None or isfinite(forecast.left) else None
    return {**forecast._asdict(), "left": left, "bytes": sent}
