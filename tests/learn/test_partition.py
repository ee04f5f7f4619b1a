from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from node.errors import ConfigError
from node.learn.dealing.partition import PartitionSettings, partition

LABELS = [i % 12 for i in range(600)]
SPEAKERS = [f"s{(i * i) % 31}" for i in range(600)]  # 16 speakers, of 20 to 39 texts
ALL = [
    PartitionSettings("iid"),
    PartitionSettings("class"),
    PartitionSettings("shards", shards=3),
    PartitionSettings("dirichlet"),
    PartitionSettings("quantity", 0.2),
    PartitionSettings("quantity", power=1.5),
    PartitionSettings("key", column="speaker"),
    PartitionSettings("temporal", column="when"),
]
NAMES = [f"{s.by}{'' if s.power is None else ' by power'}" for s in ALL]


def deal(settings: PartitionSettings, nodes: int, seed: int = 0) -> list[list[int]]:
    times = [str((37 * i) % 600) for i in range(600)] if settings.by == "temporal" else SPEAKERS
    return [row.tolist() for row in partition(LABELS, nodes, replace(settings, seed=seed), times)]


def test_four_classes_on_two_nodes_by_hand() -> None:
    rows = partition([0, 1, 2, 3, 0, 1, 2, 3], 2, PartitionSettings("class"))

    held = [sorted({int(i) % 4 for i in row}) for row in rows]
    assert sorted(held[0] + held[1]) == [0, 1, 2, 3]
    assert [len(h) for h in held] == [2, 2]
    assert [len(row) for row in rows] == [4, 4]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("settings", ALL, ids=NAMES)
@pytest.mark.parametrize("nodes", [1, 4, 7])
def test_every_example_is_on_exactly_one_node(settings: PartitionSettings, nodes: int, seed: int) -> None:
    rows = deal(settings, nodes, seed)

    assert sorted(i for row in rows for i in row) == list(range(600))
    assert all(row and row == sorted(row) for row in rows)


@pytest.mark.parametrize("seed", range(5))
def test_each_class_is_on_one_node_only(seed: int) -> None:
    rows = partition(LABELS, 4, PartitionSettings("class", seed=seed))

    assert [len({LABELS[i] for i in row}) for row in rows] == [3, 3, 3, 3]
    assert len(set().union(*({LABELS[i] for i in row} for row in rows))) == 12


@pytest.mark.parametrize("settings", ALL, ids=NAMES)
def test_same_seed_same_rows_and_another_seed_others(settings: PartitionSettings) -> None:
    first, again, other = (deal(settings, 4, seed) for seed in (1, 1, 2))

    assert first == again
    assert (first == other) == (settings.by == "temporal")  # time knows no seed


def test_a_small_alpha_skews_more_than_a_large_one() -> None:
    def largest_share(alpha: float) -> float:
        rows = partition(LABELS, 4, PartitionSettings("dirichlet", alpha, seed=3))
        counts = np.array([np.bincount([LABELS[i] for i in row], minlength=12) for row in rows])
        return float((counts.max(axis=0) / counts.sum(axis=0)).mean())

    assert largest_share(0.1) > largest_share(1.0) > largest_share(100.0)


def test_two_shards_a_node_by_hand() -> None:
    """Eight examples of four classes, two nodes of two pieces: each piece is one class, each class on one node."""
    labels = [0, 1, 2, 3, 3, 2, 1, 0]

    rows = partition(labels, 2, PartitionSettings("shards", shards=2, seed=4))

    held = [sorted(labels[i] for i in row) for row in rows]
    assert [len(set(h)) for h in held] == [2, 2]
    assert sorted(held[0] + held[1]) == sorted(labels)
    assert set(held[0]).isdisjoint(held[1])


@pytest.mark.parametrize("seed", range(5))
def test_shards_give_equal_sizes_and_few_classes(seed: int) -> None:
    rows = deal(PartitionSettings("shards", shards=2), 10, seed)

    assert {len(row) for row in rows} == {60}  # 20 pieces of 30; a class has 50: a piece lies across two at the most
    assert max(len({LABELS[i] for i in row}) for row in rows) <= 4


@pytest.mark.parametrize("seed", range(5))
def test_a_power_law_gives_the_sizes_that_it_says(seed: int) -> None:
    rows = partition([0] * 1104, 4, PartitionSettings("quantity", power=1.0, seed=seed))

    assert sorted(map(len, rows)) == [133, 177, 265, 529]  # 1 + 1100 x (3, 4, 6, 12) / 25


