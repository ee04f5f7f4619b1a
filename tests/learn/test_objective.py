from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from node.errors import ConfigError
from node.learn.reading.texts import IGNORED
from node.learn.training.objective import Objective, ObjectiveSettings, cross_entropy, offset_of
from tests.reference import objective_by_autograd

COUNTS = (6, 2, 0, 1)  # examples of four classes on a node
SETTINGS = {
    "plain": ObjectiveSettings(),
    "proximal": ObjectiveSettings(proximal=0.7),
    "mask": ObjectiveSettings(missing_classes="mask"),
    "adjusted": ObjectiveSettings(logit_adjustment=1.5),
    "all": ObjectiveSettings(0.3, "mask", 1.0),
}


def test_with_all_off_nothing_is_added() -> None:
    objective = Objective(ObjectiveSettings())
    logits, targets, grad = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0]), torch.randn(3)

    before = grad.clone()
    objective.pull(grad, torch.ones(3), torch.zeros(3))

    assert torch.equal(objective.loss(logits, targets), cross_entropy(logits, targets))
    assert torch.equal(grad, before)


def test_the_pull_is_mu_times_the_way_from_the_start() -> None:
    grad = torch.tensor([1.0, -1.0])

    Objective(ObjectiveSettings(proximal=0.5)).pull(grad, torch.tensor([3.0, 2.0]), torch.tensor([1.0, 4.0]))

    assert grad.tolist() == [2.0, -2.0]


def test_three_to_one_is_adjusted_by_the_logs_of_two_thirds_and_one_third() -> None:
    """(3 + 1) / (4 + 2) and (1 + 1) / (4 + 2)."""
    offset = offset_of(ObjectiveSettings(logit_adjustment=2.0), (3, 1))

    assert offset is not None
    assert offset.tolist() == pytest.approx([2 * math.log(2 / 3), 2 * math.log(1 / 3)])


def test_a_class_never_seen_is_masked_or_adjusted_but_finite() -> None:
    masked = offset_of(ObjectiveSettings(missing_classes="mask"), (3, 0, 1))
    adjusted = offset_of(ObjectiveSettings(logit_adjustment=1.0), (3, 0, 1))

    assert masked is not None
    assert masked.tolist() == [0.0, -math.inf, 0.0]
    assert adjusted is not None
    assert adjusted.exp().tolist() == pytest.approx([4 / 7, 1 / 7, 2 / 7])


def test_equal_counts_leave_the_loss_as_it_is() -> None:
    logits, targets = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2] * 2)
    objective = Objective(ObjectiveSettings(0.0, "mask", 1.0), (5, 5, 5))

    assert float(objective.loss(logits, targets)) == pytest.approx(float(cross_entropy(logits, targets)), rel=1e-6)


def test_under_the_mask_a_node_of_one_class_has_nothing_to_learn_and_adjusted_it_has() -> None:
    logits, targets = torch.zeros(2, 3, requires_grad=True), torch.tensor([1, 1])

    (masked,) = torch.autograd.grad(Objective(SETTINGS["mask"], (0, 9, 0)).loss(logits, targets), logits)
    (adjusted,) = torch.autograd.grad(Objective(SETTINGS["adjusted"], (0, 9, 0)).loss(logits, targets), logits)

    assert not masked.any()
    assert bool((adjusted[:, 1] < 0).all())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_value_and_gradient_are_those_of_the_twin(settings: ObjectiveSettings, seed: int) -> None:
    made = torch.Generator().manual_seed(seed)
    inputs, start = torch.randn(7, 3, generator=made), torch.randn(12, generator=made)
    theta = start + 0.3 * torch.randn(12, generator=made)
    targets = torch.tensor([0, 0, 1, 3, 0, 1, 0])

    ours, grad = _ours(Objective(settings, COUNTS), inputs, targets, theta, start)
    exact = theta.double().requires_grad_()
    theirs = objective_by_autograd.value(
        lambda x: inputs.double() @ x.view(3, 4), targets.tolist(), exact, start.double(), COUNTS,
        mu=settings.proximal, tau=settings.logit_adjustment, mask=settings.missing_classes == "mask",
    )  # fmt: skip
    (slope,) = torch.autograd.grad(theirs, exact)

    pulled = settings.proximal / 2 * float((theta - start).square().sum())
    assert ours + pulled == pytest.approx(float(theirs.detach()), rel=1e-5)
    assert torch.allclose(grad.double(), slope, atol=1e-6)


def _ours(objective: Objective, inputs: Tensor, targets: Tensor, theta: Tensor, start: Tensor) -> tuple[float, Tensor]:
    x = theta.clone().requires_grad_()
    loss = objective.loss(inputs @ x.view(3, 4), targets)
    loss.backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    objective.pull(x.grad, theta, start)
    return float(loss.detach()), x.grad


@pytest.mark.parametrize("seed", range(3))
def test_nodes_of_one_truth_and_different_shares_agree_when_adjusted(seed: int) -> None:
    """Logits of the balanced truth are a stationary point of every node's adjusted loss, and of no plain one.

    The node's own targets are drawn as the truth says: y ~ p_c exp(z_c) / sum; the mean gradient over all y is then 0.
    """
    made = torch.Generator().manual_seed(seed)
    z = torch.randn(4, generator=made)
    counts = (70, 20, 0, 10)
    offset = offset_of(ObjectiveSettings(logit_adjustment=1.0), counts)
    assert offset is not None
    chances = torch.softmax(z + offset, 0)

    def mean_gradient(objective: Objective) -> Tensor:
        x = z.clone().requires_grad_()
        losses = [chances[y] * objective.loss(x[None], torch.tensor([y])) for y in range(4)]
        return torch.autograd.grad(torch.stack(losses).sum(), x)[0]

    assert mean_gradient(Objective(ObjectiveSettings(logit_adjustment=1.0), counts)).abs().max() < 1e-6
    assert mean_gradient(Objective(ObjectiveSettings())).abs().max() > 0.1


def test_ignored_targets_do_not_count() -> None:
    logits, targets = torch.randn(2, 3, 5), torch.tensor([[1, 2, IGNORED], [0, IGNORED, IGNORED]])

    kept = logits.flatten(0, 1)[[0, 1, 3]]
    assert torch.equal(
        Objective(ObjectiveSettings()).loss(logits, targets), cross_entropy(kept, torch.tensor([1, 2, 0]))
    )


def test_what_goes_by_classes_wants_some() -> None:
    with pytest.raises(ConfigError, match=r"train\.missing_classes: goes by the classes"):
        Objective(SETTINGS["mask"])
    with pytest.raises(ConfigError, match=r"train\.logit_adjustment: goes by the classes"):
        Objective(SETTINGS["adjusted"], (0, 0))


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.proximal: -1 seen, 0 or more wanted"):
        ObjectiveSettings(proximal=-1)
    with pytest.raises(ConfigError, match=r"train\.logit_adjustment: nan"):
        ObjectiveSettings(logit_adjustment=math.nan)
    with pytest.raises(ConfigError, match=r"train\.missing_classes: 'drop' is not known; wanted keep or mask"):
        ObjectiveSettings(missing_classes="drop")  # type: ignore[arg-type]
