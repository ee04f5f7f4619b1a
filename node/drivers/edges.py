"""The streams of one node: one an edge of the topology and no other.

One end dials (`node.graph.reach` says which), the other one answers and learns from the first hello who is there. Of
two streams of one edge the newer process's wins, then the newer stream. A stream that breaks is dialled again until the
node goes.

Decides when to dial, whom to refuse unheard, and what ends a stream; what a message means is the peer's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import grpc

from node.core.events import Event, PeerDown, PeerUp, Received
from node.core.messages import Bye, Hello, Message, Snapshot, Update
from node.drivers.dialling import Backoff
from node.drivers.endpoint import new_channel
from node.drivers.streams import METHOD, Stream, why
from node.errors import BadMessage
from node.types import PeerId
from node.wire.limits import Limits

LOG = logging.getLogger(__name__)
SERVICE = METHOD.split("/")[1]
HELLO_WITHIN = 10.0  # seconds that a stream may stay silent about who is there
CONNECT_WITHIN = 10.0  # seconds of one try to dial


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """Where to listen and whom to reach."""

    listen: str  # host:port; port 0 takes a free one
    addresses: Mapping[PeerId, str] = field(default_factory=dict)  # host:port or NOWHERE, looked up at each dial
    seed: int = 0  # of the waits between two dials
    linger: float = 60.0  # seconds that a finished node stays for neighbours that have not said bye


class Edges:
    """Opens, keeps and closes the streams of `peer`.

    Args:
        peer: who we are.
        neighbours: who may be at the other end.
        network: where they are.
        within: what a message may take.
        on_event: takes PeerUp, Received and PeerDown, in the order in which they happen.
    """

    def __init__(
        self,
        peer: PeerId,
        neighbours: Collection[PeerId],
        network: Network,
        within: Limits,
        on_event: Callable[[Event], None],
    ) -> None:
        self.counters: Counter[str] = Counter()  # "dials", "streams" opened, "refused", "unsent"
        self.closing = asyncio.Event()
        self._peer, self._neighbours, self._network, self._within = peer, set(neighbours), network, within
        self._joined: dict[PeerId, str] = {}  # addresses of neighbours that came later
        self._on_event = on_event
        self._current: dict[PeerId, Stream] = {}
        self._all: set[Stream] = set()  # those, and the ones that are not known yet or on their way out
        self._given_up: set[PeerId] = set()  # dialled no more
        self._epochs: dict[PeerId, int] = {}  # the newest heard
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._ended = (0, 0)  # bytes sent and received on streams that are gone

    @property
    def traffic(self) -> tuple[int, int]:
        """Sent and received on all edges since the start, framing of gRPC not counted."""
        sent = self._ended[0] + sum(stream.bytes_sent for stream in self._all)
        return sent, self._ended[1] + sum(stream.bytes_received for stream in self._all)

    async def ended(self, seconds: float) -> None:
        """Waits until all streams have ended, at most `seconds`."""
        try:
            await asyncio.wait_for(self._none_left.wait(), seconds)
        except TimeoutError:
            LOG.warning("%s: %d streams did not end within %.0f s", self._peer, len(self._all), seconds)

    def handler(self) -> grpc.GenericRpcHandler[bytes, bytes]:
        """What a server needs to answer."""
        edge = grpc.stream_stream_rpc_method_handler(self._answer)
        return grpc.method_handlers_generic_handler(SERVICE, {METHOD.split("/")[2]: edge})

    def add(self, peer: PeerId, address: str) -> None:
        """One more neighbour."""
        self._neighbours.add(peer)
        self._joined[peer] = address

    def address(self, peer: PeerId) -> str:
        """host:port, or NOWHERE."""
        return self._joined[peer] if peer in self._joined else self._network.addresses[peer]

    def send(self, to: PeerId, message: Message) -> None:
        """Best effort: what finds no stream is counted and dropped, and the hello of the next one makes up for it."""
        stream = self._current.get(to)
        if stream is None or not stream.send(message):
            self.counters["unsent"] += 1

    def close(self, peer: PeerId, reason: str, retry: bool) -> None:
        """End the stream to `peer` after what was sent; it is dialled again if `retry`."""
        if not retry:
            self._given_up.add(peer)
        LOG.warning("%s: stream to %s closed: %s", self._peer, peer, reason)
        if peer in self._current:
            self._current[peer].close(reason)

    def close_all(self, reason: str) -> None:
        """End every stream after what was sent, and dial no more."""
        self.closing.set()
        for stream in tuple(self._all):
            if stream.peer is None:
                stream.abort(reason)
            stream.close(reason)

    # ---- dialling and answering
    async def keep_dialled(self, peer: PeerId) -> None:
        """Dial `peer` until we go, or give it up."""
        backoff = Backoff(f"{self._network.seed}/{self._peer}/{peer}")
        before = ""
        while not self.closing.is_set() and peer not in self._given_up:
            self.counters["dials"] += 1
            heard, reason = await self._dial(peer)
            if heard:
                backoff.reset()
            if reason != before and not self.closing.is_set():
                LOG.info("%s: no stream to %s at %s: %s", self._peer, peer, self.address(peer), reason)
            before = reason
            try:
                await asyncio.wait_for(self.closing.wait(), backoff.delay())
            except TimeoutError:
                continue

    async def _dial(self, peer: PeerId) -> tuple[bool, str]:
        """One stream to `peer`, from beginning to end: whether it was any good, and why it ended or never was."""
        async with new_channel(self.address(peer)) as channel:
            call: Any = cast(Any, channel).stream_stream(METHOD)()  # bytes to bytes: frames are made and read by `wire`
            try:
                await asyncio.wait_for(call.wait_for_connection(), CONNECT_WITHIN)
                stream = Stream(call, self._within, self._on_message, self._on_bad, call.done_writing)
                await self._carry(stream, peer)
                return stream.carried_payload, stream.reason
            except (TimeoutError, grpc.aio.AioRpcError) as error:
                return False, why(error)
            finally:
                call.cancel()

    async def _answer(self, _: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """A stream that somebody else dialled, from its beginning to its end."""
        if self.closing.is_set():
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"{self._peer} is going")
        await context.send_initial_metadata(())  # the caller's wait for the connection ends here
        stream = Stream(context, self._within, self._on_message, self._on_bad)
        timer = asyncio.get_running_loop().call_later(HELLO_WITHIN, self._require_hello, stream)
        try:
            await self._carry(stream)
        finally:
            timer.cancel()
            if stream.peer is not None and not self.closing.is_set():
                LOG.info("%s: no stream from %s any more: %s", self._peer, stream.peer, stream.reason)

    async def _carry(self, stream: Stream, peer: PeerId | None = None) -> None:
        self._all.add(stream)
        self._none_left.clear()
        try:
            if peer is not None:
                self._open(peer, stream)
            await stream.run()
        finally:
            self._all.discard(stream)
            self._ended = self._ended[0] + stream.bytes_sent, self._ended[1] + stream.bytes_received
            self._drop(stream, stream.reason)
            if not self._all:
                self._none_left.set()

    def _open(self, peer: PeerId, stream: Stream) -> None:
        """`stream` is the stream of the edge to `peer` from now on."""
        if (old := self._current.get(peer)) is not None:
            old.abort("replaced by a newer stream")
            self._drop(old, old.reason)
        stream.peer = peer
        self._current[peer] = stream
        self.counters["streams"] += 1
        LOG.info("%s: stream with %s", self._peer, peer)
        self._on_event(PeerUp(peer))

    def _drop(self, stream: Stream, reason: str) -> None:
        """`stream` is nobody's stream any more."""
        if stream.peer is not None and self._current.get(stream.peer) is stream:
            del self._current[stream.peer]
            self._on_event(PeerDown(stream.peer, reason))

    # ---- what is heard
    def _on_message(self, stream: Stream, message: Message) -> None:
        if stream.peer is None:
            self._identify(stream, message)
        if stream.peer is None or self._current.get(stream.peer) is not stream:
            return  # refused, or replaced
        if isinstance(message, Hello):
            self._epochs[stream.peer] = max(message.epoch, self._epochs.get(stream.peer, 0))
        stream.carried_payload |= isinstance(message, Snapshot | Update)
        self._on_event(Received(stream.peer, message))
        if isinstance(message, Bye) and message.reason == "leaving":
            stream.close(f"{stream.peer} leaves")  # it waits for our end before it goes

    def _identify(self, stream: Stream, message: Message) -> None:
        """The first message of a stream that we answered must say who is there."""
        if not isinstance(message, Hello):
            self._refuse(stream, f"a {type(message).__name__} before a hello")
        elif message.node not in self._neighbours:
            ours = ", ".join(sorted(self._neighbours))
            self._refuse(
                stream, f"{message.node} is no neighbour of {self._peer} ({ours}): see edges in the topology file"
            )
        elif message.epoch < (newest := self._epochs.get(message.node, 0)):
            self._refuse(stream, f"{message.node}: epoch {message.epoch} is over, {newest} was heard")
        else:
            self._open(message.node, stream)

    def _on_bad(self, stream: Stream, fault: BadMessage) -> None:
        self._refuse(stream, str(fault))

    def _require_hello(self, stream: Stream) -> None:
        if stream.peer is None:
            self._refuse(stream, f"no hello within {HELLO_WITHIN:.0f} s")

    def _refuse(self, stream: Stream, reason: str) -> None:
        """Say why, and end."""
        self.counters["refused"] += 1
        LOG.warning("%s: stream of %s refused: %s", self._peer, stream.peer or "an unknown node", reason)
        stream.send(Bye(0, reason, refused=True))
        stream.close(reason)
