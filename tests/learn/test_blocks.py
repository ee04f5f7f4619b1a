"""Ranges of theta that are stepped in turn."""

from __future__ import annotations

import pytest
import torch

from node.learn.model.schema import Schema
from node.learn.training.adamw import AdamW, AdamWSettings, Block, no_moments
from node.learn.training.blocks import active, blocks_of, factor
from tests.reference import adamw as twin

SHARED = {"classifier.bias": (3,), "q.lora_A.weight": (2, 4), "v.lora_A.weight": (2, 4), "v.lora_B.weight": (4, 2)}
PRIVATE = {"q.lora_B.weight": (4, 2), "score.weight": (3,)}
WHOLE, D = Schema.of(SHARED, PRIVATE), 27


def test_in_one_piece_only_the_private_part_is_a_block_of_its_own() -> None:
    assert blocks_of(WHOLE, D, False) == (("shared", 0, 27), ("private", 27, 38))
    assert blocks_of(Schema.of(SHARED), D, False) == (("shared", 0, 27),)


def test_in_turn_a_block_ends_where_a_factor_or_the_shared_part_does() -> None:
    assert blocks_of(WHOLE, D, True) == (
        ("other", 0, 3),
        ("lora_A", 3, 19),
        ("lora_B", 19, 27),
        ("lora_B", 27, 35),
        ("other", 35, 38),
    )


def test_b_goes_first_and_the_head_is_always_stepped() -> None:
    assert [sorted(active(r, 2) or ()) for r in range(5)] == [
        *[["lora_B", "other"]] * 2,
        *[["lora_A", "other"]] * 2,
        ["lora_B", "other"],
    ]
    assert active(3, 0) is None


def test_the_factors_of_an_embedding_count_too() -> None:
    names = ("e.lora_embedding_A", "e.lora_embedding_B", "q.lora_B.weight", "prompt")
    assert [factor(n) for n in names] == ["lora_A", "lora_B", "lora_B", "other"]


@pytest.mark.parametrize("seed", range(3))
def test_each_block_is_torchs_adamw_over_its_own_steps(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    blocks = (Block("a", 0, 5), Block("b", 5, 12), Block("a", 12, 20))
    start, grads = torch.randn(20, generator=generator), [torch.randn(20, generator=generator) for _ in range(12)]
    turns = [{"a"}, {"b"}, {"b"}, {"a", "b"}] * 3

    theta, moments = start.clone(), no_moments(20, 3)
    for turn, grad in zip(turns, grads, strict=True):
        optimizer = AdamW(AdamWSettings(3e-2, 0.1), moments, blocks)
        optimizer.step(theta, grad, active=turn)
        moments = optimizer.channels()

    assert len(moments["scalars"]) == 6
    for block in blocks:
        own = [g[block.start : block.stop] for g, turn in zip(grads, turns, strict=True) if block.name in turn]
        wanted = twin.steps(start[block.start : block.stop], own, 3e-2, 0.1)
        torch.testing.assert_close(theta[block.start : block.stop], wanted, atol=2e-5, rtol=2e-5)


def test_a_block_that_rests_keeps_its_moments() -> None:
    blocks = (Block("a", 0, 2), Block("b", 2, 4))
    moments = {"m": torch.ones(4), "s": torch.ones(4), "scalars": torch.tensor([0.5, 0.6, 0.7, 0.8])}
    theta = torch.zeros(4)

    optimizer = AdamW(AdamWSettings(0.1, delayed=True), moments, blocks)
    optimizer.step(theta, torch.ones(4), active={"b"})

    after = optimizer.channels()
    assert theta[:2].tolist() == [0.0, 0.0]
    assert (theta[2:] != 0).all()
    assert all(torch.equal(after[name][:2], moments[name][:2]) for name in moments)
    assert (after["scalars"][2:] > moments["scalars"][2:]).all()
