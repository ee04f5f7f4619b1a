"""Where a run keeps its files, and what they are called.

runs/NAME/
  node.yaml topology.yaml    the config as run
  jobs.json                  what the fork server was asked to start
  state.json log.txt         who the fork server is, and what it said
  report.png
  n0/ n1/ ...                a folder a node: state.json log.txt records.jsonl journal.jsonl checkpoint/
                             adapter/ best/ result.json; older ones: log.1.txt ..., journal.1.jsonl.gz ...
                             join.json, of a node that joined later
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.errors import ConfigError
from node.types import PeerId


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Whole or not at all: a reader never sees half a document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The document, or None where there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None
    return document if isinstance(document, dict) else None


def make_folder(path: Path, change: str) -> None:
    """The folder and those above it.

    Args:
        change: what the user can do where it cannot be made.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made ({error.strerror}); wanted a folder of yours; {change}") from None


@dataclass(frozen=True, slots=True)
class NodeFolder:
    """The files of one node, or of one learner that runs beside the nodes."""

    path: Path

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def records(self) -> Path:
        return self.path / "records.jsonl"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def join(self) -> Path:
        """The place of a node that joined: where it listens, who its neighbours are."""
        return self.path / "join.json"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    @property
    def best(self) -> Path:
        """The adapter with the smallest private loss, where early stopping watches it."""
        return self.path / "best"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    def forget(self) -> None:
        """Start at round 0. The epoch stays: to neighbours that run, a process with a smaller one is a dead one."""
        earlier = (*self.checkpoint.glob("*.ckpt"), *self.adapter.glob("*"), *self.best.glob("*"))
        for path in (*earlier, self.records, self.result):
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run."""

    path: Path

    def node(self, name: PeerId | str) -> NodeFolder:
        return NodeFolder(self.path / name)

    @property
    def config(self) -> Path:
        return self.path / "node.yaml"

    @property
    def topology(self) -> Path:
        return self.path / "topology.yaml"

    @property
    def jobs(self) -> Path:
        return self.path / "jobs.json"

    @property
    def server(self) -> NodeFolder:
        """State and log of the fork server."""
        return NodeFolder(self.path)

    @property
    def picture(self) -> Path:
        return self.path / "report.png"

    def started(self) -> tuple[str, ...]:
        """Names of the folders whose process was ever started, sorted."""
        return tuple(sorted(p.parent.name for p in self.path.glob("*/state.json")))
