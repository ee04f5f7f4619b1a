"""Who may be at the other end, what a broken stream costs, and what is left alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from node.core.events import Close
from node.core.members import Liveness
from node.core.messages import PROTOCOL_VERSION, Bye, Channel, Hello, Message, Snapshot, Update
from node.drivers.simulation import Simulation
from node.drivers.streams import METHOD
from node.types import Shared
from node.wire.assembly import Assembler
from node.wire.frames import encode
from node.wire.limits import Limits
from node.wire.parts import encode_part
from tests.cluster import descend, digest, peers_on, topology
from tests.grpc.network import Cluster, Proxy, Steps, run

PAIR = topology("path", 2)
RING = topology("ring", 4)
CHECK = bytes(16)


class Gate:
    """Lets training of `round` begin only once it is open."""

    def __init__(self, round: int, arrivals: int) -> None:
        self.all_here, self._open = threading.Event(), threading.Event()
        self._round, self._left = round, arrivals
        self._lock = threading.Lock()

    def step(self, peer: Any, round: int, shared: Shared) -> Any:
        if round == self._round:
            with self._lock:
                self._left -= 1
                if self._left == 0:
                    self.all_here.set()
            self._open.wait()
        return descend(peer, round, shared)

    def open(self) -> None:
        self._open.set()


async def until(holds: Callable[[], bool]) -> None:
    """Gives others their turn until `holds`; the test's own time limit ends it otherwise."""
    while not holds():
        await asyncio.sleep(0)


@pytest.mark.parametrize("rule", ["dpsgd", "exact"])
def test_a_cut_edge_goes_on_without_a_snapshot_if_nothing_was_lost(rule: str) -> None:
    gate = Gate(round=2, arrivals=4)
    proxy = Proxy()
    peers = peers_on(RING, rule)

    async def over_sockets() -> str:
        trainers = {p: Steps(p, gate.step) for p in peers}
        async with Cluster(peers, trainers, via={("p00", "p01"): proxy}) as cluster:
            work = asyncio.create_task(cluster.run())
            await asyncio.to_thread(gate.all_here.wait)  # all train: every message of round 1 has been heard
            proxy.cut()
            await until(lambda: [type(m).__name__ for m in proxy.said("back")].count("Hello") == 2)
            await until(lambda: peers["p00"].members.by_id["p01"].state is Liveness.ALIVE)
            gate.open()
            return digest(await work)

    final = run(over_sockets())

    assert final == digest(Simulation(peers_on(RING, rule), descend).run())
    assert proxy.streams == 2
    for direction in ("out", "back"):
        kinds = [type(message).__name__ for message in proxy.said(direction)]
        assert kinds.count("Snapshot") == 1
        assert kinds.count("SnapshotRequest") == 0


def test_what_a_cut_lost_is_made_good_by_a_snapshot() -> None:
    """The proxy cuts instead of forwarding the update of round 1: at the next hello, p01 holds an older copy."""
    gate = Gate(round=2, arrivals=2)
    proxy = Proxy()
    peers = peers_on(PAIR, rounds=4)

    def lose(direction: str, message: Message) -> None:
        if direction == "out" and isinstance(message, Update) and proxy.streams == 1:
            proxy.cut()

    proxy.on_message = lose

    async def over_sockets() -> None:
        trainers = {p: Steps(p, gate.step) for p in peers}
        async with Cluster(peers, trainers, via={("p00", "p01"): proxy}) as cluster:
            work = asyncio.create_task(cluster.run())
            await asyncio.to_thread(gate.all_here.wait)
            await until(lambda: [type(m).__name__ for m in proxy.said("back")].count("Hello") == 2)
            await until(lambda: peers["p00"].members.by_id["p01"].state is Liveness.ALIVE)
            gate.open()
            await work

    run(over_sockets())

    kinds = [type(m).__name__ for m in proxy.said("out")]
    assert proxy.streams == 2
    assert kinds == ["Hello", "Snapshot", "Update", "Hello", "Snapshot", "Update", "Update", "Bye"]
    assert [peer.faults for peer in peers.values()] == [{}, {}]


def test_streams_stand_on_topology_edges_only() -> None:
    async def over_sockets() -> dict[str, tuple[int, int]]:
        async with Cluster(peers_on(RING)) as cluster:
            await cluster.run()
            return {p: (node.counters["dials"], node.counters["streams"]) for p, node in cluster.nodes.items()}

    # p00 dials p01 and p03, p01 dials p02, p02 dials p03; each has two neighbours and one stream with each
    assert run(over_sockets()) == {"p00": (2, 2), "p01": (1, 2), "p02": (1, 2), "p03": (0, 2)}


def test_a_node_that_cannot_be_dialled_dials_and_ends_with_the_same_bits() -> None:
    async def over_sockets() -> tuple[dict[str, int], str]:
        async with Cluster(peers_on(RING), hidden=("p03",)) as cluster:
            final = await cluster.run()
            return {p: node.counters["dials"] for p, node in cluster.nodes.items()}, digest(final)

    dials, final = run(over_sockets())

    assert dials == {"p00": 1, "p01": 1, "p02": 0, "p03": 2}
    assert final == digest(Simulation(peers_on(RING), descend).run())


