"""A ring of four nodes whose status services are real, and whose vectors really mix by W; no training, no models.

Each answer takes the node one round further, so that tests need no clock.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import grpc.aio
import numpy as np

from node.observe.probes import product_sketch
from node.observe.records import RoundRecord, Seconds
from node.observe.sketch import sketch, to_bytes
from node.observe.status import Member, NodeStatus, TopologyStatus
from node.types import Pair, PeerId
from node.wire.status import add_status_service

T = TypeVar("T")
IDS = tuple(PeerId(f"n{i}") for i in range(4))
EDGES = (("n0", "n1"), ("n1", "n2"), ("n2", "n3"), ("n0", "n3"))
# Metropolis, eigenvalues 1, 1/3, 1/3, -1/3: every spread shrinks to a third.
W = np.array([[1, 1, 0, 1], [1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 1, 1]]) / 3
PREDICTED = 1 / 3
ROUNDS = 20


def histories(rounds: int = ROUNDS, drift: float = 0.5, w: np.ndarray = W, seed: int = 0) -> list[list[RoundRecord]]:
    """Records of each node: round r adds a common step and a private one (times `drift` a round), then mixes."""
    generator = np.random.default_rng(seed)
    x = np.zeros((4, 3000))
    made: list[list[RoundRecord]] = [[] for _ in IDS]
    for r in range(rounds):
        x = x + generator.standard_normal(3000) + drift**r * generator.standard_normal(x.shape)
        before, x = x, w @ x
        for i in range(4):
            made[i].append(record(r, before[i], x[i], loss=2.0 / (r + 1) + 0.1 * i))
    return made


PAIRS = (Pair(slice(0, 1000), slice(1000, 1800), 20, 50, 40),)


def record(r: int, before: np.ndarray, after: np.ndarray, loss: float = 1.0) -> RoundRecord:
    return RoundRecord(
        round=r,
        time=1000.0 + r,
        loss=loss,
        accuracy=None,
        seconds=Seconds(train=0.5, exchange=0.1),
        bytes_sent=1000,
        bytes_received=900,
        contributions=2,
        staleness={PeerId("n1"): 0},
        before=to_bytes(sketch(before)),
        after=to_bytes(sketch(after)),
        product=to_bytes(product_sketch(after, PAIRS)) if after.size >= PAIRS[-1].b.stop else b"",
        predicted_contraction=PREDICTED,
    )


def addresses(ports: tuple[int, ...] = (7000, 7001, 7002, 7003)) -> dict[PeerId, str]:
    return {peer: f"127.0.0.1:{port}" for peer, port in zip(IDS, ports, strict=True)}


def status(
    i: int,
    records: list[RoundRecord],
    *,
    epoch: int = 1,
    state: str = "training",
    at: dict[PeerId, str] | None = None,
    members: tuple[Member, ...] = (),
    digest: str = "d0",
    rounds: int = ROUNDS,
    counters: dict[str, int] | None = None,
) -> NodeStatus:
    """Of node i after the rounds in `records`."""
    where = at or addresses()
    done = records[-1].round + 1 if records else 0
    return NodeStatus(
        node=IDS[i],
        epoch=epoch,
        address=where[IDS[i]],
        pid=1000 + i,
        state=state,
        round=done,
        rounds=rounds,
        loss=records[-1].loss if records else None,
        accuracy=0.25,
        uptime_s=10.0,
        bytes_sent=1000 * done,
        bytes_received=900 * done,
        mixing="dpsgd",
        predicted_contraction=PREDICTED,
        topology=TopologyStatus(digest=digest, addresses=where, edges=EDGES),
        members=members,
        counters=counters or {},
        records=tuple(records),
    )


class Loop:
    """An event loop in a thread of its own, for servers that outlive the loops of those who ask them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Ring:
    """Four servers on free ports of 127.0.0.1."""

    def __init__(self, records: list[list[RoundRecord]], loop: Loop) -> None:
        self.loop = loop
        self.records = records
        self.rounds = [1, 2, 2, 2]  # n0 is a round behind
        self.epochs = [1] * 4
        self._servers: list[grpc.aio.Server | None] = [None] * 4
        self.ports = [0] * 4
        for i in range(4):
            self.start(i)

    @property
    def addresses(self) -> dict[PeerId, str]:
        return addresses(tuple(self.ports))

    def start(self, i: int) -> None:
        self._servers[i], self.ports[i] = self.loop.run(serve(self._reader(i), self.ports[i]))

    def stop(self, i: int) -> None:
        server, self._servers[i] = self._servers[i], None
        if server is not None:
            self.loop.run(server.stop(None))

    def close(self) -> None:
        for i in range(4):
            self.stop(i)

    def _reader(self, i: int) -> Callable[[], NodeStatus]:
        def read() -> NodeStatus:
            done = self.rounds[i]
            self.rounds[i] = min(done + 1, len(self.records[i]))
            state = "finished" if done == len(self.records[i]) else "training"
            return status(i, self.records[i][:done], epoch=self.epochs[i], state=state, at=self.addresses)

        return read


async def serve(read: Callable[[], NodeStatus], port: int = 0) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_status_service(server, read)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, bound
