"""Puts a node's learner together: base, adapter, private texts, prefix cache, trainer; and what two ends must agree on.

The one door for the layers above. `open_learner` holds what nodes on one machine can share before a fork (the base,
the common texts, the cache); `prepare` gives one node its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from node.errors import ConfigError
from node.learn.dealing.deals import Indices
from node.learn.dealing.partition import BY_COLUMN, BY_LABEL, PartitionSettings, partition
from node.learn.model.adapter import Adapter, attach
from node.learn.model.base import Base, open_base
from node.learn.model.device import device_of
from node.learn.model.lora_settings import LoraSettings
from node.learn.model.methods import require_room
from node.learn.model.packing import keeps_apart
from node.learn.model.prefix import Remembered, bytes_needed, find_prefix
from node.learn.model.recompute import recompute_layers
from node.learn.reading import data, docstrings
from node.learn.reading.data import DataSettings, TestSet
from node.learn.reading.dialogue import Dialogue, Template, template_text
from node.learn.reading.encode import encode
from node.learn.reading.examples import Corpus, Task, digest_of
from node.learn.reading.held_out import Held, encode_apart
from node.learn.reading.texts import Texts
from node.learn.training.objective import Objective
from node.learn.training.passes import Reader
from node.learn.training.train_settings import TrainSettings
from node.learn.training.trainer import LocalTrainer
from node.types import Digests, Shared


@dataclass(frozen=True, slots=True)
class LearnSettings:
    """All that the learner of a node is made from; every node of a run has the same, save private data paths."""

    base_model: str = "minilm"
    task: Task = "classification"
    template: Template = "auto"  # of conversations
    lora: LoraSettings = field(default_factory=LoraSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    data: DataSettings = field(default_factory=DataSettings)
    partition: PartitionSettings = field(default_factory=PartitionSettings)
    share: tuple[str, ...] = ("all",)  # patterns of what is shared, see `node.learn.model.sharing`
    moments: bool = True  # whether Adam's moments travel with theta
    seed: int = 0  # start values and order of the data

    @property
    def labelled(self) -> bool:
        """Whether each text has one label."""
        return self.task == "classification"

    @property
    def common(self) -> bool:
        """Whether all nodes read the same examples and a partition deals them out."""
        embedded = all(d.path == docstrings.NAME for d in self.data.datasets)
        return self.partition.by != "none" or embedded


@dataclass(frozen=True)
class Learner:
    """One adapted model and the texts that it reads; nodes in one process may share it, one at a time."""

    settings: LearnSettings
    adapter: Adapter
    corpus: Corpus
    train: Reader
    test: Reader | None
    held: Held  # (rows,) of the texts to train on: those that are held out instead
    prefix: str  # what the prefix cache does, in words
    packing: str  # whether texts share rows, in words

    @property
    def caches(self) -> tuple[Remembered, ...]:
        """The prefix cache of the texts to train on and of the test texts; () where there is none."""
        readers = (self.train, self.test)
        return tuple(r.remembered for r in readers if r is not None and r.remembered is not None)

    def remember(self) -> None:
        """Fill the prefix cache now, so that children forked later find it filled."""
        for cache in self.caches:
            cache.fill()


@dataclass(frozen=True)
class Prepared:
    """One node's learner, ready for its first round."""

    trainer: LocalTrainer
    shared: Shared  # x_0 as channels
    adapter: Adapter  # .schema, .whole, .save(folder, theta), .load(folder)
    digests: Digests  # what the hello compares
    data_digest: str  # of the corpus before it was dealt out
    examples: int  # private ones to train on; rows, where texts share them
    classes: tuple[int, ...]  # private examples a label, in the order of the labels; () without labels
    prefix: str
    tested_on: TestSet  # what `trainer.evaluate` measures on
    held_out: int  # private rows that are never trained on
    learner: Learner
    own: Indices  # rows of `learner.train.texts` that are trained on

    @property
    def parameters(self) -> dict[str, int]:
        """How many are {"shared", "private", "frozen"}: sent, trained but never sent, and of the adapter untrained."""
        a = self.adapter
        frozen = sum(p.numel() for p in a.frozen.values())
        return {"shared": a.schema.d, "private": a.whole.d - a.schema.d, "frozen": frozen}


