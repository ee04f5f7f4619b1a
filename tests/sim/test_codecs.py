"""Networks whose messages lose bits: the mean stays, peers agree, and what is sent is what was predicted."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from node.app.rules.mixing import place_of
from node.app.rules.traffic import bytes_to_send
from node.codec.bf16 import bf16
from node.codec.int4 import int4
from node.codec.int8 import int8
from node.codec.named import codecs_of
from node.core.deadlines import DeadlineLimits
from node.core.messages import Message, Snapshot, Update
from node.core.peer import GossipPeer
from node.core.peer_config import PeerConfig
from node.drivers.faults import Faults, Kill
from node.drivers.lockstep import Lockstep
from node.drivers.simulation import Simulation
from node.gossip.choco import choco
from node.gossip.dpsgd import dpsgd
from node.gossip.periods import des_loc
from node.mixings import MIXINGS
from node.types import PeerId
from tests.cluster import again_on, descend, digest, keep, peers_on, spread, stack, start_of, topology

SIZES = {"theta": 200, "m": 200, "s": 200, "scalars": 2}
RING = topology("ring", 6)
LOSSY = [bf16(), int8(), int4()]
SHORT = DeadlineLimits(floor=0.5, ceiling=2.0)
BY_NAME = {name: codecs_of({"theta": name, "m": name, "s": name}) for name in ("float32", "bf16", "int8", "int4")}


def settings_of(name: str) -> dict[str, object]:
    return {"codec": BY_NAME[name]["theta"], "codecs": BY_NAME[name]}


def moved(final, channel: str = "theta", graph=RING) -> float:
    """How far the mean went, over the spread of the start."""
    start = stack({p: start_of(p, SIZES) for p in graph.nodes}, channel)
    return float((stack(final, channel).double().mean(0) - start.double().mean(0)).norm()) / spread(start)


def left(final, channel: str = "theta", graph=RING) -> float:
    return spread(stack(final, channel)) / spread(stack({p: start_of(p, SIZES) for p in graph.nodes}, channel))


# ---- the mean
@pytest.mark.parametrize("name", ["bf16", "int8", "int4"])
@pytest.mark.parametrize("rule", ["dpsgd", "choco", "exact"])
def test_the_mean_is_kept_to_float_rounding_whatever_the_codec_loses(rule, name):
    made = {"choco": lambda: choco(0.5)}.get(rule, rule)
    final = Simulation(
        peers_on(RING, made, SIZES, rounds=3 if rule == "exact" else 10, **settings_of(name)), keep
    ).run()
    assert all(moved(final, channel) < 1e-6 for channel in ("theta", "m", "s"))


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_settlement_keeps_it_through_lost_doubled_and_overtaken_messages(name):
    faults = Faults(loss=0.1, duplicate=0.05, reorder=0.1, calm_after=20.0)
    peers = peers_on(RING, "dpsgd", SIZES, rounds=30, deadlines=SHORT, **settings_of(name))
    final = Simulation(peers, keep, faults, seed=1).run()
    assert moved(final) < 1e-5


def test_neighbours_with_different_codecs_keep_it_and_agree():
    names = ["int8", "int4", "float32", "bf16", "int4", "int8"]
    peers = {
        p: GossipPeer(
            PeerConfig(**place_of(RING, p, "dpsgd"), rounds=25, **settings_of(name)), start_of(p, SIZES), dpsgd()
        )
        for p, name in zip(RING.nodes, names, strict=True)
    }
    final = Simulation(peers, keep).run()
    assert moved(final) < 1e-6
    assert left(final) < 0.01


@pytest.mark.parametrize("codec", LOSSY, ids=lambda c: c.name)
def test_without_training_peers_agree_as_fast_as_in_float32(codec):
    """The error of a copy shrinks faster than the spread, so that it never holds the peers apart."""
    spreads = {}
    for c in (codec, None):
        settings = {"codec": c} if c else {}
        spreads[c] = left(Simulation(peers_on(RING, "dpsgd", SIZES, rounds=25, **settings), keep).run())
    assert spreads[codec] < 1.3 * spreads[None] < 0.01


@pytest.mark.parametrize(("codec", "bound"), [(bf16(), 0.03), (int8(), 0.05), (int4(), 0.6)], ids=lambda c: str(c)[:20])
def test_exact_mixing_is_exact_up_to_what_the_codec_leaves_of_its_hops(codec, bound):
    final = Simulation(peers_on(RING, "exact", SIZES, rounds=1, codec=codec), keep).run()
    assert moved(final) < 1e-6
    assert 1e-4 < left(final) < bound


# ---- restarts
@pytest.mark.parametrize("name", ["bf16", "int8", "int4"])
@pytest.mark.parametrize("rule", ["dpsgd", "exact"])
def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_bits(rule, name):
    """The first messages are snapshots, but of the copies that neighbours held: the next deltas are what they were."""
    settings = {"channels": SIZES, **settings_of(name)}
    first = Simulation(peers_on(RING, rule, rounds=3, **settings), descend)
    first.run()
    again = again_on(RING, rule, rounds=6, **settings)
    resumed = Simulation({p: again(p, 1, first._disk[p]) for p in RING.nodes}, descend).run()
    assert digest(resumed) == digest(Simulation(peers_on(RING, rule, rounds=6, **settings), descend).run())


@pytest.mark.parametrize("behind", [{"p00"}, {"p01"}])
def test_nodes_stopped_a_round_apart_resume_with_the_same_bits(behind):
    graph, disks, settings = topology("path", 3), {}, {"channels": SIZES, **settings_of("int4")}
    for rounds in (4, 5):
        run = Simulation(peers_on(graph, rounds=rounds, **settings), descend)
        run.run()
        disks[rounds] = run._disk
    again = again_on(graph, rounds=8, **settings)
    resumed = Simulation({p: again(p, 1, disks[4 if p in behind else 5][p]) for p in graph.nodes}, descend).run()
    assert digest(resumed) == digest(Simulation(peers_on(graph, rounds=8, **settings), descend).run())


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_node_comes_back_and_the_peers_agree(seed):
    settings = {"channels": SIZES, "rounds": 25, "persist_every": 1, "deadlines": SHORT, **settings_of("int4")}
    faults = Faults(kill=[Kill(PeerId("p01"), 5.3, 1.5)])
    run = Simulation(peers_on(RING, **settings), keep, faults, seed=seed, rebuild=again_on(RING, **settings))
    final = run.run()
    assert len(final) == 6
    assert left(final) < 0.02


def test_the_last_word_in_a_checkpoint_is_what_the_neighbours_hold_and_is_kept_once():
    peers = peers_on(RING, "dpsgd", SIZES, rounds=4, codec=int4())
    run = Simulation(peers, keep)
    run.run()
    for p in RING.nodes:
        told = run._disk[p].state["told"]
        assert len(told["vectors"]) == 1
        for peer, edge in peers[p].edges.items():
            assert torch.equal(told["vectors"][told["to"][peer]]["theta"], edge.mine["theta"])


# ---- bytes
def counting(sent: Counter[PeerId]) -> Faults:
    def count(sender: PeerId, message: Message) -> Message:
        if isinstance(message, Snapshot | Update):
            sent[sender] += sum(len(c.data) for c in message.channels)
        return message

    return Faults(tamper=count)


@pytest.mark.parametrize("name", list(BY_NAME))
@pytest.mark.parametrize("rule", ["dpsgd", "exact", "des-loc"])
def test_every_byte_of_a_run_is_predicted(rule, name):
    made = {"des-loc": des_loc}.get(rule, rule)
    peers = peers_on(RING, made, SIZES, rounds=7, **settings_of(name))
    written = MIXINGS[rule].settings(name=rule)
    predicted = {p: bytes_to_send(peer, written) for p, peer in peers.items()}
    sent = Counter[PeerId]()
    Simulation(peers, descend, counting(sent)).run()
    assert dict(sent) == predicted


@pytest.mark.parametrize("name", list(BY_NAME))
def test_lockstep_counts_what_the_protocol_sends(name):
    graph = topology(None, 4, schedule="one_peer_exponential")
    sent = Counter[PeerId]()
    Simulation(peers_on(graph, des_loc, SIZES, rounds=8, **settings_of(name)), descend, counting(sent)).run()
    codecs = {channel: codec.name for channel, codec in BY_NAME[name].items()}
    start = {p: start_of(p, SIZES) for p in graph.nodes}
    peers = Lockstep(graph, des_loc(), start, lambda p, r, x: descend(p, r, x)[0], codecs=codecs)
    peers.run(8)
    assert peers.traffic.bytes == sum(sent.values())


# ---- choco
def test_int4_needs_no_shorter_step_than_dpsgd():
    """It keeps 99 % of a vector's square norm, where a tenth of the entries keep half: gamma = 1 is stable."""
    found = {}
    for gamma in (1.0, 0.3):
        peers = peers_on(RING, lambda gamma=gamma: choco(gamma), {"theta": 200}, rounds=15, codec=int4())
        found[gamma] = left(Simulation(peers, keep).run())
    assert found[1.0] < 0.5 * found[0.3] < 0.5
    assert math.isfinite(found[1.0])
