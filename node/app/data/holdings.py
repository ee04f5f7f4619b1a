"""What each node holds: how many texts, of which classes, and how unlike the whole that is.

Decides how that is counted and told; reads what the nodes will read, as they will read it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from node.app.data.data_settings import data_settings, is_dealt, partition_settings
from node.config import NodeConfig
from node.errors import ConfigError
from node.learn.dealing.partition import BY_COLUMN, partition
from node.learn.dealing.skew import Counts, effective_classes, effective_nodes, total_variation
from node.learn.reading.data import load
from node.learn.reading.examples import Corpus
from node.types import PeerId


@dataclass(frozen=True, eq=False)
class Holdings:
    """Texts by node and class; those that a node keeps to test its own model on are among them."""

    nodes: tuple[PeerId, ...]
    sizes: tuple[int, ...]
    labels: tuple[str, ...]  # () where texts have none
    counts: Counts  # (n, c)

    @property
    def examples(self) -> int:
        return sum(self.sizes)

    def facts(self) -> dict[str, Any]:
        """One document: what `--json` prints and what a manifest keeps."""
        variation, effective = total_variation(self.counts), effective_classes(self.counts)
        nodes = [
            {
                "id": peer,
                "examples": size,
                "share": round(size / max(self.examples, 1), 6),
                "classes": {label: int(n) for label, n in zip(self.labels, row, strict=True) if n},
                "total_variation": round(float(tv), 4) if self.labels else None,
                "effective_classes": round(float(classes), 3) if self.labels else None,
            }
            for peer, size, row, tv, classes in zip(
                self.nodes, self.sizes, self.counts, variation, effective, strict=True
            )
        ]
        return {
            "examples": self.examples,
            "labels": list(self.labels),
            "nodes": nodes,
            "mean_total_variation": round(float(variation.mean()), 4) if self.labels else None,
            "effective_nodes": round(effective_nodes(self.sizes), 3),
            "sizes": dict(zip(self.nodes, self.sizes, strict=True)),
        }


def counted(nodes: Sequence[PeerId], held: Sequence[Sequence[str | None]]) -> Holdings:
    """From the label of each text of each node; labels in sorted order. None: a text without one."""
    found = [Counter(label for label in labels if label is not None) for labels in held]
    return _in_order(nodes, tuple(map(len, held)), found, tuple(sorted(set().union(*found))))


def holdings_of(config: NodeConfig, nodes: Sequence[PeerId]) -> Holdings:
    """What the nodes of a topology will train on.

    Raises:
        ConfigError: data that cannot be read or dealt, or blocks of tokens, which only a trainer can count.
    """
    by = config.partition.by
    if config.task == "causal_lm" and by != "none":
        raise ConfigError(
            f"partition.by: {by} deals blocks of tokens with task: causal_lm, which only a trainer can count; "
            f"wanted a file a node"
        )
    if is_dealt(config):
        return _dealt(config, tuple(nodes))
    corpora = [_corpus(config, peer) for peer in nodes]
    labels = tuple(dict.fromkeys(label for corpus in corpora for label in _classes(config, corpus)))
    found = [Counter(corpus.labels[e.label] for e in corpus.train if labels) for corpus in corpora]
    return _in_order(nodes, tuple(len(corpus.train) for corpus in corpora), found, labels)


def _dealt(config: NodeConfig, nodes: tuple[PeerId, ...]) -> Holdings:
    corpus, deal = _corpus(config, nodes[0]), partition_settings(config)
    texts = corpus.train
    rows = partition([e.label for e in texts], len(nodes), deal, [e.key for e in texts])
    labels = _classes(config, corpus)
    found = [Counter(labels[texts[int(i)].label] for i in row if labels) for row in rows]
    return _in_order(nodes, tuple(map(len, rows)), found, labels)


def _classes(config: NodeConfig, corpus: Corpus) -> tuple[str, ...]:
    """Labels of whole texts; a tag a word is none."""
    return corpus.labels if config.task == "classification" else ()


def _corpus(config: NodeConfig, peer: PeerId) -> Corpus:
    column = config.partition.column if config.partition.by in BY_COLUMN else None
    return load(
        data_settings(config, peer),
        peer,
        config.task,
        common=is_dealt(config),
        column=column,
    )


def _in_order(
    nodes: Sequence[PeerId], sizes: tuple[int, ...], found: Sequence[Counter[str]], labels: tuple[str, ...]
) -> Holdings:
    counts = np.array([[counter[label] for label in labels] for counter in found], dtype=np.int64)
    return Holdings(tuple(nodes), sizes, labels, counts.reshape(len(nodes), len(labels)))
