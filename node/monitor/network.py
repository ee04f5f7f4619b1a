"""What is known of all nodes, put together from their answers.

Pure: answers and the time come in, one `View` goes out. Decides which rounds may be compared (those that all nodes that
count have finished; nodes are often a round apart), who counts, what is called healthy. Knows no sockets, no screen.

A node that does not answer us is
    finished      it had done its last round, or a neighbour heard its farewell
    unreachable   its neighbours say alive: it is too busy, or there is no way from here to there
    down          it answered once, or its neighbours say suspect or dead
    left          it said that it goes, before its last round
    refused       its neighbours cannot work with it
    unknown       nobody has ever heard from it
One without an address cannot be asked from everywhere: its state is what its neighbours say, and that is no failure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from node.graph.reach import NOWHERE
from node.observe.across import Across, by_metric
from node.observe.across import to_document as across_document
from node.observe.distance import (
    consensus_distance,
    contraction,
    distances_to_mean,
    keeps_promise,
    window_contraction,
)
from node.observe.records import RoundRecord
from node.observe.sketch import from_bytes
from node.observe.status import Member, NodeStatus
from node.types import PeerId

HISTORY = 128  # rounds kept a node: 0.5 MB of sketches
WINDOW = 8  # rounds; few enough to show a change within seconds, enough to smooth one odd round
SAMPLES = 6  # polls over which bytes/s is taken: a round's burst would make a single one jump
DRAWN = 40  # rounds in a sparkline


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One node in the view."""

    id: PeerId
    address: str  # host:port; empty: it can only dial out
    seen_by: tuple[PeerId, ...]  # neighbours that have heard from it, of those that answer us
    state: str
    incarnation: int | None  # its epoch; None: never heard
    round: int | None
    loss: float | None
    accuracy: float | None
    distance: float | None  # |x_i - xbar| / |xbar - x_0| after mixing, at the view's round
    pid: int | None
    age_s: float | None  # since it last spoke, to us or to a neighbour that told us
    bytes_per_s: float | None  # sent
    losses: tuple[float, ...]  # newest rounds, oldest first


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The network at one moment."""

    nodes: tuple[Row, ...]
    edges: tuple[tuple[PeerId, PeerId], ...]
    mixing: str
    rounds: int
    topology_digest: str
    round: int | None  # the newest that all nodes that count have finished; distances are of this round
    counted: tuple[PeerId, ...]  # who answers (or is finished) and has sketches
    consensus_distance: float | None
    product_distance: float | None  # the same of LoRA's products B A; None: no node shows both factors
    distances: tuple[float, ...]  # consensus distance of the newest common rounds, oldest first
    predicted_contraction: float | None
    measured_contraction: float | None  # over the newest WINDOW common rounds
    metrics: Mapping[str, Across]  # the newest that each node measured, across nodes
    verdict: str  # healthy, slower than predicted, waiting
    warnings: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to see."""
        return all(row.state == "finished" for row in self.nodes)

    def within(self, distance: float) -> bool:
        """Whether all nodes, and not just those that answer, have come this close."""
        all_counted = len(self.counted) == len(self.nodes)
        return all_counted and self.consensus_distance is not None and self.consensus_distance <= distance


@dataclass(slots=True)
class _Seen:
    """What one node told us."""

    answering: bool = False
    status: NodeStatus | None = None  # its newest answer
    at: float = 0.0  # when that came
    reason: str = ""  # why it does not answer
    records: dict[int, RoundRecord] = field(default_factory=dict)
    traffic: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=SAMPLES))  # (time, bytes sent)
    since: int = 0  # first round whose record we lack

    @property
    def done(self) -> bool:
        """Whether its last word was, or can only have been followed by, the end of its run."""
        if self.status is None:
            return False
        return self.status.state == "finished" or max(self.records, default=-1) >= self.status.rounds - 1


