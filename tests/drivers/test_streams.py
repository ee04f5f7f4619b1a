"""A stream over two queues: what was sent before the end arrives, and an end that does not move is left."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from node.core.messages import Bye, Channel, Message, Snapshot, State, StateRequest
from node.core.neighbourhood import AT_ONCE, JOINS
from node.drivers.streams import MAX_NEWS, MAX_QUEUED, Stream
from node.errors import BadMessage
from node.wire.frames import encode
from node.wire.limits import PART, Limits

WITHIN = Limits(entries=PART, payload=4 * PART)


class Pipe:
    """One end of a pair of queues."""

    def __init__(self, incoming: asyncio.Queue[Any], outgoing: asyncio.Queue[Any]) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    async def read(self) -> bytes:
        frame: bytes = await self._incoming.get()
        return frame

    async def write(self, frame: bytes, /) -> None:
        await self._outgoing.put(frame)

    async def half_close(self) -> None:
        await self._outgoing.put(grpc.aio.EOF)


class End:
    """A stream, all that it heard, and all that it refused."""

    def __init__(self, incoming: asyncio.Queue[Any], outgoing: asyncio.Queue[Any]) -> None:
        self.heard: list[Message] = []
        self.bad: list[BadMessage] = []
        pipe = Pipe(incoming, outgoing)
        on_message, on_bad = lambda _, m: self.heard.append(m), lambda _, f: self.bad.append(f)
        self.stream = Stream(pipe, WITHIN, on_message, on_bad, pipe.half_close)


def pair(size: int = 0) -> tuple[End, End]:
    there: asyncio.Queue[Any] = asyncio.Queue(size)
    back: asyncio.Queue[Any] = asyncio.Queue(size)
    return End(back, there), End(there, back)


def snapshot(size: int) -> Snapshot:
    return Snapshot(0, 0, 0, 0, (Channel("theta", "int8", 1, bytes(size)),), bytes(16))


@pytest.mark.parametrize("size", [0, 1])
def test_what_was_sent_before_the_end_arrives_at_both_ends(size: int) -> None:
    async def talk() -> tuple[End, End]:
        a, b = pair(size)
        messages = [snapshot(3 * PART), Bye(1, "finished")]
        for message in messages:
            assert a.stream.send(message)
            assert b.stream.send(message)
        a.stream.close("done")
        assert not a.stream.send(Bye(2, "late"))
        await asyncio.gather(a.stream.run(), b.stream.run())
        assert a.heard == b.heard == messages
        return a, b

    a, b = asyncio.run(talk())

    assert (a.stream.reason, b.stream.reason) == ("done", "ended at the other end")
    assert (
        a.stream.bytes_sent
        == b.stream.bytes_received
        == sum(map(len, encode(a.heard[0]))) + len(next(encode(Bye(1, "finished"))))
    )


@pytest.mark.parametrize(("message", "most"), [(StateRequest(0), MAX_NEWS), (State(0, (), bytes(16)), MAX_QUEUED)])
def test_a_queue_that_does_not_move_ends_the_stream(message: Message, most: int) -> None:
    async def talk() -> str:
        a, _ = pair(size=1)
        running = asyncio.create_task(a.stream.run())
        sent = [a.stream.send(message) for i in range(most + 1)]
        assert sent == [True] * most + [False]
        await running
        return a.stream.reason

    assert asyncio.run(talk()) == f"{most} messages wait to be sent: the other end does not read"


def test_all_news_of_a_large_network_fits_the_queue_behind_one_hello() -> None:
    async def talk() -> int:
        a, b = pair(size=10**4)
        running = [asyncio.create_task(end.stream.run()) for end in (a, b)]
        for _ in range(JOINS + 100_000 // AT_ONCE + 1):
            assert a.stream.send(StateRequest(0))
        a.stream.close("done")
        await asyncio.gather(*running)
        return len(b.heard)

    assert asyncio.run(talk()) == 1196


def test_what_was_written_makes_room_for_more() -> None:
    async def talk() -> None:
        a, b = pair()
        running = [asyncio.create_task(end.stream.run()) for end in (a, b)]
        for times in (1, 2, 3):
            for _ in range(MAX_QUEUED):
                assert a.stream.send(State(0, (), bytes(16)))
            while len(b.heard) < times * MAX_QUEUED:
                await asyncio.sleep(0)
        a.stream.close("done")
        await asyncio.gather(*running)

    asyncio.run(talk())


def test_frames_after_a_bad_one_are_thrown_away() -> None:
    async def talk() -> End:
        there: asyncio.Queue[Any] = asyncio.Queue()
        b = End(there, asyncio.Queue())
        for frame in (b"\xff", next(encode(Bye(0, "finished"))), grpc.aio.EOF):
            await there.put(frame)
        await b.stream.run()
        return b

    b = asyncio.run(talk())

    assert len(b.bad) == 1
    assert b.heard == []
