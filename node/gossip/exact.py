"""Finite-time exact consensus: the mean of all peers inside one round, in a known number of exchanges.

On a static graph as many hops as I - W has distinct non-zero eigenvalues; on a schedule with a finite product
as many as that has rounds. `node.gossip.intact` tells who can trust the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from node.errors import ConfigError
from node.gossip import intact
from node.gossip.aggregate import weighted_mean
from node.gossip.intact import Flagged
from node.gossip.mixing import Context, Heard, Mixing
from node.types import PeerId, Shared


def exact(eigenvalues: Sequence[float], fall_back: bool = True) -> Mixing:
    """x_i <- x_i + sum_j w_ij (x_j - x_i) / mu_h for each eigenvalue mu_h in turn: the mean after the last hop.

    Args:
        eigenvalues: distinct non-zero eigenvalues of I - W in Leja order (`node.graph.weighting.spectrum.exact_steps`);
            in rising order the intermediate values overflow float32's accuracy on long paths.
        fall_back: whether a damaged peer takes its hop-0 mix by W instead of the unfinished product.

    Raises:
        ConfigError: no eigenvalue, or one that is not positive.

    References:
        Sandryhaila, Kar, Moura 2014, Finite-time distributed consensus through graph filters (equation 10);
        Safavi, Khan 2015, Revisiting finite-time distributed algorithms. Differences: I - W for the Laplacian, which is
        the same on a regular graph and far more accurate where degrees differ; Leja order, and the flag.
    """
    if not eigenvalues or min(eigenvalues) <= 0:
        raise ConfigError(
            f"exact mixing needs the positive eigenvalues of I - W of a connected graph, not {list(eigenvalues)}"
        )

    def step(shared: Shared, heard: Mapping[PeerId, Heard], ctx: Context) -> Shared:
        return weighted_mean(shared, heard, {p: ctx.row[p] / eigenvalues[ctx.hop] for p in heard})

    return _in_hops(len(eigenvalues), step, fall_back)


def exact_by_schedule(rounds: int, fall_back: bool = True) -> Mixing:
    """x_i <- sum_j W(h)_ij x_j for hop h = 0 ... rounds - 1, where W(rounds - 1) ... W(0) = 1/n everywhere.

    The schedule's rounds become the hops of one round: a node of 16 sends 4 messages on the one-peer exponential graph
    for the exact mean, 16 on a torus by eigenvalues.

    Args:
        rounds: factors of the product, at least 1.
        fall_back: see `exact`.

    Raises:
        ConfigError: rounds < 1.

    References:
        Ying et al. 2021, Exponential graph is provably efficient, arXiv:2110.13363 (one-peer exponential);
        Takezawa et al. 2023, Beyond exponential graph, arXiv:2305.11420 (any number of nodes). Difference: they train
        between the factors; here all factors belong to one round, so nothing is mixed with what is older than it.
    """
    if rounds < 1:
        raise ConfigError(f"exact mixing on a schedule needs one round or more, not {rounds}")

    def step(shared: Shared, heard: Mapping[PeerId, Heard], ctx: Context) -> Shared:
        return weighted_mean(shared, heard, ctx.row)

    return _in_hops(rounds, step, fall_back)


Step: TypeAlias = Callable[[Shared, Mapping[PeerId, Heard], Context], Shared]  # one hop without its flag


def _in_hops(hops: int, step: Step, fall_back: bool) -> Mixing:
    def combine(shared: Shared, heard: Mapping[PeerId, Heard], state: Flagged, ctx: Context) -> tuple[Shared, Flagged]:
        state = intact.noted(shared, heard, state, ctx)
        return intact.chosen(step(shared, heard, ctx), state, ctx.hop == hops - 1, fall_back), state

    return Mixing(
        lambda shared, ctx: Flagged(),
        lambda round: hops,
        intact.emit,
        combine,
        intact=lambda state: state.intact,
        extra=intact.channel,
    )
