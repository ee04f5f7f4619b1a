"""DES-LOC: parameters and moments at periods of their own."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch

from node.core.deadlines import DeadlineLimits
from node.core.messages import Update
from node.drivers.faults import Faults
from node.drivers.simulation import Simulation
from node.errors import ConfigError
from node.gossip.chebyshev import chebyshev
from node.gossip.dpsgd import dpsgd
from node.gossip.mixing import Context, Heard
from node.gossip.noloco import noloco
from node.gossip.periods import des_loc, periods
from node.learn.training.adamw import AdamW, AdamWSettings
from node.types import PeerId
from tests.cluster import again_on, descend, digest, keep, peers_on, spread, stack, start_of, topology
from tests.gossip.rounds import Rounds, ring, spread_of
from tests.reference.des_loc_by_matrix import des_loc_by_matrix

SHORT = DeadlineLimits(floor=0.5, ceiling=2.0)
CHANNELS = {"theta": 128, "m": 128, "s": 128, "scalars": 2}
EVERY = {"theta": 1, "m": 3, "s": 6}


def start(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((n, min(d, 4))) for name, d in CHANNELS.items()}


def adam(peer: PeerId, round: int, shared):
    """Two AdamW steps on |x - number of the peer|^2 / 2."""
    i = int(peer[1:])
    optimizer, theta = AdamW(AdamWSettings(0.05), shared), shared["theta"].clone()
    for _ in range(2):
        optimizer.step(theta, theta - i)
    return {"theta": theta, **optimizer.channels()}


def test_each_channel_is_mixed_in_its_rounds_only_worked_by_hand():
    """Two peers that average: a channel at 0 and 4 becomes 2 in the first round in which it is due, and stays."""
    first = {name: np.array([[0.0] * d, [4.0] * d]) for name, d in {"theta": 1, "m": 1, "s": 1, "scalars": 2}.items()}
    peers = Rounds(periods(dpsgd(), {"m": 2, "s": 3}), first, np.full((2, 2), 0.5))
    seen = []
    for _ in range(3):
        peers.advance()
        seen.append({name: x.tolist() for name, x in peers.shared[PeerId("p00")].items()})
    assert seen == [
        {"theta": [2.0], "m": [0.0], "s": [0.0], "scalars": [0.0, 0.0]},
        {"theta": [2.0], "m": [2.0], "s": [0.0], "scalars": [2.0, 0.0]},
        {"theta": [2.0], "m": [2.0], "s": [2.0], "scalars": [2.0, 2.0]},
    ]


@pytest.mark.parametrize("every", [EVERY, {"theta": 2, "m": 1, "s": 4}, {"theta": 1, "m": 1, "s": 1}])
def test_it_agrees_with_the_slow_twin(every):
    w, x = ring(6), np.random.default_rng(0).standard_normal((6, 4))
    first = {"theta": x, "m": 0 * x, "s": 0 * x, "scalars": np.zeros((6, 2), np.float32)}
    peers = Rounds(periods(dpsgd(), every), first, w, adam)
    peers.run(25)
    slow = des_loc_by_matrix(w, x, 25, 2, lambda i, v: v - i, every, 0.05)
    for name, values in slow.items():
        np.testing.assert_allclose(peers.stack(name), values, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_of_every_channel_is_kept_and_all_agree(seed):
    first = start(6, seed)
    peers = Rounds(periods(dpsgd(), EVERY), first, ring(6))
    peers.run(240)
    for name in CHANNELS:
        np.testing.assert_allclose(peers.stack(name), np.tile(first[name].mean(0), (6, 1)), atol=1e-6)


def test_with_all_periods_one_it_is_the_inner_rule_bit_for_bit():
    runs = [Rounds(rule, start(6), ring(6), adam).run(7) for rule in (dpsgd(), des_loc(1, 1, 1))]
    for p, shared in runs[0].items():
        assert all(torch.equal(x, runs[1][p][name]) for name, x in shared.items())
    assert des_loc(1, 1, 1).pairwise is not None
    assert des_loc().pairwise is None


@pytest.mark.parametrize("inner", [lambda: chebyshev(-1 / 3, 2 / 3, 2), noloco], ids=["chebyshev", "noloco"])
def test_other_rules_can_be_inside(inner):
    first = start(6)
    peers = Rounds(periods(inner(), EVERY), first, ring(6))
    peers.run(240)
    for name in CHANNELS:
        np.testing.assert_allclose(peers.stack(name), np.tile(first[name].mean(0), (6, 1)), atol=1e-6)


def test_an_inner_rule_goes_on_alone_where_a_channel_is_not_due():
    """NoLoCo's outer momentum steps in every round, averages of theta come in every second: the mean is the same."""
    first, rules = start(6)["theta"], (noloco(), periods(noloco(), {"theta": 2}))
    runs = [Rounds(rule, first, ring(6)).after(40, lambda i, x: x - 0.1 * (x - i)) for rule in rules]
    np.testing.assert_allclose(runs[1].mean(0), runs[0].mean(0), atol=1e-10)
    assert spread_of(runs[0]) < spread_of(runs[1]) < 5 * spread_of(runs[0])


