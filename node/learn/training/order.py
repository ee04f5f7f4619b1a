"""The order in which a node reads its own texts: one seeded permutation after the other, a function of the position.

Nothing but the count of steps has to be kept for a run to go on where it was.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.learn import draw


class Order:
    """Args:
    own: (n,) indices of the node's texts, n > 0.
    purpose: what the permutations are drawn for, e.g. seed and node.
    """

    def __init__(self, own: NDArray[np.int64], *purpose: object) -> None:
        self._own, self._purpose = own, purpose
        self._drawn: tuple[int, NDArray[np.int64]] | None = None  # (epoch, permutation) in use

    def __len__(self) -> int:
        return len(self._own)

    def texts(self, first: int, count: int) -> list[int]:
        """The indices at `count` positions from `first` on; every n positions each text comes once."""
        return [self._at(position) for position in range(first, first + count)]

    def _at(self, position: int) -> int:
        epoch, place = divmod(position, len(self._own))
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = epoch, draw.permutation(len(self._own), *self._purpose, "epoch", epoch)
        return int(self._own[self._drawn[1][place]])
