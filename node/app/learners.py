"""Learners that do not gossip, to compare with: nodes alone, their adapters averaged once, one with all the data.

They use the same trainer, texts and start values as the nodes of the run, and write a result file like theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from node.app.adapters.predict import predict
from node.app.run.processes import announce
from node.app.run.run_folder import NodeFolder, write_json
from node.learn.dealing.partition import PartitionSettings
from node.learn.model.base import Base
from node.learn.prepare import Learner, LearnSettings, Prepared, prepare
from node.observe.records import RecordWriter, RoundRecord, Seconds
from node.types import Vector

TIMES_BATCH = 4  # of the larger learner with all the data: as many texts a step as four nodes see together


@dataclass(frozen=True, slots=True)
class Bench:
    """What every learner here is made from."""

    settings: LearnSettings
    base: Base
    learner: Learner
    rounds: int

    def plain(self) -> LearnSettings:
        """The settings with AdamW as everybody knows it: a delayed gradient only helps those who mix."""
        return replace(self.settings, train=replace(self.settings.train, delayed=False))


def run_alone(bench: Bench, folder: NodeFolder, nodes: Sequence[str], sentences: Sequence[str]) -> None:
    """Train each node's share alone, then average their adapters once.

    Writes {"isolated": {node: accuracy}, "isolated_ceiling": {node: accuracy}, "one_shot": accuracy, "sentences":
    [[label, p], ...] of the first node alone}.
    """
    thetas: list[Vector] = []
    isolated, ceilings = {}, {}
    with _Progress(folder, bench.rounds) as progress:
        for index, node in enumerate(nodes):
            one = prepare(bench.plain(), bench.base, peer=node, index=index, nodes=len(nodes), learner=bench.learner)
            thetas.append(trained(one, bench.rounds, progress))
            isolated[node] = _accuracy(one, thetas[-1])
            ceilings[node] = ceiling(bench.learner, one)
        said = predict(one.adapter, thetas[0], sentences, bench.settings.train.sequence_len)
        merged = _accuracy(one, torch.stack(thetas).mean(0))
    result = {"isolated": isolated, "isolated_ceiling": ceilings, "one_shot": merged}
    write_json(folder.result, result | {"sentences": [next(iter(v.items())) for v in said]})
    announce(folder, "finished", exit_code=0)


def run_pooled(bench: Bench, folder: NodeFolder, rates: Sequence[float]) -> None:
    """Train on all the data at once, at the same batch and at four times the batch.

    Args:
        rates: learning rate of either.

    Writes {"centralised": accuracy, "centralised_4x": accuracy}.
    """
    result = {}
    with _Progress(folder, bench.rounds) as progress:
        for name, times, rate in (("centralised", 1, rates[0]), ("centralised_4x", TIMES_BATCH, rates[1])):
            train = bench.plain().train
            train = replace(train, micro_batch_size=times * train.micro_batch_size, learning_rate=rate)
            settings = replace(bench.settings, train=train, partition=PartitionSettings("none"))
            one = prepare(settings, bench.base, peer="pooled", index=0, nodes=1, learner=bench.learner)
            result[name] = _accuracy(one, trained(one, bench.rounds, progress))
    write_json(folder.result, result)
    announce(folder, "finished", exit_code=0)


def ceiling(learner: Learner, one: Prepared) -> float:
    """The accuracy that a node can reach at most if it never answers a class that it has not seen."""
    known = {label for label, count in enumerate(one.classes) if count}
    return sum(e.label in known for e in learner.corpus.test) / len(learner.corpus.test)


def trained(one: Prepared, rounds: int, step: Callable[[float], None] = lambda loss: None) -> Vector:
    """(whole.d,) what `rounds` rounds without neighbours come to; `step` is told each round's loss."""
    shared = one.shared
    for round in range(rounds):
        shared, stats = one.trainer.train(round, shared)
        step(stats["loss"])
    return one.trainer.whole(shared)


def _accuracy(one: Prepared, theta: Vector) -> float:
    return one.trainer.evaluate(theta)["accuracy"]


class _Progress:
    """Counts rounds of all learners of a folder in its records file, where a launcher looks."""

    def __init__(self, folder: NodeFolder, rounds: int) -> None:
        announce(folder, "running")
        folder.records.unlink(missing_ok=True)
        self._writer = RecordWriter(folder.records)
        self._done = 0

    def __call__(self, loss: float) -> None:
        zero: dict[str, Any] = {"bytes_sent": 0, "bytes_received": 0, "contributions": 0}
        record = RoundRecord(
            round=self._done, time=time.time(), loss=loss, seconds=Seconds(train=0, exchange=0), **zero
        )
        self._writer.write(record)
        self._done += 1

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()
