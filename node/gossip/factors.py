"""LoRA factors as matrices: views into flat vectors, the turn that brings one pair next to another, what is held.

A pair (B, A) and (B Q, Q^T A) are one adapter for every orthogonal Q (r, r), the gauge; entry by entry they are far
apart. Decides how a gauge is chosen. Knows neither peft nor peers: it is given the layout (`node.types.Pair`).
Everything is computed in float64 (r x r problems, and rounding would show in the gauge), on shapes (..., d).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from node.types import Pair, Shared, Vector

TIE = 1e-6  # of |M|: how much a direction that M says nothing about is drawn to the identity


def matrices(x: Vector, pair: Pair) -> tuple[Tensor, Tensor]:
    """(..., d) -> A (..., r, n_in), B (..., n_out, r), views into x."""
    head = x.shape[:-1]
    return x[..., pair.a].view(*head, pair.r, pair.n_in), x[..., pair.b].view(*head, pair.n_out, pair.r)


def turn(theirs: Vector, ours: Vector, pair: Pair) -> Tensor:
    """The orthogonal Q (..., r, r) with the least |B_j Q - B_i|^2 + |Q^T A_j - A_i|^2.

    Q = U V^T for B_j^T B_i + A_j A_i^T = U S V^T. What no factor says anything about stays as it is: of two pairs of
    zeros, or with zero B and one common A, Q is the identity.

    References:
        Schoenemann 1966, A generalized solution of the orthogonal Procrustes problem. Difference: TIE times the
        identity is added, without which singular problems have many solutions, all but one of them a jump.
    """
    (a, b), (to_a, to_b) = (matrices(x.double(), pair) for x in (theirs, ours))
    m = b.mT @ to_b + a @ to_a.mT
    scale = torch.linalg.matrix_norm(m, keepdim=True).clamp(min=1e-300)
    u, _, vh = torch.linalg.svd(m / scale + TIE * torch.eye(pair.r, dtype=m.dtype))
    return torch.matmul(u, vh)


def turned(x: Vector, pairs: Sequence[Pair], turns: Sequence[Tensor]) -> Vector:
    """(..., d) with every pair (B, A) replaced by (B Q, Q^T A), in the precision of x; the products stay."""
    new = x.clone()
    for pair, q in zip(pairs, turns, strict=True):
        a, b = matrices(new, pair)
        a.copy_(q.mT @ a.double())
        b.copy_(b.double() @ q)
    return new


def held(x: Vector, pair: Pair) -> Tensor:
    """(..., r) which of the r directions a peer has: one whose row of A and column of B are zero is padding.

    Padding stays so under training: the gradient of either zero is the other zero.
    """
    a, b = matrices(x, pair)
    return (a != 0).any(-1) | (b != 0).any(-2)


def rows_of(mask: Tensor, pair: Pair) -> tuple[Tensor, Tensor]:
    """(..., r) -> the same for each entry of A and of B, flat: (..., r * n_in), (..., n_out * r)."""
    return mask.repeat_interleave(pair.n_in, dim=-1), mask.repeat(*(1,) * (mask.dim() - 1), pair.n_out)


def padded(shared: Shared, pairs: Sequence[Pair], rank: int) -> Shared:
    """What a peer with less than the common rank starts from: zero beyond its own.

    Args:
        rank: own rank, 1 to r; pairs of a lower r stay whole.
    """
    new = {name: x.clone() for name, x in shared.items()}
    for pair in pairs:
        beyond = torch.arange(pair.r) >= rank
        for x in (x for name, x in new.items() if name != "scalars"):
            in_a, in_b = rows_of(beyond, pair)
            x[..., pair.a].masked_fill_(in_a, 0.0)
            x[..., pair.b].masked_fill_(in_b, 0.0)
    return new
