"""The running sums of one edge: what we gave a neighbour, and what we took of what it gave us, since both started.

A message holds the sum of all that was given, not the last gift, so that loss, duplicates, reordering and staleness
cost nothing but time: whoever hears a newer sum applies the difference to the one it applied before, once. Decides when
a neighbour is deaf to us (it talks, and applies nothing), that what it cannot hear is taken back, and when a sum has
grown enough to start from zero again. Knows nothing of shares or rounds.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from node.types import Shared

WEIGHT = "w"  # the channel of push-sum's weight, (1,)
ENDS = (
    "ends"  # epoch of the receiver, generation, number; number and w of what we applied of theirs; epoch of the sender
)
ENTRIES = 6
DEAF = 16  # messages with no sign that the other end hears them; at 30 % loss a run of 16 has a chance of 4e-9
FULL = 32.0  # w, about 100 rounds on a ring: a larger sum rounds too coarsely (2^-25 of itself)


class Ledger(NamedTuple):
    """Numbers count messages of this pair of processes; sums are over a generation."""

    epoch: int  # of the neighbour's process
    given: Shared  # float32: what our newest message says; just this has left us
    taken: Shared  # what we applied of theirs: their float32 sums, or float64 in between (see `take`)
    mark: Shared  # `given` as it was at the message `marked`, which is one that they are known to have heard, or next
    marked: int = 0
    generation: int = 0  # of our sums
    started: int = 0  # our last message before that
    changed: int = 0  # our message that told the newest change of `given`
    told: int = 0  # our newest message
    echo: int = 0  # our newest message that they have applied, as far as we know
    arrived: float = 0.0  # w of this generation that they had applied by then
    moved: int = 0  # their message that showed it
    heard: int = 0  # their newest message that we have applied
    theirs: int = 0  # its generation
    spoke: int = 0  # our newest message when it came

    @property
    def is_deaf(self) -> bool:
        """Whether the neighbour goes on talking without hearing us: a cut in one direction."""
        return self.told > self.echo and self.heard - self.moved >= DEAF

    @property
    def is_silent(self) -> bool:
        """Whether the neighbour has fallen silent. Where its process lives, it has given us up: it does not hear us."""
        return self.heard > 0 and self.told - self.spoke >= DEAF

    @property
    def is_full(self) -> bool:
        """Whether to give nothing more until the sum can start from zero; a silent neighbour would never say when."""
        return float(self.given[WEIGHT]) >= FULL and self.told - self.spoke < DEAF

    @property
    def in_flight(self) -> float:
        """w that the neighbour is not known to have applied: at most this is lost if it dies now."""
        return max(0.0, float(self.given[WEIGHT]) - self.arrived)


def opened(like: Shared, epoch: int) -> Ledger:
    """Nothing given, nothing taken."""
    nothing = _nothing(like)
    return Ledger(epoch, nothing, nothing, nothing)


def give(ledger: Ledger, mass: Shared) -> tuple[Ledger, Shared]:
    """Add `mass` to what was given; second, what leaves us: the difference of the two float32 sums, in float64.

    It differs from `mass` by the rounding of the sum, which stays with us: no mass is made or lost by it.
    """
    given = {name: (ledger.given[name].double() + x).float() for name, x in mass.items()}
    return ledger._replace(given=given, changed=ledger.told + 1), _minus(given, ledger.given)


def take_back(ledger: Ledger) -> tuple[Ledger, Shared]:
    """Back to the mark; second, what returns to us.

    Sound even if the neighbour had applied it after all: it then hears a smaller sum and gives the difference back.
    """
    back = _minus(ledger.given, ledger.mark)
    return ledger._replace(given=ledger.mark, changed=ledger.told + 1), back


def renewed(ledger: Ledger) -> Ledger:
    """From zero again, if the sum is full and all of it was applied: then nobody has to remember it."""
    if not ledger.is_full or ledger.echo < ledger.changed:
        return ledger
    nothing, told = _nothing(ledger.given), ledger.told
    return ledger._replace(
        given=nothing, mark=nothing, marked=told, started=told, arrived=0.0, generation=ledger.generation + 1
    )


def message(ledger: Ledger, epoch: int) -> tuple[Ledger, Shared]:
    """The next message of our process `epoch`: the sums, and what they refer to."""
    ledger = ledger._replace(told=ledger.told + 1)
    taken = float(ledger.taken[WEIGHT])
    ends = torch.tensor([float(ledger.epoch), ledger.generation, ledger.told, ledger.heard, taken, float(epoch)])
    return ledger, {**ledger.given, ENDS: ends}


def take(ledger: Ledger, theirs: Shared, epoch: int, spare: float) -> tuple[Ledger, Shared | None]:
    """Apply a message; second, what it adds to us, or None: it is old, or an older process said or should hear it.

    Args:
        theirs: the neighbour's message.
        epoch: of our own process.
        spare: w that we can give back. Where a sum fell by more (its sender took back what we had applied), we apply
            the part of the fall that we can bear, and the rest when there is more to spare.
    """
    aimed, generation, number, echo = (int(e) for e in theirs[ENDS][:4])
    # A process that resumed may say again what the one before it said: those sums are in other books.
    if (aimed, int(theirs[ENDS][5])) != (epoch, ledger.epoch) or number < ledger.heard:
        return ledger, None
    ledger = _noted(ledger, number, echo, float(theirs[ENDS][4]))
    sums = {name: theirs[name] for name in ledger.given}
    before = ledger.taken if generation == ledger.theirs else _nothing(sums)
    change = _minus(sums, before)
    fall, spare = -float(change[WEIGHT]), max(spare, 0.0)
    if fall > spare:
        change = {name: x * (spare / fall) for name, x in change.items()}
        return ledger._replace(taken={name: before[name] + x for name, x in change.items()}, theirs=generation), change
    spoke = ledger.told if number > ledger.heard else ledger.spoke
    return ledger._replace(taken=sums, theirs=generation, heard=number, spoke=spoke), change


def _noted(ledger: Ledger, number: int, echo: int, arrived: float) -> Ledger:
    """What their newest message says about ours. The mark follows at a distance: no copy of every message is kept."""
    if echo <= ledger.echo:
        return ledger._replace(moved=number) if ledger.told == ledger.echo else ledger
    if echo > ledger.marked:
        ledger = ledger._replace(mark=ledger.given, marked=ledger.told)
    arrived = arrived if echo > ledger.started else 0.0  # else they spoke of the generation before
    return ledger._replace(echo=echo, moved=number, arrived=arrived)


def _minus(a: Shared, b: Shared) -> Shared:
    """In float64: exact for two float32 sums."""
    return {name: x.double() - b[name].double() for name, x in a.items()}


def _nothing(like: Shared) -> Shared:
    return {name: torch.zeros_like(x, dtype=torch.float32) for name, x in like.items()}
