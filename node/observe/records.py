"""One record a round: what a node measured, as one JSON line in its folder.

Decides which numbers are kept and how they are written. Knows no wire format and no vectors: sketches are bytes here
(float32 little-endian, base64 in the line).

The file is never rotated. The report, the audit and a node that starts again read all of it, a contraction needs every
round, and it stays small: 7 kB a line, so 10,000 rounds take 70 MB.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from node.errors import BadMessage
from node.observe.lines import LineWriter, whole_lines
from node.types import PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """Where the time of one round went."""

    train: float  # seconds
    exchange: float  # seconds, waiting for neighbours included


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """What one node measured in one round."""

    round: int
    time: float  # unix, at the end of the round; for logs only
    loss: float  # mean over the round's local steps; not finite is written as null and read as nan
    accuracy: float | None = None  # of the vectors handed to training; None: not evaluated in this round
    metrics: Mapping[str, float] = field(default_factory=dict)  # of the same vectors: "common/f1", "private/loss" ...
    seconds: Seconds
    bytes_sent: int  # in this round
    bytes_received: int  # in this round
    contributions: int  # neighbours' vectors applied, over all hops
    missing: tuple[PeerId, ...] = ()  # neighbours that some hop went without
    staleness: Mapping[PeerId, int] = field(default_factory=dict)  # rounds behind us; negative: ahead
    local_distance: float | None = None  # sqrt(sum_j w_ij |theirs_j - mine|^2), in the units of x
    intact: bool = True  # see `node.core.events.Mixed`
    settled: float = 0.0  # by how much, in the units of x, what earlier rounds owed moved us, or would have
    before: bytes = b""  # sketch of theta - theta_0 before mixing, 4k bytes; empty: none
    after: bytes = b""  # and after mixing
    product: bytes = b""  # sketch of LoRA's products B A after mixing, see `node.observe.probes`; empty: none
    predicted_contraction: float | None = None  # what the graph and the rule promise for a whole round


def newest_metrics(records: Iterable[RoundRecord]) -> dict[str, float]:
    """The newest value of each metric; not all are measured in the same rounds. `records`: oldest first."""
    return {name: value for record in records for name, value in record.metrics.items()}


def to_line(record: RoundRecord) -> str:
    """One line of strict JSON, without the newline."""
    fields = {
        "round": record.round,
        "time": round(record.time, 3),
        "loss": _finite(record.loss),
        "accuracy": _finite(record.accuracy),
        **({"metrics": {name: _finite(value) for name, value in record.metrics.items()}} if record.metrics else {}),
        "seconds": {"train": record.seconds.train, "exchange": record.seconds.exchange},
        "bytes_sent": record.bytes_sent,
        "bytes_received": record.bytes_received,
        "contributions": record.contributions,
        "missing": list(record.missing),
        "staleness": dict(record.staleness),
        "local_distance": _finite(record.local_distance),
        "intact": record.intact,
        "settled": _finite(record.settled),
        "before": base64.b64encode(record.before).decode(),
        "after": base64.b64encode(record.after).decode(),
        "product": base64.b64encode(record.product).decode(),
        "predicted_contraction": _finite(record.predicted_contraction),
    }
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


def from_line(line: str) -> RoundRecord:
    """The inverse of `to_line`; unknown keys are skipped, so that older readers read newer files.

    Raises:
        BadMessage: not a record.
    """
    try:
        return _from_fields(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise BadMessage(f"not a round record ({type(error).__name__}: {error}): {line[:60]!r}") from error


def _from_fields(fields: Mapping[str, Any]) -> RoundRecord:
    loss = fields["loss"]
    return RoundRecord(
        round=int(fields["round"]),
        time=float(fields["time"]),
        loss=math.nan if loss is None else float(loss),
        accuracy=fields["accuracy"],
        metrics={str(name): value for name, value in fields.get("metrics", {}).items() if value is not None},
        seconds=Seconds(train=float(fields["seconds"]["train"]), exchange=float(fields["seconds"]["exchange"])),
        bytes_sent=int(fields["bytes_sent"]),
        bytes_received=int(fields["bytes_received"]),
        contributions=int(fields["contributions"]),
        missing=tuple(PeerId(peer) for peer in fields["missing"]),
        staleness={PeerId(peer): int(lag) for peer, lag in fields["staleness"].items()},
        local_distance=fields["local_distance"],
        intact=bool(fields["intact"]),
        settled=float(fields.get("settled") or 0.0),
        before=base64.b64decode(fields["before"], validate=True),
        after=base64.b64decode(fields["after"], validate=True),
        product=base64.b64decode(fields.get("product") or "", validate=True),
        predicted_contraction=fields["predicted_contraction"],
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


class RecordWriter:
    """Appends records to a file, one line each, in the operating system's hands when `write` returns."""

    def __init__(self, path: Path) -> None:
        self._file = LineWriter(path)

    def write(self, record: RoundRecord) -> None:
        """Appends one line. A SIGKILL afterwards loses nothing; a power cut may.

        Raises:
            OSError: no room; the file is as it was.
        """
        self._file.write(to_line(record))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_records(path: Path) -> tuple[RoundRecord, ...]:
    """All records of a file by round, oldest first.

    A round that was done again after a restart counts once, the later try.
    A last line without its newline was torn by a kill, and is left out.

    Raises:
        BadMessage: a whole line that is not a record; the message names file and line.
        FileNotFoundError: no such file.
    """
    rounds: dict[int, RoundRecord] = {}
    for number, line in enumerate(whole_lines(path), start=1):
        try:
            record = from_line(line)
        except BadMessage as error:
            raise BadMessage(f"{path}:{number}: {error}") from error
        rounds[record.round] = record
    return tuple(rounds[round] for round in sorted(rounds))
