"""What a peer has heard and not yet used: a few versions of each neighbour's copy, never more."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from node.types import PeerId, Shared

Key: TypeAlias = tuple[int, int]  # (round, hop)
DEPTH = 4  # versions kept per neighbour; without deadlines a neighbour is one exchange ahead at the most


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a neighbour's public copy."""

    key: Key  # the exchange it was sent in
    shared: Shared
    epoch: int = 0  # of its sender's process
    seq: int = 0


class Mailbox:
    """Keeps, per neighbour, the newest `depth` versions by (round, hop).

    `pick` prefers the version of exactly the asked exchange, so that without loss the result does not depend on arrival
    order, and falls back on the newest one, so that a slow neighbour still counts.

    Args:
        neighbours: the only senders there are.
        max_staleness: rounds by which a used version may lag behind the asked round.
        depth: versions kept per neighbour.
    """

    def __init__(self, neighbours: Iterable[PeerId], max_staleness: int, depth: int = DEPTH) -> None:
        self._boxes: dict[PeerId, dict[Key, Version]] = {p: {} for p in sorted(neighbours)}
        self._max_staleness = max_staleness
        self._depth = depth

    def add(self, peer: PeerId) -> None:
        """One more neighbour."""
        self._boxes = dict(sorted({peer: dict[Key, Version](), **self._boxes}.items()))

    def put(self, peer: PeerId, version: Version) -> None:
        box = self._boxes[peer]
        box[version.key] = version
        if len(box) > self._depth:
            del box[min(box)]

    def reached(self, peer: PeerId, key: Key) -> bool:
        """Whether `peer` has been heard from in the exchange `key` or a later one."""
        box = self._boxes[peer]
        return bool(box) and max(box) >= key

    def pick(self, key: Key, lively: Collection[PeerId]) -> dict[PeerId, Version]:
        """At most one version per neighbour, in sorted order of neighbour.

        Another exchange's version serves only at hop 0 (a later hop's product has no meaning with stale factors) and
        only from `lively` neighbours: the past of a dead one would hold us back.
        """
        picked = {}
        for peer, box in self._boxes.items():
            if key in box:
                picked[peer] = box[key]
            elif box and key[1] == 0 and peer in lively and key[0] - max(box)[0] <= self._max_staleness:
                picked[peer] = box[max(box)]
        return picked

    def newest_round(self, ours: int) -> int:
        """The highest round that neighbours say and that is believed; -1 before the first message.

        One of several neighbours alone is believed up to `max_staleness` rounds ahead of `ours`: who miscounts, or
        lies, would otherwise take everybody to the last round at once.
        """
        said = sorted((max(box)[0] if box else -1 for box in self._boxes.values()), reverse=True)
        if len(said) < 2:
            return said[0] if said else -1
        return max(said[1], min(said[0], ours + self._max_staleness))
