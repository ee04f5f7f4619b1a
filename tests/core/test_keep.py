"""What of the protocol goes through a checkpoint, and that it comes back bit by bit."""

from __future__ import annotations

import pytest
import torch

from node.core import keep
from node.core.messages import Join
from node.core.neighbourhood import Told
from node.core.peer import GossipPeer
from node.drivers.checkpoint import Checkpoint, decode, encode
from node.drivers.simulation import Simulation
from node.gossip.dpsgd import dpsgd
from node.gossip.exact import exact
from node.gossip.mixing import Mixing
from node.gossip.push_sum import push_sum
from node.graph.weighting.spectrum import exact_steps
from node.types import PeerId
from tests.cluster import descend, peers_on, topology

A, B, C = PeerId("a"), PeerId("b"), PeerId("c")
RING = topology("ring", 4)
RULES = {"dpsgd": dpsgd, "exact": lambda: exact(exact_steps(RING)), "push_sum": push_sum}
P00 = PeerId("p00")


def through_a_file(state: dict) -> dict:
    return dict(decode(encode(Checkpoint(1, 5, {"theta": torch.zeros(1)}, protocol=state))).protocol)


def vector(value: float) -> dict[str, torch.Tensor]:
    return {"theta": torch.full((2,), value)}


def same(a: object, b: object) -> bool:
    """Bit by bit, in nested dicts and tuples; a file gives lists for tuples."""
    match a, b:
        case torch.Tensor(), torch.Tensor():
            return a.dtype == b.dtype and torch.equal(a, b)
        case dict(), dict():
            return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
        case ((list() | tuple()), (list() | tuple())):
            return len(a) == len(b) and all(map(same, a, b))
    return a == b


def after_five_rounds(make: object) -> tuple[GossipPeer, Mixing]:
    peers = peers_on(RING, make, rounds=5, seed=3)
    Simulation(peers, descend).run()
    return peers[P00], make()


# ---- by hand
def test_our_last_word_comes_back_with_each_vector_once():
    ours, theirs = vector(1.0), vector(2.0)
    told = Told((4, 1), {A: ours, B: theirs, C: ours}, frozenset({B}))
    packed = keep.pack(dpsgd(), (), told, torch.Generator(), ())
    assert len(packed["told"]["vectors"]) == 2
    back = keep.unpack_told(through_a_file(packed))
    assert (back.key, back.used, list(back.outbox)) == ((4, 1), {B}, [A, B, C])
    assert same(dict(back.outbox), dict(told.outbox))


def test_a_node_that_said_nothing_yet_keeps_nothing():
    packed = through_a_file(keep.pack(dpsgd(), (), None, torch.Generator(), ()))
    assert keep.unpack_told(packed) is None
    assert keep.unpack_told({}) is None  # a checkpoint from before there was such a part
    assert keep.unpack_joins({}) == ()


def test_those_that_joined_come_back():
    joins = (Join(C, "127.0.0.1:7009", (A, B), 12), Join(B, "", (A,), 13))
    assert keep.unpack_joins(through_a_file(keep.pack(dpsgd(), (), None, torch.Generator(), joins))) == joins


def test_randomness_goes_on_where_it_was():
    generator = torch.Generator().manual_seed(7)
    torch.rand(5, generator=generator)
    packed = through_a_file(keep.pack(dpsgd(), (), None, generator, ()))
    again = torch.Generator().manual_seed(0)
    keep.unpack_generator(packed, again)
    assert torch.equal(torch.rand(9, generator=again), torch.rand(9, generator=generator))


def test_a_rule_that_keeps_nothing_starts_anew():
    packed = through_a_file(keep.pack(exact([2.0]), object(), None, torch.Generator(), ()))
    assert keep.unpack_rule(exact([2.0]), packed, "start") == "start"


# ---- laws
@pytest.mark.parametrize("rule", RULES)
def test_a_peer_made_from_its_file_holds_the_same_bits(rule):
    peer, mixing = after_five_rounds(RULES[rule])
    again = GossipPeer(peer.config, peer.settled, mixing, through_a_file(peer._kept))
    assert same(dict(again._told.outbox), dict(peer._told.outbox))
    assert (again._told.key, again._told.used) == (peer._told.key, peer._told.used)
    assert again._told.used == set(RING.neighbours(P00))
    assert same(again._pack(), peer._kept)
    if rule == "push_sum":
        assert same(again._rule._asdict(), peer._rule._asdict())
