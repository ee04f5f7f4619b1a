"""The settings of a node: names, types, limits, defaults and what each is for; frozen, checked when made.

Decides nothing about files: `node.config` reads them. Layer 5, below `node.config`; no torch. What is learnt is in
`node.learning_settings`, mixing rules in `node.mixings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_serializer, model_validator

from node.fields import Labels, Name, Patterns, Seconds, Seed, Settings, some
from node.graph.checks import seen
from node.graph.reading import did_you_mean
from node.learning_settings import DatasetConfig, LoraConfig, PartitionConfig, TrainConfig
from node.mixings import MixingRule, Rule, traits_of

EMBEDDED = ("minilm", "stdlib-docstrings")  # a model and a data set that come with the installation: names, never paths
CODECS = ("float32", "bf16", "int8", "int4")
CodecName: TypeAlias = Literal["float32", "bf16", "int8", "int4"]


class DeadlineConfig(Settings):
    """Limits of the waiting time that is learnt for each neighbour, in seconds."""

    floor: Seconds = Field(default=10.0, description="never wait less: a busy machine may stop for seconds")
    ceiling: Seconds = Field(default=120.0, description="never wait longer; also before three arrivals are known")

    @model_validator(mode="after")
    def _floor_below_ceiling(self) -> DeadlineConfig:
        if self.floor > self.ceiling:
            raise ValueError(f"floor {self.floor} is above ceiling {self.ceiling}; wanted floor <= ceiling")
        return self


class Codec(Settings):
    """How the changes of each channel travel. One value of a node file: a word, or a mapping of words."""

    theta: CodecName = "float32"  # the parameters, and whatever a rule adds
    m: CodecName = "float32"
    s: CodecName = "float32"

    @property
    def by_channel(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    @property
    def is_lossless(self) -> bool:
        return set(self.by_channel.values()) == {"float32"}

    @model_serializer
    def _written(self) -> str | dict[str, str]:
        return self.theta if self == codec_of(self.theta) else self.by_channel

    def __str__(self) -> str:
        written = self._written()
        return written if isinstance(written, str) else ", ".join(f"{c}: {name}" for c, name in written.items())


def codec_of(said: Any) -> Codec:
    """What a word, or a mapping of some channels, stands for. Raises ValueError with what was wanted."""
    if isinstance(said, Codec):
        return said
    given = dict(said) if isinstance(said, Mapping) else {"theta": said}
    for channel, name in given.items():
        if channel not in Codec.model_fields:
            wanted = ", ".join(Codec.model_fields)
            raise ValueError(
                f"{seen(channel)} is no channel; wanted {wanted}{did_you_mean(channel, Codec.model_fields)}"
            )
        if not isinstance(name, str) or name not in CODECS:
            shown = f"{channel} is {seen(name)}; " if isinstance(said, Mapping) else ""
            raise ValueError(f"{shown}wanted {' | '.join(CODECS)}{did_you_mean(name, CODECS)}")
    return Codec(**{**dict.fromkeys(Codec.model_fields, given.get("theta", "float32")), **given})


class GossipConfig(Settings):
    """Whom to talk to, how often, and how what was heard is mixed."""

    topology: Name | None = Field(default=None, description="topology file; the command line may give it instead")
    rounds: int = Field(default=80, ge=1, le=10**9, description="all nodes end after the same round")
    mixing: MixingRule = Field(
        default=Rule(name="auto"),
        description="auto: what suits the topology, told at the start; dpsgd: one exchange a round, weights of W; "
        "exact: the exact mean, in several hops; push-sum: keeps the mean where links lose messages or work one way; "
        "more in docs/algorithms.md",
    )
    mode: Literal["synchronous", "asynchronous"] = Field(
        default="synchronous",
        description="asynchronous: never wait for a neighbour; what is old counts less (dpsgd and push-sum only)",
    )
    overlap: bool = Field(
        default=False, description="train the next round while this one is exchanged; hides a slow network"
    )
    settle: bool = Field(
        default=True, description="make up for what deadlines did to the mean; false: records only tell by how much"
    )
    moments: bool = Field(
        default=True, description="mix AdamW's moments, too: under label skew worth 6 to 15 points on a ring of 4"
    )
    codec: Annotated[Codec, BeforeValidator(codec_of)] = Field(
        default=Codec(),
        description="how changes are sent: float32 (4 bytes an entry), bf16 (2), int8 (1), int4 (1/2); or by channel: "
        "{theta: int4, m: int8, s: int8}; neighbours may differ",
    )
    share: Patterns = Field(
        default=("all",),
        description="what is sent of what is trained: all, or names, words of names or globs, such as [lora_A] "
        '(FedSA-LoRA) or [all, "!classifier"] (private head); the rest stays with its node',
    )
    products: Literal["factors", "alternate", "procrustes", "svd"] = Field(
        default="factors",
        description="how LoRA's A and B are mixed: factors: each by itself; alternate: so, but trained in turns; "
        "procrustes: turned next to ours first; svd: the product, cut back to r (the last two with dpsgd only)",
    )
    alternate_every: Annotated[int, Field(ge=1, le=10**6)] | None = Field(
        default=None, description="rounds of a turn with products: alternate; null: from the graph's spectral gap"
    )
    max_staleness: int = Field(default=10, ge=0, le=10**6, description="rounds; older messages are not mixed")
    first_contact: Seconds = Field(default=60.0, description="seconds that the first exchange waits for a neighbour")
    deadline: DeadlineConfig = Field(default=DeadlineConfig(), description="seconds that a round waits for a neighbour")
    joins: bool = Field(
        default=False,
        description="whether nodes that are not in the topology file may join (gossip join); the same on all nodes",
    )

    @model_validator(mode="after")
    def _rule_fits(self) -> GossipConfig:
        name, traits = self.mixing.name, traits_of(self.mixing)
        if self.mode == "asynchronous" and not traits.asynchronous:
            raise ValueError(f"mode: mixing: {name} takes every neighbour's word of every round; wanted synchronous")
        if self.joins and not traits.joins:
            raise ValueError(f"joins: mixing: {name} has a plan for the graph as it began; wanted joins: false")
        if self.alternate_every is not None and self.products != "alternate":
            raise ValueError(f"alternate_every has no use with products: {self.products}; wanted products: alternate")
        return self


class LogsConfig(Settings):
    """How much a node's folder holds of what it said (log.txt) and of what it did (journal.jsonl)."""

    rotate_bytes: int = Field(
        default=8_000_000, ge=10_000, le=10**12, description="a log or journal of this size makes room for a new one"
    )
    keep: int = Field(default=5, ge=1, le=10_000, description="older logs that stay: log.1.txt (newest), log.2.txt ...")
    keep_journals: Annotated[int, Field(ge=1, le=10**6)] | None = Field(
        default=None, description="older journals that stay (journal.1.jsonl.gz, ...); null: all, for gossip audit"
    )


