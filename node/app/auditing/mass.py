"""Whether what a network averages stays what it was: push-sum's mass, and the mean of the nodes' vectors.

Push-sum: what a node holds + what it sent - what it got never changes, whatever is lost, late or twice; summed over the
nodes this is sum(w) + what is in flight = n. Needs no common moment: each node's own facts must balance.

Other rules: the mean over nodes moves by rounding alone in a mixing where nobody was missing or stale. Sketches show
it, being linear: mean of sketches = sketch of the mean. Where somebody was missing, or what that did to the mean was
made up for, the drift is told, not judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from node.app.auditing.evidence import Evidence, Finding, Tally
from node.observe.distance import spread
from node.observe.journal import Entry
from node.observe.records import RoundRecord
from node.observe.sketch import from_bytes
from node.types import PeerId

BALANCE = 1e-9  # of all that was ever sent and got; float64 sums of 10^4 rounds are off by 1e-12
OF_SPREAD = 1e-3  # one message that one end applied and the other did not moves the mean by 0.06 / 8 of it, at n = 8
OF_NORM = 1e-5  # float32 rounding moved it by 6e-8 of the norm, 6e-7 of the spread (simulated rings of 4 to 32)
# In every round where nobody is missing: not only once all is settled (ad-psgd), not beside a memory (exact-diffusion:
# what a killed node has not saved stays in the sum of corrections; quasi-global, noloco, gradient-tracking).
KEEP_THE_MEAN = ("dpsgd", "exact", "choco", "chebyshev", "des-loc")


def mass_conserved(evidence: Evidence) -> Finding:
    """No mass is made or lost; where there is no mass, no mean is moved."""
    tally = Tally("mass-conserved")
    weighed = {node: [entry for entry in journal if _weighs(entry)] for node, journal in evidence.journals.items()}
    if any(weighed.values()):
        _judge_balance(tally, evidence, weighed)
        _judge_edges(tally, evidence, weighed)
    elif not evidence.balanced:
        tally.note("columns of W do not sum to 1 in this topology: it moves the mean, as it says")
    elif evidence.mixing in (None, *KEEP_THE_MEAN):
        _judge_mean(tally, evidence)
    else:
        tally.note(f"the rule {evidence.mixing} does not promise to keep the mean")
    return tally.finding()


def _weighs(entry: Entry) -> bool:
    """A mix with a mass that can be added up; what is not finite, another check refuses."""
    return entry.event == "mix" and entry["mass"] is not None and math.isfinite(_balance(entry["mass"]))


def _balance(mass: Mapping[str, Any]) -> float:
    """Held + sent - got; nan where one of them is not finite."""
    terms = [mass["w"], *mass["sent"].values(), *(None if x is None else -x for x in mass["got"].values())]
    return math.nan if None in terms else math.fsum(terms)


def _tolerance(mass: Mapping[str, Any]) -> float:
    return BALANCE * (1.0 + math.fsum(mass["sent"].values()) + math.fsum(mass["got"].values()))


def _judge_balance(tally: Tally, evidence: Evidence, weighed: Mapping[PeerId, Sequence[Entry]]) -> None:
    now = []
    for node, entries in weighed.items():
        joined = any(entry.event == "adopt" for entry in evidence.journals[node])
        before: Entry | None = None
        for entry in entries:
            balance, wanted = _balance(entry["mass"]), 1.0 if before is None else _balance(before["mass"])
            off = abs(balance - wanted) > _tolerance(entry["mass"])
            if off and (joined if before is None else before.epoch != entry.epoch):
                tally.note(f"{node} starts epoch {entry.epoch} with mass {balance:.9g} instead of {wanted:.9g}")
            else:
                complaint = f"{node}: held + sent - got is {balance:.9g} after round {entry['round']}, was {wanted:.9g}"
                tally.judge(not off, entry.place, complaint)
            before = entry
        now += [before] if before else []
    held = math.fsum(entry["mass"]["w"] for entry in now)
    total = math.fsum(_balance(entry["mass"]) for entry in now)
    tally.note(f"mass {total:.9g} of {len(now)} nodes: they hold {held:.9g}, the rest is in flight or died with a node")


def _judge_edges(tally: Tally, evidence: Evidence, weighed: Mapping[PeerId, Sequence[Entry]]) -> None:
    """Nobody got more than was sent; where both ends are one process, and the sender's last fact holds all it sent."""
    for sender, entries in weighed.items():
        ended = any(entry.event == "finish" for entry in evidence.journals[sender])
        if not ended or not _is_one_life(entries):
            continue
        for node, others in weighed.items():
            if node != sender and _is_one_life(others):
                sent = entries[-1]["mass"]["sent"].get(node, 0.0)
                got = others[-1]["mass"]["got"].get(sender, 0.0)
                tolerance = _tolerance(others[-1]["mass"])
                complaint = f"{node} got {got:.9g} of {sender}, which sent {sent:.9g} ({entries[-1].place})"
                tally.judge(got <= sent + tolerance, others[-1].place, complaint)


def _is_one_life(entries: Sequence[Entry]) -> bool:
    return len({entry.epoch for entry in entries}) == 1


def _judge_mean(tally: Tally, evidence: Evidence) -> None:
    without = sorted({*evidence.silent, *(evidence.journals.keys() - evidence.records.keys())})
    if without:
        tally.note(f"no records of {', '.join(without)} here: the mean of the network cannot be verified")
        return
    disturbed = []
    for round, records in _common(evidence.records):
        before, after = (np.stack([from_bytes(getattr(r, which)) for r in records]) for which in ("before", "after"))
        if not (np.isfinite(before).all() and np.isfinite(after).all()):
            continue  # another check's
        drift, width = _drift(before, after), spread(before)
        if not all(_is_undisturbed(record) for record in records):
            disturbed.append((drift / width if width else 0.0, round))
            continue
        allowed = OF_SPREAD * width + OF_NORM * float(np.sqrt(np.mean(np.sum(before.astype(np.float64) ** 2, axis=1))))
        complaint = f"the mean moved by {drift:.3g} where nobody was missing or stale; the spread was {width:.3g}"
        tally.judge(drift <= allowed, f"records.jsonl round {round}", complaint)
    if disturbed:
        worst, round = max(disturbed)
        tally.note(
            f"{len(disturbed)} rounds went without somebody: the mean drifted by up to {worst:.3g} spreads ({round})"
        )


def _common(records: Mapping[PeerId, Sequence[RoundRecord]]) -> Iterator[tuple[int, list[RoundRecord]]]:
    """Rounds of which every node has a record with sketches, and these records."""
    by_round = [{r.round: r for r in of if r.before and r.after} for of in records.values()]
    for round in sorted(set.intersection(*map(set, by_round)) if by_round else ()):
        rows = [node[round] for node in by_round]
        if len({len(sketch) for r in rows for sketch in (r.before, r.after)}) == 1:
            yield round, rows


def _is_undisturbed(record: RoundRecord) -> bool:
    return record.intact and not record.missing and not any(record.staleness.values()) and not record.settled


def _drift(before: np.ndarray, after: np.ndarray) -> float:
    """|mean over nodes of (after - before)|, in the units of x."""
    return float(np.linalg.norm(np.mean(after.astype(np.float64) - before.astype(np.float64), axis=0)))
