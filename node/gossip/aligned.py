"""Neighbours' vectors made comparable with ours before they are mixed: turned to our gauge, or without their padding.

Decides what of a neighbour's word counts; the mixing itself is `node.gossip.aggregate`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from node.gossip.aggregate import weighted_mean
from node.gossip.dpsgd import Aggregator
from node.gossip.factors import held, rows_of, turn, turned
from node.gossip.mixing import Heard
from node.types import Pair, PeerId, Shared, Weights

TURNS = ("theta", "m")  # channels that a change of gauge turns; `s` has no sign to turn, see `aligned_mean`
WHOLE = ("scalars",)  # channels that have no entry for each parameter


def aligned_mean(pairs: Sequence[Pair]) -> Aggregator:
    """The weighted mean of factors, each neighbour's first turned next to ours: per-edge Procrustes alignment.

    x_i + sum_j w_ij (Q(x_j) - x_i), where Q turns each pair (B_j, A_j) by the orthogonal matrix that brings it nearest
    to our public copy. The product B_j A_j of what is mixed is the neighbour's own, whatever Q. Where all started from
    one A the gauges stay close together and Q is close to the identity: then this is plain factor mixing.

    The mean over peers of the *factors* is not kept (it has no meaning between gauges): what one end adds is what the
    other takes away, turned, so both move by the same length. The mean of the *products* is kept up to second order in
    the distance, as with plain mixing. No settlement of missed edges, therefore.

    First moments turn with their factors, as gradients do. Second moments are mixed as they lie: sqrt(v) of turned
    gradients is no function of sqrt(v), and its best guess under uncorrelated directions, sqrt((Q * Q)^T v), is the
    same where Q is close to the identity.

    References:
        DESIGN 4.8. Difference to aligning all to one reference: there is none in a network, so each edge has its own.
    """

    def aggregate(own: Shared, heard: Mapping[PeerId, Heard], row: Weights) -> Shared:
        return weighted_mean(own, {p: aligned(h, pairs) for p, h in heard.items()}, row)

    return aggregate


def aligned(heard: Heard, pairs: Sequence[Pair]) -> Heard:
    """`heard` with their factors, and the first moments of these, in the gauge of `mine`."""
    turns = [turn(heard.theirs["theta"], heard.mine["theta"], pair) for pair in pairs]
    new = {name: turned(x, pairs, turns) for name, x in heard.theirs.items() if name in TURNS}
    return replace(heard, theirs={**heard.theirs, **new})


def padded_mean(pairs: Sequence[Pair]) -> Aggregator:
    """The weighted mean of factors of unequal ranks, each held as the first rows of a common one: zero padding.

    A direction (a row of A with its column of B) is mixed among those peers that hold it, by their weights of W; the
    weight of the others is our own. So padding stays zero, does not dilute, and the mean over holders is kept where W
    is symmetric. Where all hold all of it, this is `weighted_mean`, bit for bit.

    References:
        Cho et al. 2024, HetLoRA, arXiv:2401.06432 (zero padding, truncation to the own rank). Difference: the zeros of
        those who do not hold a direction are not averaged in; no weights by norm, no pruning of ranks.
    """

    def aggregate(own: Shared, heard: Mapping[PeerId, Heard], row: Weights) -> Shared:
        return weighted_mean(own, {p: without_padding(h, pairs) for p, h in heard.items()}, row)

    return aggregate


def without_padding(heard: Heard, pairs: Sequence[Pair]) -> Heard:
    """`heard` without a difference in the directions that one of the two ends does not hold."""
    ends = (heard.theirs["theta"], heard.mine["theta"])
    both = [held(ends[0], pair) & held(ends[1], pair) for pair in pairs]
    if all(bool(mask.all()) for mask in both):
        return heard
    theirs = dict(heard.theirs)
    for name in theirs.keys() - set(WHOLE):
        x = theirs[name] = theirs[name].clone()
        for pair, mask in zip(pairs, both, strict=True):
            for place, keep in zip((pair.a, pair.b), rows_of(mask, pair), strict=True):
                x[..., place] = x[..., place].where(keep, heard.mine[name][..., place])
    return replace(heard, theirs=theirs)
