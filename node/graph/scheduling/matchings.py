"""Pairwise schedules: in a round everyone averages with one other at the most, half and half."""

from __future__ import annotations

from collections.abc import Sequence

from node.graph.draws import stream
from node.graph.scheduling.edge_colouring import Matching, matchings_of
from node.graph.scheduling.schedule import Meetings, Schedule, a_seed, drawn, every_pair, positions, repeating
from node.graph.wiring import Edge, named
from node.types import PeerId


def random_matching(ids: Sequence[PeerId], edges: Sequence[Edge], seed: int = 0) -> Schedule:
    """A matching is drawn for each round, and matched nodes take their mean: randomised gossip, n / 2 pairs at a time.

    Without edges: a perfect matching of all nodes, each as likely as any other (n odd: one node sits out); on even n a
    round leaves (1 - 1 / (n - 1)) / 2 of |x - mean|^2 on average. With edges: the edges in random order, each taken
    where both ends are still free. That is maximal (no edge could be added), not always the largest there is, and not
    every maximal matching is equally likely; every edge comes up again and again.

    Raises:
        ConfigError: a seed that is none.

    References:
        Boyd, Ghosh, Prabhakar, Shah 2006, Randomized Gossip Algorithms (one pair at a time). Difference: as many
        disjoint pairs at once as fit.
    """
    seed, pairs, n = a_seed("random_matching", seed), positions(ids, edges), len(ids)

    def meetings(round: int) -> Meetings:
        draw = stream(seed, round)
        if not pairs:
            order = draw.permutation(n)
            return _halves([(min(p), max(p)) for p in zip(order[::2], order[1::2], strict=False)])
        order = draw.permutation(len(pairs))
        return _halves(_greedy(n, [pairs[place] for place in order]))

    links = named(ids, pairs).edges if pairs else every_pair(ids)
    return drawn(ids, links, meetings)._replace(exact=1 if n == 2 else None)


def bipartite_pairing(ids: Sequence[PeerId], edges: Sequence[Edge], seed: int = 0) -> Schedule:
    """The edges are cut into matchings once, and the rounds go through these in turn, so that every edge has its turn.

    With edges: as many matchings as the largest degree on a bipartite graph (even ring, path, even torus, star,
    hypercube), at most one more on others: see `node.graph.scheduling.edge_colouring`. On a regular bipartite graph
    nobody ever sits out. Without edges: the round-robin tournament of all nodes, n - 1 rounds (n odd: n rounds, one
    sits out in each), by the circle method: one node stays, the others turn, opposite ones meet.

    Args:
        seed: order in which the matchings take their turns; 0 as any other number is an order drawn.

    Raises:
        ConfigError: a seed that is none.

    References:
        Lian, Zhang, Zhang, Liu 2018, Asynchronous Decentralized Parallel SGD, arXiv:1710.06952: pairs across a
        bipartite graph, so that nobody waits for one who waits. Difference: partners take turns, they are not drawn,
        and an odd circle does no harm because a matching has none.
    """
    seed, n = a_seed("bipartite_pairing", seed), len(ids)
    pairs = positions(ids, edges)
    matchings = matchings_of(n, pairs) if pairs else tournament(n)
    stream(seed).shuffle(matchings)
    links = named(ids, pairs).edges if pairs else every_pair(ids)
    return repeating(ids, [_halves(matching) for matching in matchings], links)


def tournament(n: int) -> list[Matching]:
    """Every pair of 0 to n - 1 once, in n - 1 matchings (n even) or n: the circle method."""
    turning = n - 1 if n % 2 == 0 else n
    rounds = []
    for t in range(turning):
        pairs = [((t + i) % turning, (t - i) % turning) for i in range(1, (turning + 1) // 2)]
        if n % 2 == 0:
            pairs.append((t, n - 1))
        rounds.append(sorted((min(p), max(p)) for p in pairs))
    return rounds


def _greedy(n: int, pairs: Sequence[tuple[int, int]]) -> Matching:
    """Each pair whose ends are both free, first come, first served."""
    free = [True] * n
    taken = []
    for i, j in pairs:
        if free[i] and free[j]:
            free[i] = free[j] = False
            taken.append((i, j))
    return taken


def _halves(matching: Matching) -> Meetings:
    return dict.fromkeys(matching, 0.5)
