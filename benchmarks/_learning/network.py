"""One setting to one result: all nodes of a network in this process, and the learners that they are compared with.

    result = run(Setting(graph="ring", mixing="dpsgd", moments=False, seed=1))
    result.accuracy, result.worst, result.bytes

`run` is the product's own run (`node.app.simulating.together`): real trainers, codecs, edges and settlement. What a
node file can say and `Setting` has no word for goes into `more` by its dotted key: `more={"gossip.share": ["lora_A"]}`.
The base, its encoded texts and what the frozen layers say about them are kept for the life of the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from _learning.data import data
from node.app import learners
from node.app.rules.fit import fitted
from node.app.rules.products import pairs_of, period_of
from node.app.settings import learn_settings
from node.app.simulating.simulate import topology_of
from node.app.simulating.together import OnMixed, Together, Watch
from node.app.warm import Warm
from node.config import NodeConfig, check_config
from node.graph.topology import Topology
from node.learn.dealing.partition import BY_COLUMN, PartitionSettings
from node.learn.model.base import Base
from node.learn.model.prefix import Remembered
from node.learn.prepare import Learner, LearnSettings, open_learner, open_model, prepare
from node.types import Pair, PeerId

# With the pooler trained whole (d = 166,288 instead of 18,448 on 16 intents) one learner comes to .950 instead of .951
# after 160 steps, and every message is nine times as long.
LORA = {"r": 8, "alpha": 16.0, "target_modules": ["query", "value"], "layers": [5]}
RATES = (5e-3, 1e-2, 2e-2, 4e-2)  # that one learner with all the data is tried with
BY_CLASS = {"by": "class"}
IID = {"by": "iid"}


def dirichlet(alpha: float) -> dict[str, Any]:
    return {"by": "dirichlet", "alpha": alpha}


@dataclass(frozen=True)
class Setting:
    """One run. The defaults are the middle of all tables: 16 nodes on a ring, one class each, K = 4."""

    data: str = "intents16"  # see _learning.data
    nodes: int = 16
    graph: Any = "ring"  # a generator, (generator, its settings), or None: a schedule alone
    schedule: Any = None  # a name, or a mapping as in a topology file
    weights: str | None = None  # None: the default
    sizes: Mapping[str, int] | None = None  # of the nodes' data, for weights: data_size
    mixing: Any = "auto"  # as under gossip.mixing
    moments: bool = True
    local_steps: int = 4  # K
    rounds: int = 20
    learning_rate: float = 2e-2  # for 80 to 160 steps in all
    batch: int = 8
    partition: Mapping[str, Any] = field(default_factory=lambda: BY_CLASS)
    lora: Mapping[str, Any] = field(default_factory=lambda: LORA)
    base: str = "minilm"
    sequence_len: int = 16
    seed: int = 0  # of the start values, the order of data, and (unless it says so) the partition
    more: Mapping[str, Any] = field(default_factory=dict)  # dotted key of a node file -> value

    def config(self) -> NodeConfig:
        """The node file."""
        mapping: dict[str, Any] = {
            "base_model": self.base,
            "partition": {"seed": self.seed, **self.partition},
            "lora": dict(self.lora),
            "train": {
                "learning_rate": self.learning_rate,
                "lr_scheduler": "linear",
                "warmup_ratio": 0.2,
                "adam_beta1": 0.8,
                "micro_batch_size": self.batch,
                "local_steps": self.local_steps,
                "sequence_len": self.sequence_len,
            },
            "gossip": {"rounds": self.rounds, "mixing": self.mixing, "moments": self.moments},
            "seed": self.seed,
            "checkpoint_every": 0,
        }
        mapping |= data(self.data).settings()
        for key, value in self.more.items():
            *parents, last = key.split(".")
            block = mapping
            for parent in parents:
                block = block.setdefault(parent, {})
            block[last] = value
        return check_config(mapping, "benchmark")

    def topology(self) -> Topology:
        said: dict[str, Any] = {"nodes": self.nodes}
        name, more = (self.graph, {}) if isinstance(self.graph, str | None) else self.graph
        said |= {"generator": {"name": name, **more}} if name is not None else {}
        said |= {"schedule": self.schedule} if self.schedule is not None else {}
        said |= {"weights": self.weights} if self.weights is not None else {}
        said |= {"sizes": dict(self.sizes)} if self.sizes is not None else {}
        return topology_of(said)


class Point(NamedTuple):
    """Somewhere on the way."""

    round: int  # 1: after the first
    accuracy: float  # mean of the nodes that were asked
    sent: float  # bytes a node up to here
    distance: float


class Result(NamedTuple):
    """What tables are made of."""

    accuracies: tuple[float, ...]  # of each node's own model on the common test set
    metrics: tuple[Mapping[str, float], ...]  # all that was measured, a node
    bytes: float  # sent, a node, frames of the protocol
    distance: tuple[float, ...]  # after each round
    product_distance: tuple[float | None, ...]  # the same of LoRA's products, from probes
    course: tuple[Point, ...]  # with `watch`

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.accuracies))

    @property
    def worst(self) -> float:
        return min(self.accuracies)

    def rounds_to(self, accuracy: float) -> float:
        """The first round after which the nodes that were asked have it on average; infinite: never."""
        return next((float(p.round) for p in self.course if p.accuracy >= accuracy), float("inf"))

    def bytes_to(self, accuracy: float) -> float:
        """Bytes a node until then."""
        return next((p.sent for p in self.course if p.accuracy >= accuracy), float("inf"))


def run(setting: Setting, watch: int = 0, asked: int = 4, on_mixed: OnMixed | None = None) -> Result:
    """The network of this setting, to its last round.

    Args:
        watch: rounds between two looks on the way; 0: only at the end.
        asked: how many nodes, evenly spaced, are looked at then (a look costs as much as 20 steps).
        on_mixed: told each round of each node.
    """
    config, topology, _ = fitted(setting.config(), setting.topology())
    names = topology.nodes
    some: Sequence[PeerId] = [names[i * len(names) // asked] for i in range(min(asked, len(names)))]
    told = {} if on_mixed is None else {"on_mixed": on_mixed}
    together = Together(warm_of(config, topology), watch=Watch(watch, some), **told)
    outcome = together.run()
    course = [
        Point(r.round + 1, float(np.mean([m["accuracy"] for m in r.metrics.values()])), r.sent, r.distance)
        for r in outcome.rounds
        if r.metrics
    ]
    return Result(
        tuple(outcome.values()) if "accuracy" in next(iter(outcome.metrics.values())) else (),
        tuple(outcome.metrics[peer] for peer in sorted(outcome.metrics)),
        outcome.bytes,
        tuple(r.distance for r in outcome.rounds),
        tuple(r.product_distance for r in outcome.rounds),
        tuple(course),
    )


def layout_of(setting: Setting) -> tuple[Pair, ...]:
    """Where the factor pairs of this setting's adapter lie."""
    config = setting.config()
    learner = warm_of(config, setting.topology()).learner
    assert learner is not None  # data that all nodes read
    return pairs_of(learner.adapter.schema)


