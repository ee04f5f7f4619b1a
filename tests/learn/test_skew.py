from __future__ import annotations

import numpy as np
import pytest

from node.learn.dealing.skew import counts_of, effective_classes, effective_nodes, total_variation

TWO_BY_TWO = np.array([[3, 1], [1, 3]])


def test_counts_are_taken_by_node() -> None:
    assert counts_of([0, 1, 1, 0, 2], [np.array([0, 1, 2]), np.array([3, 4])], 4).tolist() == [
        [1, 2, 0, 0],
        [1, 0, 1, 0],
    ]


def test_three_to_one_beside_one_to_three_is_a_quarter_off() -> None:
    assert total_variation(TWO_BY_TWO).tolist() == [0.25, 0.25]  # (3/4, 1/4) against (1/2, 1/2)
    assert total_variation(np.array([[2, 2], [5, 5]])).tolist() == [0.0, 0.0]
    assert total_variation(np.array([[4, 0], [0, 4]])).tolist() == [0.5, 0.5]


def test_one_class_a_node_of_n_is_all_but_an_nth_off() -> None:
    assert total_variation(10 * np.eye(16, dtype=np.int64)) == pytest.approx(15 / 16)


def test_a_node_of_k_equal_classes_has_k_of_them() -> None:
    counts = np.array([[5, 5, 5, 0], [7, 0, 0, 0], [0, 0, 0, 0], [9, 1, 0, 0]])

    assert effective_classes(counts)[:3] == pytest.approx([3, 1, 0])
    assert 1 < effective_classes(counts)[3] < 2


def test_equal_sizes_are_worth_all_nodes_and_one_alone_is_worth_one() -> None:
    assert effective_nodes([5, 5, 5, 5]) == pytest.approx(4)
    assert effective_nodes([100, 0, 0]) == pytest.approx(1)
    assert effective_nodes([3, 1]) == pytest.approx(1.6)  # 16 / (9 + 1)
    assert effective_nodes([0, 0]) == 0
