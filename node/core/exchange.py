"""The exchange under way: which round and hop, who is waited for, what was used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from node.core.events import Mixed, Stats
from node.core.mailbox import Key
from node.core.settlement import Amount, size_of
from node.gossip.mixing import Heard
from node.types import PeerId, Shared


@dataclass(slots=True)
class Exchange:
    """One round's exchange, from the end of training to the last hop."""

    round: int
    start: float  # of this hop, monotonic seconds
    before: Shared
    stats: Stats
    hop: int = 0
    given_up: set[PeerId] = field(default_factory=set)  # in this hop
    missing: set[PeerId] = field(default_factory=set)  # in any hop
    staleness: dict[PeerId, int] = field(default_factory=dict)
    used: dict[PeerId, tuple[int, int]] = field(default_factory=dict)  # (epoch, seq) of the version, in the last hop
    contributions: int = 0
    settled: float = 0.0  # L2 norm of what settlement added, or would have added

    @property
    def key(self) -> Key:
        return self.round, self.hop

    def begin_hop(self, now: float) -> None:
        self.start, self.given_up = now, set()

    def note(
        self, heard: Mapping[PeerId, Heard], versions: Mapping[PeerId, tuple[int, int]], all_peers: set[PeerId]
    ) -> None:
        """A hop was mixed."""
        self.staleness = {p: h.staleness for p, h in heard.items()}
        self.used = {p: versions[p] for p in heard}
        self.missing |= all_peers - set(heard)
        self.contributions += len(heard)

    def note_settled(self, amounts: list[Amount], shared: Shared) -> None:
        self.settled += size_of(amounts, shared)

    def mixed(self, after: Shared, intact: bool, mass: Mapping[str, object] | None) -> Mixed:
        """What the round came to."""
        return Mixed(
            self.round,
            self.before,
            after,
            self.stats,
            self.staleness,
            tuple(sorted(self.missing)),
            self.contributions,
            intact and not self.missing,
            used=self.used,
            settled=self.settled,
            mass=mass,
        )
