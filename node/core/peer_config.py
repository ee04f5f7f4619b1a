"""What a peer is told once, at its start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from node.codec.compressor import Compressor
from node.codec.float32 import float32
from node.core.deadlines import DeadlineLimits
from node.core.messages import PROTOCOL_VERSION, Join
from node.errors import ConfigError
from node.types import Digests, PeerId, Turn, Weights

Rows: TypeAlias = Callable[[int], Weights]  # round -> our row of W(t), own id included
Turns: TypeAlias = Callable[[int, int], Turn]  # round, hop -> our part of W(t)
Rewire: TypeAlias = Callable[[Sequence[Join]], Rows]  # nodes that joined since the topology file -> our rows


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerConfig:
    """Settings of the state machine."""

    peer: PeerId
    row: Weights  # row of W, own id included
    rounds: int
    digests: Digests = field(default_factory=dict)
    epoch: int = 0  # grows by one with each start of the process
    start_round: int = 0  # rounds that are already done (resumed)
    seed: int = 0
    max_staleness: int = 10  # rounds; on a ring of 8 with one 6x slower peer the oldest message used lagged 6 rounds
    first_contact: float = 60.0  # seconds that the first exchange waits for a neighbour never seen
    deadlines: DeadlineLimits = field(default_factory=DeadlineLimits)
    asynchronous: bool = False  # never wait for a neighbour; what is old counts less
    overlap: bool = False  # train round t + 1 while round t is exchanged
    settle: bool = True  # make up for what deadlines did to the mean; False: only measure it
    persist_every: int = 0  # rounds; 0: only at the end
    persist_seconds: float = 0.0  # since the last one; 0: never by time
    probing: bool = True  # ask silent neighbours whether they are there
    codec: Compressor = field(default_factory=float32)  # what we send deltas with
    codecs: Mapping[str, Compressor] = field(default_factory=dict)  # by channel, those that are sent with another one
    version: tuple[int, int] = PROTOCOL_VERSION
    joins: tuple[Join, ...] = ()  # nodes that joined before we started
    rewire: Rewire | None = None  # None: nobody may join
    turns: Turns | None = None  # a graph that changes, or has directed edges; None: `row` in every round
    links: tuple[PeerId, ...] = ()  # with `turns`: everybody that we ever have a connection to
    may_lead: int = 0  # rounds: a neighbour so far ahead has not had to wait for us; with more, we have fallen behind
    symmetric: bool = True  # two ends of an edge always count alike with each other: they can be settled

    def __post_init__(self) -> None:
        if self.peer not in self.row:
            raise ConfigError(f"row of W for {self.peer!r} has no weight for the peer itself")
        total = sum(self.row.values())
        if abs(total - 1.0) > 1e-6:
            raise ConfigError(f"row of W for {self.peer!r} sums to {total:.6f}, not 1")

    def codec_for(self, channel: str) -> Compressor:
        """What we send a channel with, if it is not a small one."""
        return self.codecs.get(channel, self.codec)

    def plan(self, joins: Sequence[Join]) -> Turns:
        """Our part of W(t) by round and hop, with the nodes that joined."""
        if self.turns is not None:
            return self.turns
        if not joins or self.rewire is None:
            turn = self._both_ways(self.row)
            return lambda round, hop: turn
        rows = self.rewire(joins)
        return lambda round, hop: self._both_ways(rows(round))

    def peers(self) -> list[PeerId]:
        """Everybody that we have a connection to, as far as we know at the start."""
        newest = max((join.round for join in self.joins), default=0)
        return sorted({*self.row, *self.links, *self.plan(self.joins)(newest, 0).row} - {self.peer})

    def _both_ways(self, row: Weights) -> Turn:
        return Turn(row, tuple(sorted(peer for peer in row if peer != self.peer)))
