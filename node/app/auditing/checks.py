"""The checks of an audit that need facts only. Each is a function of the evidence and has a name that stays.

They trust the shape of a fact (see `evidence.sound`), the order of the facts of one node, and nothing else: no two
clocks are compared. What cannot be judged because a journal is missing or has gaps is said, never passed.

The driver notes `send` before the bytes leave, `apply` before a `mix` that uses it, and `commit` once the file is safe:
then a SIGKILL at any moment makes none of these fail.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from node.app.auditing.evidence import Evidence, Finding, Tally, lives
from node.observe.journal import Entry
from node.observe.sketch import from_bytes
from node.types import PeerId

Version: TypeAlias = tuple[str, int, int]  # whose, epoch of its process, seq


def journal_whole(evidence: Evidence) -> Finding:
    """Every line is a fact, none is missing or there twice, and time and epochs only grow.

    The end of a process's facts may be missing: that is what a kill looks like.
    """
    tally = Tally("journal-whole")
    for node, journal in evidence.journals.items():
        dropped = any(entry.event == "dropped" for entry in journal)
        before: Entry | None = None
        for place, entry in enumerate(journal):
            if entry.event == "damaged":
                tally.judge(False, entry.place, str(entry["reason"]))
                continue
            if entry.event == "lost":
                tally.note(f"{node}: {entry['count']} facts found no room on the disk ({entry.place})")
            after_gap = (place == 0 and dropped) or (place > 0 and journal[place - 1].event == "damaged")
            complaint = _out_of_line(before, entry, after_gap)
            tally.judge(not complaint, entry.place, complaint)
            before = entry
    return tally.finding()


def _out_of_line(before: Entry | None, entry: Entry, after_gap: bool) -> str:
    """What is wrong with the number, time or epoch of a fact after another; empty: nothing."""
    if before is not None and entry.epoch < before.epoch:
        return f"epoch {entry.epoch} after epoch {before.epoch}"
    starts = before is None or entry.epoch > before.epoch
    if entry.n is not None and not after_gap:
        wanted = 0 if starts else (before.n if before and before.n is not None else -1) + 1
        if entry.n != wanted:
            return f"fact {entry.n} of epoch {entry.epoch}, wanted {wanted}: lines are missing or there twice"
    if before is not None and not starts and entry.t < before.t:
        return f"t {entry.t} after t {before.t}: written out of order"
    return ""


def committed_not_lost(evidence: Evidence) -> Finding:
    """Who committed a round starts again at that round or later."""
    tally = Tally("committed-not-lost")
    for node, journal in evidence.journals.items():
        newest: Entry | None = None
        for life in lives(journal):
            stand = _stand(life)
            if stand is not None and newest is not None:
                _judge_start(tally, node, life, stand, newest)
            if stand is not None and (newest is None or stand["round"] < newest["round"]):
                newest = None
            commits = [e for e in life if e.event == "commit"]
            newest = max([*commits, *([newest] if newest else [])], key=lambda e: int(e["round"]), default=None)
    return tally.finding()


def _judge_start(tally: Tally, node: PeerId, life: Sequence[Entry], stand: Entry, newest: Entry) -> None:
    damage = next((entry for entry in life if entry.event == "checkpoint-damaged"), None)
    what = f"{node} starts epoch {stand.epoch} at round {stand['round']}, but committed round {newest['round']}"
    if _afresh(life):
        tally.note(f"{what}: --fresh ({stand.place})")
    elif stand["round"] < newest["round"] and damage is not None:
        tally.note(f"{what}: its checkpoint was damaged, {damage['reason']} ({damage.place})")
    else:
        tally.judge(stand["round"] >= newest["round"], stand.place, f"{what} ({newest.place})")


def committed_not_altered(evidence: Evidence) -> Finding:
    """What is committed is a state that the node had, at its round; and what it resumes from is what it committed."""
    tally = Tally("committed-not-altered")
    for node, journal in evidence.journals.items():
        committed: dict[int, Entry] = {}  # round -> commit
        for life in lives(journal):
            stand = _stand(life)
            if stand is not None:
                after = {} if _afresh(life) else committed
                committed = {r: entry for r, entry in after.items() if r <= stand["round"]}
                earlier = committed.get(stand["round"])
                if earlier is not None and stand["digest"] is not None:
                    complaint = f"resumes round {stand['round']} with digest {stand['digest']}, {_was(earlier)}"
                    tally.judge(stand["digest"] == earlier["digest"], stand.place, complaint)
            _judge_commits(tally, life, committed, evidence.has_gaps(node, life[0].epoch))
    return tally.finding()


def _judge_commits(tally: Tally, life: Sequence[Entry], committed: dict[int, Entry], gaps: bool) -> None:
    states: dict[str, int] = {}  # digest of a state that the node had in this life -> rounds done then
    for entry in life:
        round, digest = entry["round"], entry["digest"]
        if entry.event in ("resume", "adopt", "mix") and digest is not None:
            states.setdefault(digest, round + (entry.event == "mix"))
        elif entry.event == "commit":
            earlier = committed.setdefault(round, entry)
            if earlier is not entry:
                complaint = f"commits round {round} with digest {digest}, {_was(earlier)}"
                tally.judge(digest == earlier["digest"], entry.place, complaint)
            if gaps and digest not in states:
                tally.note(f"gaps in the journal: a commit of round {round} cannot be verified ({entry.place})")
            elif states:
                held = digest in states and states[digest] <= round
                had = f"had it after {states[digest]} rounds" if digest in states else "never had that state"
                tally.judge(held, entry.place, f"commits round {round} with digest {digest}, but {had}")


def _was(commit: Entry) -> str:
    return f"but committed {commit['digest']} ({commit.place})"


def applied_was_sent(evidence: Evidence) -> Finding:
    """Every message that was applied was sent by that neighbour, to us, as it was applied."""
    tally, gaps = Tally("applied-was-sent"), cache(evidence.has_gaps)
    sent: dict[tuple[PeerId, str, int, int], list[Entry]] = defaultdict(list)
    for node, entry in evidence.facts("send"):
        sent[node, entry["to"], entry.epoch, entry["seq"]].append(entry)
    for node, entry in evidence.facts("apply"):
        sender = PeerId(entry["from"])
        there = sent.get((sender, node, entry["from_epoch"], entry["seq"]), [])
        if sender not in evidence.journals:
            tally.note(f"{sender} has no journal here: what {node} applied of it cannot be verified")
        elif not there and gaps(sender, entry["from_epoch"]):
            tally.note(f"{sender} has gaps in its journal: what {node} applied of it cannot be verified")
        else:
            complaint = f"{node} applied {_message(entry)} of {sender}, which {_told(there)}"
            tally.judge(_message(entry) in map(_message, there), entry.place, complaint)
    return tally.finding()


def _message(entry: Entry) -> str:
    epoch = entry.epoch if entry.event == "send" else entry["from_epoch"]
    return (
        f"{entry['kind']} {entry['seq']} of epoch {epoch} "
        f"(round {entry['round']}, hop {entry['hop']}, check {entry['check']})"
    )


def _told(there: Sequence[Entry]) -> str:
    return f"sent {_message(there[0])} ({there[0].place})" if there else "did not send it"


def applied_once(evidence: Evidence) -> Finding:
    """No process applies a message twice."""
    tally = Tally("applied-once")
    for node, journal in evidence.journals.items():
        for life in lives(journal):
            seen: dict[Version, Entry] = {}
            for entry in life:
                if entry.event == "apply":
                    first = seen.setdefault(_version(entry), entry)
                    complaint = f"{node} applied {_message(entry)} of {entry['from']} again ({first.place})"
                    tally.judge(first is entry, entry.place, complaint)
    return tally.finding()


def applied_by_neighbour(evidence: Evidence) -> Finding:
    """Only messages of neighbours are applied: those of the start, and those that joined later."""
    tally = Tally("applied-by-neighbour")
    for node, journal in evidence.journals.items():
        for life in lives(journal):
            neighbours: set[str] | None = None
            for entry in life:
                if entry.event in ("start", "rewire"):
                    neighbours = set(entry["neighbours"])
                elif entry.event == "join":
                    neighbours = {*(neighbours or ()), entry["peer"]}
                elif entry.event == "apply" and neighbours is None:
                    tally.note(f"{node} has no start in epoch {entry.epoch}: its neighbours are not known")
                elif entry.event == "apply" and neighbours is not None:
                    complaint = f"{node} applied a message of {entry['from']}, its neighbours are {sorted(neighbours)}"
                    tally.judge(entry["from"] in neighbours, entry.place, complaint)
    return tally.finding()


def used_was_applied(evidence: Evidence) -> Finding:
    """What a round mixes was applied before, in this process or (replicas are in checkpoints) in an earlier one."""
    tally, gaps = Tally("used-was-applied"), cache(evidence.has_gaps)
    for node, journal in evidence.journals.items():
        applied: set[Version] = set()
        for entry in journal:
            if entry.event == "apply":
                applied.add(_version(entry))
            elif entry.event == "mix":
                for peer, version in entry["used"].items():
                    known = (peer, *version) in applied
                    if not known and any(gaps(node, epoch) for epoch in range(entry.epoch + 1)):
                        tally.note(f"{node} has gaps in its journal: what it mixed cannot be verified")
                        continue
                    complaint = f"{node} mixed version {version} of {peer} in round {entry['round']}, never applied"
                    tally.judge(known, entry.place, complaint)
    return tally.finding()


def rounds_monotone(evidence: Evidence) -> Finding:
    """Within one process, a round is mixed once, later than all before it, and than what was committed."""
    tally = Tally("rounds-monotone")
    for node, journal in evidence.journals.items():
        for life in lives(journal):
            floor, committed = 0, 0  # the lowest round that may be mixed, and committed, next
            for entry in life:
                round = entry["round"]
                if entry.event in ("start", "resume", "adopt"):
                    floor = max(floor, round)
                elif entry.event == "mix":
                    tally.judge(round >= floor, entry.place, f"{node} mixed round {round}, wanted {floor} or later")
                    floor = max(floor, round + 1)
                elif entry.event == "commit":
                    complaint = f"{node} committed round {round} after round {committed}"
                    tally.judge(round >= committed, entry.place, complaint)
                    floor, committed = max(floor, round), max(committed, round)
    return tally.finding()


def finite_applied(evidence: Evidence) -> Finding:
    """A state that was finite is finite after mixing, nobody applied one that was not, and masses are finite."""
    tally = Tally("non-finite-never-applied")
    broken: dict[PeerId, set[int]] = {}  # rounds in which training itself gave what is not finite
    for node, records in evidence.records.items():
        sketched = [record for record in records if record.before and record.after]
        broken[node] = {record.round for record in sketched if not _is_finite(record.before)}
        for record in sketched:
            if record.round in broken[node]:
                tally.note(f"{node} trained to values that are not finite")
            else:
                complaint = "finite before mixing, not finite after it"
                tally.judge(_is_finite(record.after), f"{node} records.jsonl round {record.round}", complaint)
    for node, entry in evidence.facts("apply"):
        if entry["hop"] == 0 and entry["round"] in broken.get(PeerId(entry["from"]), ()):
            complaint = f"{node} applied round {entry['round']} of {entry['from']}, which was not finite"
            tally.judge(False, entry.place, complaint)
    for node, entry in evidence.facts("mix"):
        if entry["mass"] is not None:
            tally.judge(_no_nulls(entry["mass"]), entry.place, f"{node}: mass {entry['mass']}, null is not finite")
    return tally.finding()


def _is_finite(sketch: bytes) -> bool:
    return bool(np.isfinite(from_bytes(sketch)).all())


def _no_nulls(mass: Any) -> bool:
    return all(map(_no_nulls, mass.values())) if isinstance(mass, Mapping) else mass is not None


def _stand(life: Sequence[Entry]) -> Entry | None:
    """The fact that says where a process began: what it took from disk, else its start."""
    resumed = (entry for entry in life if entry.event == "resume")
    return next(resumed, None) or next((entry for entry in life if entry.event == "start"), None)


def _afresh(life: Sequence[Entry]) -> bool:
    return any(entry.event == "start" and entry["fresh"] for entry in life)


def _version(entry: Entry) -> Version:
    return entry["from"], entry["from_epoch"], entry["seq"]