def open_model(settings: LearnSettings, peer: str = "") -> Base:
    """The base model of a run, its head sized by the run's labels. Load it once in a fork server."""
    labels: tuple[str, ...] = ()
    if settings.task in ("classification", "token_classification"):
        labels = data.labels_of(settings.data, peer, settings.common, settings.task)
    train = settings.train
    return open_base(
        settings.base_model,
        settings.task,
        labels,
        bf16=train.bf16,
        device=device_of(train.device),
        four_bits=train.four_bits,
    )


def open_learner(settings: LearnSettings, base: Base, peer: str = "") -> Learner:
    """Adapter, texts and prefix cache. `peer` fills `{id}` in paths; with common data it does not matter.

    Raises:
        ConfigError: data or settings do not fit.
    """
    column = settings.partition.column if settings.partition.by in BY_COLUMN else None
    corpus = data.load(settings.data, peer, settings.task, common=settings.common, column=column)
    if corpus.labels != base.labels:
        raise ConfigError(f"labels: the data has {list(corpus.labels)}, the model was opened with {list(base.labels)}")
    if settings.data.own_labels and settings.common:
        raise ConfigError(
            f"labels: each node has its own, but all read {settings.data.datasets[0].path}; "
            f"wanted {{id}} in its path and partition.by: none, or one list of labels"
        )
    adapter = attach(base, settings.lora, settings.seed, settings.share)
    if settings.data.own_labels and (heads := adapter.answers()):
        raise ConfigError(
            f"labels: each node has its own, but all would have {heads[0]} in common, which has a row for each label; "
            f'wanted gossip.share: [all, "!{heads[0]}"] and the head not in lora.freeze, or one list of labels'
        )
    require_room(base, settings.lora, settings.train.sequence_len)
    if settings.train.checkpointing:
        recompute_layers(adapter.model)
    dialogue, packing = _dialogue(settings, adapter, corpus)
    length = settings.train.sequence_len
    train, held = encode_apart(base.tokenizer, corpus.train, length, dialogue, settings.data.private_share)
    test = encode(base.tokenizer, corpus.test, length, dialogue) if corpus.test else None
    reason = _find_prefix(settings.train, adapter, [texts for texts in (train, test) if texts is not None])
    readers = [_reader(adapter, texts) if texts is not None else None for texts in (train, test)]
    assert readers[0] is not None
    return Learner(settings, adapter, corpus, readers[0], readers[1], held, reason, packing)


def prepare(
    settings: LearnSettings,
    base: Base,
    *,
    peer: str,
    index: int,
    nodes: int,
    learner: Learner | None = None,
) -> Prepared:
    """The learner of node number `index` of `nodes` (order of the topology file).

    Args:
        learner: shared by several nodes; None: one of its own, that reads (and caches) this node's texts only.
    """
    shared = learner is not None
    learner = learner or open_learner(settings, base, peer)
    own = _own_texts(learner, index, nodes)
    kept, held = own[~learner.held[own]], own[learner.held[own]]
    if len(own) and not len(kept):
        raise ConfigError(f"private_share: holds out all {len(own)} texts of {peer}; wanted a smaller share, or 0")
    train = learner.train
    if not shared:
        train = _reader(learner.adapter, train.texts, [int(i) for i in own])
    classes = _classes(learner.corpus, kept) if settings.labelled else ()
    trainer = LocalTrainer(
        train,
        kept,
        learner.test,
        settings.train,
        seed=settings.seed,
        stream=peer,
        moments=settings.moments,
        objective=Objective(settings.train.objective, classes),
        held=held,
        tested_on=settings.data.tested_on,
    )
    return Prepared(
        trainer=trainer,
        shared=trainer.initial(),
        adapter=learner.adapter,
        digests=digests(learner.adapter, settings.template),
        data_digest=learner.corpus.digest,
        examples=len(kept),
        classes=classes,
        prefix=learner.prefix,
        tested_on=settings.data.tested_on,
        held_out=len(held),
        learner=learner,
        own=kept,
    )


