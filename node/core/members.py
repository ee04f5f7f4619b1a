"""Who of our neighbours can be waited for.

    UNKNOWN --hello--> ALIVE --stream lost--> DOWN --hello--> ALIVE
       |                 |--bye--> FINISHED
       |--hello refused--> REFUSED
A round waits for ALIVE neighbours, for UNKNOWN ones until the time for the first contact is over, and for one whose
stream was lost (it did not say that it leaves) for a moment: streams break without anybody dying.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from node.core.deadlines import DeadlineLimits, Patience
from node.types import PeerId

RECONNECT = 2.0  # seconds that a lost stream may take to come back; the first dial comes after 0.05 to 0.1 s


class Liveness(StrEnum):
    UNKNOWN = "unknown"
    ALIVE = "alive"
    DOWN = "down"
    FINISHED = "finished"
    REFUSED = "refused"


@dataclass(slots=True)
class Member:
    """One neighbour as we know it."""

    patience: Patience
    state: Liveness = Liveness.UNKNOWN
    epoch: int = -1  # of its process; -1 before its first hello
    round: int = -1  # the newest that we heard of
    reason: str = ""  # why it is down or refused
    heard: float = 0.0  # when something came from it last: monotonic seconds; 0: never
    lost: float | None = None  # when its stream broke without a word: monotonic seconds
    streaming: bool = False  # a stream is open, whatever was said on it

    @property
    def is_open(self) -> bool:
        """Whether it may still send or need something."""
        return self.streaming and self.state in (Liveness.UNKNOWN, Liveness.ALIVE)


class Members:
    """Neighbours by id, in sorted order.

    Args:
        peers: the neighbours of the topology.
        limits: of what a round may wait for one of them.
        first_contact: seconds after the start during which a neighbour never seen is waited for.
    """

    def __init__(self, peers: Iterable[PeerId], limits: DeadlineLimits, first_contact: float) -> None:
        self.by_id = {p: Member(Patience(limits)) for p in sorted(peers)}
        self._first_contact = first_contact
        self._started = 0.0

    def started(self, now: float) -> None:
        self._started = now

    def mark(self, peer: PeerId, state: Liveness, reason: str = "") -> None:
        member = self.by_id[peer]
        member.state, member.reason, member.lost = state, reason, None

    def down(self, peer: PeerId, now: float, reason: str) -> None:
        """The stream is gone. Who has said bye, or was refused, or was never there, stays so."""
        self.by_id[peer].streaming = False
        if self.by_id[peer].state is Liveness.ALIVE:
            self.mark(peer, Liveness.DOWN, reason)
            self.by_id[peer].lost = now

    def lively(self) -> set[PeerId]:
        """Neighbours whose newest word counts, even if it is not of this round."""
        return {p for p, m in self.by_id.items() if m.state in (Liveness.ALIVE, Liveness.FINISHED)}

    def wait_until(self, peer: PeerId, start: float) -> float | None:
        """When an exchange that began at `start` stops waiting for `peer` (monotonic seconds); None: do not wait."""
        member = self.by_id[peer]
        if member.state is Liveness.ALIVE:
            return start + member.patience.timeout
        if member.state is Liveness.UNKNOWN:
            return self._started + self._first_contact
        if member.state is Liveness.DOWN and member.lost is not None:
            return member.lost + RECONNECT
        return None
