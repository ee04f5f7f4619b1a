"""A made-up run of four nodes on a ring, written by the real Journal and RecordWriter, and tools to doctor it.

Vectors are real and are mixed by Metropolis weights, so that sketches keep the mean. n1 is killed after its third round
and comes back from its checkpoint of round 2; the others then hear it late once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from node.observe.journal import Journal
from node.observe.records import RecordWriter, RoundRecord, Seconds, from_line, to_line
from node.observe.sketch import sketch, to_bytes
from node.types import PeerId

IDS = tuple(PeerId(f"n{i}") for i in range(4))
D = 64
SHARE = 1 / 4  # of its mass that a node gives to each neighbour
Doc = dict[str, Any]


def neighbours(node: PeerId) -> tuple[PeerId, ...]:
    i = IDS.index(node)
    return tuple(sorted((IDS[i - 1], IDS[(i + 1) % len(IDS)])))


def digest(x: np.ndarray) -> str:
    return hashlib.md5(x.tobytes()).hexdigest()  # 16 bytes, as the real check has


class World:
    """The four nodes, as their journals see them.

    Args:
        folder: of the run.
        push: also account for push-sum's mass.
        limits: of the journals.
    """

    def __init__(self, folder: Path, push: bool = False, **limits: int) -> None:
        self.folder, self.push, self.limits = folder, push, limits
        self.random = np.random.default_rng(0)
        self.x = {node: self.random.normal(size=D) for node in IDS}
        self.disk: dict[PeerId, tuple[int, np.ndarray]] = {}
        self.epoch = dict.fromkeys(IDS, 0)
        self.seq = {(i, j): -1 for i in IDS for j in neighbours(i)}
        self.newest: dict[tuple[PeerId, PeerId], Doc] = {}  # (receiver, sender) -> the last send that was applied
        self.w = dict.fromkeys(IDS, 1.0)
        self.sent = dict.fromkeys(self.seq, 0.0)
        self.got = dict.fromkeys(self.seq, 0.0)
        self.clock = count(1.0, 0.25).__next__
        self.journals: dict[PeerId, Journal] = {}
        self.records = {node: RecordWriter(folder / node / "records.jsonl") for node in IDS}

    def start(self, node: PeerId) -> None:
        """A new process, from the checkpoint if there is one."""
        self.epoch[node] += 1
        path = self.folder / node / "journal.jsonl"
        self.journals[node] = Journal(
            path, self.epoch[node], monotonic=self.clock, clock=lambda: 1e9, **self.limits
        )  # fmt: skip
        round, x = self.disk.get(node, (0, self.x[node]))
        self.x[node] = x
        self.note(node, "start", round=round, neighbours=list(neighbours(node)), pid=7, rounds=6, digests={})
        if node in self.disk:
            self.note(node, "resume", round=round, digest=digest(x))

    def note(self, node: PeerId, event: str, fields: Doc | None = None, **more: Any) -> None:
        self.journals[node].note(event, fields or {}, **more)

    def train(self, nodes: Iterable[PeerId]) -> dict[PeerId, np.ndarray]:
        for node in nodes:
            self.x[node] = self.x[node] + 0.1 * self.random.normal(size=D)
        return dict(self.x)

    def send(self, node: PeerId, round: int, kind: str = "update") -> dict[PeerId, Doc]:
        """To both neighbours; the facts of what left."""
        told = {}
        for to in neighbours(node):
            self.seq[node, to] += 1
            told[to] = {
                "kind": kind, "seq": self.seq[node, to], "round": round, "hop": 0, "check": digest(self.x[node]),
            }  # fmt: skip
            self.note(node, "send", to=to, epoch=self.epoch[node], **told[to])
            self.sent[node, to] += SHARE * self.w[node]
        self.w[node] *= 1 - SHARE * len(told)
        return told

    def apply(self, node: PeerId, sender: PeerId, told: Doc) -> None:
        self.note(node, "apply", {"from": sender, "from_epoch": self.epoch[sender], **told})
        self.newest[node, sender] = told | {"epoch": self.epoch[sender]}
        self.w[node] += self.sent[sender, node] - self.got[node, sender]
        self.got[node, sender] = self.sent[sender, node]

    def mix(self, node: PeerId, round: int, before: dict[PeerId, np.ndarray], stale: int = 0) -> None:
        used = {j: self.newest[node, j] for j in neighbours(node)}
        self.x[node] = before[node] + sum((before[j] - before[node]) / 3 for j in used)
        mass = {
            "w": self.w[node],
            "sent": {j: self.sent[node, j] for j in used},
            "got": {j: self.got[node, j] for j in used},
        }
        self.note(
            node,
            "mix",
            round=round,
            used={j: [told["epoch"], told["seq"]] for j, told in used.items()},
            staleness=dict.fromkeys(used, stale),
            missing=[],
            contributions=len(used),
            digest=digest(self.x[node]),
            mass=mass if self.push else None,
        )
        self.record(node, round, before[node], dict.fromkeys(used, stale))

    def record(self, node: PeerId, round: int, before: np.ndarray, staleness: dict[PeerId, int]) -> None:
        self.records[node].write(
            RoundRecord(
                round=round, time=1e9, loss=0.5, seconds=Seconds(train=1.0, exchange=0.1), bytes_sent=1,
                bytes_received=1, contributions=2, staleness=staleness,
                before=to_bytes(sketch(before, k=32)), after=to_bytes(sketch(self.x[node], k=32)),
            )
        )  # fmt: skip

    def commit(self, node: PeerId, round: int) -> None:
        self.disk[node] = (round, self.x[node])
        self.note(node, "commit", round=round, digest=digest(self.x[node]))

    def round(self, round: int, commit: bool = False) -> None:
        """All four, level."""
        before = self.train(IDS)
        told = {node: self.send(node, round, "snapshot" if round == 0 else "update") for node in IDS}
        for node in IDS:
            for sender in neighbours(node):
                self.apply(node, sender, told[sender][node])
        for node in IDS:
            self.mix(node, round, before)
            if commit:
                self.commit(node, round + 1)

    def redo(self, node: PeerId, round: int) -> None:
        """One node alone, with what it last heard of the others; they hear it and go on."""
        before = self.train([node])
        told = self.send(node, round, "snapshot")
        for neighbour in neighbours(node):
            self.apply(neighbour, node, told[neighbour])
        self.mix(node, round, before, stale=-1)

    def close(self) -> None:
        for writer in (*self.journals.values(), *self.records.values()):
            writer.close()


def keep_run(folder: Path, push: bool = False, **limits: int) -> Path:
    """Six rounds, a commit after the second and the last; without `push`, a death and a return in the middle."""
    world = World(folder, push, **limits)
    for node in IDS:
        world.start(node)
    for round in range(4):
        world.round(round, commit=round == 1)
    if not push:
        world.journals[IDS[1]].close()  # killed after round 3; its disk says 2
        world.start(IDS[1])
        world.redo(IDS[1], 2)
    world.round(4)
    world.round(5, commit=True)
    for node in IDS:
        world.note(node, "finish", round=6, digest=digest(world.x[node]))
    world.close()
    return folder


# ---- doctoring
def lines(folder: Path, node: str) -> list[Doc]:
    return [json.loads(line) for line in (folder / node / "journal.jsonl").read_text().splitlines()]


def write(folder: Path, node: str, facts: list[Doc]) -> None:
    text = "".join(json.dumps(fact, separators=(",", ":")) + "\n" for fact in facts)
    (folder / node / "journal.jsonl").write_text(text)


def doctor(folder: Path, node: str, change: Callable[[list[Doc]], None], renumber: bool = True) -> None:
    """Changes the facts of a node; a liar who knows his trade numbers and dates them anew."""
    facts = lines(folder, node)
    change(facts)
    if renumber:
        numbers: dict[int, int] = {}
        latest: dict[int, float] = {}
        for fact in facts:
            epoch = fact["epoch"]
            fact["n"] = numbers[epoch] = numbers.get(epoch, -1) + 1
            fact["t"] = latest[epoch] = max(fact["t"], latest.get(epoch, 0.0))
    write(folder, node, facts)


def find(facts: list[Doc], event: str, **wanted: Any) -> Doc:
    """The last fact of that kind with these fields."""
    return [f for f in facts if f["event"] == event and all(f.get(k) == v for k, v in wanted.items())][-1]


def doctor_records(folder: Path, node: str, round: int, change: Callable[[RoundRecord], RoundRecord]) -> None:
    path = folder / node / "records.jsonl"
    records = [from_line(line) for line in path.read_text().splitlines()]
    text = "".join(to_line(change(r) if r.round == round else r) + "\n" for r in records)
    path.write_text(text)
