"""Real nodes on port 0 of 127.0.0.1, all in one loop, that do not train: what a rule does over gRPC.

Every message is framed, sent through a socket, checked and applied as between hosts. Deadlines are a minute, so that
a busy machine loses nothing; what was missed all the same is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from _consensus.networks import THETA, Array
from node.app.rules.mixing import place_of
from node.core.deadlines import DeadlineLimits
from node.core.events import Mixed, Stats
from node.core.peer import GossipPeer
from node.core.peer_config import PeerConfig
from node.drivers.edges import Network
from node.drivers.grpc import GrpcNode, RoundReport
from node.gossip.mixing import Mixing
from node.graph.topology import Topology
from node.types import PeerId, Shared

PATIENT = DeadlineLimits(floor=60.0, ceiling=120.0)  # seconds
WITHIN = 400.0  # seconds; a run that takes longer hangs


class Idle:
    """A trainer that keeps what it gets."""

    def train(self, round: int, shared: Shared) -> tuple[Shared, Stats]:
        return shared, {}

    def stop(self) -> None:
        """Nothing runs."""

    def state(self) -> Mapping[str, Any]:
        return {}


class Run(NamedTuple):
    """What came of a run."""

    x: list[Array]  # (n, d) in order of ids, after each round
    missed: int  # vectors that some exchange went without
    bytes: int  # sent by all nodes


def over_grpc(
    topology: Topology, rule: Callable[[], Mixing], name: str, start: Mapping[PeerId, Shared], rounds: int
) -> Run:
    """`rounds` rounds of a rule.

    Args:
        name: of the rule: exact mixing goes through a schedule within one round.
    """
    log: dict[PeerId, list[Mixed]] = {peer: [] for peer in topology.nodes}
    sent = asyncio.run(asyncio.wait_for(_run(topology, rule, name, start, rounds, log), WITHIN))
    by_round = zip(*(log[peer] for peer in sorted(log)), strict=True)
    x = [np.stack([mixed.after[THETA].double().numpy() for mixed in mixes]) for mixes in by_round]
    missed = sum(len(mixed.missing) for mixes in log.values() for mixed in mixes)
    return Run(x, missed, sent)


async def _run(
    topology: Topology,
    rule: Callable[[], Mixing],
    name: str,
    start: Mapping[PeerId, Shared],
    rounds: int,
    log: Mapping[PeerId, list[Mixed]],
) -> int:
    addresses: dict[PeerId, str] = {}
    nodes = {}
    for peer in topology.nodes:
        config = PeerConfig(**place_of(topology, peer, name), rounds=rounds, deadlines=PATIENT)
        network = Network(listen="127.0.0.1:0", addresses=addresses, linger=20.0)
        note = _noting(log[peer])
        nodes[peer] = GrpcNode(GossipPeer(config, start[peer], rule()), Idle(), network, on_round=note)
    for peer, node in nodes.items():
        addresses[peer] = f"127.0.0.1:{await node.listen()}"
    await asyncio.gather(*(node.run() for node in nodes.values()))
    return sum(node.bytes_sent for node in nodes.values())


def _noting(mixes: list[Mixed]) -> Callable[[RoundReport], None]:
    return lambda report: mixes.append(report.mixed)
