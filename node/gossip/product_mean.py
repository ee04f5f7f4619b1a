"""Products mixed instead of factors: the best rank-r approximation of sum_j w_ij B_j A_j, without forming it.

Decides how the mean of products is cut back to two factors, and in which gauge. The peers, their weights and what is
done about silence are D-PSGD's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from node.gossip.aggregate import weighted_mean
from node.gossip.aligned import without_padding
from node.gossip.factors import held, matrices
from node.gossip.mixing import Context, Heard, Mixing
from node.types import Pair, PeerId, Shared, Weights

TRUNCATED = "products/truncated"  # |P - P_r| / |P| of a round's mix, among its metrics
ZERO = 1e-6  # of the largest singular value: what lies below is float32 rounding of the factors, no direction
# The least singular value of a gauge, by their root mean square: that of the factor itself, but within these. A smaller
# one blows the other factor up: 16 nodes that met with p = .1, 20 rounds, seed 0, plain floors: .1 gave an accuracy of
# .654 at a distance of factors of 1.54, .5 gave .671 at .13, 1 gave .681 at .17; as it stands .664 at .10. A larger one
# would move peers that agree.
FLOOR = (0.1, 0.5)

Terms: TypeAlias = Sequence[tuple[float, Tensor]]  # coefficient, theta (d,)


class Cut(NamedTuple):
    """The first singular directions of a sum of products, and what was left out."""

    u: Tensor  # (n_out, k)
    sigma: Tensor  # (k,)
    v: Tensor  # (n_in, k)
    lost: float  # Frobenius norm squared of the rest
    whole: float  # of all


class Truncation(NamedTuple):
    """The state of the rule: what the last mix lost."""

    lost: float = 0.0  # |P - P_r| / |P| over all pairs, Frobenius


def product_mean(pairs: Sequence[Pair]) -> Mixing:
    """D-PSGD on products: B_i A_i <- the best rank-r_i approximation of sum_j w_ij B_j A_j; the rest entry by entry.

    The mean of products over peers moves by what truncation drops alone, which `Mixing.measured` reports as
    TRUNCATED (a share of the norm). r_i is the number of directions that this peer holds, so that peers of unequal
    ranks take what fits of all that they hear.

    The gauge: factors next to the entrywise mix of the neighbourhood's (see `factored`), so that Adam's moments, which
    are mixed entrywise, keep their meaning, and peers that agree stay where they are: a fixed point of D-PSGD is one
    here. No settlement of missed edges: an edge does not add a multiple of its difference.

    References:
        Saadati et al. 2025, DeCAF, arXiv:2505.21382 (consensus on products, truncated SVD); Bai et al. 2024, FlexLoRA,
        arXiv:2402.11505 (unequal ranks by SVD). Differences: the product is not formed, the singular vectors come from
        QR of the stacked factors; the split between B and A follows the factors in hand instead of U sqrt(S); the edge
        form of the sum, B_i A_i + sum_j w_ij (B_j A_j - what j holds of ours), which a lossy codec does not bias.
    """

    def init(shared: Shared, ctx: Context) -> Truncation:
        return Truncation()

    def emit(shared: Shared, state: Truncation, ctx: Context) -> tuple[Mapping[PeerId, Shared], Truncation]:
        return dict.fromkeys(ctx.tells, shared), state

    def combine(
        shared: Shared, heard: Mapping[PeerId, Heard], state: Truncation, ctx: Context
    ) -> tuple[Shared, Truncation]:
        usable = {p: without_padding(h, pairs) for p, h in heard.items()}
        mixed = dict(weighted_mean(shared, usable, ctx.row))
        if not heard:
            return mixed, Truncation()
        mixed["theta"], lost = _with_products(mixed["theta"], shared["theta"], terms_of(shared, heard, ctx.row), pairs)
        return mixed, Truncation(lost)

    return Mixing(init, lambda round: 1, emit, combine, measured=lambda state: {TRUNCATED: state.lost})


def terms_of(own: Shared, heard: Mapping[PeerId, Heard], row: Weights) -> Terms:
    """The sum in edge form; where neighbours hold just what we have, its terms are added up to (1 - sum w) ours."""
    x, terms, kept = own["theta"], list[tuple[float, Tensor]](), 1.0
    for peer in sorted(heard):
        theirs, mine = heard[peer].theirs["theta"], heard[peer].mine["theta"]
        terms.append((row[peer], theirs))
        if mine is x or torch.equal(mine, x):
            kept -= row[peer]
        else:
            terms.append((-row[peer], mine))
    return [(kept, x), *terms]


def _with_products(mixed: Tensor, own: Tensor, terms: Terms, pairs: Sequence[Pair]) -> tuple[Tensor, float]:
    """`mixed` (d,) with its pairs replaced; |P - P_r| / |P| over all of them."""
    new, lost, whole = mixed.clone(), 0.0, 0.0
    for pair in pairs:
        rank = int(held(own, pair).sum())
        if rank == 0:
            continue
        sides = [(c, *matrices(x.double(), pair)) for c, x in terms]
        cut = truncated([(c, b, a) for c, a, b in sides], rank)
        a, b = matrices(new, pair)
        b[:, :rank], a[:rank] = factored(cut, b[:, :rank].double(), a[:rank].double())
        lost, whole = lost + cut.lost, whole + cut.whole
    return new, (lost / whole) ** 0.5 if whole > 0.0 else 0.0


def truncated(terms: Sequence[tuple[float, Tensor, Tensor]], rank: int) -> Cut:
    """The first `rank` singular directions of sum c B A; fewer where it has fewer.

    Args:
        terms: coefficient, B (n_out, r_j), A (r_j, n_in), float64.
    """
    left, into = torch.linalg.qr(torch.cat([c * b for c, b, _ in terms], dim=1))
    right, back = torch.linalg.qr(torch.cat([a for _, _, a in terms], dim=0).mT)
    u, sigma, vh = torch.linalg.svd(into @ back.mT)
    squares = sigma.square()
    k = min(rank, int((sigma > ZERO * sigma[:1]).sum()))
    return Cut(left @ u[:, :k], sigma[:k], right @ vh[:k].mT, float(squares[rank:].sum()), float(squares.sum()))


def factored(cut: Cut, near_b: Tensor, near_a: Tensor) -> tuple[Tensor, Tensor]:
    """B (n_out, r) and A (r, n_in) with the product U S V^T, next to the pair that is given.

    One side is that pair's own, projected on the directions of the cut (A V V^T), and the other follows (U S (A V)^-1):
    the side whose projection is better conditioned, A at the start, where B is zero. Directions that the cut has no
    use for are filled up from the given side, and get zeros on the other one: they can still be learnt. Singular values
    of A V below the least one of A, within FLOOR, are raised to it; the product stays.
    """
    by_a = _gauge(near_a, cut.v)
    by_b = _gauge(near_b.mT, cut.u)
    if by_a.condition >= by_b.condition:
        b, a = _split(by_a, cut.u, cut.sigma, near_a)
        return b, a
    a_t, b_t = _split(by_b, cut.v, cut.sigma, near_b.mT)
    return b_t.mT, a_t.mT


class _Gauge(NamedTuple):
    """How the rows of a factor (r, n) lie over directions (n, r)."""

    basis: Tensor  # (n, r) orthonormal: the directions of the cut first, then what the factor has beside them
    left: Tensor  # (r, r) orthogonal
    sizes: Tensor  # (r,) descending
    right: Tensor  # (r, r) orthogonal; factor @ basis = left diag(sizes) right
    scale: float  # root mean square of the singular values of the factor
    least: float  # of them, by the scale
    condition: float  # the least of `sizes`, by the scale


def _gauge(factor: Tensor, directions: Tensor) -> _Gauge:
    k, r = directions.shape[1], factor.shape[0]
    rest = factor - (factor @ directions) @ directions.mT
    basis = torch.cat([directions, torch.linalg.svd(rest, full_matrices=False)[2][: r - k].mT], dim=1)
    left, sizes, right = torch.linalg.svd(factor @ basis)
    own = torch.linalg.svdvals(factor)
    scale = float(own.square().sum().div(r).sqrt())
    if scale == 0.0:
        return _Gauge(basis, left, sizes, right, 0.0, 1.0, 0.0)
    return _Gauge(basis, left, sizes, right, scale, float(own[-1]) / scale, float(sizes[-1]) / scale)


def _split(gauge: _Gauge, other: Tensor, sigma: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """The other factor (m, r), and this one (r, n)."""
    scale = gauge.scale or (float(sigma[0]) ** 0.5 if len(sigma) else 0.0)
    if scale == 0.0:
        return torch.zeros(other.shape[0], factor.shape[0], dtype=other.dtype), factor
    sizes = gauge.sizes.clamp(min=scale * min(max(gauge.least, FLOOR[0]), FLOOR[1]))
    inverse = (gauge.right.mT / sizes) @ gauge.left.mT  # (r, r)
    return (other * sigma) @ inverse[: len(sigma)], (gauge.left * sizes) @ gauge.right @ gauge.basis.mT
