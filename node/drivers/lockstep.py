"""Peers in rounds through a rule's `emit` and `combine` alone: no wire, no edges, no clock.

Everybody trains, then tells, then combines; the next round begins when all have ended. Decides nothing that a rule does
not: where nothing is lost, it ends with the same bits in float32 as `node.drivers.simulation`, a hundred times sooner,
and float64 shows what is the rule's doing and what is rounding. It knows no late peers, no versions and no settlement:
what is lost here is absent, for one hop, at the receiver only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch

from node.codec import sizes
from node.errors import ConfigError, LocalFault
from node.gossip.mixing import Context, Heard, Mixing, State, generator_of
from node.types import PeerId, Shared, Turn

Turns: TypeAlias = Callable[[PeerId, int, int], Turn]  # peer, round, hop -> its part of W(t)
LocalStep: TypeAlias = Callable[[PeerId, int, Shared], Shared]  # peer, round, shared -> trained
Arrives: TypeAlias = Callable[[PeerId, PeerId, int, int], bool]  # sender, receiver, round, hop


class Graph(Protocol):
    """Who hears whom, round by round; `node.graph.topology.Topology` is one."""

    @property
    def nodes(self) -> Sequence[PeerId]: ...
    def neighbours(self, peer: PeerId) -> tuple[PeerId, ...]: ...
    def turn(self, peer: PeerId, round: int) -> Turn: ...


@dataclass(frozen=True, slots=True)
class Traffic:
    """What all peers together sent."""

    messages: int = 0
    bytes: int = 0  # of payload; a large channel that a neighbour knows already costs none

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.messages + other.messages, self.bytes + other.bytes)


def losing(loss: float, seed: int) -> Arrives | None:
    """Each message of each direction is lost with that chance, from a stream of its own.

    Raises:
        ConfigError: a loss that is no chance.
    """
    if not 0.0 <= loss <= 1.0:
        raise ConfigError(f"loss: {loss}; wanted a chance from 0 to 1")
    rng = random.Random(seed)
    return (lambda sender, receiver, round, hop: rng.random() >= loss) if loss else None


class Lockstep:
    """All peers of a graph, a round at a time.

    Args:
        graph: rows of W(t).
        rule: of all peers; its states are kept here.
        start: channels by peer, (d,) each; their dtype is what everything is computed in.
        step: local training before the exchange; None: none.
        turns: None: those of the graph, the same in all hops of a round.
        arrives: asked once for each message, receivers and then senders in sorted order; None: nothing is lost.
        seed: of every peer's generator (as `PeerConfig.seed`).
        codecs: by channel, what messages are counted in; float32 for those not named. What one loses is not done here.
    """

    def __init__(
        self,
        graph: Graph,
        rule: Mixing,
        start: Mapping[PeerId, Shared],
        step: LocalStep | None = None,
        *,
        turns: Turns | None = None,
        arrives: Arrives | None = None,
        seed: int = 0,
        codecs: Mapping[str, str] | None = None,
    ) -> None:
        self._codecs = codecs or {}
        self.round, self.shared, self.traffic = 0, dict(start), Traffic()
        self.graph, self.rule, self.step, self.arrives = graph, rule, step, arrives
        self._turns: Turns = turns or (lambda peer, round, hop: graph.turn(peer, round))
        self._peers = sorted(graph.nodes)  # in whose order events happen in the simulator, too
        self.present = {p: dict.fromkeys(graph.neighbours(p), 0) for p in self._peers}
        self.told: dict[tuple[PeerId, PeerId], Shared] = {}  # sender, receiver -> what was said last
        self._generators = {p: generator_of(p, seed) for p in self._peers}
        self.states: dict[PeerId, State] = {p: rule.init(self.shared[p], self.context(p, 0)) for p in self._peers}

    def run(self, rounds: int) -> Mapping[PeerId, Shared]:
        """`rounds` more rounds; what every peer ends with."""
        for _ in range(rounds):
            self.advance()
        return self.shared

    def advance(self) -> None:
        """One round: local steps, then as many exchanges as the rule has hops."""
        if self.step is not None:
            self.shared = {p: self.step(p, self.round, self.shared[p]) for p in self._peers}
        for hop in range(self.rule.hops(self.round)):
            self._exchange({p: self.context(p, hop) for p in self._peers})
        self.round += 1

    def _exchange(self, contexts: Mapping[PeerId, Context]) -> None:
        outboxes: dict[PeerId, Mapping[PeerId, Shared]] = {}
        for p, ctx in contexts.items():
            outboxes[p], self.states[p] = self.rule.emit(self.shared[p], self.states[p], ctx)
            self.traffic += self._count(p, outboxes[p])
        mixed = {}
        for p, ctx in contexts.items():
            heard = self._heard(ctx, outboxes)
            mixed[p], self.states[p] = self.rule.combine(self.shared[p], heard, self.states[p], ctx)
        self.shared = mixed

    def _heard(self, ctx: Context, outboxes: Mapping[PeerId, Mapping[PeerId, Shared]]) -> dict[PeerId, Heard]:
        """What arrives at one peer in one hop.

        `mine` is what it told that neighbour in the same hop; where that one does not hear it, what it told another.
        """
        p, own = ctx.peer, outboxes[ctx.peer]
        other = next(iter(own.values()), self.shared[p])
        senders = [q for q in ctx.row if q != p]
        if self.arrives is not None:
            senders = [q for q in senders if self.arrives(q, p, ctx.round, ctx.hop)]
        try:
            return {q: Heard(outboxes[q][p], own.get(q, other), 0) for q in senders}
        except KeyError:
            silent = [q for q in senders if p not in outboxes[q]]
            raise LocalFault(f"emit of {silent[0]} in round {ctx.round} has nothing for {p}, which hears it") from None

    def context(self, peer: PeerId, hop: int) -> Context:
        """What the rule of `peer` is told in this round."""
        row, tells = self._turns(peer, self.round, hop)
        return Context(peer, self.round, hop, row, tells, self._generators[peer], self.present[peer])

    def _count(self, sender: PeerId, outbox: Mapping[PeerId, Shared]) -> Traffic:
        """Rules mostly tell all neighbours the same: then its size is counted once."""
        counted: dict[tuple[int, int], int] = {}
        total = 0
        for receiver, said in outbox.items():
            before = self.told.get((sender, receiver), {})
            kind = id(said), id(before)
            if kind not in counted:
                counted[kind] = sum(self._bytes(name, x, before.get(name)) for name, x in said.items())
            total += counted[kind]
            self.told[sender, receiver] = said
        return Traffic(len(outbox), total)

    def _bytes(self, name: str, x: torch.Tensor, before: torch.Tensor | None) -> int:
        """As `node.core.edge` sends it: the first time in float32."""
        if before is None:
            return sizes.float32(x.numel())
        is_exact = self._codecs.get(name, "float32") == "float32"
        if x.numel() > sizes.SMALL and (x is before or (is_exact and torch.equal(x, before))):
            return 0
        return sizes.channel_bytes(name, x.numel(), self._codecs)
