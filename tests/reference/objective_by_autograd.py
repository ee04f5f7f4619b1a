"""The objective of a local step term by term, one example at a time, its gradient left to autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def value(
    logits: Callable[[Tensor], Tensor],
    targets: Sequence[int],
    theta: Tensor,
    start: Tensor,
    counts: Sequence[int],
    *,
    mu: float,
    tau: float,
    mask: bool,
) -> Tensor:
    """f(theta) = mean_k -log q_k(y_k) + mu / 2 sum_j (theta_j - start_j)^2, float64.

    q_k(c) = p_c^tau exp(z_kc) / sum over the classes that count of the same; p_c = (n_c + 1) / (n + number of classes).

    Args:
        logits: theta (d,) -> z (b, c).
    """
    z, total, classes = logits(theta), torch.zeros((), dtype=torch.float64), len(counts)
    shares = [(n + 1) / (sum(counts) + classes) for n in counts]
    counted = [c for c in range(classes) if counts[c] or not mask]
    for k, y in enumerate(targets):
        weights = [shares[c] ** tau * torch.exp(z[k, c]) for c in counted]
        total = total - torch.log(shares[y] ** tau * torch.exp(z[k, y]) / sum(weights)) / len(targets)
    for j in range(len(theta)):
        total = total + mu / 2 * (theta[j] - start[j]) ** 2
    return total
