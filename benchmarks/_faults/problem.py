"""A small problem on which "final loss" means something, and networks of peers that solve it in virtual time.

Softmax regression with 25 features and 8 classes (200 parameters). Node i draws 7 of 10 of its examples from class i,
so that no node alone comes near the common optimum (after 120 rounds: loss 1.23 alone, .71 with a ring); minibatches of
16, drawn by node and round, alike whatever the network does. The classes overlap: the loss of the common optimum is far
from zero, and 2 % of it is a real difference.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from node.core.deadlines import DeadlineLimits
from node.core.peer import GossipPeer
from node.core.peer_config import PeerConfig
from node.drivers.faults import Faults
from node.drivers.simulation import Saved, Simulation
from node.gossip.dpsgd import dpsgd
from node.gossip.mixing import Mixing
from node.graph.topology import Topology
from node.graph.weighting.weights import row_of
from node.types import PeerId, Shared

FEATURES, CLASSES, EXAMPLES, BATCH, OWN = 25, 8, 320, 16, 0.7
RATE = 0.1
SHORT = DeadlineLimits(floor=0.5, ceiling=4.0)  # seconds; a round of training takes about one


class Problem:
    """The data of `n` nodes."""

    def __init__(self, n: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        means = torch.randn(CLASSES, FEATURES, generator=generator) * 0.5
        self.x, self.y = [], []
        for i in range(n):
            y = torch.randint(CLASSES, (EXAMPLES,), generator=generator)
            own = torch.rand(EXAMPLES, generator=generator) < OWN
            y = torch.where(own, torch.tensor(i % CLASSES), y)
            self.x.append(means[y] + torch.randn(EXAMPLES, FEATURES, generator=generator))
            self.y.append(y)
        self._all = torch.cat(self.x), torch.cat(self.y)
        self._draw = torch.Generator()

    def step(self, peer: PeerId, round: int, shared: Shared) -> tuple[Shared, dict[str, float]]:
        """One step of SGD on a minibatch of this node and round."""
        i = int(peer[1:])
        self._draw.manual_seed(1_000_003 * i + round)
        rows = torch.randint(EXAMPLES, (BATCH,), generator=self._draw)
        x, y = self.x[i][rows], self.y[i][rows]
        wrong = torch.softmax(x @ shared["theta"].view(FEATURES, CLASSES), dim=1)
        wrong[torch.arange(BATCH), y] -= 1.0
        return {"theta": shared["theta"] - RATE * (x.T @ wrong).flatten() / BATCH}, {}

    def loss(self, final: Mapping[PeerId, Shared]) -> float:
        """Mean over nodes of the loss on everybody's examples."""
        x, y = self._all
        losses = [torch.nn.functional.cross_entropy(x @ v["theta"].view(FEATURES, CLASSES), y) for v in final.values()]
        return float(torch.stack(losses).mean())


def keep(peer: PeerId, round: int, shared: Shared) -> tuple[Shared, dict[str, float]]:
    """No training: pure averaging."""
    return shared, {}


def network(n: int, kind: str = "ring") -> Topology:
    nodes = {f"p{i:02d}": f"127.0.0.1:{7001 + i}" for i in range(n)}
    return Topology.from_mapping({"nodes": nodes, "generator": kind}, f"{kind}-{n}")


def zeros(peer: PeerId) -> Shared:
    return {"theta": torch.zeros(FEATURES * CLASSES)}


def scattered(peer: PeerId) -> Shared:
    """A random start, for pure averaging."""
    return {"theta": torch.randn(FEATURES * CLASSES, generator=torch.Generator().manual_seed(int(peer[1:])))}


@dataclass(kw_only=True)
class Network:
    """Peers on a graph, made anew for every run."""

    graph: Topology = field(default_factory=lambda: network(8))
    rounds: int = 60
    rule: Callable[[], Mixing] = dpsgd
    start: Callable[[PeerId], Shared] = zeros
    settings: Mapping[str, Any] = field(default_factory=dict)  # of PeerConfig
    prepare: Callable[[GossipPeer], None] = lambda peer: None  # a bad design
    forgets: bool = False  # a bad design: a process that comes back has nothing on its disk

    def peer(self, name: PeerId, epoch: int = 0, saved: Saved | None = None) -> GossipPeer:
        saved = None if self.forgets else saved
        place = {"peer": name, "row": row_of(self.graph, name), "epoch": epoch, "rounds": self.rounds}
        settings = {"deadlines": SHORT, **self.settings, **place, "start_round": saved.round if saved else 0}
        config = PeerConfig(**settings)
        shared, state = (saved.shared, saved.state) if saved else (self.start(name), None)
        peer = GossipPeer(config, shared, self.rule(), state)
        self.prepare(peer)
        return peer

    def simulation(
        self, step: Callable[..., Any], faults: Faults | None = None, seed: int = 0, jitter: float = 0.1
    ) -> Simulation:
        """Ready to run; a round of training takes 1 s, more or less by `jitter`."""
        peers = {name: self.peer(name) for name in self.graph.nodes}
        return Simulation(
            peers,
            step,
            faults or Faults(),
            train_time=lambda peer, rng: rng.uniform(1.0 - jitter, 1.0 + jitter),
            seed=seed,
            rebuild=self.peer,
        )


def stack(shared: Mapping[PeerId, Shared]) -> torch.Tensor:
    """(n, d), float64."""
    return torch.stack([shared[p]["theta"] for p in sorted(shared)]).double()


def spread(x: torch.Tensor) -> float:
    """Root mean square distance to the mean of the rows: sigma."""
    return float((x - x.mean(0)).square().sum(1).mean().sqrt())


def drift(start: Mapping[PeerId, Shared], final: Mapping[PeerId, Shared]) -> float:
    """How far the mean has moved, over the spread of the start."""
    a, b = stack(start), stack(final)
    return float((b.mean(0) - a.mean(0)).norm()) / spread(a)


def spreads(simulation: Simulation) -> dict[int, float]:
    """Consensus distance after each round that all nodes mixed."""
    rounds: dict[int, dict[PeerId, Shared]] = {}
    for _, peer, mixed in simulation.log:
        rounds.setdefault(mixed.round, {})[peer] = mixed.after
    n = len(simulation.peers)
    return {r: spread(stack(by)) for r, by in sorted(rounds.items()) if len(by) == n}


def random_kills(graph: Topology, count: int, first: float, every: float, seed: int) -> list[tuple[PeerId, float]]:
    """Who is killed when: one at a time, `every` seconds or so."""
    rng = random.Random(seed)
    return [(rng.choice(graph.nodes), first + every * (k + rng.random() / 2)) for k in range(count)]