class Alone(NamedTuple):
    """Nodes that do not gossip."""

    accuracies: tuple[float, ...]
    ceilings: tuple[float, ...]  # of each: what it can reach without ever naming a class that it has not seen
    one_shot: float  # their adapters averaged once, at the end

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.accuracies))

    @property
    def ceiling(self) -> float:
        return float(np.mean(self.ceilings))


def isolated(setting: Setting) -> Alone:
    """Every node with its own texts only, as many steps, plain AdamW."""
    bench = _bench(setting)
    thetas, accuracies, ceilings = [], [], []
    for index, peer in enumerate(setting.topology().nodes):
        one = prepare(bench.settings, bench.base, peer=peer, index=index, nodes=setting.nodes, learner=bench.learner)
        thetas.append(learners.trained(one, setting.rounds))
        accuracies.append(one.trainer.evaluate(thetas[-1])["accuracy"])
        ceilings.append(learners.ceiling(bench.learner, one))
    merged = one.trainer.evaluate(torch.stack(thetas).mean(0))["accuracy"]
    return Alone(tuple(accuracies), tuple(ceilings), merged)


def pooled(setting: Setting, times: int = 1, learning_rate: float | None = None) -> float:
    """One learner with all the texts: accuracy after as many steps as a node takes, at `times` its batch."""
    bench = _bench(setting)
    train = replace(
        bench.settings.train,
        micro_batch_size=times * setting.batch,
        learning_rate=learning_rate or setting.learning_rate,
    )
    settings = replace(bench.settings, train=train, partition=PartitionSettings("none"))
    one = prepare(
        settings, bench.base, peer="pooled", index=0, nodes=1, learner=replace(bench.learner, settings=settings)
    )
    return one.trainer.evaluate(learners.trained(one, setting.rounds))["accuracy"]