# ---- what is told
def test_a_channel_that_is_not_due_is_told_as_before_and_by_one_object_to_all():
    peers = Rounds(periods(dpsgd(), EVERY), start(4), ring(4), adam)
    before = None
    for round in range(8):
        peers.advance()
        message = peers.told[PeerId("p00"), PeerId("p01")]
        assert peers.told[PeerId("p00"), PeerId("p03")] is message
        if before is not None:
            for name, period in EVERY.items():
                assert (message[name] is before[name]) == ((round + 1) % period != 0)
            same = message["scalars"] == before["scalars"]
            assert same.tolist() == [(round + 1) % 3 != 0, (round + 1) % 6 != 0]
        before = message


def test_a_channel_that_is_not_due_costs_no_bytes():
    sizes = defaultdict(set)

    def look(sender, message):
        if isinstance(message, Update):
            for c in message.channels:
                sizes[c.name, (message.round + 1) % EVERY.get(c.name, 1) == 0].add(len(c.data))
        return message

    peers = peers_on(topology("ring", 4), des_loc, CHANNELS, rounds=13)
    Simulation(peers, descend, Faults(tamper=look)).run()
    assert sizes["theta", True] == sizes["m", True] == sizes["s", True] == {4 * 128}
    assert sizes["m", False] == sizes["s", False] == {0}


def test_a_late_word_is_used_only_for_what_was_due_in_its_round():
    rule, (a, b) = periods(dpsgd(), {"m": 2}), map(PeerId, ("a", "b"))
    own = {"theta": torch.tensor([0.0]), "m": torch.tensor([0.0])}
    theirs = {"theta": torch.tensor([2.0]), "m": torch.tensor([2.0])}
    after = {}
    for staleness in (0, 1, 2):
        ctx = Context(a, 3, 0, {a: 0.5, b: 0.5}, tells=(b,), generator=torch.Generator())
        _, state = rule.emit(own, rule.init(own, ctx), ctx)
        mixed, _ = rule.combine(own, {b: Heard(theirs, own, staleness)}, state, ctx)
        after[staleness] = (mixed["theta"].item(), mixed["m"].item())
    assert after == {0: (1.0, 1.0), 1: (1.0, 0.0), 2: (1.0, 1.0)}


# ---- in a network
@pytest.mark.parametrize("seed", range(2))
def test_under_loss_it_converges_with_means_that_have_drifted(seed):
    """Stated: the spread of every channel goes; each mean moves by up to .3 of it, as unsettled D-PSGD's does."""
    graph = topology("ring", 8)
    peers = peers_on(graph, lambda: des_loc(1, 2, 3), CHANNELS, rounds=120, deadlines=SHORT)
    final = Simulation(peers, keep, Faults(loss=0.05), seed=seed).run()
    for name in ("theta", "m", "s"):
        before = torch.stack([start_of(p, CHANNELS)[name] for p in graph.nodes])
        assert spread(stack(final, name)) < 0.02 * spread(before)
        moved = float((stack(final, name).double().mean(0) - before.double().mean(0)).norm()) / spread(before)
        assert moved < 0.3


@pytest.mark.parametrize("rounds", [7, 9])
def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_bits(rounds):
    graph = topology("ring", 6)
    unbroken = digest(Simulation(peers_on(graph, des_loc, CHANNELS, rounds=20), descend).run())
    first = Simulation(peers_on(graph, des_loc, CHANNELS, rounds=rounds), descend)
    first.run()
    again = again_on(graph, des_loc, CHANNELS, rounds=20)
    peers = {p: again(p, 1, first._disk[p]) for p in graph.nodes}
    assert digest(Simulation(peers, descend).run()) == unbroken


def test_a_state_that_went_through_a_checkpoint_has_the_same_bits_and_each_vector_once():
    rule = des_loc()
    peers = Rounds(des_loc(), start(4), ring(4), adam)
    peers.run(4)
    state = peers.states[PeerId("p00")]
    packed = rule.pack(state)
    assert len(packed["messages"]) == 1
    again = rule.unpack(packed)
    assert set(again.told) == set(state.told)
    for peer, message in state.told.items():
        assert all(torch.equal(x, again.told[peer][name]) for name, x in message.items())


@pytest.mark.parametrize("every", [{"m": 0}, {"theta": -1}, {"scalars": 2}])
def test_periods_that_are_none_are_refused(every):
    with pytest.raises(ConfigError, match="wanted 1 or more"):
        periods(dpsgd(), every)
