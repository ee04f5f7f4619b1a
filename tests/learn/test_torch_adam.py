"""The memory of torch's AdamW as channels, and back."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from node.errors import ConfigError
from node.learn.model.trainables import Trainables
from node.learn.training.adamw import AdamW, AdamWSettings, no_moments
from node.learn.training.torch_adam import TorchAdam

SEEDS = range(5)
D = 6
BETAS = (0.9, 0.99)


class One(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.a = nn.Parameter(torch.randn(2, 2, generator=generator))
        self.b = nn.Parameter(torch.randn(2, generator=generator))


def learner(seed: int, lr: float = 0.1) -> tuple[Trainables, torch.optim.AdamW, TorchAdam]:
    ours = Trainables(One(seed))
    optimizer = torch.optim.AdamW(ours.parameters, lr=lr, betas=BETAS, weight_decay=0.0)
    return ours, optimizer, TorchAdam(optimizer, ours)


def step(ours: Trainables, optimizer: torch.optim.Optimizer, grad: torch.Tensor) -> None:
    for parameter, view in zip(ours.parameters, ours.schema.views(grad).values(), strict=True):
        parameter.grad = view.clone()
    optimizer.step()


def gradients(seed: int, count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(100 + seed)
    return [torch.randn(D, generator=generator) for _ in range(count)]


def test_one_step_by_hand() -> None:
    """grad 2: m = 0.1 * 2, s = sqrt(0.01 * 4), corrections 0.1 and 0.1."""
    ours, optimizer, adam = learner(0)

    step(ours, optimizer, torch.full((D,), 2.0))

    channels = adam.read()
    assert channels["m"].tolist() == pytest.approx([0.2] * D)
    assert channels["s"].tolist() == pytest.approx([0.2] * D)
    assert channels["scalars"].tolist() == pytest.approx([0.1, 0.1])


def test_before_the_first_step_there_is_nothing() -> None:
    _, _, adam = learner(0)

    seen, wanted = adam.read(), no_moments(D)

    assert {name: x.tolist() for name, x in seen.items()} == {name: x.tolist() for name, x in wanted.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_channels_are_those_of_our_own_adamw(seed: int) -> None:
    ours, optimizer, adam = learner(seed)
    own, theta = AdamW(AdamWSettings(0.1, beta1=BETAS[0], beta2=BETAS[1]), no_moments(D)), ours.read()
    for grad in gradients(seed, 7):
        step(ours, optimizer, grad)
        own.step(theta, grad)

    for name, wanted in own.channels().items():
        torch.testing.assert_close(adam.read()[name], wanted, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(ours.read(), theta, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_read_can_be_written_and_changes_nothing(seed: int) -> None:
    ours, optimizer, adam = learner(seed)
    for grad in gradients(seed, 3):
        step(ours, optimizer, grad)
    before = {p: {k: v.clone() for k, v in optimizer.state[p].items()} for p in ours.parameters}

    adam.write(adam.read())

    for p in ours.parameters:
        assert optimizer.state[p]["step"] == before[p]["step"]
        assert torch.equal(optimizer.state[p]["exp_avg"], before[p]["exp_avg"])
        torch.testing.assert_close(optimizer.state[p]["exp_avg_sq"], before[p]["exp_avg_sq"])


@pytest.mark.parametrize("seed", SEEDS)
def test_after_unequal_counts_of_steps_the_next_update_is_that_of_the_mixed_corrections(seed: int) -> None:
    """One node took 2 steps, the other 9: neither count gives both corrections of the mean."""
    channels = []
    for count in (2, 9):
        ours, optimizer, adam = learner(seed)
        for grad in gradients(seed + count, count):
            step(ours, optimizer, grad)
        channels.append(adam.read())
    mixed = {name: (channels[0][name] + channels[1][name]) / 2 for name in channels[0]}
    own, theta = AdamW(AdamWSettings(0.1, beta1=BETAS[0], beta2=BETAS[1]), mixed), ours.read()

    adam.write(mixed)
    m, s, c = (adam.read()[name] for name in ("m", "s", "scalars"))

    torch.testing.assert_close(m / c[0], mixed["m"] / mixed["scalars"][0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(s / c[1], mixed["s"] / mixed["scalars"][1], rtol=1e-4, atol=1e-6)
    grad = gradients(seed, 1)[0]
    step(ours, optimizer, grad)
    own.step(theta, grad)
    torch.testing.assert_close(ours.read(), theta, rtol=2e-2, atol=2e-3)  # m's own correction has grown a step since


def test_a_small_negative_s_counts_as_zero() -> None:
    ours, optimizer, adam = learner(0)
    step(ours, optimizer, torch.ones(D))
    channels = adam.read()

    adam.write({**channels, "s": torch.full((D,), -0.1)})

    assert all(not optimizer.state[p]["exp_avg_sq"].any() for p in ours.parameters)


def test_corrections_beyond_float32_leave_the_count_alone() -> None:
    ours, optimizer, adam = learner(0)
    step(ours, optimizer, torch.ones(D))
    channels = adam.read()

    adam.write({**channels, "scalars": torch.tensor([1.0, 1.0])})

    assert {float(optimizer.state[p]["step"]) for p in ours.parameters} == {1.0}


def test_a_fresh_optimizer_takes_moments_over() -> None:
    """Who resumes from the network's checkpoint has an optimizer that has not seen a gradient."""
    ours, optimizer, adam = learner(0)
    m, c2 = torch.arange(D) * 0.1, math.sqrt(1 - BETAS[1] ** 4)

    adam.write({"m": m, "s": m + 1, "scalars": torch.tensor([1 - BETAS[0] ** 4, c2])})

    assert {round(float(optimizer.state[p]["step"]), 3) for p in ours.parameters} == {4.0}
    torch.testing.assert_close(adam.read()["m"], m, rtol=1e-4, atol=1e-6)
    step(ours, optimizer, torch.ones(D))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda ps: torch.optim.SGD(ps, lr=0.1), "wants torch's AdamW or Adam, the Trainer has SGD"),
        (lambda ps: torch.optim.AdamW(ps, amsgrad=True), "no amsgrad"),
        (lambda ps: torch.optim.AdamW([{"params": ps[:1]}, {"params": ps[1:], "betas": (0.5, 0.9)}]), "one pair"),
    ],
)
def test_an_optimizer_whose_memory_cannot_be_mixed_is_refused(make, reason: str) -> None:
    ours = Trainables(One(0))

    with pytest.raises(ConfigError, match=reason):
        TorchAdam(make(list(ours.parameters)), ours)
