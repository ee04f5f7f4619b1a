"""Push-sum through the whole protocol: the mean is kept, and no mass is made or lost, whatever the network does."""

from __future__ import annotations

import pytest

from node.core.deadlines import DeadlineLimits
from node.drivers.faults import Faults, Kill, Leaving, Partition
from node.drivers.mass import Mass
from node.drivers.simulation import Simulation
from node.errors import LocalFault
from node.gossip.mixing import Mixing
from node.gossip.push_sum import push_sum
from node.types import PeerId
from tests.cluster import again_on, descend, keep, peers_on, spread, stack, start_of, topology

SHORT = DeadlineLimits(floor=0.5, ceiling=2.0)
RING = topology("ring", 8)
P00, P01, P02, P03, P04 = (PeerId(f"p{i:02d}") for i in range(5))


NOTHING = Faults()


def simulate(faults: Faults = NOTHING, seed: int = 0, rule=push_sum, step=keep, rounds: int = 80, **settings):
    settings = {"deadlines": SHORT, "persist_every": 3, **settings}
    again = again_on(RING, rule, rounds=rounds, **settings)
    return Simulation(peers_on(RING, rule, rounds=rounds, **settings), step, faults, seed=seed, rebuild=again)


def away(simulation: Simulation) -> float:
    """How far the nodes are from the mean of their starts, over the spread of these: the worst."""
    final = stack(simulation.run())
    start = stack({p: start_of(p) for p in RING.nodes})
    assert final.shape == start.shape
    return float((final - start.mean(0)).norm(dim=1).max()) / spread(start)


# ---- the mean
LOSSY = Faults(loss=0.1, duplicate=0.05, reorder=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_all_come_to_the_true_mean_under_loss_where_unsettled_rows_drift(seed):
    assert away(simulate(LOSSY, seed)) < 1e-3
    assert away(simulate(LOSSY, seed, "dpsgd", settle=False)) > 1e-2


def test_all_come_to_the_true_mean_with_a_link_that_works_in_one_direction_only():
    one_way = Faults(cut=lambda a, b, now: (a, b) == (P02, P03) and now > 5.0)
    assert away(simulate(one_way, rounds=130)) < 1e-3


@pytest.mark.parametrize("seed", range(2))
def test_all_come_to_the_true_mean_in_asynchronous_mode(seed):
    assert away(simulate(Faults(loss=0.1), seed, rounds=120, asynchronous=True)) < 1e-3
    assert away(simulate(Faults(straggle={P01: 1.5}), seed, rounds=120, asynchronous=True)) < 1e-3


# ---- mass
PLANS = {
    "loss": LOSSY,
    "kills": Faults(loss=0.05, kill=[Kill(P02, 11.5, 4.0), Kill(P03, 20.2, 9.0), Kill(P02, 30.7, 2.0)]),
    "a death": Faults(loss=0.05, kill=[Kill(P02, 11.5)]),
    "leaves": Faults(loss=0.05, leave=[Leaving(P01, 10.3, back_after=30.0), Leaving(P03, 20.0)]),
    "a partition": Faults(loss=0.05, partition=[Partition(frozenset(RING.nodes[:4]), 10.0, 40.0)]),
    "a late start": Faults(loss=0.05, start={P04: 25.0}),
    "all": Faults(
        loss=0.1,
        duplicate=0.1,
        reorder=0.2,
        kill=[Kill(P02, 11.5, 4.0), Kill(P00, 44.4, 15.0)],
        leave=[Leaving(P01, 20.3, back_after=20.0)],
        partition=[Partition(frozenset(RING.nodes[:4]), 30.0, 42.0)],
        start={P04: 8.0},
    ),
    "one cut off for long": Faults(straggle={P04: 6.0}, partition=[Partition(frozenset({P04}), 10.0, 60.0)]),
}


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("seed", [0, 2])  # 2: a restart in which the books of the dead were applied again
def test_no_mass_is_made_or_lost(plan, seed):
    simulation = simulate(PLANS[plan], seed, step=descend, rounds=65, first_contact=4.0)
    simulation.run()  # ends with the check
    assert all(peer.mass["w"] > 0 for peer in simulation.peers.values())


def test_a_kill_takes_away_what_was_got_and_brings_back_what_was_sent_since_the_checkpoint():
    simulation = simulate(Faults(kill=[Kill(P02, 11.5, 4.0)]), persist_every=5)
    simulation.run()
    added, removed = sum(simulation._mass.added.values()), sum(simulation._mass.removed.values())
    assert 0.3 < added < 3.0  # two neighbours, a third of w to each, one round or a few
    assert 0.3 < removed < 3.0


def doctored(**functions) -> Mixing:
    return push_sum()._replace(**functions)


def test_a_rule_that_loses_mass_is_caught():
    def leaky(shared, heard, state, ctx):
        z, state = push_sum().combine(shared, heard, state, ctx)
        return z, state._replace(x={**state.x, "w": state.x["w"] * 0.999})

    with pytest.raises(LocalFault, match=r"p00 holds w .* wanted 1"):
        simulate(rule=lambda: doctored(combine=leaky), rounds=5).run()


def test_a_rule_that_takes_a_gift_twice_is_caught():
    def greedy(shared, heard, state, ctx):
        z, after = push_sum().combine(shared, heard, state, ctx)
        got = {p: w + 2.0 * (w - state.got.get(p, 0.0)) for p, w in after.got.items()}
        more = sum(got.values()) - sum(after.got.values())
        return z, after._replace(got=got, x={**after.x, "w": after.x["w"] + more})

    with pytest.raises(LocalFault, match="more of w from"):
        simulate(rule=lambda: doctored(combine=greedy), rounds=5).run()


def test_mass_of_two_peers_worked_by_hand():
    a, b = PeerId("a"), PeerId("b")
    mass = Mass()
    books = {a: {"w": 0.5, "sent": {b: 0.5}, "got": {b: 0.0}}, b: {"w": 1.25, "sent": {a: 0.0}, "got": {a: 0.25}}}
    mass.check(books)
    assert mass.under_way(books) == {(a, b): 0.25, (b, a): 0.0}
    start = {"w": 1.0, "sent": {b: 0.0}, "got": {b: 0.0}}
    with pytest.raises(LocalFault, match=r"b got 0.25 more of w from a"):
        mass.check({**books, a: start})
    mass.replaced(a, books[a], start)  # a begins anew: it holds the half again, of which b has a half
    mass.check({**books, a: start})
    assert (mass.added[a, b], mass.under_way({**books, a: start})[a, b]) == (0.5, 0.25)


def test_rules_without_books_are_not_weighed():
    simulation = simulate(rule="dpsgd", rounds=3)
    simulation.run()
    assert {peer.mass for peer in simulation.peers.values()} == {None}
