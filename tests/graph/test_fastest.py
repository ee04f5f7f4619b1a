"""Time to consensus by the model that `node.graph.advice.fastest` states, worked out on three and four nodes."""

from __future__ import annotations

import numpy as np
import pytest

from node.errors import ConfigError
from node.graph.advice.fastest import offers, seconds_of, seconds_until
from node.graph.advice.forecast import forecasts
from node.graph.links import Links, filled, links_of
from node.graph.topology import Topology

MS, MBIT = 1e-3, 8e-6  # seconds; seconds a byte at 1 Mbit/s


def topology(nodes: int, **said: object) -> Topology:
    return Topology.from_mapping({"nodes": nodes, **said}, "t.yaml")


def links(graph: Topology, *rows: tuple[str, str, float, float]) -> Links:
    keys = ("a", "b", "latency_ms", "mbit_per_s")
    return links_of([dict(zip(keys, row, strict=True)) for row in rows], graph.nodes, "l.csv")


def test_an_exchange_on_a_path_of_three_by_hand():
    # 1000 bytes take 1 ms at 8 Mbit/s and 2 ms at 4. n1 sends both, then waits 10 ms: 13 ms. n0: 11, n2: 12.
    path = topology(3, generator="path")
    two = links(path, ("n0", "n1", 10, 8), ("n1", "n2", 10, 4))

    assert seconds_of(path, 0, two, 1000) == pytest.approx(13 * MS)


def test_the_longest_latency_of_the_sender_counts():
    path = topology(3, generator="path")
    two = links(path, ("n0", "n1", 10, 8), ("n1", "n2", 50, 4))

    assert seconds_of(path, 0, two, 1000) == pytest.approx((50 + 1 + 2) * MS)


def test_rounds_of_a_path_of_three_by_hand():
    # Eigenvalues 1, 2/3, 0: 18 rounds to 1e-3; L has 1 and 3: 2 hops. 13 ms each.
    path = topology(3, generator="path")
    found = {
        o.forecast.rule: o
        for o in offers(path, links(path, ("n0", "n1", 10, 8), ("n1", "n2", 10, 4)), 1000)
        if o.line == "as it is"
    }

    assert found["dpsgd"].seconds == pytest.approx(18 * 13 * MS)
    assert found["exact"].seconds == pytest.approx(2 * 13 * MS)
    assert found["exact"].bytes == 2 * 4 * 1000


def test_a_schedule_takes_each_round_at_its_own_pace():
    # Four nodes in a circle: round 0 hears 1 on, round 1 hears 2 on; only n0 - n2 is slow.
    turns = topology(4, schedule="one_peer_exponential")
    slow = links(turns, ("n0", "n2", 90, 8), ("n0", "n1", 10, 8), ("n1", "n2", 10, 8), ("n2", "n3", 10, 8))

    assert seconds_of(turns, 0, slow, 1000) == pytest.approx(11 * MS)
    assert seconds_of(turns, 1, slow, 1000) == pytest.approx(91 * MS)
    assert seconds_until(turns, 2, slow, 1000) == pytest.approx(102 * MS)
    assert seconds_until(turns, 5, slow, 1000) == pytest.approx(215 * MS)


def test_who_sends_pays_and_who_hears_does_not():
    # n0 tells n1 and n2, 1 ms each; n1 tells n2, 5 ms; n2 tells n0, 1 ms: 5 ms, though n2 hears 6 ms of messages.
    edges = [["n0", "n1"], ["n0", "n2"], ["n1", "n2"], ["n2", "n0"]]
    graph = topology(3, edges=edges, directed=True, weights="push_sum")
    wires = links(graph, ("n0", "n1", 0, 8), ("n0", "n2", 0, 8), ("n1", "n2", 0, 1.6))

    assert seconds_of(graph, 0, wires, 1000) == pytest.approx(5 * MS)


def test_a_star_pays_for_its_middle():
    # On thin wires the middle's three messages take three times one; a ring sends two at a time.
    star, ring = topology(4, generator="star"), topology(4, generator="ring")
    thin = links(star, ("n0", "n1", 0, 1))

    assert seconds_of(star, 0, thin, 1000) == pytest.approx(3 * 8 * MS)
    assert seconds_of(ring, 0, thin, 1000) == pytest.approx(2 * 8 * MS)


def test_long_latencies_favour_few_rounds_and_thin_wires_favour_few_messages():
    ring = topology(16, generator="ring")
    far, thin = links(ring, ("n0", "n1", 1000, 1000)), links(ring, ("n0", "n1", 0, 1))

    assert offers(ring, far, 1000)[0].line == "generator: complete"
    best = offers(ring, thin, 1_000_000)[0]
    assert best.line.startswith("schedule: ")
    assert best.seconds == pytest.approx(4 * 8.0)  # four rounds of one message of 1 MB