class Network:
    """All nodes that any answer named. Time is monotonic seconds."""

    def __init__(self) -> None:
        self.addresses: dict[PeerId, str] = {}  # in the order of the topology file; empty: it can only dial out
        self._seen: dict[PeerId, _Seen] = {}

    def since(self, peer: PeerId) -> int:
        """The first round whose record we want from `peer`."""
        return self._seen[peer].since

    def heard(self, status: NodeStatus, now: float) -> None:
        """A node answered."""
        for peer, address in status.topology.addresses.items():
            self.addresses.setdefault(peer, address)
            self._seen.setdefault(peer, _Seen())
        self.addresses.setdefault(status.node, status.address)
        seen = self._seen.setdefault(status.node, _Seen())
        restarted = seen.status is not None and seen.status.epoch != status.epoch
        if restarted:  # rounds from its checkpoint on are done again: ask for all of them at the next poll
            seen.traffic.clear()
            seen.records = {r: record for r, record in seen.records.items() if r < status.round}
        # A node that was killed and resumed may still show rounds of its earlier life, beyond its checkpoint.
        seen.records |= {record.round: record for record in status.records if record.round < status.round}
        for old in sorted(seen.records)[:-HISTORY]:
            del seen.records[old]
        seen.since = 0 if restarted else max(seen.records, default=-1) + 1
        seen.answering, seen.status, seen.at, seen.reason = True, status, now, ""
        seen.traffic.append((now, status.bytes_sent))

    @property
    def histories(self) -> dict[PeerId, dict[int, RoundRecord]]:
        """Records of each node by round, as far as they were told."""
        return {peer: dict(seen.records) for peer, seen in self._seen.items()}

    def lost(self, peer: PeerId, reason: str) -> None:
        """A node did not answer."""
        seen = self._seen[peer]
        seen.answering, seen.reason = False, reason

    def view(self, now: float) -> View:
        """Everything, as it stands."""
        statuses = [seen.status for seen in self._seen.values() if seen.answering and seen.status is not None]
        rumours = _freshest(statuses)
        counted = tuple(p for p in self.addresses if self._counts(p))
        common = _common_rounds([self._seen[p].records for p in counted])
        round = common[-1] if len(counted) > 1 and common else None
        after = {r: self._stack(counted, r, "after") for r in common[-DRAWN:]} if round is not None else {}
        distances = tuple(consensus_distance(rows) for rows in after.values())
        own = dict(zip(counted, distances_to_mean(after[round]).tolist(), strict=True)) if round is not None else {}
        predicted = self._predicted(statuses, counted, round)
        measured = self._measured(counted, list(after)[-WINDOW:])
        newest = statuses[0] if statuses else next((s.status for s in self._seen.values() if s.status), None)
        return View(
            nodes=tuple(self._row(p, rumours.get(p), _seers(statuses, p), own.get(p), now) for p in self.addresses),
            edges=max((s.topology.edges for s in (*statuses, newest) if s is not None), key=len, default=()),
            mixing=newest.mixing if newest else "",
            rounds=newest.rounds if newest else 0,
            topology_digest=newest.topology.digest if newest else "",
            round=round,
            counted=counted,
            consensus_distance=distances[-1] if distances else None,
            product_distance=self._product_distance(counted, round),
            distances=distances,
            predicted_contraction=predicted,
            measured_contraction=measured,
            metrics=by_metric({p: seen.status.metrics for p, seen in self._seen.items() if seen.status is not None}),
            verdict=_verdict(measured, predicted),
            warnings=tuple(self._warnings(statuses)),
        )

    def _product_distance(self, counted: Sequence[PeerId], round: int | None) -> float | None:
        if round is None:
            return None
        lengths = {len(self._seen[p].records[round].product) for p in counted}
        return (
            consensus_distance(self._stack(counted, round, "product"))
            if len(lengths) == 1 and 0 not in lengths
            else None
        )

    def _counts(self, peer: PeerId) -> bool:
        seen = self._seen[peer]
        return (seen.answering or seen.done) and any(record.after for record in seen.records.values())

    def _stack(self, peers: Iterable[PeerId], round: int, which: str) -> np.ndarray:
        """(n, k) sketches of one round."""
        return np.stack([from_bytes(getattr(self._seen[p].records[round], which)) for p in peers])

    def _measured(self, counted: Sequence[PeerId], rounds: Sequence[int]) -> float | None:
        def whole(round: int) -> bool:
            records = [self._seen[p].records[round] for p in counted]
            return all(len(record.before) == len(record.after) for record in records)

        return window_contraction(
            contraction(self._stack(counted, r, "before"), self._stack(counted, r, "after")) for r in rounds if whole(r)
        )

    def _predicted(self, statuses: Sequence[NodeStatus], counted: Sequence[PeerId], round: int | None) -> float | None:
        told = [status.predicted_contraction for status in statuses]
        if round is not None:
            told += [self._seen[p].records[round].predicted_contraction for p in counted]
        return next((value for value in told if value is not None), None)

    def _row(
        self, peer: PeerId, rumour: Member | None, seen_by: tuple[PeerId, ...], distance: float | None, now: float
    ) -> Row:
        seen = self._seen[peer]
        status = seen.status
        ages = [now - seen.at] if status is not None else []
        if not seen.answering and rumour is not None and rumour.age_s is not None:
            ages.append(rumour.age_s)
        told = rumour if rumour is not None and rumour.age_s is not None else None
        return Row(
            id=peer,
            address=self.addresses[peer] or (status.address if status is not None and seen.answering else ""),
            seen_by=seen_by,
            state=status.state if status is not None and seen.answering else self._silent_state(peer, rumour),
            incarnation=status.epoch if status else told.incarnation if told else None,
            round=status.round if status else told.round if told else None,
            loss=status.loss if status else None,
            accuracy=status.accuracy if status else None,
            distance=distance,
            pid=status.pid if status else None,
            age_s=max(0.0, min(ages)) if ages else None,
            bytes_per_s=_rate(seen) if seen.answering else None,
            losses=tuple(seen.records[r].loss for r in sorted(seen.records)[-DRAWN:]),
        )

    def _silent_state(self, peer: PeerId, rumour: Member | None) -> str:
        seen = self._seen[peer]
        told = rumour.state if rumour is not None else "unknown"
        if seen.done or told == "finished":
            return "finished"
        if told == "alive" and self.addresses[peer] != NOWHERE:
            return "unreachable"
        if told in ("suspect", "dead") or (told == "unknown" and seen.status is not None):
            return "down"
        return told

    def _warnings(self, statuses: Sequence[NodeStatus]) -> Iterable[str]:
        digests = {status.topology.digest for status in statuses}
        for status in statuses[1:] if len(digests) > 1 else []:
            if status.topology.digest != statuses[0].topology.digest:
                yield f"{status.node} was started with another topology than {statuses[0].node}"
        for peer, seen in self._seen.items():
            if not seen.answering and not seen.done and seen.reason:
                yield f"{peer} does not answer: {seen.reason}"
        for status in statuses:
            faults = {name: count for name, count in status.counters.items() if name.startswith("fault") and count}
            if faults:
                yield f"{status.node} counted " + ", ".join(f"{name} {count}" for name, count in faults.items())