class NodeConfig(Settings):
    """A node file. Every key has a default, so that three lines (model, data, topology) make a file."""

    base_model: Name = Field(default="minilm", description="minilm (embedded), a model folder, or a hub name")
    task: Literal["classification", "token_classification", "causal_lm"] = Field(
        default="classification",
        description="head of the model, loss and metrics; docs/tasks.md says what data it takes",
    )
    template: Literal["auto", "chat", "plain"] = Field(
        default="auto",
        description="of questions and answers; auto: the tokenizer's chat template, where it has none plain headings",
    )
    datasets: Annotated[tuple[DatasetConfig, ...], Field(strict=False), AfterValidator(some)] = Field(
        default=(DatasetConfig(path=EMBEDDED[1]),), description="{id} in a path is the node's id"
    )
    test_datasets: Annotated[tuple[DatasetConfig, ...], Field(strict=False)] = Field(
        default=(), description="what every node is tested on; none: test_share of datasets is held out"
    )
    test_share: float = Field(
        default=0.2, ge=0, lt=1, description="of the texts, by a hash of each; used where test_datasets is empty"
    )
    private_share: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="of a node's own texts, by a hash of each: never trained on, its own model is measured on them",
    )
    labels: Labels = Field(
        default=None,
        description="ordered list, or a file with one a line; null: the data set has a list of its own; {id} in the "
        "path: each node has its own labels, which wants a private head (gossip.share)",
    )
    output_dir: Name = Field(
        default="runs/default", description="a folder a node is made in it; seen from where you are"
    )
    partition: PartitionConfig = Field(
        default=PartitionConfig(), description="how common data is dealt out to the nodes"
    )
    lora: LoraConfig = Field(default=LoraConfig(), description="the adapter")
    train: TrainConfig = Field(default=TrainConfig(), description="local training")
    gossip: GossipConfig = Field(default=GossipConfig(), description="consensus")
    seed: Seed = Field(default=0, description="initial values, order of data, dropout; the same on all nodes")
    threads: int = Field(default=1, ge=1, le=4096, description="of torch, a node; several nodes share a machine")
    logs: LogsConfig = Field(default=LogsConfig(), description="files that grow")
    checkpoint_every: int = Field(default=10, ge=0, le=10**9, description="rounds; 0: only at the end")
    checkpoint_seconds: float = Field(
        default=0.0, ge=0, le=10**9, description="also when the last checkpoint is older than this; 0: never by time"
    )

    @model_validator(mode="after")
    def _stopping_wants_private_texts(self) -> NodeConfig:
        if self.train.early_stopping_patience and not self.private_share:
            raise ValueError(
                f"train.early_stopping_patience: {self.train.early_stopping_patience} watches the loss on private "
                f"held-out texts, of which private_share: 0 leaves none; wanted e.g. private_share: 0.1"
            )
        return self

    @model_validator(mode="after")
    def _labels_belong_to_classification(self) -> NodeConfig:
        if self.task == "token_classification" and self.partition.by in ("class", "shards", "dirichlet"):
            raise ValueError(
                f"partition.by: {self.partition.by} wants a label a text, task: token_classification has a tag a word; "
                f"wanted iid, quantity, key or none"
            )
        if self.task == "causal_lm" and self.labels is not None:
            raise ValueError("labels have no use with task: causal_lm; remove them, or write task: classification")
        if self.task == "causal_lm" and self.partition.by in ("class", "shards", "dirichlet"):
            raise ValueError(
                f"partition.by: {self.partition.by} wants labels, task: causal_lm has none; wanted iid or none"
            )
        if self.task != "classification" and (self.train.missing_classes == "mask" or self.train.logit_adjustment):
            name = "missing_classes: mask" if self.train.missing_classes == "mask" else "logit_adjustment"
            raise ValueError(f"train.{name} goes by a text's class, task: {self.task} has none; remove it")
        if self.task == "causal_lm" and self.partition.by in ("key", "temporal"):
            raise ValueError(
                f"partition.by: {self.partition.by} deals texts, task: causal_lm packs them into blocks; wanted a file "
                f"a node (gossip data split), iid or none"
            )
        return self
