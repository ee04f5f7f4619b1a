"""The audit of a run, offline: reads what every node wrote and says whether the promises were kept.

Pure over the evidence. A check passes, fails with its first counterexamples, or had nothing to check: silence is no
proof.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from node.app.auditing.checks import (
    applied_by_neighbour,
    applied_once,
    applied_was_sent,
    committed_not_altered,
    committed_not_lost,
    finite_applied,
    journal_whole,
    rounds_monotone,
    used_was_applied,
)
from node.app.auditing.evidence import Evidence, Finding, read_evidence, sound
from node.app.auditing.mass import mass_conserved
from node.app.run.run_folder import RunFolder
from node.errors import GossipError
from node.observe.journal import NAME
from node.types import PeerId

CHECKS: tuple[Callable[[Evidence], Finding], ...] = (
    journal_whole,
    committed_not_lost,
    committed_not_altered,
    applied_was_sent,
    applied_once,
    applied_by_neighbour,
    used_was_applied,
    rounds_monotone,
    finite_applied,
    mass_conserved,
)


@dataclass(frozen=True)
class Report:
    """What an audit found."""

    findings: tuple[Finding, ...]
    nodes: tuple[PeerId, ...]  # whose journals were read
    silent: tuple[PeerId, ...] = ()  # whose journals are not here

    @property
    def ok(self) -> bool:
        """No check failed, and some check had facts to look at."""
        states = {finding.state for finding in self.findings}
        return "failed" not in states and "passed" in states

    def document(self) -> dict[str, Any]:
        """What `gossip audit --json` prints."""
        checks = [asdict(finding) | {"state": finding.state} for finding in self.findings]
        return {"ok": self.ok, "nodes": self.nodes, "unverifiable": self.silent, "checks": checks}


def audit(run: Path) -> Report:
    """Checks all that the nodes of a run folder wrote.

    Raises:
        BadMessage: a records file with a line that is none.
        ConfigError: the run's node or topology file cannot be read.
        GossipError: no node wrote a journal there.
    """
    evidence = read_evidence(RunFolder(run))
    if not evidence.journals:
        raise GossipError(f"{run}: no node has written a journal here (wanted NODE/{NAME})")
    return judge(evidence)


def judge(evidence: Evidence) -> Report:
    """Every check on the same evidence."""
    whole = sound(evidence)
    return Report(tuple(check(whole) for check in CHECKS), tuple(evidence.journals), evidence.silent)
