"""Where the mass of a simulated push-sum is: held, under way, gone with a process that died, or made by its return.

Reads only the books that a rule shows (`Mixing.mass`), never a message: what is wrong in them is a bug of the rule.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, TypeAlias

from node.errors import LocalFault
from node.types import PeerId

TOLERANCE = 1e-9  # of all that was ever sent and got: float64 sums, as in `node.app.auditing.mass`
Books: TypeAlias = Mapping[str, Any]  # {"w": own, "sent": {peer: w}, "got": {peer: w}}, sums over all rounds


class Mass:
    """The w of all peers, over their deaths and returns.

    A peer that goes on from older books has forgotten some of what it sent, and holds it once more (`added`), and some
    of what it got, which is gone (`removed`).
    """

    def __init__(self) -> None:
        self.added: defaultdict[tuple[PeerId, PeerId], float] = defaultdict(float)  # by sender, receiver
        self.removed: defaultdict[tuple[PeerId, PeerId], float] = defaultdict(float)

    def replaced(self, peer: PeerId, before: Books | None, after: Books | None) -> None:
        """`peer` goes on with other books than it had: it restarted."""
        if before is None or after is None:
            return
        for to, w in before["sent"].items():
            self.added[peer, to] += w - after["sent"].get(to, 0.0)
        for sender, w in before["got"].items():
            self.removed[sender, peer] += w - after["got"].get(sender, 0.0)

    def under_way(self, books: Mapping[PeerId, Books]) -> dict[tuple[PeerId, PeerId], float]:
        """w that was sent and not got, by sender and receiver; what a death made undeliverable is still in it."""
        return {
            (sender, to): w + self.added[sender, to] - self.removed[sender, to] - books[to]["got"].get(sender, 0.0)
            for sender, book in books.items()
            for to, w in book["sent"].items()
            if to in books
        }

    def check(self, books: Mapping[PeerId, Books]) -> None:
        """sum of w + under way + removed - added = n, every w is positive, and nobody got what was not sent.

        Raises:
            LocalFault: with the numbers.
        """
        if not books:
            return
        tolerance = TOLERANCE * (1.0 + sum(_turnover(book) for book in books.values()))
        for peer, book in books.items():
            balance = math.fsum([book["w"], *book["sent"].values(), *(-w for w in book["got"].values())])
            if not (book["w"] > 0.0 and abs(balance - 1.0) <= tolerance):
                raise LocalFault(f"{peer} holds w {book['w']:.9g}; that + sent - got is {balance:.9g}, wanted 1")
        under_way = self.under_way(books)
        for (sender, to), w in under_way.items():
            if w < -tolerance:
                raise LocalFault(f"{to} got {-w:.9g} more of w from {sender} than was sent")
        held, flying = math.fsum(book["w"] for book in books.values()), math.fsum(under_way.values())
        removed, added = math.fsum(self.removed.values()), math.fsum(self.added.values())
        total = held + flying + removed - added
        if abs(total - len(books)) > tolerance:
            raise LocalFault(
                f"{held:.9g} held + {flying:.9g} under way + {removed:.9g} removed by deaths - {added:.9g} added by "
                f"returns = {total:.9g}, wanted {len(books)}"
            )


def _turnover(book: Books) -> float:
    return math.fsum([*book["sent"].values(), *book["got"].values()])
