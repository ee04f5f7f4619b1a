"""From a round that is over to its record: a line in the node's folder; the newest stay in memory for who asks.

A disk that is full costs records, never rounds: what could not be written is logged and counted.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from node.app.rules.mixing import predicted_contraction
from node.app.warm import Warm
from node.drivers.grpc import RoundReport
from node.observe.probes import product_sketch
from node.observe.records import RecordWriter, RoundRecord, Seconds, read_records
from node.observe.sketch import sketch, to_bytes
from node.observe.status import RECORDS
from node.types import Pair, Vector

LOG = logging.getLogger(__name__)


class Recorder:
    """Writes a record a round.

    Args:
        path: of the records file; what is in it already stays.
        start: (d,) theta_0, which sketches are taken from.
        warm: settings and topology, for what the graph promises.
        predicted: what it promises in a round, where it may grow.
        pairs: LoRA factors whose products are sketched, too.
    """

    def __init__(
        self,
        path: Path,
        start: Vector,
        warm: Warm,
        predicted: Callable[[int], float] | None = None,
        pairs: Sequence[Pair] = (),
    ) -> None:
        self.newest: deque[RoundRecord] = deque(read_records(path)[-RECORDS:] if path.exists() else (), maxlen=RECORDS)
        self.counters: Counter[str] = Counter()  # "records": that could not be written
        self._path, self._writer = path, RecordWriter(path)
        self._start, self._pairs = start.numpy(), tuple(pairs)
        promised = predicted_contraction(warm.config, warm.topology) if predicted is None else 0.0
        self._predicted = predicted or (lambda round: promised)

    def note(self, report: RoundReport) -> None:
        """Record one finished round."""
        mixed = report.mixed
        record = RoundRecord(
            round=mixed.round,
            time=time.time(),
            loss=mixed.stats.get("loss", float("nan")),
            accuracy=mixed.stats.get("accuracy"),
            metrics={name: value for name, value in mixed.stats.items() if "/" in name},
            seconds=Seconds(train=report.train_seconds, exchange=report.exchange_seconds),
            bytes_sent=report.bytes_sent,
            bytes_received=report.bytes_received,
            contributions=mixed.contributions,
            missing=mixed.missing,
            staleness=dict(mixed.staleness),
            intact=mixed.intact,
            settled=mixed.settled,
            before=self._sketch(mixed.before["theta"]),
            after=self._sketch(mixed.after["theta"]),
            product=to_bytes(product_sketch(mixed.after["theta"].numpy(), self._pairs)) if self._pairs else b"",
            predicted_contraction=self._predicted(mixed.round),
        )
        self.newest.append(record)
        try:
            self._writer.write(record)
        except OSError as error:
            LOG.error("%s: round %d was not recorded: %s", self._path, record.round, error)
            self.counters["records"] += 1

    def _sketch(self, theta: Vector) -> bytes:
        return to_bytes(sketch(theta.numpy(), self._start))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()
