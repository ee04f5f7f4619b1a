"""Two concepts hidden among nodes: what should be shared? After FedSA-LoRA (Guo et al. 2024, arXiv:2410.01463).

The texts are dealt alike, but half of the nodes (the seed draws which) name the 16 intents otherwise: their labels
are turned by one. Nobody is told who belongs to whom, and W mixes both halves. Each node is tested on the test texts in
its own naming. A milder twin renames 4 of the 16 intents only.

Difference to the paper: there the heterogeneity is in the texts' distribution and A goes to a server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from _figures import Figure

from _learning.network import IID, Result, Setting, warm_of
from _learning.tables import gain, networks, seeds
from node.app import learners
from node.app.rules.fit import fitted
from node.app.simulating.together import Together
from node.learn import draw
from node.learn.prepare import Learner, Prepared, prepare
from node.learn.training.passes import Reader
from node.types import PeerId

DEALT = 16  # parts that the 1,600 texts are dealt in: 100 a node
SHARED: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "all but the head": {"gossip.share": ["!classifier"]},
    "A and the head": {"gossip.share": ["lora_A", "classifier"]},
    "A (FedSA-LoRA)": {"gossip.share": ["lora_A"]},
    "B and the head, A frozen (FFA-LoRA)": {"lora.freeze": ["lora_A"]},
}
RENAMED = {"16 of 16 intents": 16, "4 of 16 intents": 4}


@dataclass(frozen=True)
class Concepts:
    """A run in which half of the nodes name the first `renamed` labels otherwise."""

    setting: Setting
    renamed: int

    def together(self) -> Result:
        """Each node's own model on its own naming, at the end."""
        config, topology, _ = fitted(self.setting.config(), self.setting.topology())
        warm = warm_of(config, topology)
        assert warm.learner is not None
        nodes = Together(warm)
        nodes.learners |= self._dealt(topology.nodes, warm.learner)
        outcome = nodes.run()
        return result(outcome.values(), outcome.bytes)

    def alone(self) -> Result:
        """The same without a network, plain AdamW."""
        config, topology, _ = fitted(self.setting.config(), self.setting.topology())
        learner = warm_of(config, topology).learner
        assert learner is not None
        train = replace(learner.settings.train, delayed=False)
        learner = replace(learner, settings=replace(learner.settings, train=train))
        nodes = self._dealt(topology.nodes, learner).values()
        return result([n.trainer.evaluate(learners.trained(n, self.setting.rounds))["accuracy"] for n in nodes], 0.0)

    def _dealt(self, names: Sequence[PeerId], learner: Learner) -> dict[PeerId, Prepared]:
        other = turned(learner, self.renamed)
        order = draw.permutation(len(names), self.setting.seed, "concepts")
        second = {names[int(i)] for i in order[: len(names) // 2]}
        return {
            peer: prepare(
                learner.settings,
                learner.adapter.base,
                peer=peer,
                index=index,
                nodes=DEALT,
                learner=other if peer in second else learner,
            )
            for index, peer in enumerate(names)
        }


def result(accuracies: Sequence[float], sent: float) -> Result:
    return Result(tuple(accuracies), metrics=(), bytes=sent, distance=(), product_distance=(), course=())


def turned(learner: Learner, count: int) -> Learner:
    """The same texts, the first `count` labels turned by one; what frozen layers say about them stays true."""

    def name(label: int) -> int:
        return (label + 1) % count if label < count else label

    def read(reader: Reader) -> Reader:
        labels = tuple(map(name, reader.texts.labels))
        return Reader(reader.adapter, replace(reader.texts, labels=labels), reader.remembered)

    corpus = learner.corpus
    train, test = (tuple(replace(e, label=name(e.label)) for e in part) for part in (corpus.train, corpus.test))
    assert learner.test is not None
    return replace(
        learner,
        corpus=replace(corpus, train=train, test=test),
        train=read(learner.train),
        test=read(learner.test),
    )


def rows(quick: bool) -> list[Figure]:
    wanted = dict(list(RENAMED.items())[: 1 if quick else 2])
    return [figure for name, count in wanted.items() for figure in _concepts(name, count, quick)]


def _concepts(name: str, renamed: int, quick: bool) -> list[Figure]:
    head = f"sharing, ring of 8, two namings of {name}"
    base = Setting(nodes=8, partition=IID, rounds=20)
    base = replace(base, rounds=4, data="few16") if quick else base
    arms = {
        arm: [Concepts(replace(base, seed=seed, more=more), renamed) for seed in seeds(quick)]
        for arm, more in SHARED.items()
    }
    alone = [c.alone() for c in arms["all"]]
    found = {arm: [c.together() for c in concepts] for arm, concepts in arms.items()}
    mean = {arm: [r.accuracy for r in results] for arm, results in found.items()}
    fedsa = mean["A (FedSA-LoRA)"]
    return [
        *networks(f"{head}: isolated", alone),
        *(figure for arm, results in found.items() for figure in networks(f"{head}: share {arm}", results)),
        gain(f"{head}: share A minus share all", fedsa, mean["all"], least=0.0),
        gain(f"{head}: share A minus share all but the head", fedsa, mean["all but the head"]),
        gain(f"{head}: share all but the head minus isolated", mean["all but the head"], [a.accuracy for a in alone]),
        gain(f"{head}: share A minus isolated", fedsa, [a.accuracy for a in alone]),
    ]
