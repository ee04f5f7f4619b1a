"""The Base-(k+1) graph: exact after a few rounds on any number of nodes, with k neighbours a round at the most.

Three constructions, each made of the one before: cliques along the digits of a number (sizes whose primes are small
enough), the digits of n in base k + 1 (any n), and the two combined where that takes fewer rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from typing import NamedTuple, TypeAlias

from node.graph.scheduling.schedule import Schedule, repeating, want_no_edges, whole
from node.graph.wiring import Edge, pair
from node.types import PeerId

Round: TypeAlias = dict[tuple[int, int], float]  # pair of positions -> weight


def base(ids: Sequence[PeerId], edges: Sequence[Edge], k: int = 1) -> Schedule:
    """The Base-(k+1) graph: everyone meets at most k others a round, and holds the exact mean after the last of them.

    Every W(t) is symmetric and doubly stochastic. It is exact from round 0, or any multiple of the period, on.
    Rounds for k = 1 .. 4: n = 10 6, 4, 4, 2; n = 16 4, 4, 2, 2; n = 100 11, 8, 6, 3.

    Args:
        k: neighbours a round, 1 to n - 1.

    Raises:
        ConfigError: edges are given, or k is not of that range.

    References:
        Takezawa, Sato, Bao, Niwa, Yamada 2023, Beyond Exponential Graph, arXiv:2305.11420, algorithms 1 to 3.
        Differences: nodes are taken in the order of the file; which nodes of a group are joined in the second part is
        the first ones' choice there, the first free ones in order here.
    """
    want_no_edges("base", edges)
    k = whole("base", "k", k, 1, len(ids) - 1)
    return repeating(ids, base_rounds(list(range(len(ids))), k))


def base_rounds(nodes: Sequence[int], k: int) -> list[Round]:
    """Algorithm 3: n = p * q, the primes of p at most k + 1, of q above: p groups of q agree, then cliques across."""
    p = _smooth_part(len(nodes), k + 1)
    q = len(nodes) // p
    groups = [nodes[i * q : (i + 1) * q] for i in range(p)]
    across = [nodes[i::q] for i in range(q)]
    split = _together(simple_base_rounds(g, k) for g in groups) + _together(hyper_hypercube(g, k) for g in across)
    whole_set = simple_base_rounds(nodes, k)
    return whole_set if len(whole_set) < len(split) else split


def hyper_hypercube(nodes: Sequence[int], k: int) -> list[Round]:
    """Algorithm 1: write places in mixed digits of at most k + 1 values; in round l those meet that differ in digit l.

    Only where no prime of n is above k + 1. A hypercube where k = 1.
    """
    rounds: list[Round] = []
    stride = 1
    for size in _fewest_factors(len(nodes), k + 1):
        first = [i for i in range(len(nodes)) if i // stride % size == 0]
        rounds.append(_cliques([nodes[i + d * stride] for d in range(size)] for i in first))
        stride *= size
    return rounds


class Digit(NamedTuple):
    """The nodes of one digit of n in base k + 1: `count` blocks of (k+1)^power nodes each."""

    blocks: list[Sequence[int]]
    members: Sequence[int]
    agree: list[Round]  # makes all members hold their mean
    settle: list[Round]  # makes each block hold its mean (power 0: all members theirs, which does no harm)


def simple_base_rounds(nodes: Sequence[int], k: int) -> list[Round]:
    """Algorithm 2: each digit's nodes agree; those of smaller digits hand their part to the larger; blocks settle.

    With V_1, V_2 ... the nodes of the digits and S_j = |V_j| + |V_j+1| + ...: after `start` rounds V_l holds its own
    mean. In round start + j every node of a smaller digit meets one free node of each block of V_j, with weight
    |V_j| / (S_j * blocks), which leaves it with the mean of V_j and its own in the right shares. V_j has as much spread
    over its blocks as it needs, and the blocks agree inside from the next round on. V_j's other nodes meet each other
    in that round: they hold the same value in theory, but not where they have trained meanwhile.
    """
    n = len(nodes)
    if _smooth_part(n, k + 1) == n:
        return hyper_hypercube(nodes, k)
    digits = list(_digits(nodes, k))
    start = len(digits[0].agree)
    rounds = []
    for t in range(start + 1 + len(digits[0].settle)):
        free = [list(block) for block in digits[t - start].blocks] if start <= t < start + len(digits) - 1 else []
        this: Round = {}
        for place in reversed(range(len(digits))):
            this |= _of_digit(digits, place, t - start, t, free, k)
        rounds.append(this)
    return rounds


def _of_digit(digits: Sequence[Digit], place: int, stage: int, t: int, free: list[list[int]], k: int) -> Round:
    """What the nodes of one digit do in round t, `stage` rounds after the start of the second part."""
    digit = digits[place]
    if stage < 0:
        return digit.agree[t % len(digit.agree)] if digit.agree else {}
    if stage < place:
        larger = len(digits[stage].members)
        weight = larger / (sum(len(d.members) for d in digits[stage:]) * len(free))
        return {pair(node, block.pop()): weight for node in digit.members for block in free}
    if stage == place and place < len(digits) - 1:
        idle = [node for block in free for node in block]
        return _cliques(idle[i : i + k + 1] for i in range(0, len(idle), k + 1))
    done = stage - place - (place < len(digits) - 1)
    return digit.settle[done % len(digit.settle)] if digit.settle else {}


def _digits(nodes: Sequence[int], k: int) -> Iterator[Digit]:
    """The digits of n in base k + 1 that are not 0, the largest first."""
    at, size = 0, 1
    while size * (k + 1) <= len(nodes):
        size *= k + 1
    while at < len(nodes):
        count = (len(nodes) - at) // size
        blocks = [nodes[at + i * size : at + (i + 1) * size] for i in range(count)]
        members = nodes[at : at + count * size]
        if count:
            agree = hyper_hypercube(members, k)
            settle = agree if size == 1 else _together(hyper_hypercube(block, k) for block in blocks)
            yield Digit(blocks, members, agree, settle)
        at, size = at + count * size, size // (k + 1)


def _together(parts: Iterator[list[Round]]) -> list[Round]:
    """Rounds of disjoint sets of nodes, each of the same number, side by side."""
    return [{p: w for part in step for p, w in part.items()} for step in zip(*parts, strict=True)]


def _cliques(groups: Iterator[Sequence[int]]) -> Round:
    """All of a group meet all of it, with equal weights: one round gives them their mean."""
    return {pair(i, j): 1.0 / len(group) for group in groups for i, j in combinations(group, 2)}


def _smooth_part(n: int, most: int) -> int:
    """The largest divisor of n without a prime factor above `most`."""
    part, rest = 1, n
    for prime in range(2, min(most, n) + 1):
        while rest % prime == 0:
            part, rest = part * prime, rest // prime
    return part


@cache
def _fewest_factors(n: int, most: int) -> tuple[int, ...]:
    """n as a product of as few factors of 2 to `most` as there can be, rising; () for 1."""
    if n == 1:
        return ()
    best: tuple[int, ...] = (2,) * n  # longer than any
    for factor in range(min(most, n), 1, -1):
        if n % factor == 0 and _smooth_part(n // factor, most) == n // factor:
            found = (*_fewest_factors(n // factor, most), factor)
            best = found if len(found) < len(best) else best
    return tuple(sorted(best))
