"""W(t) of every schedule: four nodes by hand, then what must hold for all of them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest

from node.errors import ConfigError
from node.graph.families.generators import complete, path, ring, star, torus
from node.graph.scheduling.failing_links import metropolis_meetings
from node.graph.scheduling.matchings import tournament
from node.graph.scheduling.schedules import SCHEDULES
from node.graph.topology import Topology
from tests.graph.schedule_cases import CASES, Case, matrix
from tests.graph.shapes import ids

HALF = 0.5
LONG = 200  # rounds in which everything that is drawn on a few nodes has happened
cases = pytest.mark.parametrize("case", CASES, ids=str)


def meetings(schedule, round: int) -> set[tuple[str, str]]:
    rows = schedule.rows(round)
    return {(a, b) for a, row in rows.items() for b in row if a < b}


# ---- four nodes by hand


def test_one_peer_exponential_on_four_hears_the_next_then_the_one_opposite():
    schedule = SCHEDULES["one_peer_exponential"](ids(4), ())

    one = [[HALF, HALF, 0, 0], [0, HALF, HALF, 0], [0, 0, HALF, HALF], [HALF, 0, 0, HALF]]
    two = [[HALF, 0, HALF, 0], [0, HALF, 0, HALF], [HALF, 0, HALF, 0], [0, HALF, 0, HALF]]
    np.testing.assert_array_equal(matrix(schedule, 0, 4), one)
    np.testing.assert_array_equal(matrix(schedule, 1, 4), two)
    np.testing.assert_array_equal(matrix(schedule, 2, 4), one)
    assert (schedule.period, schedule.exact, schedule.symmetric) == (2, 2, False)
    assert schedule.links == complete(ids(4)).edges


def test_two_exponential_peers_on_four_hear_both_of_two_each_round():
    schedule = SCHEDULES["exponential_peers"](ids(4), (), peers=2)

    third = 1 / 3
    static = [[third, third, third, 0], [0, third, third, third], [third, 0, third, third], [third, third, 0, third]]
    np.testing.assert_allclose(matrix(schedule, 0, 4), static, atol=1e-15)
    assert (schedule.period, schedule.exact) == (1, None)


def test_two_exponential_peers_on_eight_go_on_where_the_last_round_stopped():
    schedule = SCHEDULES["exponential_peers"](ids(8), (), peers=2)

    heard = [{int(peer[1:]) for peer in schedule.rows(t)["n0"]} - {0} for t in range(4)]

    assert heard == [{1, 2}, {4, 1}, {2, 4}, {1, 2}]
    assert schedule.period == 3


def test_base_2_on_four_is_a_hypercube():
    schedule = SCHEDULES["base"](ids(4), (), k=1)

    assert [meetings(schedule, t) for t in range(2)] == [{("n0", "n1"), ("n2", "n3")}, {("n0", "n2"), ("n1", "n3")}]
    assert schedule.rows(0)["n3"] == {"n2": HALF, "n3": HALF}
    assert (schedule.period, schedule.exact) == (2, 2)


def test_four_nodes_have_three_perfect_matchings_and_each_is_drawn_as_often():
    schedule = SCHEDULES["random_matching"](ids(4), (), seed=0)

    drawn = Counter(frozenset(meetings(schedule, t)) for t in range(3000))

    assert len(drawn) == 3
    assert all(abs(count - 1000) < 4 * 26 for count in drawn.values())  # sigma = sqrt(3000 * 1/3 * 2/3)
    assert schedule.rows(0)["n0"]["n0"] == HALF


def test_the_middle_of_a_path_of_four_is_drawn_in_one_round_of_three():
    # Both ends come up unless the middle edge is the first of the three: 2/3.
    schedule = SCHEDULES["random_matching"](ids(4), path(ids(4)).edges, seed=0)

    drawn = Counter(frozenset(meetings(schedule, t)) for t in range(3000))

    assert set(drawn) == {frozenset({("n1", "n2")}), frozenset({("n0", "n1"), ("n2", "n3")})}
    assert abs(drawn[frozenset({("n1", "n2")})] - 1000) < 4 * 26


def test_everyone_plays_everyone_in_three_rounds_of_four():
    assert tournament(4) == [[(0, 3), (1, 2)], [(0, 2), (1, 3)], [(0, 1), (2, 3)]]


def test_one_of_three_sits_out_in_each_round():
    assert tournament(3) == [[(1, 2)], [(0, 2)], [(0, 1)]]


def test_a_ring_of_four_is_two_pairings_and_exact_after_both():
    schedule = SCHEDULES["bipartite_pairing"](ids(4), ring(ids(4)).edges)

    met = {frozenset(meetings(schedule, t)) for t in range(2)}

    assert met == {
        frozenset({("n0", "n1"), ("n2", "n3")}),
        frozenset({("n1", "n2"), ("n0", "n3")}),
    }
    assert (schedule.period, schedule.exact) == (2, 2)
    assert schedule.rows(0)["n2"]["n2"] == HALF


def test_the_oracle_gives_four_nodes_one_to_hear_and_one_to_tell():
    schedule = SCHEDULES["epidemic"](ids(4), (), s=1)

    w = matrix(schedule, 0, 4)

    assert sorted(map(tuple, np.argwhere(w == 0.5))) == sorted(map(tuple, np.argwhere(w)))
    np.testing.assert_array_equal((w > 0).sum(axis=0), [2, 2, 2, 2])
    np.testing.assert_array_equal((w > 0).sum(axis=1), [2, 2, 2, 2])
    np.testing.assert_array_equal(np.diag(w), [HALF] * 4)


@pytest.mark.parametrize("oracle", [True, False])
def test_who_tells_everyone_is_exact_at_once(oracle: bool):
    schedule = SCHEDULES["epidemic"](ids(4), (), s=3, oracle=oracle)

    np.testing.assert_array_equal(matrix(schedule, 5, 4), np.full((4, 4), 0.25))
    assert (schedule.exact, schedule.period, schedule.balanced, schedule.symmetric) == (1, 1, True, True)


def test_local_receivers_take_the_plain_mean_of_what_came():
    schedule = SCHEDULES["epidemic"](ids(4), (), s=1, oracle=False)

    for t in range(20):
        w = matrix(schedule, t, 4)
        heard = (w > 0).sum(axis=1)
        assert heard.sum() == 8  # its own each, and one from each
        np.testing.assert_allclose(w[w > 0], np.repeat(1 / heard, heard), atol=1e-15)
    assert not schedule.balanced


def test_matcha_on_a_star_of_four_by_hand():
    # Three edges, each with 1/2. Eigenvalues of L: 1, 1, 4; E[W^2] has 1 - a + .75 a^2 and 1 - 4 a + 6 a^2: equal, and
    # smallest, at a = 4/7.
    schedule = SCHEDULES["matcha"](ids(4), star(ids(4)).edges, budget=0.5)

    weights = {row[peer] for t in range(30) for row in schedule.rows(t).values() for peer in row if row[peer] < 1}
    off = {weight for weight in weights if abs(weight - 0.571429) < 1e-12}

    assert off == {0.571429}
    on = Counter(edge for t in range(3000) for edge in meetings(schedule, t))
    assert all(abs(on[edge] - 1500) < 4 * 28 for edge in star(ids(4)).edges)


def test_metropolis_on_what_is_left_of_a_path_of_four():
    assert metropolis_meetings([(0, 1), (2, 3)]) == {(0, 1): 1 / 2, (2, 3): 1 / 2}
    assert metropolis_meetings([(0, 1), (1, 2)]) == {(0, 1): 1 / 3, (1, 2): 1 / 3}
    assert metropolis_meetings([]) == {}


def test_a_link_fails_as_often_as_the_file_says():
    schedule = SCHEDULES["failing_links"](ids(4), path(ids(4)).edges, p=0.25)

    up = Counter(edge for t in range(3000) for edge in meetings(schedule, t))

    assert all(abs(up[edge] - 2250) < 4 * 24 for edge in path(ids(4)).edges)


def test_links_that_never_fail_are_the_static_graph():
    schedule = SCHEDULES["failing_links"](ids(3), path(ids(3)).edges, p=0.0)

    np.testing.assert_allclose(
        matrix(schedule, 7, 3), [[2 / 3, 1 / 3, 0], [1 / 3, 1 / 3, 1 / 3], [0, 1 / 3, 2 / 3]], atol=1e-15
    )
    assert schedule.period == 1


# ---- what holds for all


@cases
@pytest.mark.parametrize("n", [5, 8, 12])
def test_rows_are_sorted_hold_the_own_id_and_sum_to_one(case: Case, n: int):
    schedule = case.made(n)

    for t in (0, 1, 2, 7, 1000):
        rows = schedule.rows(t)
        assert set(rows) == set(ids(n))
        for peer, row in rows.items():
            assert list(row) == sorted(row)
            assert peer in row
            assert sum(map(Fraction, row.values())) == pytest.approx(1, abs=1e-12)


@cases
@pytest.mark.parametrize("n", [5, 8, 12])
def test_balanced_schedules_keep_the_mean_and_symmetric_ones_are_exactly_so(case: Case, n: int):
    schedule = case.made(n)
    x = np.cos(np.arange(n))

    for t in range(30):
        w = matrix(schedule, t, n)
        if schedule.balanced:
            np.testing.assert_allclose(w.sum(axis=0), 1, atol=1e-12)
            x = w @ x
        if schedule.symmetric:
            np.testing.assert_array_equal(w, w.T)
    assert x.mean() == pytest.approx(np.cos(np.arange(n)).mean(), abs=1e-12)


@cases
@pytest.mark.parametrize("n", [5, 8])
def test_what_is_said_of_the_form_of_w_is_not_too_little(case: Case, n: int):
    schedule = case.made(n)
    many = [matrix(schedule, t, n) for t in range(30)]

    assert schedule.balanced == all(np.allclose(w.sum(axis=0), 1, atol=1e-12) for w in many)
    assert schedule.symmetric == all(np.array_equal(w, w.T) for w in many)


@cases
@pytest.mark.parametrize("n", [5, 8])
def test_links_are_those_who_ever_meet_and_join_everyone(case: Case, n: int):
    schedule = case.made(n)

    met = set().union(
        *({(min(a, b), max(a, b)) for a, row in schedule.rows(t).items() for b in row if a != b} for t in range(LONG))
    )

    assert schedule.links == tuple(sorted(met))
    assert nx.is_connected(nx.from_edgelist(schedule.links))
    assert len(nx.from_edgelist(schedule.links)) == n


@cases
@pytest.mark.parametrize("n", [5, 12])
def test_a_period_is_the_shortest_and_what_is_drawn_has_none(case: Case, n: int):
    schedule = case.made(n)
    many = [schedule.rows(t) for t in range(2 * (schedule.period or 20))]

    repeats = [p for p in range(1, len(many) // 2 + 1) if all(many[t] == many[t + p] for t in range(len(many) - p))]

    assert repeats[:1] == ([] if schedule.period is None else [schedule.period])


@pytest.mark.parametrize("case", [case for case in CASES if case.degree is not None], ids=str)
@pytest.mark.parametrize("n", [5, 8, 16])
def test_nobody_hears_more_than_the_schedule_promises(case: Case, n: int):
    schedule = case.made(n)

    assert max(len(row) - 1 for t in range(30) for row in schedule.rows(t).values()) == case.degree


@pytest.mark.parametrize("case", [case for case in CASES if case.is_drawn], ids=str)
def test_seeds_decide_and_nothing_else_does(case: Case):
    def rounds(schedule) -> str:
        return json.dumps([schedule.rows(t) for t in range(20)])

    first, again = case.made(8), case.made(8)
    backwards = [again.rows(t) for t in reversed(range(20))][::-1]  # what was asked for before must not matter
    others = {rounds(case.made(8, seed=seed)) for seed in range(10)}

    assert json.dumps(backwards) == rounds(first)
    fixed = case.settings.get("p") == 0.0 or case.settings.get("budget") == 1.0
    few = case.name == "bipartite_pairing" and case.graph == "ring"  # two matchings have two orders
    assert len(others) == (1 if fixed else 2 if few else 10)


def test_the_order_of_edges_decides_nothing():
    edges = torus(ids(12)).edges

    for name in ("random_matching", "bipartite_pairing", "matcha", "failing_links"):
        settings = {"p": 0.5} if name == "failing_links" else {}
        one, other = (SCHEDULES[name](ids(12), listed, **settings) for listed in (edges, edges[::-1]))
        assert [one.rows(t) for t in range(4)] == [other.rows(t) for t in range(4)]


def test_the_order_of_nodes_decides_so_it_is_in_the_digest():
    def read(order: list[str]) -> Topology:
        nodes = {peer: f"127.0.0.1:{7001 + int(peer[1:])}" for peer in order}
        return Topology.from_mapping({"nodes": nodes, "schedule": "one_peer_exponential"}, "test.yaml")

    one, other = read(["n0", "n1", "n2", "n3"]), read(["n0", "n2", "n1", "n3"])

    assert one.rows_at(0) != other.rows_at(0)
    assert one.digest != other.digest


PINNED = {
    "random_matching-seed=3": "91cca6827efe",
    "random_matching-seed=3-star": "2e63a36b7d5c",
    "random_matching-seed=3-ring": "0d2853e90910",
    "bipartite_pairing-seed=3": "c7185432de95",
    "bipartite_pairing-seed=3-ring": "635344481f20",
    "bipartite_pairing-seed=3-star": "871bbe97ad98",
    "epidemic-s=1-seed=3-oracle=True": "5c74b87dbcee",
    "epidemic-s=3-seed=3-oracle=True": "4d64935d36a7",
    "epidemic-s=2-seed=3-oracle=False": "ea1fa90fe472",
    "matcha-budget=0.5-seed=3-ring": "28bcfd9ee3fc",
    "matcha-budget=0.4-seed=3-star": "3bcdacecf13a",
    "matcha-budget=1.0-seed=3-complete": "6bf434570ecd",
    "failing_links-p=0.3-seed=3-ring": "f46728308886",
    "failing_links-p=0.5-seed=3-complete": "d711a701e8fc",
    "failing_links-p=0.0-seed=3-star": "7406b4a9f8ce",
}


@pytest.mark.parametrize("case", [case for case in CASES if case.is_drawn], ids=str)
def test_draws_are_the_same_on_every_machine(case: Case):
    # Pinned: another numpy, scipy, networkx or Python must not change a round, or two ends of an edge would disagree.
    rounds = [case.made(12).rows(t) for t in (0, 1, 2, 1000)]
    rounded = [{p: {q: round(w, 9) for q, w in row.items()} for p, row in rows.items()} for rows in rounds]

    digest = hashlib.sha256(json.dumps(rounded, sort_keys=True).encode()).hexdigest()[:12]

    assert digest == PINNED[str(case)]


# ---- refusals


@pytest.mark.parametrize(
    ("name", "n", "edges", "settings", "reason"),
    [
        ("one_peer_exponential", 4, "ring", {}, "one_peer_exponential makes its own pairs; wanted no edges"),
        ("exponential_peers", 4, "ring", {"peers": 1}, "exponential_peers makes its own pairs"),
        ("exponential_peers", 8, None, {"peers": 4}, "exponential_peers: peers: 4; wanted 1 to 3"),
        ("exponential_peers", 8, None, {"peers": 0}, "peers: 0; wanted 1 to 3"),
        ("exponential_peers", 8, None, {"peers": True}, "peers: True; wanted a whole number, 1 to 3"),
        ("base", 4, "ring", {"k": 1}, "base makes its own pairs"),
        ("base", 4, None, {"k": 4}, "base: k: 4; wanted 1 to 3"),
        ("base", 4, None, {"k": 0}, "base: k: 0; wanted 1 to 3"),
        ("base", 4, None, {"k": 1.0}, "base: k: 1.0; wanted a whole number"),
        ("base", 4, None, {"k": None}, "base: k: None; wanted a whole number"),
        ("base", 4, None, {"k": 10**100}, "base: k: a number of 333 bits; wanted 1 to 3"),
        ("base", 4, None, {"k": "x" * 10**6}, "base: k: 'xxx"),
        ("base", 4, None, {"k": [[[]]]}, "base: k: [[[]]]; wanted a whole number"),
        ("random_matching", 4, None, {"seed": -1}, "random_matching: seed: -1; wanted 0 to 18446744073709551615"),
        ("random_matching", 4, None, {"seed": 2**64}, "seed: 18446744073709551616; wanted 0 to"),
        ("bipartite_pairing", 4, None, {"seed": "3"}, "bipartite_pairing: seed: '3'; wanted a whole number"),
        ("epidemic", 4, "ring", {"s": 1}, "epidemic makes its own pairs"),
        ("epidemic", 4, None, {"s": 4}, "epidemic: s: 4; wanted 1 to 3"),
        ("epidemic", 4, None, {"s": 1, "oracle": 1}, "epidemic: oracle: 1; wanted true or false"),
        ("epidemic", 4, None, {"s": 1, "oracle": ["x"] * 1000}, "epidemic: oracle: ['x', 'x', "),
        ("matcha", 4, None, {}, "matcha picks among the edges of a graph, and there is none; wanted edges"),
        ("matcha", 4, "ring", {"budget": 0}, "matcha: budget: 0.0; wanted above 0, at most 1"),
        ("matcha", 4, "ring", {"budget": 1.5}, "matcha: budget: 1.5; wanted above 0"),
        ("matcha", 4, "ring", {"budget": float("nan")}, "matcha: budget: nan; wanted a number"),
        ("matcha", 4, "ring", {"budget": 10**400}, "matcha: budget: a number of 1329 bits; wanted a number"),
        ("matcha", 4, "ring", {"seed": 0.5}, "matcha: seed: 0.5; wanted a whole number"),
        ("failing_links", 4, None, {"p": 0.1}, "failing_links picks among the edges of a graph"),
        ("failing_links", 4, "ring", {"p": 1}, "failing_links: p: 1.0; wanted 0 to below 1"),
        ("failing_links", 4, "ring", {"p": -0.1}, "failing_links: p: -0.1; wanted 0 to below 1"),
        ("failing_links", 4, "ring", {"p": False}, "failing_links: p: False; wanted a number"),
        ("failing_links", 4, "ring", {"p": float("-inf")}, "failing_links: p: -inf; wanted a number"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_in_one_line(name, n, edges, settings, reason):
    given = ring(ids(n)).edges if edges else ()

    with pytest.raises(ConfigError) as caught:
        SCHEDULES[name](ids(n), given, **settings)

    assert str(caught.value).startswith(reason) or reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
