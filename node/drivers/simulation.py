"""Virtual time and a bad network in memory: any number of peers in one thread, deterministically.

Edges behave like streams: in order and without loss unless `Faults` says otherwise. The hello belongs to opening a
stream and is never lost; a crash closes the streams of the peer that died, a restart opens them again with the next
epoch.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from node.core.events import (
    Close,
    Effect,
    Event,
    Finished,
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
from node.core.messages import Bye, Hello, Message
from node.core.peer import GossipPeer
from node.errors import RemoteFault
from node.types import PeerId, Shared

LocalStep: TypeAlias = Callable[[PeerId, int, Shared], tuple[Shared, Stats]]  # peer, round, shared -> trained, stats
Restart: TypeAlias = (
    "Callable[[PeerId, int, int, Shared | None], GossipPeer]"  # peer, epoch, rounds done, what was persisted
)


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How the network and the machines misbehave. Times in virtual seconds, chances a message."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0  # chance to overtake what was sent before
    delay: tuple[float, float] = (0.001, 0.050)  # uniform between
    straggle: Mapping[PeerId, float] = field(default_factory=dict)  # peer -> factor on its training time
    crash: Sequence[tuple[PeerId, float]] = ()  # peer, when
    restart: Sequence[tuple[PeerId, float]] = ()  # peer, when
    cut: Callable[[PeerId, PeerId, float], bool] = lambda a, b, now: False  # messages a -> b vanish
    tamper: Callable[[PeerId, Message], Message] = lambda sender, message: message


@dataclass
class Simulation:
    """Runs `peers` until no event is left.

    Args:
        peers: by id; their rows of W say who is a neighbour of whom.
        local_step: the training.
        faults: see there.
        train_time: peer, generator -> virtual seconds.
        seed: of delays, losses and training times.
        rebuild: makes the peer anew at a restart.
    """

    peers: dict[PeerId, GossipPeer]
    local_step: LocalStep
    faults: Faults = field(default_factory=Faults)
    train_time: Callable[[PeerId, random.Random], float] = lambda peer, rng: 1.0
    seed: int = 0
    rebuild: Restart | None = None
    now: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)  # messages by kind, "lost", "refused"
    log: list[tuple[float, PeerId, Mixed]] = field(default_factory=list)
    final: dict[PeerId, Shared] = field(default_factory=dict)

    def run(self) -> dict[PeerId, Shared]:
        """The final vectors of every peer that finished."""
        self._rng, self._order = random.Random(self.seed), itertools.count()
        self._queue: list[tuple[float, int, PeerId, int, Event | str]] = []
        self._last: dict[tuple[PeerId, PeerId], float] = {}  # when the newest message of an edge direction arrives
        self._disk: dict[PeerId, tuple[int, Shared]] = {}
        self._alive = set(self.peers)
        for peer in sorted(self.peers):
            self._at(0.0, peer, Started())
        for a, b in self._edges():
            self._open(a, b)
        for what, plan in (("crash", self.faults.crash), ("restart", self.faults.restart)):
            for peer, when in plan:
                heapq.heappush(self._queue, (when, next(self._order), peer, -1, what))
        while self._queue:
            self.now, _, peer, epoch, event = heapq.heappop(self._queue)
            if isinstance(event, str):
                self._crash(peer) if event == "crash" else self._restart(peer)
            elif peer in self._alive and epoch == self.peers[peer].config.epoch:
                self._feed(peer, event)
        return self.final

    def _feed(self, name: PeerId, event: Event) -> None:
        peer = self.peers[name]
        before = peer.deadline
        try:
            effects = peer.handle(event, self.now)
        except RemoteFault as fault:
            self.counts[f"refused {type(fault).__name__}"] += 1
            return
        for effect in effects:
            self._carry_out(name, effect)
        if peer.deadline is not None and peer.deadline != before:
            self._at(max(0.0, peer.deadline - self.now), name, Tick())

    def _carry_out(self, name: PeerId, effect: Effect) -> None:
        match effect:
            case Train(round=r, shared=shared):
                seconds = self.train_time(name, self._rng) * self.faults.straggle.get(name, 1.0)
                self._at(seconds, name, Trained(r, *self.local_step(name, r, shared)))
            case Send(to=to, message=message):
                self._send(name, to, message)
            case Persist(round=r, shared=shared):
                self._disk[name] = (r, shared)
                self._at(0.0, name, Persisted(r))
            case Mixed():
                self.log.append((self.now, name, effect))
            case Finished(shared=shared):
                self.final[name] = shared
            case Close(peer=other, reason=reason):
                self._at(0.0, name, PeerDown(other, reason))

    def _send(self, sender: PeerId, to: PeerId, message: Message) -> None:
        f = self.faults
        self.counts[type(message).__name__] += 1
        reliable = isinstance(message, (Hello, Bye))
        if not reliable and (self._rng.random() < f.loss or f.cut(sender, to, self.now)):
            self.counts["lost"] += 1
            return
        message = f.tamper(sender, message)
        copies = 1 if reliable or self._rng.random() >= f.duplicate else 2
        for _ in range(copies):
            arrival = self.now + self._rng.uniform(*f.delay)
            if reliable or self._rng.random() >= f.reorder:
                arrival = max(arrival, self._last.get((sender, to), 0.0))
            self._last[sender, to] = max(arrival, self._last.get((sender, to), 0.0))
            self._at(arrival - self.now, to, Received(sender, message))

    def _edges(self) -> list[tuple[PeerId, PeerId]]:
        return [(a, b) for a in sorted(self.peers) for b in self.peers[a].neighbours if a < b]

    def _open(self, a: PeerId, b: PeerId) -> None:
        self._at(0.0, a, PeerUp(b))
        self._at(0.0, b, PeerUp(a))

    def _crash(self, peer: PeerId) -> None:
        self._alive.discard(peer)
        for other in self.peers[peer].neighbours:
            self._at(0.0, other, PeerDown(peer, "crashed"))

    def _restart(self, peer: PeerId) -> None:
        assert self.rebuild is not None, "a restart needs `rebuild`"
        rounds, shared = self._disk.get(peer, (0, None))
        self.peers[peer] = self.rebuild(peer, self.peers[peer].config.epoch + 1, rounds, shared)
        self._alive.add(peer)
        self._at(0.0, peer, Started())
        for other in self.peers[peer].neighbours:
            if other in self._alive:
                self._open(peer, other)

    def _at(self, delay: float, peer: PeerId, event: Event) -> None:
        entry = (self.now + delay, next(self._order), peer, self.peers[peer].config.epoch, event)
        heapq.heappush(self._queue, entry)
