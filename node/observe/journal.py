"""The event log of a node: one JSON line a fact, for `gossip audit` to read when the node is long gone.

    {"event": "apply", "n": 17, "t": 8.31, "time": 1763.2, "epoch": 2, ...fields}
    n: number of the fact in its epoch, from 0; t: monotonic seconds; time: unix seconds; epoch: of the process

Decides how facts are kept, not which: any event with JSON-able fields will do. A number that is not finite is null.
A file that has grown to its limit becomes journal.1.jsonl.gz, the next one journal.2.jsonl.gz: numbers grow, so a place
that an audit names stays true. All of them stay, unless a limit says otherwise; what is dropped then is told in the
next file (event "dropped"). Where the disk is full, facts are lost and counted, the node goes on, and the first line
that finds room again says how many (event "lost").
"""

from __future__ import annotations

import gzip
import json
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from node.errors import LocalFault
from node.observe.lines import LineWriter, whole_lines

LOG = logging.getLogger(__name__)
NAME = "journal.jsonl"
ROTATED = re.compile(r"journal\.(\d+)\.jsonl(\.gz)?")
LIMIT = (
    8_000_000  # bytes; 45,000 facts of 28 us; packed in 0.07 s, for which the loop of the node stands still (2 cores)
)
HEAD = ("event", "n", "t", "time", "epoch")


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact, as it was read."""

    event: str  # "damaged": a line that is no fact, with the field "reason"
    place: str  # file:line
    n: int | None = None  # None: written without
    t: float = 0.0  # monotonic seconds; comparable within an epoch
    time: float = 0.0  # unix seconds
    epoch: int = -1
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """A field; None where it is absent."""
        return self.fields.get(name)


class Journal:
    """Appends facts to a file. May be told by several threads.

    Args:
        path: the file, named journal.jsonl; what is in it stays.
        epoch: of this process; grows with each start.
        limit_bytes: of a file; a longer one is set aside and packed.
        keep: files set aside that stay; None: all, which an audit wants.
        monotonic: seconds, for `t`.
        clock: unix seconds, for `time`.
    """

    def __init__(
        self,
        path: Path,
        epoch: int,
        *,
        limit_bytes: int = LIMIT,
        keep: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.lost = 0  # facts that found no room since the last one that did
        self._path, self._epoch, self._limit, self._keep = path, epoch, limit_bytes, keep
        self._monotonic, self._clock = monotonic, clock
        self._lock = threading.Lock()
        self._n = 0
        self._file = LineWriter(path)
        self._pack_leftovers()

    def note(self, event: str, fields: Mapping[str, Any] = {}, /, **more: Any) -> None:
        """Write one fact; when this returns it survives a SIGKILL. Never raises for want of room.

        Args:
            event: what happened.
            fields: JSON-able; the same as `more`, for names that Python keeps for itself ("from").

        Raises:
            LocalFault: a field has a name of the head and another value: the epoch of a message is no epoch of ours.
        """
        with self._lock:
            try:
                if self.lost:
                    self._write("lost", {"count": self.lost})
                    self.lost = 0
                self._write(event, {**fields, **more})
            except OSError as error:
                if not self.lost:
                    LOG.warning("%s: facts are lost until there is room (%s)", self._path, error.strerror)
                self.lost += 1
            if self._file.size >= self._limit:
                self._rotate()

    def _write(self, event: str, fields: Mapping[str, Any]) -> None:
        head = {
            "event": event,
            "n": self._n,
            "t": round(self._monotonic(), 6),
            "time": round(self._clock(), 3),
            "epoch": self._epoch,
        }
        for name in fields.keys() & head.keys():
            if fields[name] != head[name]:
                raise LocalFault(f"journal: {event} with {name} {fields[name]!r}, ours is {head[name]!r}: rename it")
        self._file.write(json.dumps(head | _finite(fields), separators=(",", ":"), allow_nan=False))
        self._n += 1

    def _rotate(self) -> None:
        """Sets the file aside under the next number. Killed anywhere in here, no line is lost or read twice."""
        number = max(_rotated(self._path.parent), default=0) + 1
        aside = self._path.with_name(f"journal.{number}.jsonl")
        try:
            self._path.rename(aside)
            full, self._file = self._file, LineWriter(self._path)
            full.close()
            _pack(aside)
            if self._keep is not None:
                self._drop(self._keep)
        except OSError as error:
            LOG.warning("%s: cannot be packed (%s); tried again at the next start", aside, error.strerror)

    def _drop(self, keep: int) -> None:
        files = _rotated(self._path.parent)
        old = sorted(files)[: max(0, len(files) - keep)]
        if old:
            self._write("dropped", {"files": [files[number].name for number in old]})
        for number in old:
            files[number].unlink()

    def _pack_leftovers(self) -> None:
        """Files that a process set aside and could not pack before it was killed, or its disk was full."""
        try:
            for left in sorted(self._path.parent.glob("journal.*.jsonl")):
                _pack(left)
        except OSError as error:
            LOG.warning("%s: cannot be packed (%s)", self._path.parent, error.strerror)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read_journal(folder: Path) -> Iterator[Entry]:
    """All facts of one node in the order they were written, over files set aside and starts of the process.

    A torn last line is left out. A whole line that is no fact comes as an entry "damaged": an audit wants the rest.
    """
    rotated = _rotated(folder)
    files = [rotated[number] for number in sorted(rotated)]
    for path in [*files, *([folder / NAME] if (folder / NAME).exists() else [])]:
        try:
            lines = whole_lines(path)
        except OSError as error:
            yield Entry("damaged", f"{path}:1", fields={"reason": str(error)})
            continue
        for number, line in enumerate(lines, start=1):
            yield parse(line, f"{path}:{number}")


def parse(line: str, place: str) -> Entry:
    """The fact on a line, or an entry "damaged" with the reason."""
    try:
        fields = json.loads(line)
        n = None if fields.get("n") is None else int(fields["n"])
        event, t, at, epoch = str(fields["event"]), float(fields["t"]), float(fields["time"]), int(fields["epoch"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Entry(
            "damaged", place, fields={"reason": f"not a fact ({type(error).__name__}: {error}): {line[:60]!r}"}
        )
    return Entry(event, place, n, t, at, epoch, {name: x for name, x in fields.items() if name not in HEAD})


def _rotated(folder: Path) -> dict[int, Path]:
    """Number -> file set aside. A packed one is whole, so that it stands for the plain one beside it."""
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("journal.*.jsonl*")):
        if match := ROTATED.fullmatch(path.name):
            found[int(match[1])] = path  # .jsonl sorts before .jsonl.gz
    return found


def _pack(path: Path) -> None:
    """path -> path.gz; level 1: the default is 3 times as slow and saves an eighth."""
    packed, half = path.with_name(path.name + ".gz"), path.with_name(path.name + ".gz.tmp")
    try:
        half.write_bytes(gzip.compress(path.read_bytes(), compresslevel=1))
    except OSError:
        half.unlink(missing_ok=True)
        raise
    half.replace(packed)
    path.unlink()


def _finite(value: Any) -> Any:
    """`value` with null for every number that is not finite: strict JSON has no word for it."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): _finite(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_finite(inner) for inner in value]
    return value
