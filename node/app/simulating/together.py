"""All nodes of a run in this process: real trainers, real protocol and edges, virtual time instead of sockets.

Decides who trains when (the simulator does) and what is measured on the way. Where nothing is late the vectors are, bit
for bit, those of as many processes: same trainers, same codecs, same order of additions. It knows no wire but for its
size, and no seconds: a local step takes one of virtual time.

Nodes that read the same data share one `Learner` (base, texts, prefix cache), one at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from node.app.rules.products import pairs_of, rule_of, start_of
from node.app.settings import peer_config
from node.app.warm import Warm
from node.core.events import Mixed, Stats
from node.core.messages import Message
from node.core.peer import GossipPeer
from node.drivers.faults import Faults
from node.drivers.simulation import Saved, Simulation
from node.learn.prepare import Prepared
from node.learn.prepare import prepare as prepare_learner
from node.observe.distance import consensus_distance
from node.observe.probes import product_sketch
from node.types import PeerId, Shared
from node.wire.frames import encode

Metrics: TypeAlias = Mapping[str, float]  # "accuracy", "loss"; {} without a test set


@dataclass(frozen=True, slots=True)
class AfterRound:
    """What all nodes together were after a round."""

    round: int
    loss: float  # mean over nodes of what their local steps saw
    distance: float  # sqrt(mean_i |x_i - xbar|^2) / |xbar - x_0|, of theta
    product_distance: float | None  # the same of LoRA's products B A, from probes; None: both factors are not shared
    sent: float  # bytes a node up to here
    metrics: Mapping[PeerId, Metrics]  # of the nodes that were measured; mostly {}


@dataclass(frozen=True, slots=True)
class Watch:
    """What is measured on the way, beside loss and distance: it costs time, and changes nothing.

    Args:
        every: rounds; 0: only at the end.
        nodes: who; None: all.
        examples: how many of the test set; None: all.
        end: whether every node's own model is measured at the end.
    """

    every: int = 0
    nodes: Sequence[PeerId] | None = None
    examples: int | None = None
    end: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    metrics: Mapping[PeerId, Metrics]  # of each node's own model at the end, on the test set; {} unless `watch.end`
    rounds: Sequence[AfterRound]
    final: Mapping[PeerId, Shared]
    sent: Mapping[PeerId, int]  # bytes of all frames, as `bytes_sent` of a real node
    received: Mapping[PeerId, int]
    faults: Mapping[str, int]  # of the simulator: messages lost, refused

    def values(self, name: str = "accuracy") -> list[float]:
        """Of each node, in order."""
        return [self.metrics[peer][name] for peer in sorted(self.metrics)]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values()))

    @property
    def worst(self) -> float:
        return min(self.values())

    @property
    def spread(self) -> float:
        """Best node minus worst."""
        return max(self.values()) - min(self.values())

    @property
    def bytes(self) -> float:
        """Sent, a node."""
        return float(np.mean(list(self.sent.values())))


OnRound: TypeAlias = Callable[[AfterRound], None]
OnMixed: TypeAlias = Callable[[PeerId, Mixed, int, int], None]  # who, what, bytes sent and received until then


@dataclass
class Together:
    """The nodes of `warm`, ready to run once.

    Args:
        warm: settings, topology, base, and the learner that nodes share.
        faults: what goes wrong; None: nothing.
        watch: what is measured on the way.
        on_round: told each round that all nodes have done.
        on_mixed: told each round of each node.
    """

    warm: Warm
    faults: Faults | None = None
    watch: Watch = field(default_factory=Watch)
    on_round: OnRound = lambda after: None
    on_mixed: OnMixed = lambda peer, mixed, sent, received: None

    def __post_init__(self) -> None:
        names = self.warm.topology.nodes
        self.learners: dict[PeerId, Prepared] = {peer: self._learner(peer, i) for i, peer in enumerate(names)}
        self.peers: dict[PeerId, GossipPeer] = {peer: self._peer(peer, 0, None) for peer in names}
        self._pairs = pairs_of(self.learners[names[0]].adapter.schema)
        self.rounds: list[AfterRound] = []
        self._pending: dict[int, dict[PeerId, Mixed]] = {}  # rounds that some node has not done yet
        self._states: dict[PeerId, dict[int, Mapping[str, object]]] = {peer: {} for peer in names}
        self._sent, self._received = Counter[PeerId](), Counter[PeerId]()

    def run(self) -> Outcome:
        """To the last round; then each node's own model is measured on the whole test set."""
        simulation = Simulation(
            self.peers,
            self._train,
            self.faults or Faults(),
            seed=self.warm.config.seed,
            rebuild=self._again,
            on_mixed=self._mixed,
            on_sent=self._count,
        )
        final = simulation.run()
        measured = sorted(final.items()) if self.watch.end else ()
        metrics = {peer: self.measured(peer, shared) for peer, shared in measured}
        return Outcome(metrics, self.rounds, final, dict(self._sent), dict(self._received), dict(simulation.counts))

    def measured(self, peer: PeerId, shared: Shared, examples: int | None = None) -> Metrics:
        """This node's model with these shared vectors, on the common test set."""
        trainer = self.learners[peer].trainer
        return trainer.evaluate(trainer.whole(shared), examples)

    def _learner(self, peer: PeerId, index: int) -> Prepared:
        warm, nodes = self.warm.of(peer), len(self.warm.topology.nodes)
        return prepare_learner(warm.settings, warm.base, peer=peer, index=index, nodes=nodes, learner=warm.learner)

    # ---- what the simulator asks for
    def _peer(self, peer: PeerId, epoch: int, saved: Saved | None) -> GossipPeer:
        warm, learner = self.warm, self.learners[peer]
        digests = {**learner.digests, **({"code": warm.code.source} if warm.code is not None else {})}
        config = peer_config(warm.config, warm.topology, peer, digests, epoch, saved.round if saved else 0)
        schema = learner.adapter.schema
        rule = warm.code.mixing if warm.code is not None else rule_of(warm.config, warm.topology, schema)
        shared = saved.shared if saved else start_of(warm.config, peer, learner.shared, schema)
        return GossipPeer(config, shared, rule, saved.state if saved else None)

    def _again(self, peer: PeerId, epoch: int, saved: Saved | None) -> GossipPeer:
        """A process that starts again, from its disk."""
        self.learners[peer].trainer.load_state(self._states[peer][saved.round if saved else 0])
        return self._peer(peer, epoch, saved)

    def _train(self, peer: PeerId, round: int, shared: Shared) -> tuple[Shared, Stats]:
        trainer = self.learners[peer].trainer
        if self.faults is None:
            return trainer.train(round, shared)
        states = self._states[peer]
        states.setdefault(0, trainer.state())
        trained = trainer.train(round, shared)
        states[round + 1] = trainer.state()
        for old in [r for r in states if 0 < r <= round - 2 * max(1, self.warm.config.checkpoint_every)]:
            del states[old]
        return trained

    def _count(self, sender: PeerId, to: PeerId, message: Message) -> None:
        size = sum(map(len, encode(message)))
        self._sent[sender] += size
        self._received[to] += size

    # ---- what is measured
    def _mixed(self, peer: PeerId, mixed: Mixed) -> None:
        self.on_mixed(peer, mixed, self._sent[peer], self._received[peer])
        if mixed.round < len(self.rounds):
            return  # done again after a restart
        self._pending.setdefault(mixed.round, {})[peer] = mixed
        while (done := self._pending.get(len(self.rounds))) is not None and self._is_over(done):
            del self._pending[len(self.rounds)]
            self.rounds.append(self._measure(done))
            self.on_round(self.rounds[-1])

    def _product_distance(self, done: Mapping[PeerId, Mixed]) -> float | None:
        if not self._pairs:
            return None
        return consensus_distance([product_sketch(m.after["theta"].numpy(), self._pairs) for m in done.values()])

    def _is_over(self, done: Mapping[PeerId, Mixed]) -> bool:
        """All nodes have done the round, or somebody is so far ahead that who has not is dead or of no account."""
        return len(done) == len(self.peers) or len(self._pending) > self.warm.config.gossip.max_staleness + 1

    def _measure(self, done: Mapping[PeerId, Mixed]) -> AfterRound:
        round, watch = len(self.rounds), self.watch
        moved = [(m.after["theta"] - self.learners[p].shared["theta"]).numpy() for p, m in sorted(done.items())]
        due = watch.every and (round + 1) % watch.every == 0
        who = [p for p in watch.nodes or sorted(done) if p in done] if due else []
        return AfterRound(
            round=round,
            loss=float(np.mean([m.stats["loss"] for m in done.values()])),
            distance=consensus_distance(moved),
            product_distance=self._product_distance(done),
            sent=sum(self._sent.values()) / len(self.peers),
            metrics={p: self.measured(p, done[p].after, watch.examples) for p in who},
        )
