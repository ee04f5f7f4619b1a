"""Exponential schedules: everyone hears the nodes 1, 2, 4, 8 ... places further on, a few of these in turn a round.

They make their own pairs; the places are those of the file's order, a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import gcd

import numpy as np

from node.graph.scheduling.schedule import EXACT, KEPT, Schedule, named_rows, want_no_edges, whole
from node.graph.weighting.rows import Rows
from node.graph.wiring import Edge, named, pair
from node.types import PeerId


def one_peer_exponential(ids: Sequence[PeerId], edges: Sequence[Edge]) -> Schedule:
    """Node i hears i + 2^(t mod tau) and nobody else, half and half; tau = ceil(log2 n). One message a node and round.

    W(t) = (I + P^(2^(t mod tau))) / 2 with P the step by one place: directed (whom one hears is not whom one tells),
    and doubly stochastic. After tau rounds, from any round on, everyone holds the exact mean where n is a power of two;
    no number of rounds is exact otherwise.

    References:
        Ying et al. 2021, Exponential Graph is Provably Efficient for Decentralized Deep Training, arXiv:2110.13363,
        eq. 7 and lemma 1. Difference: the powers are taken in turn only, not drawn.
    """
    want_no_edges("one_peer_exponential", edges)
    return _in_turn(ids, 1)


def exponential_peers(ids: Sequence[PeerId], edges: Sequence[Edge], peers: int) -> Schedule:
    """Node i hears `peers` of the tau = ceil(log2 n) nodes i + 2^l a round, taken in turn, all with 1 / (peers + 1).

    Round t takes l = t * peers, t * peers + 1 ... t * peers + peers - 1, each modulo tau: it goes on where round t - 1
    stopped. peers = 1 is `one_peer_exponential`, peers = tau the static exponential graph. Two and more mix faster a
    round, yet no number of rounds is exact on 4 nodes or more, so that one peer is nearly always the better buy.

    Args:
        peers: 1 to tau.

    Raises:
        ConfigError: edges are given, or there are not that many to hear.

    References:
        Ying et al. 2021, arXiv:2110.13363, eq. 5 (static) and 7 (one peer). Difference: what lies between is ours.
    """
    want_no_edges("exponential_peers", edges)
    return _in_turn(ids, whole("exponential_peers", "peers", peers, 1, (len(ids) - 1).bit_length()))


def _in_turn(ids: Sequence[PeerId], peers: int) -> Schedule:
    n = len(ids)
    tau = (n - 1).bit_length()  # ceil(log2 n), without logarithms
    period = tau // gcd(tau, peers)
    steps = [[2 ** ((t * peers + more) % tau) for more in range(peers)] for t in range(period)]

    def rows(round: int) -> Rows:
        heard = [{(i + step) % n: 1.0 / (peers + 1) for step in steps[round % period]} for i in range(n)]
        return named_rows(ids, heard)

    links = named(ids, {pair(i, (i + 2**power) % n) for i in range(n) for power in range(tau)}).edges
    symmetric = all({-step % n for step in used} == set(used) for used in steps)
    return Schedule(links, lru_cache(max(KEPT, period))(rows), period, symmetric=symmetric, exact=_exact(n, steps))


def _exact(n: int, steps: Sequence[Sequence[int]]) -> int | None:
    """Rounds until the product is J: sums of powers of P share their eigenvectors, so its eigenvalues are products."""
    roots = np.exp(2j * np.pi * np.arange(1, n) / n)
    left = np.ones(n - 1)
    for t, used in enumerate(steps, 1):
        left = left * np.abs(1 + sum(roots**step for step in used)) / (len(used) + 1)
        if left.max() < EXACT:
            return t
    return None
