"""When a node is too far behind to catch up by mixing, and whose state it takes instead.

A node that has done no round takes the state of any neighbour that has: its own holds nothing of its own. A node that
went on from its checkpoint does so when the network is more than `gap` rounds ahead: what it had, the others had mixed
before, and mixed again it would pull them back. Several answers become one by the weights of our row.
"""

from __future__ import annotations

from node.types import PeerId, Shared, Weights

APART = 10  # rounds by which neighbours may differ; one that is further ahead alone miscounts, or lies


class CatchUp:
    """Questions to neighbours that are ahead, and their answers.

    Args:
        gap: rounds; a neighbour further ahead is asked for its state.
        patience: seconds that an answer may take.
    """

    def __init__(self, gap: int, patience: float) -> None:
        self.gap = gap
        self._patience = patience
        self._asked: dict[PeerId, float] = {}  # who has not answered yet -> until when we wait
        self._answers: dict[PeerId, tuple[int, Shared]] = {}

    @property
    def pending(self) -> bool:
        """Whether our own round makes no sense any more."""
        return bool(self._asked or self._answers)

    @property
    def ready(self) -> bool:
        """Whether everybody asked has answered, and somebody did."""
        return bool(self._answers) and not self._asked

    @property
    def deadline(self) -> float | None:
        return min(self._asked.values(), default=None)

    def asks(self, peer: PeerId, theirs: int, ours: int, now: float) -> bool:
        """Whether to ask `peer`, which has done `theirs` rounds, for its state."""
        if theirs - ours <= self.gap or peer in self._asked:
            return False
        self._asked[peer] = now + self._patience
        return True

    def answered(self, peer: PeerId, round: int, shared: Shared, ours: int) -> bool:
        """Takes an answer; False: nobody asked, or it is no newer than what we have."""
        if self._asked.pop(peer, None) is None or round <= ours:
            return False
        self._answers[peer] = round, shared
        return True

    def give_up(self, peer: PeerId) -> bool:
        """`peer` is gone. Whether it had been asked."""
        return self._asked.pop(peer, None) is not None

    def tick(self, now: float) -> bool:
        """Whether somebody has let us wait too long."""
        late = [p for p, until in self._asked.items() if now >= until]
        for peer in late:
            self.give_up(peer)
        return bool(late)

    def take(self, row: Weights) -> tuple[int, Shared, tuple[PeerId, ...]]:
        """The newest round that is believed, the weighted mean of the states of that round, and whose they were.

        A neighbour that is not in our row yet (one of us joins) counts as if its weight were 1.
        """
        answers, self._answers = self._answers, {}
        newest = _believed([round for round, _ in answers.values()])
        states = {p: shared for p, (round, shared) in sorted(answers.items()) if round == newest}
        weights = {p: row.get(p, 1.0) for p in states}
        total, names = sum(weights.values()), next(iter(states.values()))
        mean = {name: sum(weights[p] / total * s[name] for p, s in states.items()) for name in names}
        return newest, mean, tuple(states)  # type: ignore[return-value]


def _believed(rounds: list[int]) -> int:
    """The newest of `rounds` that another one is near to."""
    newest, *others = sorted(rounds, reverse=True)
    return newest if not others or newest - others[0] <= APART else others[0]
