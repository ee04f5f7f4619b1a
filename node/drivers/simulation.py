"""Virtual time and a bad network in memory: any number of peers in one thread, deterministically.

Edges behave like streams: in order and without loss unless `Faults` says otherwise. The hello belongs to opening a
stream and is never lost; a kill closes the streams of the peer that died, a restart opens them again with the next
epoch; a partition closes those that it cuts when keepalive has noticed it, and the ends dial again when it is over.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from node.core.edge import digest
from node.core.events import (
    Close,
    Connect,
    Effect,
    Event,
    Finished,
    Joined,
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
from node.core.messages import Bye, Hello, Join, Members, Message
from node.core.peer import GossipPeer
from node.drivers import facts
from node.drivers.faults import Faults
from node.drivers.mass import Mass
from node.errors import RemoteFault
from node.types import PeerId, Shared

KEEPALIVE = 6.0  # seconds until a stream that carries nothing any more is closed: `node.drivers.endpoint`
REDIAL = 5.0  # seconds at most until it is dialled again: `node.drivers.dialling`
RELIABLE = (Hello, Bye, Members, Join)  # never lost alone: they go with the opening and the end of a stream


@dataclass(frozen=True, slots=True)
class Saved:
    """What a peer finds on its disk."""

    round: int
    shared: Shared
    state: Mapping[str, Any]


LocalStep: TypeAlias = Callable[[PeerId, int, Shared], tuple[Shared, Stats]]  # peer, round, shared -> trained, stats
Restart: TypeAlias = Callable[[PeerId, int, Saved | None], GossipPeer]  # peer, epoch, what is on its disk
Action: TypeAlias = Callable[[], None]  # something that the plan does


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
        joins: (seconds, who): its neighbours let it in then; one of `peers`, and `faults.start` says when it runs.
        journal: told every fact, as a node's journal is: peer, event, fields.
        on_mixed: told every round of every peer, which then does not stay in `log`: vectors are large.
        on_sent: told every message that is sent, lost or not: sender, receiver, message.
    """

    peers: dict[PeerId, GossipPeer]
    local_step: LocalStep
    faults: Faults = field(default_factory=Faults)
    train_time: Callable[[PeerId, random.Random], float] = lambda peer, rng: 1.0
    seed: int = 0
    rebuild: Restart | None = None
    joins: Sequence[tuple[float, Join]] = ()
    journal: Callable[[PeerId, str, Mapping[str, Any]], None] = lambda peer, event, fields: None
    on_mixed: Callable[[PeerId, Mixed], None] | None = None
    on_sent: Callable[[PeerId, PeerId, Message], None] = lambda sender, to, message: None
    now: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)  # messages by kind, "lost", "refused"
    log: list[tuple[float, PeerId, Mixed]] = field(default_factory=list)
    final: dict[PeerId, Shared] = field(default_factory=dict)

    def run(self) -> dict[PeerId, Shared]:
        """The final vectors of every peer that finished."""
        self._rng, self._order = random.Random(self.seed), itertools.count()
        self._queue: list[tuple[float, int, PeerId, int, Event | Action]] = []
        self._last: dict[tuple[PeerId, PeerId], float] = {}  # when the newest message of an edge direction arrives
        self._disk: dict[PeerId, Saved] = {}
        self._alive: set[PeerId] = set()
        self._leaving: set[PeerId] = set()
        self._streams: set[tuple[PeerId, PeerId]] = set()  # open ones, the smaller id first
        self._paused: dict[PeerId, float] = {}  # until when
        self._armed: dict[PeerId, float | None] = {}  # the deadline that every peer asked for last
        self._mass = Mass()
        for peer in sorted(self.peers):
            self._plan(self.faults.start.get(peer, 0.0), peer, lambda peer=peer: self._start(peer))  # type: ignore[misc]
        self._plan_faults()
        while self._queue:
            self.now, _, peer, epoch, what = heapq.heappop(self._queue)
            if callable(what):
                what()
            elif peer in self._alive and epoch == self.peers[peer].config.epoch:
                self._deliver(peer, what)
        self.check_mass()
        return self.final

    def check_mass(self) -> None:
        """Raises LocalFault: a rule that keeps books has made or lost mass, deaths and returns accounted for."""
        books = {name: peer.mass for name, peer in self.peers.items()}
        self._mass.check({name: book for name, book in books.items() if book is not None})

    # ---- events
    def _deliver(self, peer: PeerId, event: Event) -> None:
        if (until := self._paused.get(peer, 0.0)) > self.now:
            self._at(until - self.now, peer, event)  # in order: equal times keep theirs
        elif not isinstance(event, Tick) or ((due := self._armed.get(peer)) is not None and due <= self.now):
            self._feed(peer, event)

    def _feed(self, name: PeerId, event: Event) -> None:
        peer = self.peers[name]
        try:
            effects = peer.handle(event, self.now)
        except RemoteFault as fault:
            self.counts[f"refused {type(fault).__name__}"] += 1
            effects = []
        for effect in effects:
            self._carry_out(name, effect)
        self._arm(name, peer.deadline)

    def _arm(self, name: PeerId, deadline: float | None) -> None:
        before, self._armed[name] = self._armed.get(name), deadline
        if deadline is not None and deadline != before:
            self._put(max(self.now, deadline), name, Tick())

    def _carry_out(self, name: PeerId, effect: Effect) -> None:
        if (fact := facts.of(effect, name in self._leaving)) is not None:
            self.journal(name, *fact)
        match effect:
            case Train(round=r, shared=shared):
                seconds = self.train_time(name, self._rng) * self.faults.straggle.get(name, 1.0)
                self._at(seconds, name, Trained(r, *self.local_step(name, r, shared)))
            case Send(to=to, message=message):
                self._send(name, to, message)
            case Persist(round=r, shared=shared, state=state):
                self._disk[name] = Saved(r, shared, state)
                self.journal(name, "commit", {"round": r, "digest": digest(shared)})
                self._at(0.0, name, Persisted(r))
            case Mixed() if self.on_mixed is not None:
                self.on_mixed(name, effect)
            case Mixed():
                self.log.append((self.now, name, effect))
            case Finished(shared=shared):
                self.final[name] = shared
            case Close(peer=other, reason=reason):
                self._close(name, other, reason)
            case Connect(peer=other):
                self._open(name, other)

    def _send(self, sender: PeerId, to: PeerId, message: Message) -> None:
        f = self.faults
        self.counts[type(message).__name__] += 1
        self.on_sent(sender, to, message)
        reliable = isinstance(message, RELIABLE) or self.now >= f.calm_after
        lost = f.severs(sender, to, self.now) or (not reliable and self._rng.random() < f.loss)
        if lost and not isinstance(message, Hello | Bye):
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

    # ---- streams
    def _open(self, a: PeerId, b: PeerId) -> None:
        """A stream between two that live, are neighbours of each other, and can reach each other."""
        pair = (min(a, b), max(a, b))
        mutual = b in self.peers[a].neighbours and a in self.peers[b].neighbours
        if pair in self._streams or not {a, b} <= self._alive or not mutual or self._is_cut(a, b):
            return
        self._streams.add(pair)
        self._at(0.0, a, PeerUp(b))
        self._at(0.0, b, PeerUp(a))

    def _close(self, a: PeerId, b: PeerId, reason: str) -> None:
        pair = (min(a, b), max(a, b))
        if pair in self._streams:
            self._streams.discard(pair)
            self._at(0.0, a, PeerDown(b, reason))
            self._at(0.0, b, PeerDown(a, reason))

    def _is_cut(self, a: PeerId, b: PeerId) -> bool:
        return self.faults.severs(a, b, self.now) and self.faults.severs(b, a, self.now)

    def _sever(self) -> None:
        """Keepalive has noticed a partition."""
        for a, b in sorted(self._streams):
            if self._is_cut(a, b):
                self._close(a, b, "keepalive")

    def _break(self, a: PeerId, b: PeerId) -> None:
        """A stream breaks, and is dialled again soon."""
        self._close(a, b, "connection reset")
        self._plan(self.now + self._rng.uniform(0.05, 0.1), a, lambda: self._open(a, b))

    def _heal(self) -> None:
        """Dialled again, each stream in its own time."""
        for a in sorted(self.peers):
            for b in self.peers[a].neighbours:
                if a < b and (a, b) not in self._streams and b in self.peers:
                    self._plan(self.now + self._rng.uniform(0.0, REDIAL), a, lambda a=a, b=b: self._open(a, b))  # type: ignore[misc]

    # ---- the plan
    def _let_in(self, join: Join) -> None:
        for peer in join.neighbours:
            if peer in self._alive:
                self._feed(peer, Joined(join))

    def _plan_faults(self) -> None:
        for at, join in self.joins:
            self._plan(at, join.node, lambda join=join: self._let_in(join))  # type: ignore[misc]
        for kill in self.faults.kill:
            self._plan(kill.at, kill.peer, lambda k=kill: self._kill(k.peer, "killed", k.back_after))  # type: ignore[misc]
        for leave in self.faults.leave:
            self._plan(leave.at, leave.peer, lambda k=leave: self._leave(k.peer, k.back_after))  # type: ignore[misc]
        for pause in self.faults.pause:
            until = pause.at + pause.seconds
            self._plan(pause.at, pause.peer, lambda p=pause.peer, u=until: self._paused.__setitem__(p, u))  # type: ignore[misc]
        for broken in self.faults.breaks:
            self._plan(broken.at, broken.a, lambda b=broken: self._break(b.a, b.b))  # type: ignore[misc]
        for partition in self.faults.partition:
            self._plan(partition.start + KEEPALIVE, PeerId(""), self._sever)
            self._plan(partition.end, PeerId(""), self._heal)

    def _start(self, peer: PeerId) -> None:
        self._alive.add(peer)
        for event, fields in facts.start_of(self.peers[peer]):
            self.journal(peer, event, fields)
        self._feed(peer, Started())
        for other in self.peers[peer].neighbours:
            if other in self._alive:
                self._open(peer, other)

    def _kill(self, peer: PeerId, reason: str, back_after: float | None) -> None:
        if peer not in self._alive:
            return
        self._alive.discard(peer)
        self._leaving.discard(peer)
        for a, b in sorted(self._streams):
            if peer in (a, b):
                self._close(a, b, reason)
        if back_after is not None:
            self._plan(self.now + back_after, peer, lambda: self._restart(peer))

    def _leave(self, peer: PeerId, back_after: float | None) -> None:
        if peer in self._alive:
            self._leaving.add(peer)
            self._feed(peer, Leave())
            self._plan(self.now + self.faults.delay[1], peer, lambda: self._kill(peer, "left", back_after))

    def _restart(self, peer: PeerId) -> None:
        assert self.rebuild is not None, "a restart needs `rebuild`"
        self.final.pop(peer, None)
        before = self.peers[peer]
        self.peers[peer] = self.rebuild(peer, before.config.epoch + 1, self._disk.get(peer))
        self._mass.replaced(peer, before.mass, self.peers[peer].mass)
        self._armed.pop(peer, None)
        self._start(peer)

    def _plan(self, at: float, peer: PeerId, action: Action) -> None:
        heapq.heappush(self._queue, (max(at, self.now), next(self._order), peer, -1, action))

    def _at(self, delay: float, peer: PeerId, event: Event) -> None:
        self._put(self.now + delay, peer, event)

    def _put(self, time: float, peer: PeerId, event: Event) -> None:
        heapq.heappush(self._queue, (time, next(self._order), peer, self.peers[peer].config.epoch, event))