def digests(adapter: Adapter, template: Template = "auto") -> Digests:
    """What two ends must agree on, by name; the topology's digest is the graph's business.

    Nothing that is private has a part in it; labels have none where the head is private.
    """
    base = adapter.base
    written = template_text(base.tokenizer, template) if base.task == "causal_lm" else ""
    return {
        **({"template": digest_of([written])} if written else {}),
        "base_model": base.digest,
        "tokenizer": base.tokenizer_digest,
        **({"labels": digest_of(base.labels)} if adapter.answers() or not base.labels else {}),
        "adapter": adapter.config_digest,
        "schema": adapter.schema.digest,
        "initial": adapter.initial_digest,
    }


def _own_texts(learner: Learner, index: int, nodes: int) -> Indices:
    """Indices of the node's texts; blocks of a causal language model are dealt evenly, classes mean nothing to them."""
    settings = learner.settings
    if settings.task != "causal_lm":
        texts = learner.corpus.train
        if settings.partition.by in BY_LABEL and not settings.labelled:
            raise ConfigError(
                f"partition.by: {settings.partition.by} wants one label a text, task: {settings.task} has a tag a word"
            )
        return partition([e.label for e in texts], nodes, settings.partition, [e.key for e in texts])[index]
    if settings.partition.by in (*BY_LABEL, *BY_COLUMN):
        raise ConfigError(
            f"partition.by: {settings.partition.by} deals texts, causal_lm has blocks; wanted none or iid"
        )
    return partition([0] * len(learner.train.texts), nodes, settings.partition)[index]


def _classes(corpus: Corpus, own: Indices) -> tuple[int, ...]:
    counts = np.bincount([corpus.train[int(i)].label for i in own], minlength=len(corpus.labels))
    return tuple(int(count) for count in counts)


def _dialogue(settings: LearnSettings, adapter: Adapter, corpus: Corpus) -> tuple[Dialogue, str]:
    """How conversations are laid into rows, and why, in words."""
    alone = Dialogue(settings.template, packed=False)
    asked = settings.train.packing
    some = [example for example in corpus.train if example.turns][:2]
    if not some or asked == "off":
        return alone, "off: as set" if some else "off: no conversations"
    prompted = settings.lora.method == "prompt"  # it stands before a row, not before each text in it
    if not prompted and keeps_apart(
        adapter.model, encode(adapter.base.tokenizer, some, settings.train.sequence_len, alone)
    ):
        return Dialogue(settings.template, packed=True), "on: the model keeps texts that share a row apart"
    reason = "in this model a text would see the one before it in its row"
    if asked == "on":
        raise ConfigError(f"train.packing: on is not possible: {reason}; set it to auto or off")
    return alone, f"off: {reason}"


def _find_prefix(train: TrainSettings, adapter: Adapter, texts: Sequence[Texts]) -> str:
    """Set `adapter.prefix`; say what was decided."""
    if train.prefix_cache == "off":
        return "off: as set"
    probe = texts[0].batch(range(min(2, len(texts[0])))).to(adapter.theta.device)
    names = [e.name for e in adapter.whole.entries]
    prefix, reason = find_prefix(adapter.model, names, probe, shorten=adapter.settings.dropout == 0.0)
    if prefix is not None:
        hidden = prefix.hidden(probe)
        needed = sum(bytes_needed(t, hidden.shape[-1], hidden.element_size()) for t in texts)
        reason = f"{reason}, up to {needed / 1e6:.0f} MB"
        if needed > train.prefix_cache_limit:
            prefix, reason = None, f"{needed / 1e6:.0f} MB is over train.prefix_cache_limit"
    if prefix is None and train.prefix_cache == "on":
        raise ConfigError(
            f"train.prefix_cache: on is not possible: {reason}; "
            f"set it to auto or off, or adapt later layers only (lora.layers)"
        )
    adapter.prefix = prefix
    return f"on: {reason}" if prefix is not None else f"off: {reason}"


def _reader(adapter: Adapter, texts: Texts, only: Sequence[int] | None = None) -> Reader:
    prefix = adapter.prefix
    remembered = None if prefix is None else Remembered(prefix, texts, adapter.theta.device, only)
    return Reader(adapter, texts, remembered)