@pytest.mark.parametrize("seed", range(5))
def test_quantity_skew_leaves_the_classes_alike(seed: int) -> None:
    labels = [i % 2 for i in range(4000)]
    rows = partition(labels, 4, PartitionSettings("quantity", 0.5, seed))

    sizes = sorted(map(len, rows))
    assert sizes[-1] > 2 * sizes[0]
    for row in rows:
        expected, deviation = len(row) / 2, (len(row) / 4) ** 0.5
        assert abs(sum(labels[i] for i in row) - expected) <= 4 * deviation + 1


def test_three_speakers_on_two_nodes_by_hand() -> None:
    """5, 4 and 3 texts: the largest alone would be 5 to 7, dealt largest first."""
    speakers = ["a"] * 3 + ["b"] * 5 + ["c"] * 4

    rows = partition([0] * 12, 2, PartitionSettings("key", column="speaker"), speakers)

    assert sorted(sorted({speakers[i] for i in row}) for row in rows) == [["a", "c"], ["b"]]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("nodes", [2, 5, 16])
def test_each_speaker_is_on_one_node_and_loads_differ_by_one_speaker_at_most(nodes: int, seed: int) -> None:
    rows = deal(PartitionSettings("key", column="speaker"), nodes, seed)

    homes = {speaker: {n for n, row in enumerate(rows) for i in row if SPEAKERS[i] == speaker} for speaker in SPEAKERS}
    assert all(len(home) == 1 for home in homes.values())
    sizes = [len(row) for row in rows]
    assert max(sizes) - min(sizes) <= max(Counter(SPEAKERS).values())


def test_as_many_speakers_as_nodes_is_one_speaker_a_node() -> None:
    rows = deal(PartitionSettings("key", column="speaker"), 16)

    assert [len({SPEAKERS[i] for i in row}) for row in rows] == [1] * 16


@pytest.mark.parametrize(
    "times",
    [
        ["30", "4", "100", "-2.5", "1e3", "7"],
        ["2024-03-01", "2023-12-31", "2024-03-01T09:30", "1999-01-01", "2030-01-01T00:00:00+02:00", "2024-01-01"],
    ],
    ids=["numbers", "dates"],
)
def test_time_is_cut_into_slices_oldest_first(times: list[str]) -> None:
    rows = partition([0] * 6, 3, PartitionSettings("temporal", column="when"), times)

    assert [row.tolist() for row in rows] == [[1, 3], [0, 5], [2, 4]]


def test_equal_times_stay_in_the_order_of_the_data() -> None:
    rows = partition([0] * 4, 2, PartitionSettings("temporal", column="when"), ["1", "0", "1", "1"])

    assert [row.tolist() for row in rows] == [[0, 1], [2, 3]]


@pytest.mark.parametrize("seed", range(3))
def test_a_tiny_alpha_is_one_node_a_class_and_not_a_number_error(seed: int) -> None:
    rows = partition(LABELS, 3, PartitionSettings("dirichlet", 1e-4, seed))

    assert all(sum(label in {LABELS[i] for i in row} for row in rows) == 1 for label in range(12))


def test_none_gives_everybody_everything() -> None:
    assert [len(row) for row in partition(LABELS, 3, PartitionSettings("none"))] == [600, 600, 600]


@pytest.mark.parametrize(
    ("labels", "settings", "words"),
    [
        ([0, 1, 0, 1, 0], PartitionSettings("class"), "deals 2 classes to 4 nodes"),
        ([0, 1, 2], PartitionSettings("iid"), "3 examples cannot be dealt to 4 nodes"),
        ([0, 1] * 3, PartitionSettings("shards", shards=2), "6 examples give no 4 x 2 pieces"),
        ([0] * 6, PartitionSettings("dirichlet", 0.01), "left one of 4 nodes without examples 100 times"),
        ([0] * 6, PartitionSettings("key", column="who"), r"2 values \(a, b\) cannot be dealt to 4 nodes"),
        ([0] * 6, PartitionSettings("temporal", column="who"), "'a' is no time; wanted numbers, or dates"),
    ],
)
def test_too_little_to_deal_is_refused(labels: list[int], settings: PartitionSettings, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        partition(labels, 4, settings, ["a", "b"] * 3)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"partition\.by: 'classes'.*none, iid, class, shards.* or temporal"):
        PartitionSettings("classes")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"partition\.alpha: 0"):
        PartitionSettings("dirichlet", alpha=0)
    with pytest.raises(ConfigError, match=r"partition\.power: -1"):
        PartitionSettings("quantity", power=-1)
    with pytest.raises(ConfigError, match=r"partition\.shards: 0"):
        PartitionSettings("shards", shards=0)
    with pytest.raises(ConfigError, match=r"partition\.column: missing; by: key"):
        PartitionSettings("key")


def test_a_column_that_says_nothing_of_some_examples_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'who' says something of 2 of 6 examples; by: key"):
        partition([0] * 6, 2, PartitionSettings("key", column="who"), ["a", "b"])
