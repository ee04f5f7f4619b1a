"""Which stream is the stream of an edge, without a socket."""

from __future__ import annotations

import asyncio
from typing import Any

from node.core.events import Event, PeerDown, PeerUp, Received
from node.core.messages import Bye, Hello
from node.drivers.edges import Edges, Network
from node.drivers.streams import Stream
from node.types import PeerId
from node.wire.limits import Limits

N0, N1 = PeerId("n0"), PeerId("n1")
WITHIN = Limits(1, 100)


class Silent:
    """A carrier on which nothing passes."""

    async def read(self) -> Any:
        await asyncio.Event().wait()

    async def write(self, frame: bytes, /) -> None: ...


def hello(epoch: int) -> Hello:
    return Hello((1, 0), N0, epoch, 0, {}, ())


def edges() -> tuple[Edges, list[Event]]:
    events: list[Event] = []
    return Edges(N1, (N0,), Network(listen="127.0.0.1:0"), WITHIN, events.append), events


def answered(node: Edges) -> Stream:
    return Stream(Silent(), WITHIN, node._on_message, node._on_bad)


def test_what_a_replaced_stream_still_carries_is_not_heard() -> None:
    node, events = edges()
    old, new = answered(node), answered(node)

    node._on_message(old, hello(1))
    node._on_message(new, hello(2))
    node._on_message(old, Bye(0, "finished"))

    assert events == [
        PeerUp(N0),
        Received(N0, hello(1)),
        PeerDown(N0, "replaced by a newer stream"),
        PeerUp(N0),
        Received(N0, hello(2)),
    ]
    assert not old.send(Bye(0, "finished"))
    assert new.send(Bye(0, "finished"))


def test_the_newer_stream_of_the_same_process_wins() -> None:
    node, events = edges()
    old, new = answered(node), answered(node)

    node._on_message(old, hello(1))
    node._on_message(new, hello(1))

    assert [type(event).__name__ for event in events] == ["PeerUp", "Received", "PeerDown", "PeerUp", "Received"]
    assert not old.send(Bye(0, "finished"))


def test_an_older_process_does_not_disturb_the_newer_one() -> None:
    node, events = edges()
    new, old = answered(node), answered(node)

    node._on_message(new, hello(2))
    node._on_message(old, hello(1))

    assert [type(event).__name__ for event in events] == ["PeerUp", "Received"]
    assert new.send(Bye(0, "finished"))
    assert node.counters["refused"] == 1


def test_a_stream_is_closed_when_the_other_end_leaves_but_not_when_it_has_finished() -> None:
    node, _ = edges()
    stream = answered(node)
    node._on_message(stream, hello(1))

    node._on_message(stream, Bye(3, "finished"))
    assert stream.send(Bye(3, "finished"))

    node._on_message(stream, Bye(3, "leaving"))
    assert not stream.send(Bye(3, "finished"))
