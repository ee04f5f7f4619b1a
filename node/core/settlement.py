"""Both ends of an edge apply the same pairs of versions, each once, so that the mean over peers is kept.

While nothing is late, both ends of an edge mix the same two versions in every exchange, and what one adds the other
takes away. After a deadline one end has gone on without the other, or with an older version. So one end leads: the
smaller id. It applies what it has and names the pairs in its next message; the other end takes back what it applied and
finds not named, and applies what is named and it has not applied. It keeps the versions that a pair may name for that,
a few in all. A pair whose versions it never got, or whose version of its own was in a pair before, it refuses, and the
leader takes it back: k uses of one word of a slow end would pull it k times as far. All of it is said again until
it is confirmed, so a lost message costs nothing; a restart of either end forgets what was open. The first word after a
restart may be one of an exchange that its sender had done before with the other end: that part stands, whatever the
other end makes of it now. The leader says so by a pair of the message's own seq.

    leader    applied (7, 4) --Settlement(pairs=((7, 4),))-->  other end   applied (7, 4) itself: nothing to do
                                                                           applied (7, 3): takes it back, applies (7, 4)
              <--Settlement(final=8)--   drops what is settled             misses 7 or 4: Settlement(refused=(7,))

The idea is of this project; the edge form that makes it possible is that of Koloskova et al. 2019, arXiv:1902.00340,
equation 10.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from node.core.messages import Pair, Settlement
from node.types import Shared

OPEN = 32  # pairs at most that wait for the other end; a leader with more stops using what that end said
KEPT = 16  # versions at most that are kept for pairs to come; neighbours are at most a few exchanges apart


@dataclass(frozen=True, slots=True)
class Amount:
    """`weight * (theirs - mine)`, channel by channel: what one end has added, or has to add to make up a difference."""

    weight: float  # negative: take it back
    theirs: Shared
    mine: Shared

    def times(self, weight: float) -> Amount:
        """The same two versions with another weight."""
        return Amount(weight, self.theirs, self.mine)


class Leader:
    """The end with the smaller id."""

    def __init__(self) -> None:
        self._applied: dict[int, tuple[Pair, Shared, Shared]] = {}  # by seq of our version
        self._at = -1  # our newest version
        self._is_over = False  # whether that one's exchange was over before this book began

    @property
    def can_use(self) -> bool:
        """Whether one more pair may be open."""
        return len(self._applied) < OPEN

    @property
    def open(self) -> int:
        """Pairs that the other end has not confirmed."""
        return len(self._applied)

    def told(self, seq: int, mine: Shared, is_mixed: bool = False) -> None:
        """We say a version; `is_mixed` as for the other end."""
        self._at, self._is_over = seq, is_mixed and self._at == -1

    def heard(self, seq: int, theirs: Shared) -> None:
        """A version of the other end's came."""

    def used(self, pair: Pair, theirs: Shared, mine: Shared) -> None:
        """We applied `pair` (its `mine` is our version)."""
        self._applied[pair.mine] = (pair, theirs, mine)

    def statement(self) -> Settlement:
        """What goes with the version told last."""
        over = (Pair(self._at, 0, 1.0),) if self._is_over else ()
        return Settlement(pairs=(*over, *(pair for pair, _, _ in self._applied.values())))

    def settle(self, said: Settlement, seq: int) -> list[Amount]:
        """What the other end's statement makes us take back."""
        refused = [self._applied.pop(s) for s in said.refused if s in self._applied]
        for s in [s for s in self._applied if s < said.final]:
            del self._applied[s]
        return [Amount(-pair.weight, theirs, mine) for pair, theirs, mine in refused]

    def reconcile(self) -> list[Amount]:
        """Our newest version has been mixed: nothing to do here."""
        return []


