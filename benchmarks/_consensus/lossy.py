"""The protocol of real nodes in virtual time, with messages that are lost to the very end; nobody trains.

As `node.simulate(..., faults=...)`, but with deadlines that are learnt between 0.5 and 4 s instead of 10 and 120: what
is waited for is the same, and a run takes a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from _consensus.networks import Array, generic, shared_of, stacked
from node.app.rules.mixing import place_of
from node.core.deadlines import DeadlineLimits
from node.core.events import Mixed
from node.core.peer import GossipPeer
from node.core.peer_config import PeerConfig
from node.drivers.faults import Faults
from node.drivers.simulation import Simulation
from node.gossip.mixing import Mixing
from node.graph.topology import Topology
from node.observe.distance import spread
from node.types import PeerId

SHORT = DeadlineLimits(floor=0.5, ceiling=4.0)  # seconds; a round of training takes 1


class Outcome(NamedTuple):
    """Of one run."""

    moved: float  # of the mean over nodes, in the spread of the start
    left: float  # of the spread
    mixes: list[Mixed]


def run(
    topology: Topology, rule: Callable[[], Mixing], name: str, rounds: int, loss: float, seed: int, settle: bool = True
) -> Outcome:
    """`rounds` rounds from a start in general position, drawn by `seed` as the loss is.

    Args:
        name: of the rule: exact mixing goes through a schedule within one round.
        settle: where the rule and the graph allow it.
    """
    start = generic(len(topology.nodes), seed=seed)
    shared = shared_of(topology, start, torch.float32)

    def peer(node: PeerId) -> GossipPeer:
        place = place_of(topology, node, name)
        config = PeerConfig(**place, rounds=rounds, seed=seed, deadlines=SHORT, first_contact=4.0, settle=settle)
        return GossipPeer(config, shared[node], rule())

    network = Simulation(
        {node: peer(node) for node in topology.nodes}, lambda node, round, x: (x, {}), Faults(loss=loss), seed=seed
    )
    end, width = stacked(network.run()), spread(start)
    return Outcome(_distance(end, start) / width, spread(end) / width, [mixed for _, _, mixed in network.log])


def _distance(a: Array, b: Array) -> float:
    """Between the means over nodes."""
    return float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() ** 0.5)
