"""A rolling upgrade: nodes of the next minor version, of the next major one, and of the first, among nodes of ours."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import grpc
import pytest
import torch

from node.codec import float32
from node.core.deadlines import DeadlineLimits
from node.core.edge import check_of
from node.core.members import Liveness
from node.core.messages import PROTOCOL_VERSION, Bye, Channel, Hello, Message, Snapshot
from node.core.peer import GossipPeer, PeerConfig
from node.drivers.grpc import RoundReport
from node.drivers.simulation import Simulation
from node.drivers.streams import METHOD
from node.gossip.dpsgd import dpsgd
from node.graph.topology import Topology
from node.graph.weighting.weights import row_of
from node.types import PeerId
from node.wire.frames import encode
from node.wire.generated import gossip_pb2 as pb
from tests.cluster import D, descend, digest, peers_on, start_of, topology
from tests.grpc.network import Cluster, Proxy, run

RING, PATH = topology("ring", 4), topology("path", 3)
MAJOR, MINOR = PROTOCOL_VERSION
UNKNOWN = b"\xf2\xff\x01\x05later"  # field 4094, five bytes: in no message of ours
FIRST_KINDS = {"hello", "snapshot", "update", "snapshot_request", "bye", "part"}  # of version 1.0


class Other(GossipPeer):
    """A peer that speaks another version of the protocol."""

    version = PROTOCOL_VERSION

    def hello(self, to: PeerId) -> Hello:
        return replace(super().hello(to), version=self.version)


def speaking(version: tuple[int, int], graph: Topology, peer: PeerId, rounds: int = 5) -> GossipPeer:
    made = Other(PeerConfig(peer=peer, row=row_of(graph, peer), rounds=rounds), start_of(peer), dpsgd())
    made.version = version
    return made


# ---- the next minor version
def with_unknown_fields(frame: bytes) -> bytes:
    """The frame as a later version may write it: one more field in the request, in the frame and in its content."""
    request = pb.EdgeRequest.FromString(frame)
    content = getattr(request.frame, request.frame.WhichOneof("content"))
    for message in (content, request.frame, request):
        message.MergeFromString(UNKNOWN)
    return request.SerializeToString()


def test_unknown_fields_are_in_what_is_sent() -> None:
    (frame,) = encode(Bye(3, "finished"))
    later = with_unknown_fields(frame)
    assert later.count(UNKNOWN) == 3
    assert pb.EdgeRequest.FromString(later).frame.bye.round == 3


def test_the_next_minor_version_trains_to_the_end_with_the_same_bits() -> None:
    """p01 is newer; it is dialled by p00 and dials p02, and every frame of it holds fields that nobody else knows."""
    peers = peers_on(RING) | {"p01": speaking((MAJOR, MINOR + 1), RING, "p01")}
    dialled, dialling = Proxy(), Proxy()
    dialled.change = lambda way, frame: with_unknown_fields(frame) if way == "back" else frame
    dialling.change = lambda way, frame: with_unknown_fields(frame) if way == "out" else frame

    async def over_sockets() -> str:
        async with Cluster(peers, via={("p00", "p01"): dialled, ("p01", "p02"): dialling}) as cluster:
            return digest(await cluster.run())

    final = run(over_sockets())

    assert final == digest(Simulation(peers_on(RING), descend).run())
    assert not any(peer.faults for peer in peers.values())
    for proxy, way in ((dialled, "back"), (dialling, "out")):
        kinds = [type(message).__name__ for message in proxy.said(way)]
        assert proxy.streams == 1
        assert {"Hello", "Snapshot", "Update", "Bye"} <= set(kinds)
        assert kinds.count("Snapshot") == 1  # every update was taken as it came


# ---- the next major version
def test_the_next_major_version_is_refused_with_both_named_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    peers = peers_on(RING) | {"p01": speaking((MAJOR + 1, 0), RING, "p01")}
    reports: dict[PeerId, list[RoundReport]] = {p: [] for p in peers}

    async def over_sockets() -> None:
        settings = {p: {"on_round": reports[p].append} for p in peers}
        async with Cluster(peers, settings=settings) as cluster:
            await cluster.run()

    run(over_sockets())

    for here, there in (("p00", "p01"), ("p01", "p00"), ("p02", "p01"), ("p01", "p02")):
        member = peers[here].members.by_id[there]
        lines = [text for text in caplog.messages if text.startswith(f"{here}: ") and there in text]
        assert member.state is Liveness.REFUSED
        for version in (f"{MAJOR}.{MINOR}", f"{MAJOR + 1}.0"):
            assert version in member.reason
            assert any(version in line for line in lines), lines
    used = {p: {report.mixed.contributions for report in reports[p]} for p in peers}
    assert used == {"p00": {1}, "p01": {0}, "p02": {1}, "p03": {2}}
    assert {p: peer.round for p, peer in peers.items()} == dict.fromkeys(peers, 5)


# ---- the first version
class First:
    """p00 by hand, of version 1.0: a snapshot of zeros in every exchange but the `silent` ones.

    `kinds` is what it was sent: a frame of a kind that came later would have ended its stream.
    """

    def __init__(self, rounds: int, silent: range) -> None:
        self.kinds: list[str | None] = []
        self._rounds, self._silent, self._seq = rounds, silent, 0

    async def talk(self, address: str) -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            self._call = channel.stream_stream(METHOD)()
            await self._say(Hello((1, 0), PeerId("p00"), 0, 0, {}, ("float32",)))
            while (frame := await self._call.read()) is not grpc.aio.EOF:
                content = pb.EdgeResponse.FromString(frame).frame
                self.kinds.append(kind := content.WhichOneof("content"))
                if kind in ("snapshot", "update"):
                    await self._answer(getattr(content, kind).round)
                elif kind == "bye":
                    await self._call.done_writing()

    async def _answer(self, round: int) -> None:
        if round not in self._silent:
            zeros = {"theta": torch.zeros(D)}
            channel = Channel("theta", "float32", D, float32.encode(zeros["theta"]))
            await self._say(Snapshot(0, self._seq, round, 0, (channel,), check_of(zeros)))
            self._seq += 1
        if round == self._rounds - 1:
            await self._say(Bye(self._rounds, "finished"))

    async def _say(self, message: Message) -> None:
        for frame in encode(message):
            await self._call.write(frame)


def test_a_node_of_the_first_version_is_never_sent_a_kind_of_frame_that_came_later() -> None:
    """Also while it says nothing for three rounds, when newer neighbours would be asked how they are."""
    rounds, silent = 10, range(3, 6)
    peers = peers_on(PATH, rounds=rounds, deadlines=DeadlineLimits(floor=0.7, ceiling=0.7))
    del peers["p00"]
    first, reports = First(rounds, silent), dict[int, RoundReport]()

    async def over_sockets() -> None:
        settings = {"p01": {"on_round": lambda report: reports.update({report.mixed.round: report})}}
        async with Cluster(peers, settings=settings) as cluster:
            await asyncio.gather(cluster.run(), first.talk(cluster.addresses["p01"]))

    run(over_sockets())

    assert set(first.kinds) <= FIRST_KINDS
    assert set(first.kinds) >= {"hello", "snapshot", "update", "part", "bye"}
    # A node that waited in vain may catch up with the other one by leaving out a round: such a round has no report.
    fresh = {r for r, report in reports.items() if report.mixed.staleness.get(PeerId("p00")) == 0}
    assert fresh.isdisjoint(silent)
    assert min(fresh) < silent.start  # it was used, and again when it spoke again
    assert max(fresh) >= silent.stop
    assert peers["p01"].round == peers["p02"].round == rounds