def pooled_at_best(settings: Sequence[Setting], times: int = 1, rates: Sequence[float] = RATES) -> list[float]:
    """`pooled` a seed, at the best rate on the first, by the test set: what others are compared with is tuned."""
    first = {rate: pooled(settings[0], times, rate) for rate in rates}
    best = max(first, key=lambda rate: first[rate])
    return [first[best], *(pooled(s, times, best) for s in settings[1:])]


def _bench(setting: Setting) -> learners.Bench:
    """Plain AdamW, as everybody knows it: a delayed gradient only helps those who mix."""
    config, topology, _ = fitted(setting.config(), setting.topology())
    warm = warm_of(config, topology)
    bench = learners.Bench(warm.settings, warm.base, warm.learner, setting.rounds)
    plain = bench.plain()
    return replace(bench, settings=plain, learner=replace(bench.learner, settings=plain))


# ---- what is kept for the life of the process
_bases: dict[Any, Base] = {}
_learners: dict[Any, Learner] = {}  # the newest few
_remembered: dict[Any, tuple[Remembered, ...]] = {}  # by base, texts and how far the frozen layers reach
KEPT = 4  # learners


def warm_of(config: NodeConfig, topology: Topology) -> Warm:
    settings = learn_settings(config, topology.nodes[0], period_of(config, topology))
    base = _base(settings)
    return Warm(config, topology, settings, base, _learner(settings, base))


def _base(settings: LearnSettings) -> Base:
    train = settings.train
    key = (settings.base_model, settings.task, settings.data, train.bf16, train.device, train.four_bits)
    if key not in _bases:
        torch.set_num_threads(1)
        _bases[key] = open_model(settings)
    return _bases[key]


def _learner(settings: LearnSettings, base: Base) -> Learner | None:
    """Shared by all nodes, with its prefix cache filled; None where every node has texts of its own."""
    if not settings.common:
        return None
    train = replace(settings.train, learning_rate=1.0, micro_batch_size=1, local_steps=1, rounds=1)
    dealt = settings.partition if settings.partition.by in BY_COLUMN else PartitionSettings("none")
    key = (id(base), settings.common, replace(settings, train=train, partition=dealt, moments=True))
    if key not in _learners:
        learner = open_learner(settings, base)
        _recall((id(base), settings.data, train.sequence_len, learner.prefix), learner)
        _learners[key] = learner
        for old in list(_learners)[:-KEPT]:
            del _learners[old]
    return replace(_learners[key], settings=settings)


def _recall(key: Any, learner: Learner) -> None:
    """Frozen layers say the same to every adapter above them: what was computed once serves all."""
    for cache, filled in zip(learner.caches, _remembered.setdefault(key, learner.caches), strict=True):
        cache.rows = filled.rows
    learner.remember()
