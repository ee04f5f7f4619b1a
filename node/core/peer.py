"""The gossip protocol of one peer as a pure state machine.

No socket, clock, thread, file or optimiser is touched here. A driver feeds `handle` with events and the monotonic
time in seconds, carries out the effects that it returns, and sends `Tick` when `deadline` passes. The same inputs
give the same outputs.

    IDLE --Started--> TRAINING(r) --Trained--> EXCHANGING(r, 0) --heard all, or deadline--> EXCHANGING(r, 1) ...
                          ^                                                                      |
                          |------------ TRAINING(r + 1, or the newest round heard) <-------------|--last round--> DONE

With `overlap` TRAINING(r + 1) begins together with EXCHANGING(r, 0), from what training gave, and what it changes is
added to what the exchange made of that. Who is far behind its neighbours takes their state instead of exchanging
(`node.core.catch_up`). Who is a neighbour, and what it says, is `node.core.neighbourhood`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from typing import Any

from node.core import keep
from node.core.catch_up import CatchUp
from node.core.edge import Edge, check_of, digest, plain_channels
from node.core.events import (
    Close,
    Connect,
    Effect,
    Event,
    Finished,
    Joined,
    Leave,
    Noted,
    PeerDown,
    PeerUp,
    Persist,
    Persisted,
    Received,
    Send,
    Started,
    Tick,
    Train,
    Trained,
)
from node.core.exchange import Exchange
from node.core.health import LATE
from node.core.members import Liveness, Members
from node.core.messages import (
    Ack,
    Bye,
    Hello,
    Join,
    Ping,
    Snapshot,
    SnapshotRequest,
    State,
    StateRequest,
    Update,
)
from node.core.messages import Members as MembersMessage
from node.core.neighbourhood import JOINS, Neighbourhood, Told
from node.core.peer_config import PeerConfig
from node.core.settlement import add_up
from node.errors import BadMessage, ConfigError, LocalFault, RemoteFault
from node.gossip.mixing import Context, Heard, Mixing, generator_of
from node.gossip.staleness import damped
from node.types import PeerId, Shared, Weights


class Phase(Enum):
    IDLE = auto()
    TRAINING = auto()
    EXCHANGING = auto()
    DONE = auto()


class GossipPeer:
    """One peer's side of the protocol.

    Args:
        config: fixed settings.
        shared: what is mixed, as it stands at `config.start_round`.
        mixing: the consensus rule (see `node.gossip.mixing`).
        state: what `Persist` said of the protocol at that round.
    """

    def __init__(
        self, config: PeerConfig, shared: Shared, mixing: Mixing, state: Mapping[str, Any] | None = None
    ) -> None:
        self.config = config
        self.round = config.start_round
        self.committed = config.start_round  # rounds whose result is on disk
        self._mixing = mixing
        self._generator = generator_of(config.peer, config.seed)
        self.channels = {name: x.numel() for name, x in shared.items()}  # what travels
        self.channels |= mixing.extra(self.channels)
        is_settled = mixing.pairwise is not None and config.symmetric
        self._near = Neighbourhood(config, self.channels, self._generator, is_settled)
        self._plan = config.plan(config.joins)
        self._shared = self._base = shared
        self._done_rounds = config.start_round  # what `_settled` is after
        self._settled = shared  # after the last finished round
        self._catch_up = CatchUp(
            config.max_staleness if config.start_round else config.may_lead, config.deadlines.ceiling
        )
        self._is_started = self._is_done = False
        self._training: int | None = None  # the round being trained
        self._ahead: Trained | None = None  # trained while the exchange before it is still open
        self._exchange: Exchange | None = None
        self._kept = dict(state or {})  # the protocol's part of the state after `_done_rounds`
        self._persisted, self._persisted_at = config.start_round, 0.0  # asked for last: rounds done, and when
        self._rule = keep.unpack_rule(mixing, self._kept, mixing.init(shared, self._context(self.round, 0)))
        self._told = keep.unpack_told(self._kept)
        keep.unpack_generator(self._kept, self._generator)

    # ---- what a driver reads
    @property
    def phase(self) -> Phase:
        if self._is_done or not self._is_started:
            return Phase.DONE if self._is_done else Phase.IDLE
        return Phase.EXCHANGING if self._exchange is not None and self._training is None else Phase.TRAINING

    @property
    def hop(self) -> int:
        return 0 if self._exchange is None else self._exchange.hop

    @property
    def neighbours(self) -> tuple[PeerId, ...]:
        return tuple(self._near.edges)

    @property
    def members(self) -> Members:
        return self._near.members

    @property
    def edges(self) -> Mapping[PeerId, Edge]:
        return self._near.edges

    @property
    def faults(self) -> Counter[str]:
        return self._near.faults

    @property
    def settled(self) -> Shared:
        """What is mixed, after the last finished round."""
        return self._settled

    @property
    def joins(self) -> tuple[Join, ...]:
        """Nodes that are in the graph beside those of the topology file."""
        return self._near.joins

    @property
    def rumours(self) -> Mapping[PeerId, Any]:
        """What is said of every node: `node.core.messages.Rumour` by id."""
        return self._near.rumours.by_node

    @property
    def mass(self) -> Mapping[str, Any] | None:
        """The books of a rule that keeps some, push-sum's: {"w", "sent", "got"}."""
        return self._mixing.mass(self._rule)

    @property
    def deadline(self) -> float | None:
        """When to send `Tick`: monotonic seconds."""
        if self._is_done or not self._is_started:
            return None
        waits = [] if self._catch_up.pending else [until for _, until in self._outstanding()]
        times = [max(waits)] if waits else []  # an exchange goes on without all that are late, at once
        times += [t for t in (self.members.deadline(), self._catch_up.deadline) if t is not None]
        return min(times, default=None)

    @property
    def drained(self) -> bool:
        """Whether we are done and no neighbour can still need us."""
        return self._is_done and not any(m.is_open for m in self.members.by_id.values())

    def hops(self, round: int) -> int:
        """Exchanges in a round."""
        return self._mixing.hops(round)

    def hello(self, to: PeerId) -> Hello:
        return self._near.hello(to, self._done_rounds)

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
                return self._tick(now)
            case PeerUp(peer=peer):
                self.members.by_id[peer].streaming = True
                return [Send(peer, self.hello(peer))]
            case PeerDown(peer=peer, reason=reason):
                news = self._near.changed(peer) if self.members.down(peer, now, reason) else []
                untold = self._untold() if self._catch_up.give_up(peer) else []
                return [*news, *untold, *self._advance(now)]
            case Trained(round=r) if r == self._training:
                return self._trained(event, now)
            case Trained() if self._is_done:
                return []
            case Started() if not self._is_started:
                self._is_started, self._persisted_at = True, now
                self.members.started(now)
                return self._advance(now) or self._begin(now)
            case Persisted(round=r):
                self.committed = max(self.committed, r)
                return []
            case Leave():
                return self._leave("leaving")
            case Joined(join=join):
                return self._join(join, None)
        raise LocalFault(f"{type(event).__name__} in phase {self.phase.name}, round {self.round}")

    def _tick(self, now: float) -> list[Effect]:
        due = self.deadline
        late = 0.0 if due is None else max(0.0, now - due)
        if late > LATE and self._exchange is not None:
            self._exchange.start += late  # we did not run: what has come meanwhile is still to be read
        untold = self._untold() if self._catch_up.tick(now) else []
        return [*self._near.tick(now, late), *untold, *self._advance(now)]

    # ---- a round
    def _begin(self, now: float) -> list[Effect]:
        if self.round >= self.config.rounds:
            return [] if self._exchange is not None else self._leave("finished")
        self._training, self._base = self.round, self._shared
        return [Train(self.round, self._shared)]

    def _trained(self, trained: Trained, now: float) -> list[Effect]:
        self._training, self._ahead = None, trained
        return self._advance(now)

    def _open(self, trained: Trained, now: float) -> list[Effect]:
        """Begin to exchange what training gave."""
        before, newest = trained.shared, self._latest(trained.round)
        if self._base is not self._shared:  # the exchange before it has moved us since
            before = {name: self._shared[name] + (x - self._base[name]) for name, x in trained.shared.items()}
        r = trained.round
        if self.config.overlap or self.config.asynchronous:  # the others may have gone on since it began
            r = min(max(r, newest), self.config.rounds - 1)
        self._exchange = Exchange(r, now, before, trained.stats)
        self._shared = before
        effects = self._emit(now)
        if self.config.overlap:
            self.round = r + 1
            effects += self._begin(now)
        return effects

    def _emit(self, now: float) -> list[Effect]:
        e = self._exchange
        assert e is not None
        e.begin_hop(now)
        outbox, self._rule = self._mixing.emit(self._shared, self._rule, self._context(*e.key))
        self._told = Told(e.key, outbox)
        return self._near.tell_all(self._told)

    def _advance(self, now: float) -> list[Effect]:
        """Go on as far as what was heard allows."""
        effects: list[Effect] = []
        while self._is_started and not self._is_done:
            if self._exchange is not None and not self._catch_up.pending:
                if not self._is_complete(now):
                    break
                effects += self._mix(now)
            elif self._training is None and self._catch_up.ready:
                effects += self._adopt(now)
            elif self._ahead is not None and not self._catch_up.pending:
                ahead, self._ahead = self._ahead, None
                effects += self._open(ahead, now)
            else:
                break
        return effects

    def _mix(self, now: float) -> list[Effect]:
        """One hop is complete."""
        e = self._exchange
        assert e is not None
        self._combine(e)
        e.hop += 1
        return self._emit(now) if e.hop < self._mixing.hops(e.round) else self._close(e, now)

    def _outstanding(self) -> list[tuple[PeerId, float]]:
        """Neighbours that the exchange still waits for, and until when."""
        e = self._exchange
        if e is None:
            return []
        waits = (
            (p, self.members.wait_until(p, e.start))
            for p in self._peers_in(e)
            if p not in e.given_up and not self._near.mailbox.reached(p, e.key) and self._may_wait(p)
        )
        return [(p, until) for p, until in waits if until is not None and until > e.start]  # else: given up before

    def _may_wait(self, peer: PeerId) -> bool:
        return not self.config.asynchronous or self.members.by_id[peer].state is Liveness.UNKNOWN

    def _is_complete(self, now: float) -> bool:
        e = self._exchange
        assert e is not None
        waits = self._outstanding()
        if any(now < until for _, until in waits):
            return False
        for peer, _ in waits:
            e.given_up.add(peer)
            self.faults["deadline"] += 1
            self.members.by_id[peer].patience.missed(e.start, now)
        return True

    def _combine(self, e: Exchange) -> None:
        peers = set(self._peers_in(e))
        picked = {p: v for p, v in self._near.mailbox.pick(e.key, self.members.lively()).items() if p in peers}
        heard = {}
        for peer, version in picked.items():
            mine = self._as_held_by(peer, e)
            if mine is not None and self.edges[peer].can_use(version.epoch):
                late, on_time = e.round - version.key[0], version.key == e.key
                heard[peer] = Heard(version.shared, mine, late, on_time=on_time, epoch=version.epoch)
        context = self._context(*e.key, {p: h.staleness for p, h in heard.items()})
        mixed, self._rule = self._mixing.combine(self._shared, heard, self._rule, context)
        for peer, weight in self._weights_of(heard, context).items():
            self.edges[peer].used(picked[peer].seq, weight, picked[peer].shared)
        if self._told is not None:
            self._told = replace(self._told, used=frozenset(heard))
        e.note(heard, {p: (v.epoch, v.seq) for p, v in picked.items()}, peers)
        self._shared = self._settle(mixed, e)

    def _as_held_by(self, peer: PeerId, e: Exchange) -> Shared | None:
        """Our word of this exchange as `peer` holds it; None where it should hear it and was not told."""
        edge = self.edges[peer]
        if peer in self._plan(*e.key).tells:
            return edge.mine if edge.told == e.key else None
        said = self._told.outbox.values() if self._told is not None else ()
        return next(iter(said), self._shared)  # it does not hear us: what we tell others

    def _weights_of(self, heard: Mapping[PeerId, Heard], context: Context) -> Weights:
        """How much of each neighbour's difference the rule has just taken in."""
        if self._mixing.pairwise is None:
            return {}
        weights = self._mixing.pairwise(self._rule, heard, context)
        return {peer: weights[peer] for peer in heard if peer in weights}

    def _settle(self, mixed: Shared, e: Exchange) -> Shared:
        """Make up for what deadlines did to the mean, or only measure it."""
        due = [amount for edge in self.edges.values() for amount in edge.due()]
        e.note_settled(due, mixed)
        if not due or not self.config.settle:
            return mixed
        settled = add_up(mixed, due)
        self._rule = self._mixing.settled(self._rule, mixed, settled)
        return settled

    def _close(self, e: Exchange, now: float) -> list[Effect]:
        """The last hop of a round is mixed."""
        self._exchange, self._settled, self._done_rounds = None, self._shared, e.round + 1
        self._kept = self._pack()
        self._catch_up.gap = self.config.max_staleness  # what we hold is something of our own now
        e.stats = {**e.stats, **self._mixing.measured(self._rule)}
        mixed = e.mixed(self._shared, self._mixing.intact(self._rule), self._mixing.mass(self._rule))
        effects: list[Effect] = [mixed, *self._persist(now)]
        if not self.config.overlap:
            self.round = min(max(e.round + 1, self._latest(e.round)), self.config.rounds)
        if self._training is None and self._ahead is None:
            effects += self._begin(now)
        return effects

    def _persist(self, now: float) -> list[Effect]:
        c, r = self.config, self._done_rounds
        every = c.persist_every or c.rounds
        by_round = r // every > self._persisted // every  # a laggard jumps over multiples
        by_time = c.persist_seconds > 0 and now - self._persisted_at >= c.persist_seconds
        if r >= c.rounds or not (by_round or by_time):
            return []
        self._persisted, self._persisted_at = r, now
        return [Persist(r, self._settled, self._kept)]

    def _pack(self) -> dict[str, Any]:
        told = self._near.as_held(self._told)
        return keep.pack(self._mixing, self._rule, told, self._generator, self.joins)

    def _leave(self, reason: str) -> list[Effect]:
        """Stop here: what was trained but not mixed is dropped, so that the state is one that a round ended with."""
        if self._is_done:
            return []
        self._is_done = self._is_started = True
        self._exchange = self._ahead = None
        self._shared, self.round = self._settled, self._done_rounds
        byes = [
            Send(p, Bye(self.round, reason))
            for p, m in self.members.by_id.items()
            if m.streaming and m.state in (Liveness.ALIVE, Liveness.SUSPECT, Liveness.FINISHED)
        ]
        return [*byes, Persist(self.round, self._shared, self._kept), Finished(self._shared, self.round)]

    def _adopt(self, now: float) -> list[Effect]:
        """Take the neighbours' state instead of ours."""
        row = self._plan(
            self.config.rounds, 0
        ).row  # the last one: of a static graph it has a weight for each neighbour
        self.round, self._shared, peers = self._catch_up.take(row)
        self._exchange = self._ahead = self._told = None
        self._settled, self._done_rounds = self._shared, self.round
        context = self._context(self.round, 0)
        adopt = self._mixing.adopt
        self._rule = adopt(self._shared, self._rule, context) if adopt else self._mixing.init(self._shared, context)
        self._kept = self._pack()
        self.faults["adopted"] += 1
        fields = {"round": self.round, "from": list(peers), "digest": digest(self._shared)}
        return [Noted("adopt", fields), Persist(self.round, self._shared, self._kept), *self._begin(now)]

    # ---- messages
    def _receive(self, sender: PeerId, message: object, now: float) -> list[Effect]:
        cleared = self._near.changed(sender) if self.members.heard(sender, now) else []
        try:
            effects = self._take(sender, message, now)
        except RemoteFault as fault:
            self.faults[type(fault).__name__] += 1
            raise
        missed = self._resume(sender) if cleared else []
        return [*cleared, *missed, *effects]

    def _take(self, sender: PeerId, message: object, now: float) -> list[Effect]:
        if isinstance(message, SnapshotRequest | StateRequest | State | MembersMessage | Join):
            self._near.require_hello(sender, type(message).__name__)
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
            case Ping():
                return self._near.answer(sender, message)
            case Ack():
                return []
            case MembersMessage(rumours=rumours):
                return self._near.learn(sender, rumours)
            case StateRequest():
                state = State(self._done_rounds, plain_channels(self._settled), check_of(self._settled))
                return [Send(sender, state)]
            case State():
                return self._take_state(sender, message, now)
            case Join():
                return self._join(message, sender)
        raise LocalFault(f"{type(message).__name__} is no message")

    def _greet(self, sender: PeerId, message: Hello, now: float) -> list[Effect]:
        try:
            effects = self._near.greet(sender, message, self._done_rounds, now)
        except RemoteFault as fault:
            return [*self._near.refuse(sender, fault, self.round, now), *self._advance(now)]
        if self._is_done:
            return [*effects, *self._resume(sender), Send(sender, Bye(self.round, "finished"))]
        is_new = message.version >= (1, 1)
        if is_new and self._catch_up.asks(sender, message.round, self.round, now):
            return [*effects, Send(sender, StateRequest(self.round))]
        return effects if self._catch_up.pending else [*effects, *self._resume(sender)]

    def _resume(self, peer: PeerId) -> list[Effect]:
        return self._near.resume(peer, self._told, None if self._exchange is None else self._exchange.key)

    def _take_state(self, sender: PeerId, message: State, now: float) -> list[Effect]:
        """A neighbour's answer to our question for its state.

        Raises:
            BadMessage: not our channels, or not what the check says.
        """
        edge = self.edges[sender]
        shared = edge.decode(message.channels, set(self._shared))
        edge.require_finite(shared)
        if check_of(shared) != message.check:
            raise BadMessage(f"{sender}: its state after round {message.round} is not what its check says")
        self._catch_up.answered(sender, min(message.round, self.config.rounds), shared, self.round)
        return [*self._untold(), *self._advance(now)]

    def _untold(self) -> list[Effect]:
        """What was held back from neighbours while we were catching up, where that came to nothing."""
        if self._catch_up.pending:
            return []
        return [effect for peer in self.members.present() for effect in self._resume(peer)]

    def _hear(self, sender: PeerId, message: Snapshot | Update, now: float) -> list[Effect]:
        effects = self._near.hear(sender, message)
        self._note_arrival(sender, (message.round, message.hop), now)
        return [*effects, *self._advance(now)]

    def _note_arrival(self, sender: PeerId, key: tuple[int, int], now: float) -> None:
        """Learn how long this neighbour lets us wait; what came before we were ready counts as no wait."""
        patience, e = self.members.by_id[sender].patience, self._exchange
        if (e is not None and (sender in e.given_up or key < e.key)) or (e is None and key[0] < self.round):
            patience.late(now)
        else:
            patience.arrived(now if e is None else e.start, now)

    def _bid_farewell(self, sender: PeerId, message: Bye, now: float) -> list[Effect]:
        state = Liveness.REFUSED if message.refused else Liveness.FINISHED
        if message.reason == "leaving":
            state = Liveness.LEFT
        news = self._near.changed(sender) if self.members.mark(sender, state, now, message.reason) else []
        is_gone = state is not Liveness.FINISHED  # who has finished still answers
        untold = self._untold() if is_gone and self._catch_up.give_up(sender) else []
        close = Close(sender, f"refused by {sender}: {message.reason}", retry=True)
        return [*news, *([close] if message.refused else []), *untold, *self._advance(now)]

    def _join(self, join: Join, source: PeerId | None) -> list[Effect]:
        """One node more in the graph, from `join.round` on.

        Raises:
            BadMessage: nobody may join here, or the graph cannot take it.
        """
        if any(known.node == join.node for known in self.joins):
            return []
        if len(self.joins) >= JOINS:
            raise BadMessage(
                f"{join.node} wants to join; {JOINS} nodes have since the topology file, more are not taken"
            )
        if self.config.rewire is None:
            raise BadMessage(f"{join.node} wants to join; this network takes nobody (gossip.joins in the node file)")
        try:
            self._plan = self.config.plan((*self.joins, join))
        except ConfigError as error:
            raise BadMessage(f"{join.node} cannot join: {error}") from error
        effects = self._near.join(join, source)
        is_ours = self.config.peer in join.neighbours
        return [*([Connect(join.node, join.address)] if is_ours else []), *effects]

    def _latest(self, round: int) -> int:
        """`round`, or the one that the others are in if we have fallen behind."""
        newest = self._near.mailbox.newest_round(round)
        return newest if newest - round > self.config.may_lead else round

    # ---- W
    def tells(self, round: int) -> list[PeerId]:
        """To whom we send in the exchanges of `round`, message by message."""
        return [peer for hop in range(self._mixing.hops(round)) for peer in self._plan(round, hop).tells]

    def _peers_in(self, e: Exchange) -> list[PeerId]:
        """Whom we hear in this hop, as far as they are there already."""
        return [p for p in sorted(self._plan(*e.key).row) if p != self.config.peer and p in self.edges]

    def _context(self, round: int, hop: int, staleness: Mapping[PeerId, int] | None = None) -> Context:
        c = self.config
        row, tells = self._plan(round, hop)
        if c.asynchronous and staleness is not None:
            row = damped(row, c.peer, staleness)
        return Context(c.peer, round, hop, row, tells, self._generator, self.members.present(), c.epoch)
