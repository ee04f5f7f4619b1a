"""Carries out a peer's effects over real sockets, in real time, and feeds back what happens.

Decides when a process may go; rounds and mixing are `node.core.peer`'s, streams are `node.drivers.edges`'.

    listen --Started--> running --Finished--> lingering, for neighbours that may still need us --> closing --> gone

Import this module after a fork, never before it: gRPC's threads do not survive one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from node.core.edge import digest
from node.core.events import (
    Close,
    Connect,
    Effect,
    Event,
    Finished,
    Leave,
    Mixed,
    Persist,
    Persisted,
    Received,
    Send,
    Started,
    Tick,
    Train,
)
from node.core.messages import Snapshot, Update
from node.core.peer import GossipPeer
from node.drivers import facts
from node.drivers.checkpoint import Checkpoint, CheckpointStore
from node.drivers.edges import SERVICE, Edges, Network
from node.drivers.endpoint import bind, new_server
from node.drivers.streams import DRAIN
from node.drivers.trainer import Trainer
from node.drivers.training import Training
from node.errors import RemoteFault
from node.failpoints import hit
from node.graph.reach import dialler
from node.types import PeerId, Shared
from node.wire.limits import Limits

LOG = logging.getLogger(__name__)
OTHER_CALLS = 64  # status and health calls at a time, beside the edges
LAG_EVERY = 0.1  # seconds between two looks at how late the loop is
LAG_MEMORY = 50  # looks


@dataclass(frozen=True, slots=True)
class RoundReport:
    """One finished round as the driver saw it."""

    mixed: Mixed
    train_seconds: float
    exchange_seconds: float  # waiting for neighbours included
    bytes_sent: int  # on all edges since the report before
    bytes_received: int


class GrpcNode:
    """One node: a peer, its trainer and its sockets.

    Args:
        peer: the protocol.
        trainer: the private side.
        network: where to listen and whom to reach.
        store: of checkpoints; None: nothing is written, and every `Persist` counts as done.
        on_round: called after each round, on the loop's thread.
        on_finish: called once, when all rounds are done or the node leaves, before it lingers; on the loop's thread.
        journal: told every fact of the protocol, on the loop's thread; see `node.drivers.facts`.
        fresh: earlier checkpoints were to be forgotten; the journal says so.
        services: each adds a servicer to the server.
    """

    def __init__(
        self,
        peer: GossipPeer,
        trainer: Trainer,
        network: Network,
        *,
        store: CheckpointStore | None = None,
        on_round: Callable[[RoundReport], None] = lambda report: None,
        on_finish: Callable[[Finished], None] = lambda finished: None,
        journal: facts.Journal = facts.no_journal,
        fresh: bool = False,
        services: Sequence[Callable[[grpc.aio.Server], None]] = (),
    ) -> None:
        self.peer = peer
        self.is_leaving = False
        self._name = peer.config.peer
        self._training, self._network, self._store, self._fresh = Training(trainer), network, store, fresh
        self._on_round, self._on_finish, self._journal, self._services = on_round, on_finish, journal, services
        self._edges = Edges(self._name, peer.neighbours, network, Limits.of(peer.channels), self.feed)
        self._failures: Counter[str] = Counter()
        self._reported = (0, 0)  # bytes, at the last report
        self._trained_at = 0.0  # monotonic seconds
        self._events: deque[Event] = deque()
        self._is_pumping = False
        self._tick: tuple[float, asyncio.TimerHandle] | None = None  # the timer that stands for the peer's deadline
        self._changed = asyncio.Event()  # something happened that may let us go
        self._finished: Finished | None = None
        self._failure: BaseException | None = None
        self._disk = asyncio.Lock()
        self._disk_error: OSError | None = None  # of the last write
        self._tasks: set[asyncio.Task[None]] = set()
        self._writes: set[asyncio.Task[None]] = set()  # those of them that write checkpoints
        self._lags: deque[float] = deque(maxlen=LAG_MEMORY)
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # grpc-stubs lacks it

    # ---- what others read
    @property
    def bytes_sent(self) -> int:
        """On all edges since the start, framing of gRPC not counted."""
        return self._edges.traffic[0]

    @property
    def bytes_received(self) -> int:
        return self._edges.traffic[1]

    @property
    def counters(self) -> Counter[str]:
        """What happened in this driver how often; the protocol's own are in `peer.faults`."""
        damaged = 0 if self._store is None else self._store.damaged
        return self._edges.counters + self._failures + Counter({"checkpoints_damaged": damaged})

    @property
    def loop_lag(self) -> float:
        """By how much the event loop was late at worst in the last five seconds: seconds."""
        return max(self._lags, default=0.0)

    # ---- life
    async def listen(self) -> int:
        """Opens the port and answers from then on; `run` does it where nobody did before.

        Returns:
            the port.

        Raises:
            ConfigError: the address cannot be had.
        """
        server = new_server(2 * len(self.peer.neighbours) + OTHER_CALLS)
        server.add_generic_rpc_handlers((self._edges.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        for add in self._services:
            add(server)
        port = bind(server, self._network.listen)
        self._server = server
        await server.start()
        for service in ("", SERVICE):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def run(self) -> Shared:
        """Does all rounds; returns when they are done and said, or soon after `stop`.

        Returns:
            the mixed vectors after the last finished round.

        Raises:
            ConfigError: the address cannot be had.
            OSError: the last checkpoint could not be written.
            Exception: whatever made training or the protocol fail.
        """
        try:
            if self._server is None:
                await self.listen()
            self._spawn(self._watch_lag())
            damaged = 0 if self._store is None else self._store.damaged
            for fact in facts.start_of(self.peer, damaged, self._fresh):
                self._journal(*fact)
            if self._finished is None:
                self.feed(Started())
            for neighbour in self.peer.neighbours:
                self._keep_dialled(neighbour, self._network.addresses)
            await self._until(lambda: self._finished is not None)
            await self._until(lambda: self.peer.drained or self.is_leaving, self._network.linger)
        finally:
            await self._close()
        if self._failure is not None or self._finished is None:
            raise self._failure or AssertionError("neither finished nor failed")
        if self._disk_error is not None:
            raise self._disk_error
        return self._finished.shared

    def stop(self) -> None:
        """Leave now, also in the middle of a step: what was trained but not mixed is dropped, the rest is kept.

        On the loop's thread (`loop.add_signal_handler`); safe to call twice.
        """
        if not self.is_leaving:
            self.is_leaving = True
            self._training.stop()
            self.feed(Leave())

    async def _close(self) -> None:
        """Say what is left to say, then let go of everything."""
        if self._finished is None or self.is_leaving:  # else the trainer is idle, and may be asked to evaluate
            self._training.stop()
        self._edges.close_all("the node ends")
        await self._edges.ended(2 * DRAIN)
        await self._health.enter_graceful_shutdown()
        if self._server is not None:
            await self._server.stop(grace=DRAIN)
        await asyncio.to_thread(self._training.close)
        await asyncio.gather(*self._writes, return_exceptions=True)
        if self._tick is not None:
            self._tick[1].cancel()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _until(self, holds: Callable[[], bool], seconds: float | None = None) -> None:
        """Waits for `holds()`, at most `seconds`, or until something failed."""
        try:
            async with asyncio.timeout(seconds):
                while not holds() and self._failure is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            LOG.warning("%s: waited %.0f s for neighbours that did not end; going on", self._name, seconds)

    # ---- events in, effects out
    def feed(self, event: Event) -> None:
        """Give `event` to the peer and carry out what it asks for; what follows at once from that is fed after it."""
        self._events.append(event)
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            while self._events and self._failure is None:
                self._step(self._events.popleft())
            self._arm()
        except Exception as error:
            self._fail(error)
        finally:
            self._is_pumping = False
            self._changed.set()

    def _step(self, event: Event) -> None:
        is_payload = isinstance(event, Received) and isinstance(event.message, Snapshot | Update)
        try:
            if is_payload:
                hit("edge.before-apply")
            effects = self.peer.handle(event, asyncio.get_running_loop().time())
        except RemoteFault as fault:  # counted by the peer
            LOG.warning("%s: refused: %s", self._name, fault)
            sender = event.sender if isinstance(event, Received) else self._name
            self._journal("refuse", {"from": sender, "fault": type(fault).__name__, "reason": str(fault)})
            return
        for effect in effects:
            self._carry_out(effect)
        if is_payload:
            hit("edge.after-apply")

    def _carry_out(self, effect: Effect) -> None:
        if (fact := facts.of(effect, self.is_leaving)) is not None:
            self._journal(*fact)
        match effect:
            case Train():
                self._spawn(self._train(effect))
            case Send(to=to, message=Snapshot() | Update() as message):
                hit("edge.before-send")
                self._edges.send(to, message)
                hit("edge.after-send")
            case Send(to=to, message=message):
                self._edges.send(to, message)
            case Connect(peer=peer, address=address):
                self._connect(peer, address)
            case Close(peer=peer, reason=reason, retry=retry):
                self._edges.close(peer, reason, retry)
            case Mixed():
                self._report(effect)
            case Persist(round=r, shared=shared, state=protocol):
                config = self.peer.config
                state = Checkpoint(config.epoch, r, shared, self._training.settled, config.digests, protocol)
                self._writes.add(write := self._spawn(self._persist(state)))
                write.add_done_callback(self._writes.discard)
            case Finished():
                self._finished = effect
                self._on_finish(effect)

    def _connect(self, peer: PeerId, address: str) -> None:
        """`peer` has joined, and is a neighbour."""
        self._edges.add(peer, address)
        self._keep_dialled(peer, {**self._network.addresses, peer: address})

    def _keep_dialled(self, peer: PeerId, addresses: Mapping[PeerId, str]) -> None:
        if dialler(self._name, peer, addresses) == self._name:
            self._spawn(self._edges.keep_dialled(peer))

    def _arm(self) -> None:
        """One timer stands for the peer's deadline."""
        deadline = self.peer.deadline
        if self._tick is not None:
            if self._tick[0] == deadline:
                return
            self._tick[1].cancel()
        self._tick = None
        if deadline is not None:
            self._tick = deadline, asyncio.get_running_loop().call_at(deadline, self._on_tick)

    def _on_tick(self) -> None:
        self._tick = None
        self.feed(Tick())

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._changed.set()

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    # ---- the private side
    async def _train(self, effect: Train) -> None:
        try:
            trained = await self._training.run(effect.round, effect.shared)
        except Exception as error:
            if self._finished is not None:
                LOG.info("%s: round %d was given up: %s", self._name, effect.round, type(error).__name__)
                return
            self.feed(Leave())  # neighbours need not wait for us, and the last mixed state is kept
            raise
        if self._finished is None:
            self._trained_at = asyncio.get_running_loop().time()
            self.feed(trained)

    async def _persist(self, state: Checkpoint) -> None:
        async with self._disk:  # in the order in which they were asked for
            try:
                if self._store is not None:
                    await asyncio.to_thread(self._store.save, state)
                self._disk_error = None
            except OSError as error:
                LOG.error("%s: checkpoint after round %d was not written: %s", self._name, state.round, error)
                self._failures["checkpoints"] += 1
                self._journal("checkpoint-failed", {"round": state.round, "reason": str(error)})
                self._disk_error = error
                return
        self._journal("commit", {"round": state.round, "digest": digest(state.shared)})
        self.feed(Persisted(state.round))

    def _report(self, mixed: Mixed) -> None:
        self._training.settle(mixed.round)
        now, (sent, received) = asyncio.get_running_loop().time(), self._edges.traffic
        more = sent - self._reported[0], received - self._reported[1]
        self._reported = sent, received
        self._on_round(RoundReport(mixed, self._training.seconds, now - self._trained_at, *more))

    async def _watch_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY
            await asyncio.sleep(LAG_EVERY)
            self._lags.append(max(0.0, loop.time() - due))
