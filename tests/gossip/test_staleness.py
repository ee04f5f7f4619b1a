"""Old messages count less, and what they lose stays with us."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.gossip.staleness import damped
from node.types import PeerId

A, B, C, D = (PeerId(p) for p in "abcd")


def test_a_row_worked_by_hand():
    row = damped({A: 0.25, B: 0.5, C: 0.25}, A, {B: 3, C: 0})
    assert row == {B: 0.25, C: 0.25, A: 0.5}  # 0.5 / sqrt(1 + 3), 0.25 / sqrt(1); the rest is ours


def test_who_is_ahead_or_was_not_heard_counts_in_full():
    row = {A: 0.25, B: 0.5, C: 0.25}
    assert damped(row, A, {B: -7}) == row
    assert damped(row, A, {}) == row


@given(
    st.dictionaries(st.sampled_from([B, C, D]), st.floats(0.0, 0.3), min_size=1),
    st.dictionaries(st.sampled_from([B, C, D]), st.integers(-5, 1000)),
)
def test_a_damped_row_sums_to_one_and_no_neighbour_gains(others, staleness):
    row = {**others, A: 1.0 - sum(others.values())}
    made = damped(row, A, staleness)
    assert sum(made.values()) == pytest.approx(1.0, abs=1e-12)
    assert all(0.0 <= made[p] <= row[p] for p in others)
    assert made[A] >= row[A] - 1e-12
