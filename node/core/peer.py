"""The gossip protocol of one peer as a pure state machine.

No socket, clock, thread, file or optimiser is touched here. A driver feeds `handle` with events and the monotonic
time in seconds, carries out the effects that it returns, and sends `Tick` when `deadline` passes. The same inputs
give the same outputs.

    IDLE --Started--> TRAINING(r) --Trained--> EXCHANGING(r, 0) --heard all, or deadline--> EXCHANGING(r, 1) ...
                          ^                                                                      |
                          |------------ TRAINING(r + 1, or the newest round heard) <-------------|--last round--> DONE
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

import torch

from node.codec.compressor import Compressor
from node.codec.float32 import float32
from node.core import hello as greeting
from node.core.deadlines import DeadlineLimits
from node.core.edge import Edge
from node.core.events import (
    Close,
    Effect,
    Event,
    Finished,
    Leave,
    Mixed,
    PeerDown,
    PeerUp,
    Persist,
    Persisted,
    Received,
    Send,
    Started,
    Stats,
    Tick,
    Train,
    Trained,
)
from node.core.mailbox import Mailbox
from node.core.members import Liveness, Members
from node.core.messages import PROTOCOL_VERSION, Bye, Hello, Snapshot, SnapshotRequest, Update
from node.errors import BadMessage, ConfigError, Incompatible, LocalFault, OutOfSequence, RemoteFault
from node.gossip.mixing import Context, Heard, Mixing
from node.types import Digests, PeerId, Shared, Weights


class Phase(Enum):
    IDLE = auto()
    TRAINING = auto()
    EXCHANGING = auto()
    DONE = auto()


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
    persist_every: int = 0  # rounds; 0: only at the end
    codec: Compressor = field(default_factory=float32)

    def __post_init__(self) -> None:
        if self.peer not in self.row:
            raise ConfigError(f"row of W for {self.peer!r} has no weight for the peer itself")
        total = sum(self.row.values())
        if abs(total - 1.0) > 1e-6:
            raise ConfigError(f"row of W for {self.peer!r} sums to {total:.6f}, not 1")


class GossipPeer:
    """One peer's side of the protocol.

    Args:
        config: fixed settings.
        shared: what is mixed, as it stands at `config.start_round`.
        mixing: the consensus rule (see `node.gossip.mixing`).
    """

    def __init__(self, config: PeerConfig, shared: Shared, mixing: Mixing) -> None:
        self.config = config
        self.round = config.start_round
        self.hop = 0
        self.phase = Phase.IDLE
        self.faults: Counter[str] = Counter()  # refused by kind of fault, and rounds that went without a neighbour
        self.committed = config.start_round  # rounds whose result is on disk
        self.neighbours = tuple(sorted(p for p in config.row if p != config.peer))
        self.members = Members(self.neighbours, config.deadlines, config.first_contact)
        self._shared = self._settled = shared  # `_settled`: after the last finished round
        self._mixing = mixing
        self._generator = torch.Generator().manual_seed(config.seed)
        self._state = mixing.init(shared, self._context())
        self._mailbox = Mailbox(self.neighbours, config.max_staleness)
        self.channels = channels = {name: x.numel() for name, x in shared.items()} | dict(mixing.extra)  # what travels
        codecs = {c.name: c for c in (float32(), config.codec)}
        self.edges = {
            p: Edge(p, config.epoch, channels, config.codec, codecs, self._generator) for p in self.neighbours
        }
        self._outbox: Mapping[PeerId, Shared] = {}
        self._told: tuple[int, int] | None = None  # (round, hop) of `_outbox`
        self._exchange = _Exchange(0.0)

    # ---- what a driver reads
    @property
    def deadline(self) -> float | None:
        """When to send `Tick`: monotonic seconds."""
        if self.phase is not Phase.EXCHANGING:
            return None
        return min((until for _, until in self._outstanding()), default=None)

    @property
    def drained(self) -> bool:
        """Whether we are done and no neighbour can still need us."""
        return self.phase is Phase.DONE and not any(m.is_open for m in self.members.by_id.values())

    def hops(self, round: int) -> int:
        """Exchanges in a round."""
        return self._mixing.hops(round)

    def hello(self, to: PeerId) -> Hello:
        c = self.config
        return Hello(PROTOCOL_VERSION, c.peer, c.epoch, self.round, c.digests, (c.codec.name,), self.edges[to].held)

    # ---- events
    def handle(self, event: Event, now: float) -> list[Effect]:
        """Advance by one event.

        Args:
            event: what happened.
            now: monotonic time, seconds.

        Returns:
            Effects to carry out in order.

        Raises:
            RemoteFault: the message was refused; the state is as it was, and the fault is counted.
            LocalFault: the event does not fit the phase: a bug in the driver.
        """
        match event:
            case Received(sender=sender, message=message):
                return self._receive(sender, message, now)
            case Tick():
                return self._advance(now)
            case PeerUp(peer=peer):
                self.members.by_id[peer].streaming = True
                return [Send(peer, self.hello(peer))]
            case PeerDown(peer=peer, reason=reason):
                self.members.down(peer, now, reason)
                return self._advance(now)
            case Trained(round=r, shared=shared, stats=stats) if self.phase is Phase.TRAINING and r == self.round:
                return self._trained(shared, stats, now)
            case Started() if self.phase is Phase.IDLE:
                self.members.started(now)
                return self._begin(now)
            case Persisted(round=r):
                self.committed = max(self.committed, r)
                return []
            case Leave():
                return self._leave("leaving")
        raise LocalFault(f"{type(event).__name__} in phase {self.phase.name}, round {self.round}")

    # ---- a round
    def _begin(self, now: float) -> list[Effect]:
        if self.round >= self.config.rounds:
            return self._leave("finished")
        self.phase, self.hop = Phase.TRAINING, 0
        self._exchange = _Exchange(now)
        return [Train(self.round, self._shared)]

    def _trained(self, shared: Shared, stats: Stats, now: float) -> list[Effect]:
        self.phase = Phase.EXCHANGING
        self._exchange = _Exchange(now, before=shared, stats=stats)
        self._shared = shared
        return self._emit(now) + self._advance(now)

    def _emit(self, now: float) -> list[Effect]:
        self._exchange.start, self._exchange.given_up = now, set()
        self._outbox, self._state = self._mixing.emit(self._shared, self._state, self._context())
        self._told = (self.round, self.hop)
        return [self._tell(p) for p in self.neighbours if self.members.by_id[p].state is Liveness.ALIVE]

    def _tell(self, peer: PeerId) -> Effect:
        assert self._told is not None
        return Send(peer, self.edges[peer].tell(self._outbox[peer], *self._told))

    def _advance(self, now: float) -> list[Effect]:
        """Close every exchange that has heard all it waits for."""
        effects: list[Effect] = []
        while self.phase is Phase.EXCHANGING and self._is_complete(now):
            self._combine(now)
            self.hop += 1
            if self.hop < self._mixing.hops(self.round):
                effects += self._emit(now)
            else:
                effects += self._close(now)
        return effects

    def _outstanding(self) -> list[tuple[PeerId, float]]:
        """Neighbours that the exchange still waits for, and until when."""
        key, start = (self.round, self.hop), self._exchange.start
        waits = (
            (p, self.members.wait_until(p, start))
            for p in self.neighbours
            if p not in self._exchange.given_up and not self._mailbox.reached(p, key)
        )
        return [(p, until) for p, until in waits if until is not None and until > start]  # else: given up before

    def _is_complete(self, now: float) -> bool:
        for peer, until in self._outstanding():
            if now < until:
                return False
            self._exchange.given_up.add(peer)
            self.faults["deadline"] += 1
            self.members.by_id[peer].patience.missed(self._exchange.start, now)
        return True

    def _combine(self, now: float) -> None:
        picked = self._mailbox.pick((self.round, self.hop), self.members.lively())
        heard = {}
        for peer, (key, theirs) in picked.items():
            mine = self.edges[peer].mine
            if mine is not None and self.edges[peer].told == self._told:
                heard[peer] = Heard(theirs, mine, self.round - key[0], on_time=key == (self.round, self.hop))
        self._shared, self._state = self._mixing.combine(self._shared, heard, self._state, self._context())
        exchange = self._exchange
        exchange.staleness = {p: h.staleness for p, h in heard.items()}
        exchange.missing |= set(self.neighbours) - set(heard)
        exchange.contributions += len(heard)

    def _close(self, now: float) -> list[Effect]:
        e, self._settled = self._exchange, self._shared
        intact = self._mixing.intact(self._state) and not e.missing
        missing = tuple(sorted(e.missing))
        mixed = Mixed(self.round, e.before, self._shared, e.stats, e.staleness, missing, e.contributions, intact)
        self.round = min(max(self.round + 1, self._mailbox.newest_round()), self.config.rounds)
        every = self.config.persist_every
        due = every > 0 and self.round % every == 0 and self.round < self.config.rounds
        return [mixed, *([Persist(self.round, self._shared)] if due else []), *self._begin(now)]

    def _leave(self, reason: str) -> list[Effect]:
        """Stop here: what was trained but not mixed is dropped, so that the state is one that a round ended with."""
        if self.phase is Phase.DONE:
            return []
        self.phase, self._shared = Phase.DONE, self._settled
        byes = [
            Send(p, Bye(self.round, reason))
            for p, m in self.members.by_id.items()
            if m.state is Liveness.ALIVE or (m.state is Liveness.FINISHED and m.streaming)
        ]
        return [*byes, Persist(self.round, self._shared), Finished(self._shared, self.round)]

    # ---- messages
    def _receive(self, sender: PeerId, message: object, now: float) -> list[Effect]:
        self.members.by_id[sender].heard = now
        try:
            match message:
                case Hello():
                    return self._greet(sender, message, now)
                case Snapshot() | Update():
                    return self._hear(sender, message, now)
                case SnapshotRequest():
                    answer = self.edges[sender].answer(message)
                    return [Send(sender, answer)] if answer else []
                case Bye():
                    return self._bid_farewell(sender, message, now)
        except RemoteFault as fault:
            self.faults[type(fault).__name__] += 1
            raise
        raise LocalFault(f"{type(message).__name__} is no message")

    def _greet(self, sender: PeerId, message: Hello, now: float) -> list[Effect]:
        try:
            greeting.compare(self.hello(sender), message, sender)
            self.edges[sender].greet(message)
        except RemoteFault as fault:
            self.faults[type(fault).__name__] += 1
            if isinstance(fault, Incompatible):
                self.members.mark(sender, Liveness.REFUSED, str(fault))
            farewell = Send(sender, Bye(self.round, str(fault), refused=True))
            return [farewell, Close(sender, str(fault), retry=True), *self._advance(now)]
        member = self.members.by_id[sender]
        member.epoch, member.round = message.epoch, max(member.round, message.round)
        self.members.mark(sender, Liveness.ALIVE)
        return self._resume(sender)

    def _resume(self, peer: PeerId) -> list[Effect]:
        """What a neighbour that has just said hello has missed; and our bye where we are done."""
        effects: list[Effect] = []
        edge = self.edges[peer]
        if self._told is not None and (edge.broken or edge.told != self._told):
            effects.append(self._tell(peer))
        if self.phase is Phase.DONE:
            effects.append(Send(peer, Bye(self.round, "finished")))
        return effects

    def _hear(self, sender: PeerId, message: Snapshot | Update, now: float) -> list[Effect]:
        edge, member = self.edges[sender], self.members.by_id[sender]
        if member.state not in (Liveness.ALIVE, Liveness.FINISHED):
            raise BadMessage(f"{sender}: {type(message).__name__} before its hello was accepted")
        try:
            theirs = edge.hear(message)
        except OutOfSequence as fault:
            self.faults["OutOfSequence"] += 1
            return [Send(sender, edge.request(message, str(fault)))]
        key = (message.round, message.hop)
        self._mailbox.put(sender, key, theirs)
        member.round = max(member.round, message.round)
        self._note_arrival(sender, key, now)
        return self._advance(now)

    def _note_arrival(self, sender: PeerId, key: tuple[int, int], now: float) -> None:
        """Learn how long this neighbour lets us wait; what came before we were ready counts as no wait."""
        patience = self.members.by_id[sender].patience
        if sender in self._exchange.given_up or key < (self.round, self.hop):
            patience.late(now)
        else:
            patience.arrived(self._exchange.start if self.phase is Phase.EXCHANGING else now, now)

    def _bid_farewell(self, sender: PeerId, message: Bye, now: float) -> list[Effect]:
        state = Liveness.REFUSED if message.refused else Liveness.FINISHED
        if message.reason == "leaving":
            state = Liveness.DOWN
        self.members.mark(sender, state, message.reason)
        close = Close(sender, f"refused by {sender}: {message.reason}", retry=True)
        return ([close] if message.refused else []) + self._advance(now)

    def _context(self) -> Context:
        return Context(self.config.peer, self.round, self.hop, self.config.row, self._generator)


@dataclass(slots=True)
class _Exchange:
    """What is known of the round under way."""

    start: float  # of this hop, monotonic seconds
    before: Shared = field(default_factory=dict)
    stats: Stats = field(default_factory=dict)
    given_up: set[PeerId] = field(default_factory=set)  # in this hop
    missing: set[PeerId] = field(default_factory=set)  # in any hop
    staleness: dict[PeerId, int] = field(default_factory=dict)
    contributions: int = 0
