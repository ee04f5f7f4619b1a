"""AdamW over one flat vector, with moments that can be mixed like parameters.

Consensus over the moments needs them in a form that survives averaging: m, s = sqrt(v), and the bias corrections c1 =
1 - beta1^t and c2 = sqrt(1 - beta2^t) in place of a step count (nodes have taken different numbers of steps; unequal
counts scaled the update by 0.4 to 1.5). Mixing may leave small negative s (a third of them between exact hops): v =
max(s, 0)^2.

A delayed gradient: under label skew a node's fresh gradient pulls towards its own classes. With `delayed`, a step first
moves along the moments in hand (what the neighbourhood agreed on) and then folds the own gradient into them, so that it
moves theta only after the next mixing. Spread at mid-run fell 3 to 4 times, and twice the learning rate became usable.

References:
    Loshchilov, Hutter 2019, arXiv:1711.05101. Difference: the bias corrections are carried as recurrences,
    1 - beta^(t+1) = (1 - beta) + beta (1 - beta^t), which need no t and lose no digits.
    Lin, Karimireddy, Stich, Jaggi 2021, arXiv:2102.04761 (quasi-global momentum) keep the local gradient out of the
    momentum that nodes share. Difference: ours is Adam, and the momentum itself is mixed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

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


def no_moments(d: int) -> dict[str, Tensor]:
    """The channels before the first step: m (d,), s (d,), scalars (2,), all zero."""
    return {"m": torch.zeros(d), "s": torch.zeros(d), "scalars": torch.zeros(2)}


class AdamW:
    """One optimizer between two mixings: made from the channels of the round, stepped, read back."""

    def __init__(self, settings: AdamWSettings, moments: Mapping[str, Tensor]) -> None:
        self._settings = settings
        self._m = moments["m"].clone()
        self._v = moments["s"].clamp(min=0.0).square()
        self._c1, self._c2 = (float(c) for c in moments["scalars"])

    def step(self, theta: Tensor, grad: Tensor, rate: float = 1.0) -> None:
        """Move theta (d,) in place along grad (d,); `rate` scales the learning rate (a schedule)."""
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

    def channels(self) -> dict[str, Tensor]:
        """m (d,), s = sqrt(v) (d,), scalars (2,) = [1 - beta1^t, sqrt(1 - beta2^t)]; fresh tensors."""
        return {"m": self._m.clone(), "s": self._v.sqrt(), "scalars": torch.tensor([self._c1, self._c2])}