def test_a_neighbour_with_another_base_is_refused_with_the_reason_at_both_ends() -> None:
    peers = peers_on(PAIR, rounds=3, digests={"base_model": "a" * 64}) | {
        "p01": peers_on(PAIR, rounds=3, digests={"base_model": "b" * 64})["p01"]
    }

    async def over_sockets() -> None:
        async with Cluster(peers) as cluster:
            await cluster.run()

    run(over_sockets())

    for peer, other in (("p00", "p01"), ("p01", "p00")):
        member = peers[peer].members.by_id[other]
        assert member.state is Liveness.REFUSED
        assert "base_model" in member.reason
        assert "aaaa" in member.reason
        assert "bbbb" in member.reason
        assert peers[peer].round == 3  # it did its rounds alone


@pytest.mark.parametrize(("retry", "streams"), [(True, 2), (False, 1)])
def test_a_closed_stream_is_dialled_again_only_if_the_peer_says_so(retry: bool, streams: int) -> None:
    gate = Gate(round=2, arrivals=2)
    peers = peers_on(PAIR)

    async def over_sockets() -> int:
        async with Cluster(peers, {p: Steps(p, gate.step) for p in peers}) as cluster:
            work = asyncio.create_task(cluster.run())
            await asyncio.to_thread(gate.all_here.wait)
            node = cluster.nodes["p00"]
            node._carry_out(Close("p01", "a test says so", retry))
            await until(lambda: peers["p00"].members.by_id["p01"].state is Liveness.SUSPECT)
            if retry:
                await until(lambda: peers["p00"].members.by_id["p01"].state is Liveness.ALIVE)
            gate.open()
            await work
            return node.counters["streams"]

    assert run(over_sockets()) == streams


async def talk(address: str, *messages: Message | bytes) -> list[Message]:
    """Say `messages` to a node as somebody else, and hear all that it says until it ends the stream."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(METHOD)()
        for message in messages:
            for frame in [message] if isinstance(message, bytes) else encode(message):
                await call.write(frame)
        assembler, heard = Assembler(Limits(1 << 20, 1 << 22)), []
        while (frame := await call.read()) is not grpc.aio.EOF:
            heard.append(assembler.feed(frame))
            if isinstance(heard[-1], Bye):
                await call.done_writing()
        return [message for message in heard if message is not None]


def hello(node: str, epoch: int = 0, version: tuple[int, int] = PROTOCOL_VERSION) -> Hello:
    return Hello(version, node, epoch, 0, {}, ("float32",))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (hello("p99"), "p99 is no neighbour of p01 (p00): see edges in the topology file"),
        (Bye(0, "finished"), "a Bye before a hello"),
        (b"\xff\xff garbage", "that are no frame"),
        (encode_part(0, b"1234"), "a part of 4 bytes without a header"),
        (Snapshot(0, 0, 0, 0, (Channel("t", "f", 10**9, b""),), CHECK), "channel t, entries: 1000000000, at most 64"),
    ],
)
def test_a_stranger_is_told_why_and_changes_nothing(said: Message | bytes, why: str) -> None:
    peers = peers_on(PAIR)

    async def over_sockets() -> tuple[list[Message], str]:
        async with Cluster(peers) as cluster:
            heard = await talk(cluster.addresses["p01"], said)
            assert cluster.nodes["p01"].counters["refused"] == 1
            return heard, digest(await cluster.run())

    heard, final = run(over_sockets())

    (bye,) = heard
    assert isinstance(bye, Bye)
    assert bye.refused
    assert why in bye.reason
    assert final == digest(Simulation(peers_on(PAIR), descend).run())


def test_another_major_version_is_refused_with_both_versions_named() -> None:
    async def over_sockets() -> list[Message]:
        async with Cluster(peers_on(PAIR)) as cluster:
            return await talk(cluster.addresses["p01"], hello("p00", version=(2, 7)))

    ours, bye = run(over_sockets())

    assert isinstance(ours, Hello)
    assert ours.node == "p01"
    assert isinstance(bye, Bye)
    assert bye.refused
    assert "2.7" in bye.reason
    assert f"{PROTOCOL_VERSION[0]}.{PROTOCOL_VERSION[1]}" in bye.reason


def test_the_newer_process_takes_the_edge_and_the_older_one_is_refused() -> None:
    async def over_sockets() -> tuple[list[list[Message]], list[str]]:
        async with Cluster({"p01": peers_on(PAIR)["p01"]}) as cluster:
            node = cluster.nodes["p01"]
            address = cluster.addresses["p01"]
            old = asyncio.create_task(talk(address, hello("p00", epoch=3)))
            await until(lambda: node.counters["streams"] == 1)
            new = asyncio.create_task(talk(address, hello("p00", epoch=4)))
            assert {type(m).__name__ for m in await old} == {"Hello", "Members"}  # then its stream was ended
            await until(lambda: node.counters["streams"] == 2)
            late = await talk(address, hello("p00", epoch=3))
            state = [str(node.peer.members.by_id["p00"].epoch)]
            new.cancel()
            return [late], state

    (late,), epochs = run(over_sockets())

    (bye,) = late
    assert isinstance(bye, Bye)
    assert bye.reason == "p00: epoch 3 is over, 4 was heard"
    assert epochs == ["4"]
