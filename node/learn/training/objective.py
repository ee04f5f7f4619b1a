"""What a local step minimises: cross entropy, the classes a node has never seen set aside, a pull to where it started.

    f_i(theta) = mean cross entropy(logits + offset_i, targets) + mu / 2 |theta - theta_start|^2

Decides the offset (from the node's own counts of classes, once) and the pull. Knows no optimizer and no peers. The
first term is a mean over examples, taken micro-batch by micro-batch; the pull is added once a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from node.errors import ConfigError
from node.learn.reading.texts import IGNORED

Missing: TypeAlias = Literal["keep", "mask"]


@dataclass(frozen=True, slots=True)
class ObjectiveSettings:
    """All off: plain cross entropy. What helps under which skew is in docs/data.md."""

    proximal: float = 0.0  # mu
    missing_classes: Missing = "keep"  # mask: the logits of classes that this node has no example of do not count
    logit_adjustment: float = 0.0  # tau

    def __post_init__(self) -> None:
        for name in ("proximal", "logit_adjustment"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"train.{name}: {getattr(self, name)} seen, 0 or more wanted")
        if self.missing_classes not in ("keep", "mask"):
            raise ConfigError(f"train.missing_classes: {self.missing_classes!r} is not known; wanted keep or mask")


class Objective:
    """The objective of one node."""

    def __init__(self, settings: ObjectiveSettings, counts: Sequence[int] = ()) -> None:
        """`counts`: the node's own examples of each class, in the order of the labels; () where texts have none.

        Raises:
            ConfigError: a setting that goes by classes, and no counts.
        """
        self._mu = settings.proximal
        self._offset = offset_of(settings, counts)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(..., c), (...) -> the first term, a scalar: mean over the targets that count."""
        return cross_entropy(logits if self._offset is None else logits + self._offset.to(logits.device), targets)

    def pull(self, grad: Tensor, theta: Tensor, start: Tensor) -> None:
        """Add the gradient of mu / 2 |theta - start|^2 to `grad`, in place; all (d,).

        In the first step of a round theta is start: with K = 1 it does nothing.

        References:
            Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith 2020, FedProx, arXiv:1812.06127, eq. 2. Differences: the start
            is what the node's own neighbourhood mixed, not a server's model; the pull goes through AdamW's moments
            like any gradient, which scale it with the rest.
        """
        if self._mu:
            grad.add_(theta - start, alpha=self._mu)


def offset_of(settings: ObjectiveSettings, counts: Sequence[int]) -> Tensor | None:
    """(c,) what is added to the logits while training, or None where nothing is.

    mask: minus infinity for classes without an example here; so nothing is learnt where a node has one class only.
    adjustment: tau log p_c with p_c = (n_c + 1) / (n + c). A model of balanced data, seen through a node's own class
    shares, has these logits: then nodes of different shares do not pull the head apart. One example more of each class
    keeps the offset finite: a class never seen stays in the sum, with the smallest weight.

    References:
        Menon, Jayasumana, Rawat, Jain, Veit, Kumar 2021, Long-tail learning via logit adjustment, arXiv:2007.07314,
        eq. 10; Zhang et al. 2022, FedLC, arXiv:2209.00189, adjusts each client by its own counts. Differences: tau log
        p as Menon, by node as FedLC; add-one counts.
        Legate, Caccia, Belilovsky 2023, Re-weighted softmax cross-entropy, arXiv:2304.05260: classes weigh in the
        softmax as they do on the client; that is tau = 1 with the mask, but for the added one.
    """
    if settings.missing_classes == "keep" and not settings.logit_adjustment:
        return None
    if not sum(counts):
        name = "missing_classes" if settings.missing_classes == "mask" else "logit_adjustment"
        raise ConfigError(f"train.{name}: goes by the classes of the node's examples, which have none; wanted it off")
    seen = torch.tensor(counts, dtype=torch.float64)
    shares = (seen + 1) / (seen.sum() + len(seen))
    offset = (settings.logit_adjustment * shares.log()).float()
    return offset.masked_fill(seen == 0, -math.inf) if settings.missing_classes == "mask" else offset


def cross_entropy(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """(..., c), (...) -> scalar; ignored targets do not count."""
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=IGNORED, reduction=reduction)


PLAIN = Objective(ObjectiveSettings())