def to_document(view: View) -> dict[str, object]:
    """What `--json` prints; numbers that are not finite are null."""
    return {
        "nodes": [
            {
                "id": row.id,
                "address": row.address or None,
                "seen_by": list(row.seen_by),
                "state": row.state,
                "incarnation": row.incarnation,
                "round": row.round,
                "loss": _finite(row.loss),
                "accuracy": _finite(row.accuracy),
                "distance": _finite(row.distance),
                "pid": row.pid,
                "age_s": _finite(row.age_s),
                "bytes_per_s": _finite(row.bytes_per_s),
            }
            for row in view.nodes
        ],
        "edges": [list(edge) for edge in view.edges],
        "topology_digest": view.topology_digest,
        "mixing": view.mixing,
        "rounds": view.rounds,
        "round": view.round,
        "counted": list(view.counted),
        "consensus_distance": _finite(view.consensus_distance),
        "product_distance": _finite(view.product_distance),
        "predicted_contraction": _finite(view.predicted_contraction),
        "measured_contraction": _finite(view.measured_contraction),
        "metrics": across_document(view.metrics),
        "verdict": view.verdict,
        "finished": view.finished,
        "warnings": list(view.warnings),
    }


def _freshest(statuses: Iterable[NodeStatus]) -> dict[PeerId, Member]:
    """Of what nodes say about each neighbour, what was heard last."""
    best: dict[PeerId, Member] = {}
    for member in (member for status in statuses for member in status.members):
        known = best.get(member.id)
        if known is None or _age(member) < _age(known):
            best[member.id] = member
    return best


def _age(member: Member) -> float:
    return float("inf") if member.age_s is None else member.age_s


def _common_rounds(histories: Sequence[Mapping[int, RoundRecord]]) -> list[int]:
    """Rounds for which every node has a sketch, all of one length, oldest first."""
    if not histories:
        return []
    rounds = set.intersection(*(set(history) for history in histories))
    lengths = {r: {len(history[r].after) for history in histories} for r in rounds}
    return sorted(r for r, found in lengths.items() if len(found) == 1 and found != {0})


def _seers(statuses: Iterable[NodeStatus], peer: PeerId) -> tuple[PeerId, ...]:
    return tuple(s.node for s in statuses if any(m.id == peer and m.age_s is not None for m in s.members))


def _rate(seen: _Seen) -> float | None:
    """Bytes sent a second since the oldest sample; with a single one, since the process started."""
    (start, before), (end, after) = seen.traffic[0], seen.traffic[-1]
    if end > start:
        return (after - before) / (end - start)
    uptime = seen.status.uptime_s if seen.status else 0.0
    return after / uptime if uptime > 0 else None


def _verdict(measured: float | None, predicted: float | None) -> str:
    if measured is None or predicted is None:
        return "waiting"
    return "healthy" if keeps_promise(measured, predicted) else "slower than predicted"


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
