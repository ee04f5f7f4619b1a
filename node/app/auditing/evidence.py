"""What an audit looks at, and what it says: the facts and records of all nodes of a run, and one finding a check.

Everything here is a value: an audit of a simulation hands in its journals without a file. A node whose journal is not
here is known by name, so that no check passes because there was nothing to contradict it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from node.app.run.run_folder import RunFolder
from node.config import load_node_config, load_topology
from node.observe.journal import Entry, read_journal
from node.observe.records import RoundRecord, read_records
from node.types import PeerId

MESSAGE: Mapping[str, type] = {"kind": str, "seq": int, "round": int, "hop": int, "check": str}
SHAPES: Mapping[str, Mapping[str, type]] = {  # event -> what it must have; more is welcome
    "start": {"round": int, "neighbours": list},
    "resume": {"round": int},
    "send": {"to": str, **MESSAGE},
    "apply": {"from": str, "from_epoch": int, **MESSAGE},
    "mix": {"round": int, "used": dict},
    "commit": {"round": int, "digest": str},
    "adopt": {"round": int},
    "join": {"peer": str},
    "rewire": {"neighbours": list},
}
SHOWN = 5  # counterexamples of a check that are kept


@dataclass(frozen=True)
class Evidence:
    """The facts of a run, a sequence a node in the order they were written."""

    journals: Mapping[PeerId, Sequence[Entry]]
    records: Mapping[PeerId, Sequence[RoundRecord]] = field(default_factory=dict)
    silent: tuple[PeerId, ...] = ()  # nodes, of the topology, somebody's neighbours or joined, without a journal here
    mixing: str | None = None  # name of the rule; None: not known
    balanced: bool = True  # columns of every W(t) sum to 1, so that mixing by it leaves the mean where it is

    def facts(self, *events: str) -> Iterator[tuple[PeerId, Entry]]:
        """All facts of these kinds, node by node."""
        for node, journal in self.journals.items():
            for entry in journal:
                if entry.event in events:
                    yield node, entry

    def has_gaps(self, node: PeerId, epoch: int) -> bool:
        """Whether facts of this epoch are known to be gone: damaged, no room on the disk, or older files dropped."""
        journal = self.journals[node]
        if not journal or any(e.event == "damaged" or (e.event == "lost" and e.epoch == epoch) for e in journal):
            return True
        oldest = journal[0]
        return any(e.event == "dropped" for e in journal) and (oldest.epoch, oldest.n or 0) > (epoch, 0)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found."""

    check: str
    facts: int  # that it looked at and could judge
    failed: int = 0  # of these
    examples: tuple[str, ...] = ()  # the first few, with file:line
    notes: tuple[str, ...] = ()  # what is loud but no violation: who could not be verified, and what explains what

    @property
    def state(self) -> str:
        """passed, failed, or nothing to check."""
        if self.failed:
            return "failed"
        return "passed" if self.facts else "nothing to check"


class Tally:
    """Collects one finding."""

    def __init__(self, check: str) -> None:
        self._check, self._facts, self._failed = check, 0, 0
        self._examples: list[str] = []
        self._notes: dict[str, int] = {}

    def judge(self, holds: bool, place: str, complaint: str) -> None:
        """Count one fact; where it does not hold, `complaint` says what was seen and what was wanted."""
        self._facts += 1
        if not holds:
            self._failed += 1
            if len(self._examples) < SHOWN:
                self._examples.append(f"{place}: {complaint}")

    def note(self, text: str) -> None:
        """Something to say that is no violation; said once, with how often."""
        self._notes[text] = self._notes.get(text, 0) + 1

    def finding(self) -> Finding:
        notes = tuple(text if times == 1 else f"{text} ({times} facts)" for text, times in self._notes.items())
        return Finding(
            check=self._check, facts=self._facts, failed=self._failed, examples=tuple(self._examples), notes=notes
        )


def read_evidence(run: RunFolder) -> Evidence:
    """Journals and records of the nodes below a run folder.

    Raises:
        BadMessage: a records file with a line that is none.
        ConfigError: a node or topology file that cannot be read.
    """
    journals = {PeerId(p.name): tuple(read_journal(p)) for p in sorted(run.path.iterdir()) if p.is_dir()}
    journals = {node: journal for node, journal in journals.items() if journal}
    records = {node: read_records(path) for node in journals if (path := run.node(node).records).exists()}
    graph = load_topology(run.topology) if run.topology.exists() else None
    wanted = set(graph.nodes if graph is not None else ())
    starts = (entry for journal in journals.values() for entry in map(_sound, journal) if entry.event == "start")
    wanted |= {PeerId(str(name)) for start in starts for name in start["neighbours"]}
    joins = (entry for journal in journals.values() for entry in map(_sound, journal) if entry.event == "join")
    wanted |= {PeerId(str(join["peer"])) for join in joins}
    mixing = load_node_config(run.config).gossip.mixing.name if run.config.exists() else None
    balanced = graph is None or graph.is_open or graph.is_balanced
    return Evidence(journals, records, tuple(sorted(wanted - journals.keys())), mixing, balanced)


def sound(evidence: Evidence) -> Evidence:
    """The same, where a fact without the fields that its event has becomes "damaged": checks may trust the rest."""
    journals = {node: tuple(map(_sound, journal)) for node, journal in evidence.journals.items()}
    return replace(evidence, journals=journals)


def _sound(entry: Entry) -> Entry:
    reason = _misshapen(entry)
    return replace(entry, event="damaged", fields={"reason": reason}) if reason else entry


def _misshapen(entry: Entry) -> str:
    """What a fact lacks; empty: nothing."""
    for name, kind in SHAPES.get(entry.event, {}).items():
        if not isinstance(entry[name], kind) or isinstance(entry[name], bool):
            return f"{entry.event} with {name} {entry[name]!r}; wanted {kind.__name__}"
    if entry.event == "mix":
        versions, mass = entry["used"].values(), entry["mass"]
        if not all(isinstance(v, list) and [type(x) for x in v] == [int, int] for v in versions):
            return f"mix with used {entry['used']!r}; wanted peer: [epoch, seq]"
        if mass is not None and not (isinstance(mass, dict) and {"w", "sent", "got"} <= mass.keys()):
            return f"mix with mass {mass!r}; wanted w, sent and got"
    return ""


def lives(journal: Sequence[Entry]) -> Iterator[list[Entry]]:
    """The facts of one process after the other; damaged ones left out."""
    whole = (entry for entry in journal if entry.event != "damaged")
    for _, life in groupby(whole, key=lambda entry: entry.epoch):
        yield list(life)
