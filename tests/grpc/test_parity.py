"""Three drivers, one result: by hand, in virtual time, over sockets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node.app.rules.traffic import bytes_to_send
from node.codec.named import codecs_of
from node.core.messages import Snapshot, Update
from node.core.peer import GossipPeer
from node.drivers.simulation import Simulation
from node.gossip.chebyshev import chebyshev
from node.gossip.choco import choco
from node.gossip.exact_diffusion import exact_diffusion
from node.gossip.gradient_tracking import gradient_tracking
from node.gossip.noloco import noloco
from node.gossip.periods import des_loc
from node.gossip.push_sum import push_sum
from node.gossip.quasi_global import quasi_global
from node.graph.advice.pace import hops_to
from node.graph.weighting.spectrum import interval
from node.mixings import Rule
from node.types import PeerId, Shared
from node.wire.frames import encode
from node.wire.generated import gossip_pb2 as pb
from tests.cluster import descend, digest, peers_on, spread, stack, start_of, topology
from tests.grpc.by_hand import by_hand
from tests.grpc.network import Cluster, Proxy, run

MOMENTS = {"theta": 1000, "m": 1000, "s": 1000, "scalars": 2}
RING = topology("ring", 4)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("rule", ["dpsgd", "exact"])
def test_all_drivers_end_with_the_same_bits(rule: str, overlap: bool) -> None:
    assert len(parity(lambda: peers_on(RING, rule, MOMENTS, rounds=8, overlap=overlap))) == 1


GRAPHS = {
    "one_peer_exponential": topology(None, 4, schedule="one_peer_exponential"),
    "base": topology(None, 6, schedule={"name": "base", "k": 2}),
    "random_matching": topology(None, 5, schedule={"name": "random_matching", "seed": 1}),
    "one-way ring": topology({"name": "ring", "direction": "right"}, 4, weights="uniform"),
}
RULES = {
    "choco": lambda: choco(0.7),
    "gradient-tracking": gradient_tracking,
    "exact-diffusion": exact_diffusion,
    "quasi-global": quasi_global,
    "chebyshev": lambda: chebyshev(*interval(RING.matrix()), hops_to(*interval(RING.matrix()))),
    "noloco": noloco,
    "des-loc": des_loc,
}


def parity(peers: Callable[[], dict[PeerId, GossipPeer]]) -> set[str]:
    """The digests that the three drivers end with."""

    async def over_sockets() -> str:
        async with Cluster(peers()) as cluster:
            return digest(await cluster.run())

    return {digest(by_hand(peers(), descend)), digest(Simulation(peers(), descend).run()), run(over_sockets())}


@pytest.mark.parametrize(
    ("graph", "rule"), [*((g, "dpsgd") for g in GRAPHS), ("one_peer_exponential", "exact"), ("base", "exact")]
)
def test_graphs_that_change_give_the_same_bits_in_all_drivers(graph: str, rule: str) -> None:
    assert len(parity(lambda: peers_on(GRAPHS[graph], rule, MOMENTS, rounds=9))) == 1


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_gives_the_same_bits_in_all_drivers(rule: str) -> None:
    assert len(parity(lambda: peers_on(RING, RULES[rule], MOMENTS, rounds=7))) == 1


@pytest.mark.parametrize("rule", ["dpsgd", "exact"])
@pytest.mark.parametrize("name", ["bf16", "int8", "int4"])
def test_every_codec_gives_the_same_bits_in_all_drivers(name: str, rule: str) -> None:
    codecs = codecs_of(dict.fromkeys(MOMENTS, name))
    assert len(parity(lambda: peers_on(RING, rule, MOMENTS, rounds=6, codec=codecs["theta"], codecs=codecs))) == 1


@pytest.mark.parametrize("name", ["float32", "int8", "int4"])
def test_the_payload_on_the_wire_is_what_was_predicted(name: str) -> None:
    """To the byte; read off the wire by a proxy."""
    pair, codecs = topology("path", 2), codecs_of(dict.fromkeys(MOMENTS, name))
    peers = peers_on(pair, "dpsgd", MOMENTS, rounds=5, codec=codecs["theta"], codecs=codecs)
    proxy = Proxy()

    async def over_sockets() -> None:
        async with Cluster(peers, via={pair.edges[0]: proxy}) as cluster:
            await cluster.run()

    run(over_sockets())
    for direction, peer in zip(("out", "back"), pair.nodes, strict=True):
        spoken = [m for m in proxy.said(direction) if isinstance(m, Snapshot | Update)]
        sent = sum(len(channel.data) for message in spoken for channel in message.channels)
        assert sent == bytes_to_send(peers[peer], Rule(name="dpsgd")) > 0


def test_push_sum_comes_to_the_mean_over_sockets_too() -> None:
    """Not to the same bits: whom a node can give a share in the first rounds is a matter of moments."""

    async def over_sockets() -> dict[PeerId, Shared]:
        async with Cluster(peers_on(RING, push_sum, rounds=200)) as cluster:
            return await cluster.run()

    final = stack(run(over_sockets()))

    optimum = sum(range(4)) / 4
    assert abs(float(final.mean()) - optimum) < 0.2
    assert spread(final) < 0.5 * spread(stack({p: start_of(p) for p in RING.nodes}))


@pytest.mark.parametrize("rule", ["dpsgd", "exact"])
def test_an_edge_direction_carries_one_snapshot_and_then_only_updates(rule: str) -> None:
    """Read off the wire by a proxy on every edge: moments and the hops of exact mixing too."""
    rounds = 4
    peers = peers_on(RING, rule, MOMENTS, rounds=rounds)
    hops = peers["p00"]._mixing.hops(0)
    proxies = {edge: Proxy() for edge in RING.edges}

    async def over_sockets() -> str:
        async with Cluster(peers, via=proxies) as cluster:
            return digest(await cluster.run())

    final = run(over_sockets())

    assert final == digest(by_hand(peers_on(RING, rule, MOMENTS, rounds=rounds), descend))
    for proxy in proxies.values():
        for direction in ("out", "back"):
            kinds = [type(message).__name__ for message in proxy.said(direction)]
            assert kinds == ["Hello", "Snapshot", *["Update"] * (rounds * hops - 1), "Bye"]
            spoken = [m for m in proxy.said(direction) if type(m).__name__ in ("Snapshot", "Update")]
            assert [(m.round, m.hop) for m in spoken] == [(r, h) for r in range(rounds) for h in range(hops)]
            expected = {*MOMENTS, "intact"} if rule == "exact" else {*MOMENTS}
            assert all({c.name for c in m.channels} == expected for m in spoken)


def test_frames_on_the_wire_are_those_of_the_proto_file() -> None:
    """What passed the proxy, parsed by the generated class alone."""
    pair = topology("path", 2)
    proxy = Proxy()

    async def over_sockets() -> None:
        async with Cluster(peers_on(pair, rounds=2), via={("p00", "p01"): proxy}) as cluster:
            await cluster.run()

    run(over_sockets())

    out = [pb.EdgeRequest.FromString(frame).frame.WhichOneof("content") for frame in proxy.frames["out"]]
    back = [pb.EdgeResponse.FromString(frame).frame.WhichOneof("content") for frame in proxy.frames["back"]]
    news = ("members", "ping", "ack")
    for kinds in (out, back):
        assert [kind for kind in kinds if kind not in news] == ["hello", "snapshot", "part", "update", "part", "bye"]
    for direction, frames in proxy.frames.items():
        spoken = [message for way, message in proxy.sniffed if way == direction]
        assert frames == [frame for message in spoken for frame in encode(message)]
