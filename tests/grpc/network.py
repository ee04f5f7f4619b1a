"""Real nodes on port 0 of 127.0.0.1, all in one loop, and a proxy that reads, cuts, changes and keeps what passes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc

from node.core.events import Stats
from node.core.messages import Ack, Members, Message, Ping
from node.core.peer import GossipPeer
from node.drivers.edges import Network
from node.drivers.grpc import GrpcNode
from node.drivers.streams import METHOD
from node.graph.reach import NOWHERE
from node.types import PeerId, Shared
from node.wire.assembly import Assembler
from node.wire.limits import Limits
from tests.cluster import descend

T = TypeVar("T")
PATIENCE = 60.0  # seconds; a test that takes longer hangs


def run(work: Coroutine[Any, Any, T]) -> T:
    """`work` in a loop of its own."""
    return asyncio.run(asyncio.wait_for(work, PATIENCE))


class Steps:
    """A trainer around a function of (peer, round, shared)."""

    def __init__(
        self, peer: PeerId, step: Callable[[PeerId, int, Shared], tuple[Shared, Mapping[str, float]]] = descend
    ) -> None:
        self.rounds: list[int] = []
        self.stopped = threading.Event()
        self._peer, self._step = peer, step

    def train(self, round: int, shared: Shared) -> tuple[Shared, Stats]:
        trained = self._step(self._peer, round, shared)
        self.rounds.append(round)
        return trained

    def stop(self) -> None:
        self.stopped.set()

    def state(self) -> dict[str, Any]:
        return {"rounds": list(self.rounds)}


class Stuck(Steps):
    """Trains round `at` until it is told to stop."""

    def __init__(self, peer: PeerId, at: int) -> None:
        super().__init__(peer)
        self.reached = threading.Event()
        self._at = at

    def train(self, round: int, shared: Shared) -> tuple[Shared, Stats]:
        if round == self._at:
            self.reached.set()
            self.stopped.wait()
            raise InterruptedError("told to stop")
        return super().train(round, shared)


@dataclass
class Cluster:
    """One GrpcNode a peer; `via` puts a proxy before the answering end of an edge (smaller id, larger id).

    Nobody is told where the `hidden` listen.
    """

    peers: dict[PeerId, GossipPeer]
    trainers: dict[PeerId, Steps] = field(default_factory=dict)
    via: dict[tuple[PeerId, PeerId], Proxy] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    nodes: dict[PeerId, GrpcNode] = field(default_factory=dict)
    addresses: dict[PeerId, str] = field(default_factory=dict)
    hidden: tuple[PeerId, ...] = ()
    _has_run: bool = False

    async def listen(self) -> Cluster:
        """Makes the nodes and opens their ports."""
        addresses: dict[PeerId, dict[PeerId, str]] = {peer: {} for peer in self.peers}
        for peer, state in self.peers.items():
            trainer = self.trainers.setdefault(peer, Steps(peer))
            network = Network(listen="127.0.0.1:0", addresses=addresses[peer], linger=20.0)
            self.nodes[peer] = GrpcNode(state, trainer, network, **self.settings.get(peer, {}))
        for peer, node in self.nodes.items():
            self.addresses[peer] = address = f"127.0.0.1:{await node.listen()}"
            for dialler in addresses:
                proxy = self.via.get((dialler, peer))
                addresses[dialler][peer] = address if proxy is None else await proxy.listen(address)
                if peer in self.hidden:
                    addresses[dialler][peer] = NOWHERE
        return self

    async def run(self) -> dict[PeerId, Shared]:
        """What every node ends with."""
        self._has_run = True
        try:
            finals = await asyncio.gather(*(node.run() for node in self.nodes.values()))
        finally:
            for proxy in self.via.values():
                await proxy.close()
        return dict(zip(self.nodes, finals, strict=True))

    async def __aenter__(self) -> Cluster:
        return await self.listen()

    async def __aexit__(self, *error: object) -> None:
        if not self._has_run:
            for node in self.nodes.values():
                node.stop()
            await self.run()


class Proxy:
    """Stands between two nodes, forwards the frames of their edge as bytes, and keeps them as they came."""

    def __init__(self) -> None:
        self.frames: dict[str, list[bytes]] = {"out": [], "back": []}  # of the dialler, of the answering end
        self.streams = 0
        self.sniffed: list[tuple[str, Message]] = []
        self.on_message: Callable[[str, Message], None] = lambda direction, message: None
        self.change: Callable[[str, bytes], bytes] = lambda direction, frame: frame  # what is passed on instead
        self._calls: set[Any] = set()

    async def listen(self, target: str) -> str:
        """Opens a port that leads to `target`."""
        self._server = grpc.aio.server()
        handler = grpc.stream_stream_rpc_method_handler(self._edge)
        service, method = METHOD.split("/")[1:]
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self._channel = grpc.aio.insecure_channel(target)
        return f"127.0.0.1:{port}"

    async def close(self) -> None:
        await self._server.stop(None)
        await self._channel.close()

    def cut(self) -> None:
        """Breaks the streams of the edge, both ends of them."""
        for task in self._calls:
            task.cancel()

    def said(self, direction: str) -> list[Message]:
        """In order, without probes and news: when those come is a matter of time."""
        return [m for way, m in self.sniffed if way == direction and not isinstance(m, Ping | Ack | Members)]

    async def _edge(self, _: object, context: Any) -> None:
        self.streams += 1
        await context.send_initial_metadata(())
        call = self._channel.stream_stream(METHOD)()
        out = asyncio.create_task(self._pump("out", context.read, call.write, call.done_writing))
        back = asyncio.create_task(self._pump("back", call.read, context.write))
        self._calls |= {out, back}
        try:
            await asyncio.wait((back,))
            if back.cancelled() or back.exception() is not None:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
        finally:
            call.cancel()
            for task in (out, back):
                task.cancel()
            await asyncio.gather(out, back, return_exceptions=True)
            self._calls -= {out, back}

    async def _pump(self, way: str, read: Any, write: Any, end: Any = None) -> None:
        assembler = Assembler(Limits(1 << 24, 1 << 26))
        while (frame := await read()) is not grpc.aio.EOF:
            self.frames[way].append(frame)
            message = assembler.feed(frame)
            if message is not None:
                self.sniffed.append((way, message))
                self.on_message(way, message)
                await asyncio.sleep(0)  # a cut takes effect before the message is through
            await write(self.change(way, frame))
        if end is not None:
            await end()