class Follower:
    """The end with the larger id. Seqs named `s` are the leader's, `f` are ours."""

    can_use = True

    def __init__(self) -> None:
        self._mine: dict[int, Shared] = {}  # our versions, oldest first
        self._theirs: dict[int, Shared] = {}  # the leader's, those not settled
        self._uses: dict[int, dict[int, Amount]] = {}  # s -> f -> what we applied
        self._named: dict[int, Pair] = {}  # s -> the pair that the leader applied; not yet settled here
        self._refused: set[int] = set()
        self._settled: set[int] = set()  # at or after `_final`, out of order
        self._final = 0  # every s before it is settled, or was never used by the leader
        self._heard = 0  # the newest s is `_heard - 1`; versions before that one have been named if ever
        self._matched: set[int] = set()  # our versions that a pair was made with
        self._over: set[int] = set()  # our versions whose exchange was over before this book began
        self._done = -1  # the one of the leader's: what we make of it stands
        self._at = -1  # our newest f
        self._is_mixed = False  # whether that one has been mixed

    @property
    def open(self) -> int:
        """Versions of the leader's that we used and that it has not said anything about."""
        return len(self._uses)

    def told(self, seq: int, mine: Shared, is_mixed: bool = False) -> None:
        """We sent a version.

        Args:
            is_mixed: its exchange is over. As the first word after a restart it is one that the leader asked for to do
                its part again; ours is done, and stands in what we resumed from.
        """
        if is_mixed and self._at == -1:
            self._over.add(seq)
        self._mine[seq] = mine
        self._at, self._is_mixed = seq, is_mixed
        _cap(self._mine)

    def heard(self, seq: int, theirs: Shared) -> None:
        self._theirs[seq] = theirs
        _cap(self._theirs)

    def used(self, pair: Pair, theirs: Shared, mine: Shared) -> None:
        """We applied `pair` (its `mine` is our version f, its `theirs` the leader's s)."""
        self._uses.setdefault(pair.theirs, {})[pair.mine] = Amount(pair.weight, theirs, mine)

    def statement(self) -> Settlement:
        return Settlement(final=self._final, refused=tuple(sorted(self._refused)))

    def settle(self, said: Settlement, seq: int) -> list[Amount]:
        """What the leader's statement, in its message `seq`, makes us add. Idempotent."""
        self._refused &= {pair.mine for pair in said.pairs}
        self._heard = max(self._heard, seq)
        for pair in said.pairs:
            if pair.mine == seq:
                self._done = seq
            elif self._final <= pair.mine < seq and pair.mine not in self._settled:
                self._named[pair.mine] = pair
        return self._reconcile()

    def reconcile(self) -> list[Amount]:
        """Our newest version has been mixed: a pair that names it waits for nothing any more."""
        self._is_mixed = True
        return self._reconcile()

    def _reconcile(self) -> list[Amount]:
        """Settles every version that the leader can say nothing new about."""
        amounts: list[Amount] = []
        for s in sorted(set(self._uses) | set(self._named)):
            pair = self._named.get(s)
            if s >= self._heard or (pair is not None and self._is_coming(s, pair)):
                continue
            amounts += [] if s == self._done else self._make_up(s, pair)
            self._close(s)
        waiting = [s for s in self._named if s < self._heard]
        self._final = max(self._final, min(waiting, default=self._heard))
        self._settled = {s for s in self._settled if s >= self._final}
        return amounts

    def _is_coming(self, s: int, pair: Pair) -> bool:
        """Whether our own exchange under way may still apply `pair` by itself."""
        return pair.theirs == self._at and not self._is_mixed and pair.theirs not in self._uses.get(s, {})

    def _make_up(self, s: int, pair: Pair | None) -> Iterator[Amount]:
        """What turns our uses of version `s` into the one that the leader named."""
        uses = dict(self._uses.get(s, {}))
        if pair is not None:
            again = pair.theirs in self._matched
            own = None if again else uses.pop(pair.theirs, None)
            theirs, mine = self._theirs.get(s), self._mine.get(pair.theirs)
            if own is not None and own.weight != pair.weight:
                yield own.times(pair.weight - own.weight)
            elif own is None and pair.theirs not in self._over:
                if again or theirs is None or mine is None:
                    self._refused.add(s)
                else:
                    yield Amount(pair.weight, theirs, mine)
            self._matched.add(pair.theirs)
        for use in uses.values():
            yield use.times(-use.weight)

    def _close(self, s: int) -> None:
        pair = self._named.pop(s, None)
        self._uses.pop(s, None)
        self._settled.add(s)
        for old in [q for q in self._theirs if q < s]:
            del self._theirs[old]
        if pair is not None:  # the leader uses our versions in order: it will name none before this one
            for old in [q for q in self._mine if q < pair.theirs]:
                del self._mine[old]
            self._matched = {q for q in self._matched if q >= pair.theirs}


Book = Leader | Follower


def _cap(versions: dict[int, Shared]) -> None:
    while len(versions) > KEPT:
        del versions[next(iter(versions))]


def add_up(shared: Shared, amounts: list[Amount]) -> Shared:
    """`shared` plus all `amounts`; channels that only a rule knows are left out."""
    if not amounts:
        return shared
    total = {name: x.clone() for name, x in shared.items()}
    for a in amounts:
        for name, x in total.items():
            x.add_(a.theirs[name] - a.mine[name], alpha=a.weight)
    return total


def size_of(amounts: list[Amount], shared: Mapping[str, object]) -> float:
    """L2 norm of the first channel of what `amounts` add: by how much our part of the mean was off."""
    if not amounts:
        return 0.0
    name = next(iter(shared))
    total = sum((a.theirs[name] - a.mine[name]) * a.weight for a in amounts)
    return float(total.norm())  # type: ignore[union-attr]
