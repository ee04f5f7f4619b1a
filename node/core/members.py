"""Who of our neighbours can be waited for: SWIM's words for an edge of the graph.

    UNKNOWN --hello--> ALIVE --stream lost, or a probe not answered--> SUSPECT --SUSPECT_FOR--> DEAD
       |                 |  ^------------- hello, or any word ------------|--------------------|
       |                 |--bye--> LEFT (before the end), FINISHED
       |--hello refused--> REFUSED
A round waits for ALIVE neighbours, for UNKNOWN ones until the time for the first contact is over, and for one whose
stream was lost (it did not say that it leaves) for a moment: streams break without anybody dying. A neighbour that is
silent for PROBE_AFTER is asked whether it is there; anything that it says is an answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from node.core.deadlines import DeadlineLimits, Patience
from node.core.health import LATE, LocalHealth
from node.types import PeerId

RECONNECT = 2.0  # seconds that a lost stream may take to come back; the first dial comes after 0.05 to 0.1 s
PROBE_AFTER = 1.0  # seconds of silence
ANSWER_WITHIN = DeadlineLimits(1.5, 6.0)  # seconds; learnt: eight trainers on two cores answer late, but alike
NOT_SAID = (0, 0)  # the protocol version of whom we have not heard a hello
SUSPECT_FOR = 10.0  # seconds until a suspect is called dead


class Liveness(StrEnum):
    UNKNOWN = "unknown"
    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
    LEFT = "left"
    FINISHED = "finished"
    REFUSED = "refused"


@dataclass(slots=True)
class Member:
    """One neighbour as we know it."""

    patience: Patience  # with its part of an exchange
    answers: Patience  # with its answer to a probe
    state: Liveness = Liveness.UNKNOWN
    epoch: int = -1  # of its process; -1 before its first hello
    version: tuple[int, int] = NOT_SAID  # of the protocol, from its hello on this stream
    round: int = -1  # the newest that we heard of
    reason: str = ""  # why it is suspect, dead or refused
    heard: float = 0.0  # when something came from it last: monotonic seconds; 0: never
    probed: float | None = None  # when a probe went out that nothing has answered: monotonic seconds
    since: float = 0.0  # of `state`: monotonic seconds
    lost: float | None = None  # when its stream broke without a word: monotonic seconds
    streaming: bool = False  # a stream is open, whatever was said on it

    @property
    def is_open(self) -> bool:
        """Whether it may still send or need something."""
        return self.streaming and self.state in (Liveness.UNKNOWN, Liveness.ALIVE, Liveness.SUSPECT)

    @property
    def can_be_probed(self) -> bool:
        return self.streaming and self.version >= (1, 1) and self.state in (Liveness.ALIVE, Liveness.SUSPECT)


class Members:
    """Neighbours by id, in sorted order.

    Args:
        peers: the neighbours of the topology.
        limits: of what a round may wait for one of them.
        first_contact: seconds after the start during which a neighbour never seen is waited for.
        probing: whether silent neighbours are asked.
    """

    def __init__(
        self, peers: Iterable[PeerId], limits: DeadlineLimits, first_contact: float, probing: bool = True
    ) -> None:
        self.health = LocalHealth()
        self._limits, self._first_contact, self._probing = limits, first_contact, probing
        self.by_id = {p: self._new() for p in sorted(peers)}
        self._started = 0.0

    def _new(self) -> Member:
        return Member(Patience(self._limits), Patience(ANSWER_WITHIN, ANSWER_WITHIN.floor))

    def add(self, peer: PeerId) -> None:
        """One more neighbour; nobody waits for it before its hello."""
        self.by_id = dict(sorted({**self.by_id, peer: self._new()}.items()))
        self.mark(peer, Liveness.DEAD, 0.0, "joins")

    def started(self, now: float) -> None:
        self._started = now

    def mark(self, peer: PeerId, state: Liveness, now: float, reason: str = "") -> bool:
        """Whether that is news."""
        member = self.by_id[peer]
        is_news = member.state is not state
        if is_news:
            member.since = now
        member.state, member.reason, member.lost = state, reason, None
        return is_news

    def heard(self, peer: PeerId, now: float) -> bool:
        """Something came from `peer`. Whether that clears it of a suspicion."""
        member = self.by_id[peer]
        member.heard = now
        if member.probed is not None:
            member.answers.arrived(member.probed, now)
            self.health.better()
        member.probed = None
        cleared = member.streaming and member.version >= (1, 1) and member.lost is None
        if cleared and member.state in (Liveness.SUSPECT, Liveness.DEAD):
            return self.mark(peer, Liveness.ALIVE, now)
        return False

    def down(self, peer: PeerId, now: float, reason: str) -> bool:
        """The stream is gone. Who has said bye, or was refused, or was never there, stays so. Whether it is news."""
        member = self.by_id[peer]
        member.streaming, member.probed, member.version = False, None, NOT_SAID
        if member.state is not Liveness.ALIVE:
            return False
        self.mark(peer, Liveness.SUSPECT, now, reason)
        member.lost = now
        return True

    # ---- probes
    def tick(self, now: float, late: float) -> tuple[list[PeerId], list[PeerId]]:
        """Who must be probed now, and whose state has changed.

        Args:
            late: seconds by which this call comes after the time that `deadline` asked for.
        """
        if late > LATE:
            self._excuse(now)
        changed = [p for p, m in self.by_id.items() if self._judge(p, m, now)]
        probes = [p for p, m in self.by_id.items() if self._due(m, now)]
        for p in probes:
            if self.by_id[p].probed is None or self.by_id[p].state is Liveness.SUSPECT:
                self.by_id[p].probed = now
        return probes, changed

    def deadline(self) -> float | None:
        """When `tick` has something to do: monotonic seconds."""
        return min((t for m in self.by_id.values() if (t := self._next(m)) is not None), default=None)

    def _excuse(self, now: float) -> None:
        """We did not run: nobody else is to blame for what was not heard."""
        self.health.worse()
        for member in self.by_id.values():
            if member.probed is not None:
                member.probed = now

    def _judge(self, peer: PeerId, member: Member, now: float) -> bool:
        if member.state is Liveness.SUSPECT and now >= member.since + SUSPECT_FOR * self.health.multiplier:
            return self.mark(peer, Liveness.DEAD, now, member.reason)
        if member.state is not Liveness.ALIVE or member.probed is None or now < self._answer_by(member):
            return False
        member.answers.missed(member.probed, now)
        self.health.worse()
        return self.mark(peer, Liveness.SUSPECT, now, f"silent for {now - member.heard:.1f} s")

    def _due(self, member: Member, now: float) -> bool:
        """Whether a probe goes out; a suspect with an open stream is asked again and again."""
        if not self._probing or not member.can_be_probed:
            return False
        if member.state is Liveness.SUSPECT:
            return now >= (member.probed or member.since) + PROBE_AFTER
        return member.probed is None and now >= member.heard + PROBE_AFTER

    def _next(self, member: Member) -> float | None:
        times = []
        if member.state is Liveness.SUSPECT:
            times.append(member.since + SUSPECT_FOR * self.health.multiplier)
        if self._probing and member.can_be_probed:
            if member.state is Liveness.SUSPECT:
                times.append((member.probed or member.since) + PROBE_AFTER)
            else:
                times.append(member.heard + PROBE_AFTER if member.probed is None else self._answer_by(member))
        return min(times, default=None)

    def _answer_by(self, member: Member) -> float:
        assert member.probed is not None
        return member.probed + member.answers.timeout * self.health.multiplier

    # ---- what a round needs
    def lively(self) -> set[PeerId]:
        """Neighbours whose newest word counts, even if it is not of this round."""
        return {p for p, m in self.by_id.items() if m.state in (Liveness.ALIVE, Liveness.SUSPECT, Liveness.FINISHED)}

    def present(self) -> dict[PeerId, int]:
        """Neighbours that take what we send now -> epoch of their process."""
        return {p: m.epoch for p, m in self.by_id.items() if m.state is Liveness.ALIVE}

    def wait_until(self, peer: PeerId, start: float) -> float | None:
        """When an exchange that began at `start` stops waiting for `peer` (monotonic seconds); None: do not wait."""
        member = self.by_id[peer]
        if member.state is Liveness.ALIVE:
            return start + member.patience.timeout
        if member.state is Liveness.UNKNOWN:
            return self._started + self._first_contact
        if member.state is Liveness.SUSPECT and member.lost is not None:
            return member.lost + RECONNECT
        return None
