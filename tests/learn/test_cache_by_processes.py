"""The prefix cache, filled by several processes."""

from __future__ import annotations

import pytest
import torch

from node.app.cache import fill_caches
from node.learn.prepare import Learner, LearnSettings, open_learner, open_model


def learner(settings: LearnSettings) -> Learner:
    return open_learner(settings, open_model(settings))


@pytest.mark.process
@pytest.mark.parametrize("processes", [1, 3])
def test_the_bits_do_not_depend_on_the_number_of_processes(settings: LearnSettings, processes: int) -> None:
    alone, together = learner(settings), learner(settings)

    alone.remember()
    fill_caches(together.caches, processes)

    for one, other in zip(alone.caches, together.caches, strict=True):
        assert one.rows.keys() == other.rows.keys()
        assert all(torch.equal(one.rows[index], other.rows[index]) for index in one.rows)


def test_without_a_cache_nothing_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.fork")
    fill_caches((), processes=4)
