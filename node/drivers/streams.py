"""One open stream of an edge, the same at both ends: a queue out, frames in, and an orderly end.

    OPEN --close(): what was sent goes out--> CLOSING --the other end's end, or DRAIN seconds--> ENDED
      |--the other end's end--> CLOSING          |--break, abort()--> ENDED
Knows bytes and messages. Who is at the other end, and what a message means, is the driver's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias

import grpc

from node.core.messages import Message, Payload
from node.errors import BadMessage
from node.types import PeerId
from node.wire.assembly import Assembler
from node.wire.frames import encode
from node.wire.limits import Limits

DRAIN = 5.0  # seconds that a closing stream waits for the other end to take what was sent and to end too
MAX_QUEUED = 64  # messages with vectors; neighbours are at most one exchange apart: more is a stream that does not move
MAX_NEWS = 2048  # messages in all; a hello is followed by all news at once: 196 of 100,000 rumours, and 1,000 joins
METHOD = "/gossip.v1.GossipService/Edge"
EOF = grpc.aio.EOF  # type: ignore[attr-defined]  # grpc-stubs lacks it
Awaiting: TypeAlias = Coroutine[object, object, None]


class Carrier(Protocol):
    """What both ends of a gRPC stream have in common: `grpc.aio.StreamStreamCall` and `grpc.aio.ServicerContext`."""

    async def read(self) -> Any: ...  # bytes, then EOF

    async def write(self, frame: bytes, /) -> None: ...


class Stream:
    """Carries messages until either end closes.

    Args:
        carrier: of frames.
        within: what a message may take.
        on_message: called with each message, in order.
        on_bad: called once with the fault when frames cannot be read; what follows is thrown away, unread.
        half_close: ends our direction; None where that is the end of the whole call (the end that answered).
    """

    def __init__(
        self,
        carrier: Carrier,
        within: Limits,
        on_message: Callable[[Stream, Message], None],
        on_bad: Callable[[Stream, BadMessage], None],
        half_close: Callable[[], Awaiting] | None = None,
    ) -> None:
        self.peer: PeerId | None = None  # who is at the other end, once that is known
        self.carried_payload = False  # something beyond hello and bye was heard
        self.bytes_sent = 0
        self.bytes_received = 0
        self.reason = "ended at the other end"  # of the end
        self._carrier, self._half_close = carrier, half_close
        self._assembler = Assembler(within)
        self._on_message, self._on_bad = on_message, on_bad
        self._outgoing: asyncio.Queue[Message | None] = asyncio.Queue()
        self._vectors = 0  # messages in it that hold vectors
        self._closing = self._deaf = False
        self._aborted = asyncio.Event()

    def send(self, message: Message) -> bool:
        """Queues `message`; False if the stream takes no more."""
        if self._closing or self._aborted.is_set():
            return False
        vectors = self._vectors + isinstance(message, Payload)
        if vectors > MAX_QUEUED or self._outgoing.qsize() >= MAX_NEWS:
            self.abort(f"{self._outgoing.qsize()} messages wait to be sent: the other end does not read")
            return False
        self._vectors = vectors
        self._outgoing.put_nowait(message)
        return True

    def close(self, reason: str) -> None:
        """End after what was sent so far has gone out."""
        if not self._closing:
            self._closing, self.reason = True, reason
            self._outgoing.put_nowait(None)

    def abort(self, reason: str) -> None:
        """End now."""
        if not self._aborted.is_set():
            self.reason = reason
            self._aborted.set()

    async def run(self) -> None:
        """Carries messages; returns at the end of the stream, and `reason` says why it ended."""
        reading = asyncio.create_task(self._guard(self._read()))
        writing = asyncio.create_task(self._guard(self._write()))
        aborted = asyncio.create_task(self._aborted.wait())
        try:
            await asyncio.wait((reading, writing, aborted), return_when=asyncio.FIRST_COMPLETED)
            if not self._aborted.is_set():
                self.close(self.reason)
                rest = asyncio.gather(reading, writing)
                await asyncio.wait((rest, aborted), timeout=DRAIN, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, writing, aborted):
                task.cancel()
            await asyncio.gather(reading, writing, aborted, return_exceptions=True)

    async def _guard(self, work: Awaiting) -> None:
        """A broken stream is an end like others."""
        try:
            await work
        except (grpc.RpcError, grpc.aio.BaseError, asyncio.InvalidStateError) as error:
            self.abort(why(error))

    async def _read(self) -> None:
        while (frame := await self._carrier.read()) is not EOF:
            self.bytes_received += len(frame)
            if not self._deaf:
                self._hear(frame)

    def _hear(self, frame: bytes) -> None:
        try:
            message = self._assembler.feed(frame)
        except BadMessage as fault:
            self._deaf = True
            self._on_bad(self, fault)
            return
        if message is not None:
            self._on_message(self, message)

    async def _write(self) -> None:
        while (message := await self._outgoing.get()) is not None:
            self._vectors -= isinstance(message, Payload)
            for frame in encode(message):
                await self._carrier.write(frame)
                self.bytes_sent += len(frame)
        if self._half_close is not None:
            await self._half_close()


def why(error: BaseException) -> str:
    """An error of gRPC in a few words."""
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name.lower().replace('_', ' ')}: {error.details()}"
    return "no connection in time" if isinstance(error, TimeoutError) else "the connection broke"