def test_what_is_offered_is_sorted_and_holds_the_present_graph():
    ring = topology(8, generator="ring")
    found = offers(ring, links(ring, ("n0", "n1", 20, 100)), 10_000)

    seconds = [round(o.seconds, 9) for o in found]
    assert seconds == sorted(seconds)
    assert "as it is" in {o.line for o in found}
    assert "generator: ring" not in {o.line for o in found}


def test_edges_left_open_are_offered_everything_else():
    graph = topology(8, edges="any")

    found = offers(graph, links(graph, ("n0", "n1", 20, 100)), 10_000)

    assert "as it is" not in {o.line for o in found}
    assert "generator: ring" in {o.line for o in found}


def test_offers_are_what_the_forecast_says():
    ring = topology(8, generator="ring")
    mesh = links(ring, ("n0", "n1", 20, 100))

    (plain,) = (o for o in offers(ring, mesh, 10_000) if o.line == "as it is" and o.forecast.rule == "dpsgd")

    assert plain.forecast == forecasts(ring)[0]
    assert plain.seconds == pytest.approx(32 * (20 * MS + 2 * 10_000 * MBIT / 100))


def test_a_second_reading_of_the_links_is_told_beside_the_first():
    # 10 ms a message: as bandwidth a ring's two messages take 20 ms, as latency 10.
    ring = topology(4, generator="ring")
    wires, ways = (
        filled({("n0", "n1"): (0.0, 10 * MS / 1000)}, ring.nodes),
        filled({("n0", "n1"): (10 * MS, 0.0)}, ring.nodes),
    )

    found = {o.forecast.rule: o for o in offers(ring, wires, 1000, at_best=ways) if o.line == "as it is"}

    assert (found["exact"].seconds, found["exact"].at_best) == pytest.approx((2 * 20 * MS, 2 * 10 * MS))


# ---- links
def test_pairs_that_were_not_measured_take_the_median():
    path = topology(4, generator="path")
    found = links(path, ("n1", "n0", 10, 8), ("n1", "n2", 20, 80), ("n2", "n3", 90, 800))

    assert found.measured == 3
    assert found.latency[0, 1] == found.latency[1, 0] == 10 * MS
    assert found.latency[0, 3] == 20 * MS
    assert found.per_byte[0, 3] == pytest.approx(MBIT / 80)


def test_links_without_bandwidth_count_latency_only():
    found = links_of([{"a": "n0", "b": "n1", "latency_ms": "5"}], topology(3, generator="path").nodes, "l.csv")

    assert not np.any(found.per_byte)


BAD_LINKS = {
    "an id that is not there": ({"a": "n0", "b": "n9", "latency_ms": 1}, "row 1: b: 'n9' is not a node"),
    "no id": ({"a": "n0", "latency_ms": 1}, "row 1: b: None is not a node"),
    "itself": ({"a": "n0", "b": "n0", "latency_ms": 1}, "'n0' and itself"),
    "no latency": ({"a": "n0", "b": "n1"}, "latency_ms: None; wanted milliseconds"),
    "a negative latency": ({"a": "n0", "b": "n1", "latency_ms": -1}, "latency_ms: -1"),
    "nan": ({"a": "n0", "b": "n1", "latency_ms": "nan"}, "latency_ms: 'nan'"),
    "no bandwidth at all": ({"a": "n0", "b": "n1", "latency_ms": 1, "mbit_per_s": 0}, "mbit_per_s: 0; wanted"),
    "endless bandwidth": ({"a": "n0", "b": "n1", "latency_ms": 1, "mbit_per_s": "inf"}, "mbit_per_s: 'inf'"),
    "an unknown column": ({"a": "n0", "b": "n1", "latency": 1}, "'latency' is not one of a, b, latency_ms"),
    "text": ("n0 n1 5", "wanted a, b, latency_ms, mbit_per_s"),
    "yes": ({"a": "n0", "b": "n1", "latency_ms": True}, "latency_ms: True"),
    "a very large number": ({"a": "n0", "b": "n1", "latency_ms": 10**400}, "latency_ms: a number of 1329 bits"),
}


@pytest.mark.parametrize("case", BAD_LINKS)
def test_bad_links_are_refused_in_one_line(case: str):
    row, wanted = BAD_LINKS[case]

    with pytest.raises(ConfigError) as refused:
        links_of([row], topology(3, generator="path").nodes, "l.csv")

    assert str(refused.value).startswith("l.csv: row 1: ")
    assert wanted in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_pair_that_is_listed_twice_is_refused():
    path = topology(3, generator="path")

    with pytest.raises(ConfigError, match="row 2: n0 and n1 are listed already"):
        links(path, ("n0", "n1", 1, 1), ("n1", "n0", 2, 2))


def test_no_links_at_all_are_refused():
    with pytest.raises(ConfigError, match=r"l\.csv: no links"):
        links_of([], topology(3, generator="path").nodes, "l.csv")
