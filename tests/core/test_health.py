"""Who was slow itself accuses others more slowly."""

from __future__ import annotations

from node.core.health import WORST, LocalHealth


def test_each_miss_of_ours_makes_every_wait_longer_up_to_the_papers_limit():
    health = LocalHealth()
    assert health.multiplier == 1
    health.worse()
    assert health.multiplier == 2
    for _ in range(20):
        health.worse()
    assert health.multiplier == 1 + WORST == 9


def test_answers_make_it_well_again_and_no_better_than_well():
    health = LocalHealth()
    health.worse()
    health.worse()
    health.better()
    assert health.score == 1
    health.better()
    health.better()
    assert health.score == 0
