"""A node joins four over real sockets; and all the ways in which it is not let in, where nothing may change."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from node.app.joins.doorkeeper import Doorkeeper
from node.app.joins.growing import GrowingGraph
from node.app.joins.joining import NoAnswer, Place, enter, keep, plan, reached
from node.app.run.run_folder import NodeFolder
from node.config import NodeConfig
from node.core.deadlines import DeadlineLimits
from node.core.messages import PROTOCOL_VERSION, Hello, Join
from node.core.peer import GossipPeer
from node.core.peer_config import PeerConfig
from node.drivers.edges import Network
from node.drivers.grpc import GrpcNode
from node.errors import BadMessage, ConfigError
from node.gossip.dpsgd import dpsgd
from node.graph.growth import grown, rows_of
from node.graph.topology import Topology
from node.graph.weighting.weights import row_of
from node.observe.status import NodeStatus, TopologyStatus
from node.types import PeerId, Shared
from node.wire.generated import gossip_pb2, join_pb2
from node.wire.join import SERVICE, Proposal, add_join_service, ask_commit, ask_propose
from node.wire.limits import NEIGHBOURS
from node.wire.status import add_status_service
from tests.cluster import descend, spread, stack, start_of, topology
from tests.grpc.network import Cluster, Steps, run
from tests.lab import free_ports

RING = topology("ring", 4)
P00, P01, P02, P03 = RING.nodes
NEW = PeerId("p09")
DIGESTS = {"base_model": "a" * 64, "joins": "on"}
HELLO = Hello(PROTOCOL_VERSION, NEW, 0, 0, DIGESTS, ())
ROUNDS = 60
NOBODY = "127.0.0.1:1"  # a port that nobody listens on


def member(peer: PeerId, base: Topology, joins: tuple[Join, ...] = (), **settings: Any) -> GossipPeer:
    graph = base if peer in base.addresses else grown(base, joins)
    fixed = {"peer": peer, "row": row_of(graph, peer), "rounds": ROUNDS, "digests": DIGESTS, "joins": joins}
    fixed["rewire"] = lambda known: rows_of(base, known, peer)
    fixed["deadlines"] = DeadlineLimits(floor=120.0)  # seconds; a machine in trouble is not what is looked for
    return GossipPeer(PeerConfig(**{**fixed, **settings}), start_of(peer), dpsgd())


class Gates:
    """Training of some rounds begins only once their gate is open; the newcomer's, once it is `in_touch`.

    Its rounds take no time here: without a gate it may have done them all before its streams are up.
    """

    def __init__(self, *rounds: int) -> None:
        self._open = {r: threading.Event() for r in rounds}
        self.in_touch = threading.Event()

    def step(self, peer: PeerId, round: int, shared: Shared) -> Any:
        if peer == NEW:
            self.in_touch.wait()
        elif round in self._open:
            self._open[round].wait()
        return descend(peer, round, shared)

    def open(self, round: int) -> None:
        self._open[round].set()


class Open:
    """Four nodes on a ring that let others in, each with the services of a whole node."""

    def __init__(self, gates: Gates, **settings: dict[PeerId, Any]) -> None:
        each = {p: {name: by[p] for name, by in settings.items() if p in by} for p in RING.nodes}
        self.peers = {p: member(p, RING, **each[p]) for p in RING.nodes}
        self.doors: dict[PeerId, Doorkeeper] = {}
        services = {p: {"services": [self._adder(p)]} for p in RING.nodes}
        self.cluster = Cluster(self.peers, {p: Steps(p, gates.step) for p in RING.nodes}, settings=services)
        self.base = RING

    def _adder(self, peer: PeerId) -> Callable[[grpc.aio.Server], None]:
        def add(server: grpc.aio.Server) -> None:
            add_status_service(server, lambda: self.status(peer))
            add_join_service(server, lambda said: self.doors[peer].propose(said), lambda j: self.doors[peer].commit(j))

        return add

    async def listen(self) -> None:
        await self.cluster.listen()
        self.base = replace(RING, addresses=dict(self.cluster.addresses))
        for p, peer in self.peers.items():
            graph = GrowingGraph(NodeConfig(), self.base, lambda peer=peer: peer.joins)  # type: ignore[misc]
            self.doors[p] = Doorkeeper(peer, graph, self.cluster.nodes[p].feed)

    def status(self, p: PeerId) -> NodeStatus:
        peer = self.peers[p]
        graph = grown(self.base, peer.joins)
        told = TopologyStatus(
            digest=RING.digest, addresses=graph.addresses, edges=graph.edges, weights="metropolis", joins=peer.joins
        )
        return NodeStatus(
            node=p,
            epoch=0,
            address=self.base.addresses[p],
            pid=0,
            state="training",
            round=peer.round,
            rounds=ROUNDS,
            uptime_s=0.0,
            bytes_sent=0,
            bytes_received=0,
            mixing="dpsgd",
            topology=told,
        )

    def place(self, folder: Path, address: str = "127.0.0.1:7999") -> Place:
        return plan(self.status(P00), self.base.addresses[P00], NEW, address, address, (), NodeFolder(folder))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0)


def test_a_node_joins_takes_state_and_mixes_and_nobody_misses_a_round(tmp_path: Path) -> None:
    gates = Gates(20, 30)
    net = Open(gates)

    async def over_sockets() -> tuple[Join, GossipPeer, dict[PeerId, Shared]]:
        await net.listen()
        running = asyncio.create_task(net.cluster.run())
        await until(lambda: all(peer.round == 20 for peer in net.peers.values()))
        place = net.place(tmp_path, f"127.0.0.1:{free_ports(1)[0]}")
        join = await enter(place, HELLO)
        await until(lambda: all(peer.joins == (join,) for peer in net.peers.values()))  # flooded
        gates.open(20)
        await reached(place, join)
        newcomer = member(NEW, net.base, (join,))
        node = GrpcNode(newcomer, Steps(NEW, gates.step), Network(listen=join.address, addresses=net.base.addresses))
        joined = asyncio.create_task(node.run())
        here = newcomer.members.by_id.values()
        await until(lambda: all(neighbour.streaming for neighbour in here))
        gates.in_touch.set()
        await until(lambda: newcomer.faults["adopted"] >= 1)
        gates.open(30)
        finals = await running
        return join, newcomer, finals | {NEW: await joined}

    join, newcomer, finals = run(over_sockets())

    assert join.neighbours == (P00, P01, P03)
    assert join.round == 22
    assert newcomer.round == ROUNDS
    assert spread(stack(finals)) < spread(stack({p: start_of(p) for p in finals}))
    for peer in (*net.peers.values(), newcomer):
        assert peer.faults["deadline"] == 0
        assert peer.joins == (join,)
    assert {p for p in net.peers if NEW in net.peers[p].neighbours} == {P00, P01, P03}


def refused(net: Open, folder: Path, hello: Hello = HELLO, **changes: Any) -> str:
    """Why nobody joins; nothing has changed anywhere."""
    gates = changes.pop("gates")

    async def over_sockets() -> str:
        await net.listen()
        running = asyncio.create_task(net.cluster.run())
        try:
            await until(lambda: all(peer.round >= 5 for peer in net.peers.values()))
            place = replace(net.place(folder), **changes)
            with pytest.raises((ConfigError, NoAnswer)) as error:
                await enter(place, hello)
            await asyncio.sleep(0)
            assert all(peer.joins == () for peer in net.peers.values())
            assert all(NEW not in peer.neighbours for peer in net.peers.values())
            return str(error.value)
        finally:
            gates.open(5)
            await running

    return run(over_sockets())


def test_one_that_takes_nobody_is_named_and_nothing_has_changed(tmp_path: Path) -> None:
    gates = Gates(5)
    said = refused(Open(gates, rewire={P01: None}), tmp_path, gates=gates)
    assert said.startswith("p01 refuses: joins are off at p01: set gossip.joins: true")
    assert said.endswith("nothing has changed")


def test_another_model_is_refused_and_the_digest_named(tmp_path: Path) -> None:
    gates = Gates(5)
    other = replace(HELLO, digests={**DIGESTS, "base_model": "b" * 64})
    said = refused(Open(gates), tmp_path, other, gates=gates)
    assert "base_model differs: p09 has bbbbbbbbbbbb, p00 has aaaaaaaaaaaa; see base_model in the node file" in said


def test_a_neighbour_that_does_not_answer_is_named(tmp_path: Path) -> None:
    gates = Gates(5)
    net = Open(gates)

    async def over_sockets() -> str:
        await net.listen()
        running = asyncio.create_task(net.cluster.run())
        try:
            place = net.place(tmp_path)
            addresses = {**place.base.addresses, P03: NOBODY}
            with pytest.raises(NoAnswer) as error:
                await enter(replace(place, base=replace(place.base, addresses=addresses)), HELLO)
            assert all(peer.joins == () for peer in net.peers.values())
            return str(error.value)
        finally:
            gates.open(5)
            await running

    assert run(over_sockets()) == "p03 does not answer at 127.0.0.1:1: no connection; nothing has changed"


def test_a_run_that_is_nearly_over_takes_nobody(tmp_path: Path) -> None:
    gates = Gates(5)
    said = refused(Open(gates), tmp_path, gates=gates, round_s=0.001)
    assert said == (
        "the run is nearly over: round 5 of 60, and a node that joins now would count from round 507 on; "
        "nothing has changed"
    )


def test_an_address_that_a_node_has_is_refused(tmp_path: Path) -> None:
    gates = Gates(5)
    net = Open(gates)

    async def over_sockets() -> str:
        await net.listen()
        running = asyncio.create_task(net.cluster.run())
        try:
            with pytest.raises(ConfigError) as error:
                await enter(net.place(tmp_path, net.base.addresses[P02]), HELLO)
            return str(error.value)
        finally:
            gates.open(5)
            await running

    assert "is the address of p02, too; wanted one each" in run(over_sockets())


def test_what_nobody_promised_and_what_is_too_long_is_refused(tmp_path: Path) -> None:
    gates = Gates(5)
    net = Open(gates)

    async def over_sockets() -> list[str]:
        await net.listen()
        running = asyncio.create_task(net.cluster.run())
        said = []
        try:
            async with grpc.aio.insecure_channel(net.base.addresses[P00]) as channel:
                join = Join(NEW, "127.0.0.1:7999", (P00,), 30)
                said.append((await ask_commit(channel, P00, join, 5.0)).reason)
                await ask_propose(channel, Proposal(HELLO, join.address, (P00,)), 5.0)
                said.append((await ask_commit(channel, P00, replace(join, neighbours=(P00, P01)), 5.0)).reason)
                said.append((await ask_commit(channel, P00, replace(join, round=ROUNDS), 5.0)).reason)
                long = join_pb2.ProposeRequest(hello=gossip_pb2.Hello(node=NEW), neighbours=["p"] * (NEIGHBOURS + 1))
                ask = channel.unary_unary(f"/{SERVICE}/Propose", join_pb2.ProposeRequest.SerializeToString)
                for request in (long, join_pb2.ProposeRequest(), b"\xff" * 10):
                    try:
                        raw = request if isinstance(request, bytes) else None
                        call = channel.unary_unary(f"/{SERVICE}/Propose") if raw else ask
                        await call(request, timeout=5.0)
                    except grpc.aio.AioRpcError as error:
                        said.append(f"{error.code().name}: {error.details()}")
            assert net.peers[P00].joins == ()
            return said
        finally:
            gates.open(5)
            await running

    nothing, other, late, long, empty, garbage = run(over_sockets())
    assert nothing == "p00 has promised p09 nothing, or over 60 s ago"
    assert other == "p00 has promised p09 another address or other neighbours"
    assert late == "round 60 will not be: p00 ends after 60 rounds"
    assert long == "INVALID_ARGUMENT: neighbours: 513, at most 512 are taken"
    assert empty == "INVALID_ARGUMENT: hello without a node id"
    assert garbage.startswith("INVALID_ARGUMENT: Error parsing message")


def test_a_commit_that_reached_one_neighbour_reaches_all_by_the_others_word(tmp_path: Path) -> None:
    gates = Gates(5)
    net = Open(gates)

    async def over_sockets() -> Join:
        await net.listen()
        running = asyncio.create_task(net.cluster.run())
        try:
            await until(lambda: all(peer.round == 5 for peer in net.peers.values()))
            join = Join(NEW, "127.0.0.1:7999", (P00, P01), 8)
            async with grpc.aio.insecure_channel(net.base.addresses[P00]) as channel:
                assert (await ask_propose(channel, Proposal(HELLO, join.address, join.neighbours), 5.0)).agreed
                assert (await ask_commit(channel, P00, join, 5.0)).agreed
                assert (await ask_commit(channel, P00, join, 5.0)).agreed  # said twice
            await until(lambda: all(peer.joins == (join,) for peer in net.peers.values()))
            return join
        finally:
            gates.open(5)
            await running

    join = run(over_sockets())
    assert NEW in net.peers[P01].neighbours
    assert all(peer.config.plan(peer.joins)(join.round - 1, 0).row == peer.config.row for peer in net.peers.values())


# ---- before anything is asked
def status(**changes: Any) -> NodeStatus:
    net = Open(Gates())
    return replace(net.status(P00), **changes)


def test_an_id_that_is_taken_is_refused_unless_it_was_ours(tmp_path: Path) -> None:
    folder = NodeFolder(tmp_path)
    with pytest.raises(ConfigError, match="--id p02: the network has a node of that id already"):
        plan(status(), "here:1", P02, "", "", (), folder)
    join = Join(NEW, "127.0.0.1:7999", (P00,), 8)
    graph = grown(RING, [join])
    told = replace(status().topology, addresses=graph.addresses, edges=graph.edges, joins=(join,))
    with pytest.raises(ConfigError, match="--id p09: the network has a node of that id already"):
        plan(status(topology=told), "here:1", NEW, "", "", (), folder)
    place = plan(status(), "here:1", NEW, "127.0.0.1:7999", join.address, (P00,), folder)
    keep(folder, place, join)
    again = plan(status(topology=told), "here:1", NEW, "127.0.0.1:1234", "127.0.0.1:1234", (), folder)
    assert (again.joined, again.listen, again.address, again.neighbours) == (
        True,
        "127.0.0.1:7999",
        join.address,
        (P00,),
    )
    assert again.share == place.share == (4, 5)


def test_neighbours_must_be_nodes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--neighbours: p77 is not a node of the network"):
        plan(status(), "here:1", NEW, "", "127.0.0.1:1", (PeerId("p77"),), NodeFolder(tmp_path))


def test_a_status_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    told = replace(status().topology, digest="0" * 64)
    with pytest.raises(BadMessage, match="is not the one that it was started with"):
        plan(status(topology=told), "here:1", NEW, "", "127.0.0.1:1", (), NodeFolder(tmp_path))
