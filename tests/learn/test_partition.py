from __future__ import annotations

import numpy as np
import pytest

from node.errors import ConfigError
from node.learn.partition import By, PartitionSettings, partition

LABELS = [i % 12 for i in range(600)]


def test_four_classes_on_two_nodes_by_hand() -> None:
    rows = partition([0, 1, 2, 3, 0, 1, 2, 3], 2, PartitionSettings("class"))

    held = [sorted({int(i) % 4 for i in row}) for row in rows]
    assert sorted(held[0] + held[1]) == [0, 1, 2, 3]
    assert [len(h) for h in held] == [2, 2]
    assert [len(row) for row in rows] == [4, 4]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("by", ["iid", "class", "dirichlet"])
@pytest.mark.parametrize("nodes", [1, 4, 7])
def test_every_example_is_on_exactly_one_node(by: By, nodes: int, seed: int) -> None:
    rows = partition(LABELS, nodes, PartitionSettings(by, seed=seed))

    assert sorted(np.concatenate(rows).tolist()) == list(range(600))
    assert all(len(row) for row in rows)


@pytest.mark.parametrize("seed", range(5))
def test_each_class_is_on_one_node_only(seed: int) -> None:
    rows = partition(LABELS, 4, PartitionSettings("class", seed=seed))

    assert [len({LABELS[i] for i in row}) for row in rows] == [3, 3, 3, 3]
    assert len(set().union(*({LABELS[i] for i in row} for row in rows))) == 12


@pytest.mark.parametrize("by", ["iid", "class", "dirichlet"])
def test_same_seed_same_rows_and_another_seed_others(by: By) -> None:
    first, again, other = (
        [row.tolist() for row in partition(LABELS, 4, PartitionSettings(by, seed=seed))] for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


def test_a_small_alpha_skews_more_than_a_large_one() -> None:
    def largest_share(alpha: float) -> float:
        rows = partition(LABELS, 4, PartitionSettings("dirichlet", alpha, seed=3))
        counts = np.array([np.bincount([LABELS[i] for i in row], minlength=12) for row in rows])
        return float((counts.max(axis=0) / counts.sum(axis=0)).mean())

    assert largest_share(0.1) > largest_share(1.0) > largest_share(100.0)


def test_none_gives_everybody_everything() -> None:
    assert [len(row) for row in partition(LABELS, 3, PartitionSettings("none"))] == [600, 600, 600]


@pytest.mark.parametrize(
    ("labels", "settings", "words"),
    [
        ([0, 1, 0, 1, 0], PartitionSettings("class"), "deals 2 classes to 4 nodes"),
        ([0, 1, 2], PartitionSettings("iid"), "3 examples cannot be dealt to 4 nodes"),
    ],
)
def test_too_little_to_deal_is_refused(labels: list[int], settings: PartitionSettings, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        partition(labels, 4, settings)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"partition\.by: 'classes'.*none, iid, class or dirichlet"):
        PartitionSettings("classes")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"partition\.alpha: 0"):
        PartitionSettings("dirichlet", alpha=0)
