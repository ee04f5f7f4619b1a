"""From the words of a node file to a mixing rule, and to what it promises on a graph. No trainer is imported here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from node.app.rules.code import require_allowed
from node.config import NodeConfig, resolve
from node.gossip.chebyshev import chebyshev
from node.gossip.exact import exact, exact_by_schedule
from node.gossip.mixing import Mixing
from node.graph.advice.pace import floored, hops_to, left_by
from node.graph.advice.prediction import rate_of, rate_while_training
from node.graph.topology import Topology
from node.graph.weighting.spectrum import contraction, contraction_of_pushes, exact_steps, interval
from node.graph.weighting.weights import push_sum_matrix
from node.mixings import AdPsgd, Choco, DesLoc, ExactDiffusion, OwnCode, Rule
from node.types import PeerId, Turn


def mixing_of(config: NodeConfig, topology: Topology) -> Mixing:
    """The rule that the node file names, for this graph; not the user's own code, which `node.app.rules.code` loads.

    Args:
        config, topology: as `node.app.rules.fit` has them.
    """
    rule = config.gossip.mixing
    if isinstance(rule, OwnCode):
        require_allowed(rule.name, allowed=False)
    made = GRAPH_RULES.get(rule.name)
    return made(rule, topology) if made else resolve(rule.name)(**rule.settings)


def turns_of(topology: Topology, rule: str) -> Callable[[PeerId, int, int], Turn]:
    """Peer, round, hop -> its part of W(t). Exact mixing goes through a schedule's whole product within each round."""
    if rule == "exact":
        return lambda peer, round, hop: topology.turn(peer, hop)
    return lambda peer, round, hop: topology.turn(peer, round)


def is_due(rule: Rule, channel: str, round: int) -> bool:
    """Whether `round` mixes a channel; only DES-LOC lets one rest."""
    return not isinstance(rule, DesLoc) or (round + 1) % rule.settings.get(channel, 1) == 0


def place_of(topology: Topology, peer: PeerId, rule: str, max_staleness: int = 10) -> dict[str, Any]:
    """What `PeerConfig` wants to know of a peer's place in the graph."""
    turns, fixed = turns_of(topology, rule), topology.is_static and not topology.directed
    return {
        "peer": peer,
        "row": turns(peer, 0, 0).row,
        "turns": None if fixed else lambda round, hop: turns(peer, round, hop),
        "links": topology.neighbours(peer),
        "symmetric": topology.is_symmetric,
        "may_lead": 0 if topology.is_static else min(topology.period or max_staleness, max_staleness),
    }


def predicted_contraction(config: NodeConfig, topology: Topology, training: bool = True) -> float:
    """What a whole round shrinks the spread to, nobody missing: 0 for exact mixing.

    Rules with a memory (tracking, momentum) are judged by their graph alone.

    Args:
        training: whether every round adds to the spread: a schedule that is exact after its period promises 0 without.
    """
    rule = config.gossip.mixing
    promise, share = PROMISES.get(rule.name), _share(rule)
    if promise is not None and (topology.is_static or rule.name == "exact"):
        return promise(rule, topology)
    if topology.is_static and share < 1.0:
        w = topology.matrix()
        return contraction((1 - share) * np.eye(len(w)) + share * w)
    rate = rate_while_training(topology) if training else rate_of(topology)
    rate = 1 - share + share * rate
    return float(rate ** (1 / rule.settings["theta"])) if isinstance(rule, DesLoc) else rate


def _share(rule: Rule) -> float:
    """What a rule takes of W in a round: it mixes by (1 - share) I + share W."""
    match rule:
        case Choco():
            return rule.step_size
        case AdPsgd():  # draws somebody with `rate` of its chance in W, and goes half the way
            return rule.rate / 2
        case ExactDiffusion(lazy=True):
            return 0.5
    return 1.0


def _exact(rule: Rule, topology: Topology) -> Mixing:
    """On a static graph a hop for each eigenvalue, on a schedule one for each factor of its product."""
    fall_back = rule.settings["after_damage"] == "mix"
    if topology.plan is None:
        return exact(exact_steps(topology), fall_back)
    assert topology.plan.exact is not None  # `node.app.rules.fit` has looked
    return exact_by_schedule(topology.plan.exact, fall_back)


def _chebyshev(rule: Rule, topology: Topology) -> Mixing:
    low, high = interval(topology.matrix())
    return chebyshev(low, high, rule.settings["hops"] or hops_to(low, high), rule.settings["after_damage"] == "mix")


def _by_chebyshev(rule: Rule, topology: Topology) -> float:
    low, high = interval(topology.matrix())
    return left_by(low, high, rule.settings["hops"] or hops_to(low, high))


def _by_pushes(rule: Rule, topology: Topology) -> float:
    return contraction_of_pushes(floored(push_sum_matrix(topology)))


def _by_noloco(rule: Rule, topology: Topology) -> float:
    """The slowest mode of (x, momentum) over the eigenvalues of W but 1."""
    alpha, gamma = rule.settings["alpha"], rule.settings["gamma"]
    gaps = gamma * (1 - np.linalg.eigvalsh(topology.matrix())[:-1])
    return max(float(np.abs(np.linalg.eigvals([[1 - gap, alpha], [-gap, alpha]])).max()) for gap in gaps)


GRAPH_RULES: Mapping[str, Callable[[Rule, Topology], Mixing]] = {"exact": _exact, "chebyshev": _chebyshev}
PROMISES: Mapping[str, Callable[[Rule, Topology], float]] = {  # on a static graph, where W alone does not tell
    "exact": lambda rule, topology: 0.0,
    "push-sum": _by_pushes,
    "chebyshev": _by_chebyshev,
    "noloco": _by_noloco,
}
