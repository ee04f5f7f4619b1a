"""AdamW over one flat vector, with moments that can be mixed like parameters.

Consensus over the moments needs them in a form that survives averaging: m, s = sqrt(v), and the bias corrections c1 =
1 - beta1^t and c2 = sqrt(1 - beta2^t) in place of a step count (nodes have taken different numbers of steps; unequal
counts scaled the update by 0.4 to 1.5). Mixing may leave small negative s (a third of them between exact hops): v =
max(s, 0)^2.

A delayed gradient: under label skew a node's fresh gradient pulls towards its own classes. With `delayed`, a step first
moves along the moments in hand (what the neighbourhood agreed on) and then folds the own gradient into them, so that it
moves theta only after the next mixing. Spread at mid-run fell 3 to 4 times, and twice the learning rate became usable.

Blocks: where only a part of theta is stepped in a round (factors A and B in turn), the moments and the bias corrections
of the rest must not age, so each block has corrections of its own.

References:
    Loshchilov, Hutter 2019, arXiv:1711.05101. Difference: the bias corrections are carried as recurrences,
    1 - beta^(t+1) = (1 - beta) + beta (1 - beta^t), which need no t and lose no digits.
    Lin, Karimireddy, Stich, Jaggi 2021, arXiv:2102.04761 (quasi-global momentum) keep the local gradient out of the
    momentum that nodes share. Difference: ours is Adam, and the momentum itself is mixed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

CHANNELS = ("m", "s", "scalars")


@dataclass(frozen=True, slots=True)
class AdamWSettings:
    """The usual words; `weight_decay` is decoupled and hits every shared parameter alike."""

    learning_rate: float
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    delayed: bool = False  # move first, learn the gradient afterwards; the very first step does both
    floored: bool = False  # the moments came by a codec that loses bits: see `steepest`


class Block(NamedTuple):
    """A range of theta with bias corrections of its own; several may have one name."""

    name: str
    start: int
    stop: int


def no_moments(d: int, blocks: int = 1) -> dict[str, Tensor]:
    """The channels before the first step: m (d,), s (d,), scalars (2 * blocks,), all zero."""
    return {"m": torch.zeros(d), "s": torch.zeros(d), "scalars": torch.zeros(2 * blocks)}


def steepest(beta1: float, beta2: float) -> float:
    """The most that |m| / s can be, whatever the gradients were; infinite where there is no such bound.

    By Cauchy and Schwarz |m| <= (1 - beta1) sqrt(sum of (beta1^2 / beta2)^k) sqrt(v / (1 - beta2)), and a weighted mean
    over nodes keeps it, for s is mixed and not v. A codec does not: where s comes out as nearly nothing beside m, the
    next step is 10^7 learning rates long. Not below |m| / steepest, s does no harm, and where nothing was lost it is
    not below.
    """
    share = beta1 * beta1 / beta2 if beta2 > 0.0 else math.inf
    return (1.0 - beta1) / math.sqrt((1.0 - beta2) * (1.0 - share)) if share < 1.0 else math.inf


class AdamW:
    """One optimizer between two mixings: made from the channels of the round, stepped, read back."""

    def __init__(
        self, settings: AdamWSettings, moments: Mapping[str, Tensor], blocks: Sequence[Block] | None = None
    ) -> None:
        """`blocks` cover theta without a gap, in the order of "scalars"; None: one over all."""
        self._m = moments["m"].clone()
        s = moments["s"].clamp(min=0.0)
        if settings.floored:
            s = torch.maximum(s, self._m.abs() / steepest(settings.beta1, settings.beta2))
        self._v = s.square()
        self._blocks = (Block("all", 0, len(self._v)),) if blocks is None else tuple(blocks)
        scalars = [float(c) for c in moments["scalars"]]
        self._parts = [
            _Part(settings, self._m[b.start : b.stop], self._v[b.start : b.stop], *scalars[2 * i : 2 * i + 2])
            for i, b in enumerate(self._blocks)
        ]

    def step(self, theta: Tensor, grad: Tensor, rate: float = 1.0, active: Collection[str] | None = None) -> None:
        """Move theta (d,) in place along grad (d,).

        Args:
            rate: what the learning rate is multiplied with (a schedule).
            active: names of the blocks that are stepped; the others stay as they are. None: all.
        """
        for block, part in zip(self._blocks, self._parts, strict=True):
            if active is None or block.name in active:
                part.step(theta[block.start : block.stop], grad[block.start : block.stop], rate)

    def channels(self) -> dict[str, Tensor]:
        """m (d,), s = sqrt(v) (d,), scalars (2 * blocks,): 1 - beta1^t, sqrt(1 - beta2^t) of each; fresh tensors."""
        scalars = [c for part in self._parts for c in part.corrections]
        return {"m": self._m.clone(), "s": self._v.sqrt(), "scalars": torch.tensor(scalars)}


class _Part:
    """AdamW on one block; m and v are views that it changes in place."""

    def __init__(self, settings: AdamWSettings, m: Tensor, v: Tensor, c1: float, c2: float) -> None:
        self._settings = settings
        self._m, self._v = m, v
        self._c1, self._c2 = c1, c2

    @property
    def corrections(self) -> tuple[float, float]:
        return self._c1, self._c2

    def step(self, theta: Tensor, grad: Tensor, rate: float) -> None:
        if self._settings.delayed and self._c1 > 0.0:
            self._move(theta, rate)
            self._learn(grad)
        else:
            self._learn(grad)
            self._move(theta, rate)

    def _learn(self, grad: Tensor) -> None:
        s = self._settings
        self._c1 = (1.0 - s.beta1) + s.beta1 * self._c1
        self._c2 = math.sqrt((1.0 - s.beta2) + s.beta2 * self._c2 * self._c2)
        self._m.lerp_(grad, 1.0 - s.beta1)
        self._v.mul_(s.beta2).addcmul_(grad, grad, value=1.0 - s.beta2)

    def _move(self, theta: Tensor, rate: float) -> None:
        s = self._settings
        lr = rate * s.learning_rate
        if s.weight_decay:
            theta.mul_(1.0 - lr * s.weight_decay)
        theta.addcdiv_(self._m, self._v.sqrt().div_(self._c2).add_(s.eps), value=-lr / self._c1)
