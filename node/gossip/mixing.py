"""The shape of a mixing rule: a few pure functions over an explicit state.

All memory of a rule is in its state, so a rule can be wrapped, checkpointed and tested without a network. Rules see
vectors, never deltas: `node.core.edge` alone knows how vectors travel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

import torch

from node.types import PeerId, Shared, Weights

State: TypeAlias = Any  # a rule's own memory: a NamedTuple or a tuple of them


def generator_of(peer: PeerId, seed: int) -> torch.Generator:
    """The randomness of a peer: all nodes have one seed, and each a stream of its own.

    With one stream for all, AD-PSGD's peers would all meet somebody in the same rounds, and nobody in the others.
    """
    drawn = hashlib.sha256(f"{seed} {peer}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(drawn[:8], "little") >> 1)


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule may know about one exchange."""

    peer: PeerId
    round: int
    hop: int
    row: Weights  # row of W(t), own id included: whom we hear, and how much each counts with us
    tells: tuple[PeerId, ...]  # whom to tell, sorted: those whose row has us
    generator: torch.Generator  # the only source of randomness
    present: Mapping[PeerId, int] = field(default_factory=dict)  # neighbours that are there -> epoch of their process
    epoch: int = 0  # of our own process


@dataclass(frozen=True, slots=True)
class Heard:
    """What an edge gives a rule about one neighbour.

    `theirs - mine` is the difference that both ends can compute alike, whatever the codec lost, so that both apply
    opposite amounts and the mean over peers is kept.
    """

    theirs: Shared  # the neighbour's public copy
    mine: Shared  # our public copy as that neighbour holds it
    staleness: int  # rounds that `theirs` lags behind us; negative: ahead
    on_time: bool = True  # `theirs` is of exactly this round and hop
    epoch: int = 0  # of the neighbour's process that sent `theirs`


class Init(Protocol):
    def __call__(self, shared: Shared, ctx: Context) -> State: ...


class Emit(Protocol):
    def __call__(self, shared: Shared, state: State, ctx: Context) -> tuple[Mapping[PeerId, Shared], State]: ...


class Combine(Protocol):
    def __call__(
        self, shared: Shared, heard: Mapping[PeerId, Heard], state: State, ctx: Context
    ) -> tuple[Shared, State]: ...


class Adopt(Protocol):
    def __call__(self, shared: Shared, state: State, ctx: Context) -> State: ...


class Pairwise(Protocol):
    """The w of each neighbour whose `w (theirs - mine)` the last `combine` added.

    Where that is all that a neighbour does to us, the two ends can settle later what a deadline made them do
    differently (`node.core.settlement`).
    """

    def __call__(self, state: State, heard: Mapping[PeerId, Heard], ctx: Context) -> Weights: ...


def by_row(state: State, heard: Mapping[PeerId, Heard], ctx: Context) -> Weights:
    """Each neighbour with its weight in W."""
    return ctx.row


class Mixing(NamedTuple):
    """A consensus rule.

    `emit` gives what to tell each neighbour (every peer of `ctx.tells` must be answered); `combine` folds in what
    was heard, a neighbour that stayed silent being absent from `heard`. Vectors have shape (..., d) and are never
    changed in place.

    `pack` and `unpack` carry a state through a checkpoint as JSON-able values and tensors, nested; a rule without
    `unpack` starts anew from what was mixed.
    """

    init: Init
    hops: Callable[[int], int]  # round -> exchanges in that round
    emit: Emit
    combine: Combine
    intact: Callable[[State], bool] = lambda state: True  # whether the round, so far, is undamaged
    extra: Callable[[Mapping[str, int]], Mapping[str, int]] = lambda channels: {}  # channels of `shared`, name ->
    # entries, to those that `emit` adds
    pack: Callable[[State], Any] = lambda state: None
    unpack: Callable[[Any], State] | None = None
    pairwise: Pairwise | None = None  # None: what was heard went in otherwise than pair by pair
    settled: Callable[[State, Shared, Shared], State] = lambda state, before, after: state  # what was mixed, and what
    # it became by settling past exchanges (`pairwise`): for a rule that remembers what its edges added
    adopt: Adopt | None = None  # go on from a neighbour's vectors; None: as `init` does
    mass: Callable[[State], Mapping[str, Any] | None] = lambda state: None  # push-sum's books, for whoever audits them
    measured: Callable[[State], Mapping[str, float]] = lambda state: {}  # of the round, for its record: "rule/what"
