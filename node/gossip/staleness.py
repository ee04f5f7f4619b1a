"""How much an old message counts where nobody waits."""

from __future__ import annotations

from collections.abc import Mapping

from node.types import PeerId, Weights

POWER = 0.5  # a of the reference's polynomial; its experiments favour 0.5 over 1 and over no damping


def damped(row: Weights, own: PeerId, staleness: Mapping[PeerId, int]) -> Weights:
    """A row of W in which w_ij of a neighbour s rounds behind is divided by sqrt(1 + s); we keep the rest.

    Args:
        row: own id included, sums to 1.
        staleness: rounds behind us, of neighbours heard; ahead of us (negative) counts in full.

    References:
        Xie, Koyejo, Gupta 2019, Asynchronous federated optimization, arXiv:1903.03934, section 5.2. Difference: the
        damping is of a row of W, not of a server's step.
    """
    weights = {p: w * (1.0 + max(0, staleness.get(p, 0))) ** -POWER for p, w in row.items() if p != own}
    return {**weights, own: 1.0 - sum(weights.values())}
