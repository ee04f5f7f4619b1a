"""The life of a node process: ports, health, leaving, failing, coming back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
import torch
from grpc_health.v1 import health_pb2, health_pb2_grpc

from node.core.members import Liveness
from node.core.peer import GossipPeer, PeerConfig, Phase
from node.drivers.checkpoint import CheckpointStore
from node.drivers.edges import Network
from node.drivers.grpc import GrpcNode, RoundReport
from node.drivers.streams import DRAIN
from node.errors import ConfigError, RuleError
from node.gossip.dpsgd import dpsgd
from node.gossip.function import from_function
from node.graph.weighting.weights import row_of
from node.types import PeerId, Shared
from tests.cluster import D, descend, digest, peers_on, start_of, topology
from tests.grpc.network import Cluster, Steps, Stuck, run

PAIR = topology("path", 2)
P00, P01 = PAIR.nodes
SERVING = health_pb2.HealthCheckResponse.SERVING


async def health_of(address: str, service: str = "") -> int:
    async with grpc.aio.insecure_channel(address) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
        return int(answer.status)


def test_the_health_service_answers() -> None:
    async def over_sockets() -> list[int]:
        async with Cluster(peers_on(PAIR)) as cluster:
            return [await health_of(cluster.addresses[P00], name) for name in ("", "gossip.v1.GossipService")]

    assert run(over_sockets()) == [SERVING, SERVING]


def test_other_services_are_served_too() -> None:
    async def reverse(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return request[::-1]

    def add(server: grpc.aio.Server) -> None:
        handler = grpc.unary_unary_rpc_method_handler(reverse)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {"Back": handler}),))

    async def over_sockets() -> bytes:
        cluster = Cluster(peers_on(PAIR), settings={P00: {"services": [add]}})
        async with cluster, grpc.aio.insecure_channel(cluster.addresses[P00]) as channel:
            answer: bytes = await channel.unary_unary("/test.Echo/Back")(b"abc")
            return answer

    assert run(over_sockets()) == b"cba"


def test_a_port_in_use_is_an_error_that_names_the_address_and_the_fix() -> None:
    async def over_sockets() -> None:
        async with Cluster(peers_on(PAIR)) as cluster:
            taken = Network(listen=cluster.addresses[P00])
            await GrpcNode(peers_on(PAIR)[P00], Steps(P00), taken).run()

    with pytest.raises(
        ConfigError, match=r"cannot listen on 127\.0\.0\.1:\d+: address already in use; .*topology file"
    ):
        run(over_sockets())


def test_a_finished_node_frees_its_port() -> None:
    async def over_sockets() -> None:
        async with Cluster(peers_on(PAIR)) as cluster:
            await cluster.run()
            again = GrpcNode(peers_on(PAIR)[P00], Steps(P00), Network(listen=cluster.addresses[P00]))
            await again.listen()
            again.stop()
            await again.run()

    run(over_sockets())


def test_only_a_port_that_others_can_reach_gets_the_line_about_encryption(caplog: pytest.LogCaptureFixture) -> None:
    async def over_sockets() -> None:
        for host in ("127.0.0.1", "0.0.0.0"):
            node = GrpcNode(peers_on(PAIR)[P00], Steps(P00), Network(listen=f"{host}:0"))
            await node.listen()
            node.stop()
            await node.run()

    with caplog.at_level(logging.WARNING):
        run(over_sockets())

    lines = [record.getMessage() for record in caplog.records if "NOT encrypted" in record.getMessage()]
    assert lines == ["listening on 0.0.0.0:0: what neighbours send each other is NOT encrypted"]


def test_each_round_is_reported_with_its_bytes_and_seconds() -> None:
    reports: list[RoundReport] = []

    async def over_sockets() -> tuple[int, int]:
        async with Cluster(peers_on(PAIR, rounds=3), settings={P00: {"on_round": reports.append}}) as cluster:
            await cluster.run()
            return cluster.nodes[P00].bytes_sent, cluster.nodes[P01].bytes_received

    sent, received = run(over_sockets())

    assert [report.mixed.round for report in reports] == [0, 1, 2]
    assert all(report.mixed.contributions == 1 and report.mixed.intact for report in reports)
    assert all(report.train_seconds >= 0 and report.exchange_seconds >= 0 for report in reports)
    assert sum(report.bytes_received for report in reports) >= 3 * 4 * D
    assert sent == received
    assert 3 * 4 * D < sent < 3 * 4 * D + 1500  # three vectors; all the rest is headers


def test_leaving_in_the_middle_of_a_step_keeps_the_last_mixed_state(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    peers = peers_on(PAIR, rounds=5)
    stuck = Stuck(P01, at=2)

    async def over_sockets() -> dict[PeerId, Shared]:
        async with Cluster(peers, {P01: stuck}, settings={P01: {"store": store}}) as cluster:
            work = asyncio.create_task(cluster.run())
            await asyncio.to_thread(stuck.reached.wait)
            cluster.nodes[P01].stop()
            async with asyncio.timeout(DRAIN):
                return await work

    final = run(over_sockets())

    saved = store.load()
    assert saved is not None
    assert saved.round == 2
    assert torch.equal(saved.shared["theta"], final[P01]["theta"])
    assert saved.private == {"rounds": [0, 1]}  # of the last mixed round, not of the one under way
    expected = digest({p: s for p, s in run_rounds(2).items() if p == P01})
    assert digest({P01: final[P01]}) == expected
    assert peers[P00].members.by_id[P01].state is Liveness.LEFT
    assert peers[P00].members.by_id[P01].reason == "leaving"
    assert peers[P00].round == 5  # it went on without


def test_leaving_between_training_and_mixing_keeps_the_state_before_that_training(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    slow = Waiting(P00, at=2)
    peers = peers_on(PAIR, rounds=5)

    async def over_sockets() -> None:
        async with Cluster(peers, {P00: slow}, settings={P01: {"store": store}}) as cluster:
            work = asyncio.create_task(cluster.run())
            while peers[P01].round < 2 or peers[P01].phase is not Phase.EXCHANGING:
                await asyncio.sleep(0)
            cluster.nodes[P01].stop()
            slow.stopped.set()
            await work

    run(over_sockets())

    saved = store.load()
    assert saved is not None
    assert saved.round == 2
    assert saved.private == {"rounds": [0, 1]}


def run_rounds(rounds: int) -> dict[PeerId, Shared]:
    async def over_sockets() -> dict[PeerId, Shared]:
        async with Cluster(peers_on(PAIR, rounds=rounds)) as cluster:
            return await cluster.run()

    return run(over_sockets())


def resumed(peer: PeerId, rounds: int, store: CheckpointStore) -> GossipPeer:
    """The peer as a new process makes it from what is on disk."""
    saved = store.load()
    assert saved is not None
    config = PeerConfig(
        peer=peer, row=row_of(PAIR, peer), rounds=rounds, epoch=store.claim_epoch(), start_round=saved.round
    )
    return GossipPeer(config, saved.shared, dpsgd())


def test_two_nodes_that_stopped_go_on_from_disk_to_the_same_bits(tmp_path: Path) -> None:
    stores = {p: CheckpointStore(tmp_path / p) for p in PAIR.nodes}
    settings: dict[str, Any] = {p: {"store": store} for p, store in stores.items()}

    async def go(peers: Mapping[PeerId, GossipPeer]) -> dict[PeerId, Shared]:
        async with Cluster(dict(peers), settings=settings) as cluster:
            return await cluster.run()

    run(go(peers_on(PAIR, rounds=3)))
    final = run(go({p: resumed(p, 6, store) for p, store in stores.items()}))

    assert digest(final) == digest(run_rounds(6))


def test_a_killed_node_that_comes_back_takes_part_again(tmp_path: Path) -> None:
    """p01 is stopped in round 2 and comes back as a new process on the same port; p00 trains meanwhile."""
    store = CheckpointStore(tmp_path)
    peers = peers_on(PAIR, rounds=6)
    first, waiting = Stuck(P01, at=2), Waiting(P00, at=2)

    async def over_sockets() -> tuple[Shared, Shared]:
        async with Cluster(peers, {P00: waiting, P01: first}, settings={P01: {"store": store}}) as cluster:
            survivor = asyncio.create_task(cluster.nodes[P00].run())
            old = asyncio.create_task(cluster.nodes[P01].run())
            await asyncio.to_thread(first.reached.wait)
            cluster.nodes[P01].stop()
            await old
            again = GrpcNode(resumed(P01, 6, store), Steps(P01), Network(listen=cluster.addresses[P01]))
            back = asyncio.create_task(again.run())
            while peers[P00].members.by_id[P01].epoch < 1:
                await asyncio.sleep(0)
            waiting.stopped.set()
            cluster._has_run = True
            return await survivor, await back

    a, b = run(over_sockets())

    assert digest({P00: a, P01: b}) == digest(run_rounds(6))
    assert peers[P00].members.by_id[P01].epoch == 1


class Waiting(Steps):
    """Holds round `at` until it is told to stop, then does it."""

    def __init__(self, peer: PeerId, at: int) -> None:
        super().__init__(peer)
        self._at = at

    def train(self, round: int, shared: Shared) -> Any:
        if round == self._at:
            self.stopped.wait()
        return super().train(round, shared)


def test_what_training_raises_comes_out_of_run_and_neighbours_go_on() -> None:
    def fail(peer: PeerId, round: int, shared: Shared) -> Any:
        if round == 1:
            raise ArithmeticError("loss is nan")
        return descend(peer, round, shared)

    peers = peers_on(PAIR, rounds=4)

    async def over_sockets() -> list[Any]:
        async with Cluster(peers, {P01: Steps(P01, fail)}) as cluster:
            cluster._has_run = True
            return await asyncio.gather(*(n.run() for n in cluster.nodes.values()), return_exceptions=True)

    survivor, failed = run(over_sockets())

    assert isinstance(failed, ArithmeticError)
    assert peers[P00].members.by_id[P01].reason == "leaving"  # it was told, and did not wait
    assert peers[P00].round == 4
    assert survivor.keys() == {"theta"}


def test_a_bug_in_the_round_recorder_is_not_swallowed() -> None:
    def broken(report: RoundReport) -> None:
        raise ZeroDivisionError

    async def over_sockets() -> None:
        async with Cluster(peers_on(PAIR), settings={P00: {"on_round": broken}}) as cluster:
            await cluster.run()

    with pytest.raises(ZeroDivisionError):
        run(over_sockets())


def test_a_checkpoint_that_cannot_be_written_fails_the_run_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "file").touch()  # where a folder should be
    peers = peers_on(PAIR)

    async def over_sockets() -> list[Any]:
        settings: dict[str, Any] = {P00: {"store": CheckpointStore(tmp_path / "file")}}
        async with Cluster(peers, settings=settings) as cluster:
            cluster._has_run = True
            return await asyncio.gather(*(n.run() for n in cluster.nodes.values()), return_exceptions=True)

    failed, other = run(over_sockets())

    assert isinstance(failed, OSError)
    assert other.keys() == {"theta"}
    assert peers[P00].round == 5  # all rounds were done


def test_a_neighbour_that_never_comes_costs_the_first_contact_and_no_more() -> None:
    config = PeerConfig(peer=P00, row=row_of(PAIR, P00), rounds=3, first_contact=0.2)
    peer = GossipPeer(config, start_of(P00), dpsgd())

    async def over_sockets() -> Shared:
        nowhere = {P01: "127.0.0.1:1"}
        return await GrpcNode(peer, Steps(P00), Network(listen="127.0.0.1:0", addresses=nowhere)).run()

    final = run(over_sockets())

    alone = start_of(P00)
    for round in range(3):
        alone, _ = descend(P00, round, alone)
    assert digest({P00: final}) == digest({P00: alone})


def test_a_node_without_neighbours_just_trains() -> None:
    peer = GossipPeer(PeerConfig(peer=P00, row={P00: 1.0}, rounds=2), start_of(P00), dpsgd())

    async def over_sockets() -> Shared:
        return await GrpcNode(peer, Steps(P00), Network(listen="127.0.0.1:0")).run()

    assert run(over_sockets()).keys() == {"theta"}
    assert peer.round == 2


def test_how_late_the_loop_is_is_measured() -> None:
    async def over_sockets() -> float:
        async with Cluster(peers_on(PAIR), {P00: Waiting(P00, at=1)}) as cluster:
            work = asyncio.create_task(cluster.run())
            node = cluster.nodes[P00]
            while not node._lags:
                await asyncio.sleep(0)
            cluster.trainers[P00].stopped.set()
            await work
            return node.loop_lag

    assert run(over_sockets()) >= 0.0


def test_a_mixing_function_that_fails_ends_the_node_with_its_name() -> None:
    """Not with a protocol's complaint: whoever wrote the function reads the line."""

    def short_lived(own: Any, neighbours: Any, weights: Any, round: int) -> Any:
        return own if round < 2 else neighbours["nobody"]

    async def over_sockets() -> None:
        async with Cluster(peers_on(PAIR, lambda: from_function(short_lived))) as cluster:
            await cluster.run()

    with pytest.raises(RuleError, match=r"short_lived, round 2 of p0[01]: KeyError: 'nobody'"):
        run(over_sockets())
