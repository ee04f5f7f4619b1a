"""Peers on a graph, ready to simulate: what the tests of the core and the drivers share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import torch

from node.app.rules.mixing import place_of
from node.core.peer import GossipPeer
from node.core.peer_config import PeerConfig
from node.drivers.simulation import Restart, Saved
from node.gossip.dpsgd import dpsgd
from node.gossip.exact import exact, exact_by_schedule
from node.gossip.mixing import Mixing
from node.graph.topology import Topology
from node.graph.weighting.spectrum import exact_steps
from node.types import PeerId, Shared

D = 64


def topology(kind: object, n: int, **keys: object) -> Topology:
    """`n` peers p00, p01, ... on the graph `kind`; `keys` as in a topology file."""
    nodes = {f"p{i:02d}": f"127.0.0.1:{7001 + i}" for i in range(n)}
    generator = {} if kind is None else {"generator": kind}
    return Topology.from_mapping({"nodes": nodes, **generator, **keys}, f"{kind}-{n}")


def start_of(peer: PeerId, channels: Mapping[str, int] | None = None) -> Shared:
    """A random start that depends on the peer's number."""
    generator = torch.Generator().manual_seed(int(peer[1:]))
    return {name: torch.randn(size, generator=generator) for name, size in (channels or {"theta": D}).items()}


def keep(peer: PeerId, round: int, shared: Shared) -> tuple[Shared, dict[str, float]]:
    """No training: pure averaging."""
    return shared, {"loss": 0.0}


def descend(peer: PeerId, round: int, shared: Shared) -> tuple[Shared, dict[str, float]]:
    """One gradient step on |x - number of the peer|^2 / 2: the optimum of the whole is the mean number."""
    away = {name: x - float(int(peer[1:])) for name, x in shared.items()}
    loss = sum(float(a.square().mean()) for a in away.values())
    return {name: x - 0.1 * away[name] for name, x in shared.items()}, {"loss": loss}


def rule_of(name: str, graph: Topology) -> Mixing:
    if name == "exact":
        exact_in = graph.plan.exact if graph.plan else None
        return exact_by_schedule(exact_in) if exact_in else exact(exact_steps(graph))
    return dpsgd()


def peers_on(
    graph: Topology,
    rule: str | Callable[[], Mixing] = "dpsgd",
    channels: Mapping[str, int] | None = None,
    rounds: int = 5,
    **settings: object,
) -> dict[PeerId, GossipPeer]:
    """One peer a node of `graph`; `settings` go to PeerConfig."""
    make = (lambda: rule_of(rule, graph)) if isinstance(rule, str) else rule
    return {
        p: GossipPeer(
            PeerConfig(**(place_of(graph, p, str(rule)) | {"rounds": rounds} | settings)),  # type: ignore[arg-type]
            start_of(p, channels),
            make(),
        )
        for p in graph.nodes
    }


def again_on(
    graph: Topology,
    rule: str | Callable[[], Mixing] = "dpsgd",
    channels: Mapping[str, int] | None = None,
    **settings: object,
) -> Restart:
    """What makes a peer anew from its disk, with the settings that `peers_on` took."""
    make = (lambda: rule_of(rule, graph)) if isinstance(rule, str) else rule

    def again(peer: PeerId, epoch: int, saved: Saved | None) -> GossipPeer:
        again = {"epoch": epoch, "start_round": saved.round if saved else 0}
        config = PeerConfig(**(place_of(graph, peer, str(rule)) | settings | again))  # type: ignore[arg-type]
        if saved is None:
            return GossipPeer(config, start_of(peer, channels), make())
        return GossipPeer(config, saved.shared, make(), saved.state)

    return again


def stack(shared: Mapping[PeerId, Shared], channel: str = "theta") -> torch.Tensor:
    """(n, d) in sorted order of peers."""
    return torch.stack([shared[p][channel] for p in sorted(shared)])


def spread(x: torch.Tensor) -> float:
    """Root mean square distance to the mean of the rows."""
    return float((x.double() - x.double().mean(0)).square().sum(1).mean().sqrt())


def digest(final: Mapping[PeerId, Shared]) -> str:
    """SHA-256 of every channel of every peer."""
    h = hashlib.sha256()
    for p in sorted(final):
        for name in sorted(final[p]):
            h.update(final[p][name].numpy().tobytes())
    return h.hexdigest()
