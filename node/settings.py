"""The settings of a node: names, types, limits, defaults and what each is for; frozen, checked when made.

Words are those of axolotl and LLaMA-Factory where they have one. Decides nothing about files: `node.config` reads them.
Layer 5, below `node.config`; no torch. Mixing rules are in `node.mixings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_serializer, model_validator

from node.graph.checks import seen
from node.graph.reading import did_you_mean
from node.mixings import MixingRule, Rule, traits_of

EMBEDDED = ("minilm", "stdlib-docstrings")  # a model and a data set that come with the installation: names, never paths

PARTITION_TAKES = {  # by -> its settings, of which it wants one
    "dirichlet": ("alpha",),
    "quantity": ("alpha", "power"),
    "shards": ("shards",),
    "key": ("column",),
    "temporal": ("column",),
}
PARTITION_EXAMPLES = {"alpha": "alpha: 0.3", "shards": "shards: 2", "column": "column: speaker"}


def _labels(value: Any) -> tuple[str, ...] | str | None:
    """A list of names (numbers become names here), or the path of a file."""
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    if not isinstance(value, list | tuple):
        raise ValueError("wanted a list of names, or the path of a file with one a line")
    return distinct([str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value])


def distinct(names: list[Any]) -> tuple[str, ...]:
    """Two names or more, each once. Raises ValueError with what was wanted."""
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"item {place} is {seen(name)}; wanted a name (in quotes where YAML reads something else)")
        if name in names[:place]:
            raise ValueError(f"{seen(name)} is listed twice; wanted each label once")
    if len(names) < 2:
        raise ValueError(f"{len(names)} labels; wanted 2 or more")
    return tuple(names)


def _targets(value: Any) -> tuple[str, ...] | Literal["all-linear"] | None:
    if value is None or value == "all-linear":
        return value  # type: ignore[no-any-return]
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) and name for name in value):
        raise ValueError("wanted a list of module names such as [query, value], all-linear, or null")
    return tuple(value)


def _some(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Not empty, no item twice. After the items were checked, so that a wrong item is told once."""
    if not items:
        raise ValueError("wanted one or more items")
    if any(item in items[:place] for place, item in enumerate(items)):
        raise ValueError("wanted each item once")
    return items


Labels: TypeAlias = Annotated[tuple[str, ...] | str | None, BeforeValidator(_labels)]
Targets: TypeAlias = Annotated[tuple[str, ...] | Literal["all-linear"] | None, BeforeValidator(_targets)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=4096)]
Patterns: TypeAlias = Annotated[tuple[Name, ...], Field(strict=False), AfterValidator(_some)]
Layers: TypeAlias = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False), AfterValidator(_some)]
CODECS = ("float32", "bf16", "int8", "int4")
CodecName: TypeAlias = Literal["float32", "bf16", "int8", "int4"]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400)]
Rank: TypeAlias = Annotated[int, Field(ge=1, le=1024)]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]


class Settings(BaseModel):
    """What all parts of the file share: frozen, no unknown keys, no silent conversions, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DatasetConfig(Settings):
    """Where texts come from. `{id}` in the path stands for the node's id."""

    path: Name = Field(
        description="a jsonl, csv, parquet or CoNLL file, a folder of text, a datasets name, or stdlib-docstrings"
    )
    split: Name | None = Field(default=None, description="split of a datasets name, e.g. train")
    text_column: Name = Field(default="text", description="column that holds the text")
    label_column: Name = Field(default="label", description="column that holds the label; of task: classification")
    tokens_column: Name = Field(default="tokens", description="column with a list of words; of token_classification")
    tags_column: Name = Field(default="tags", description="column with a list of tags, one a word")
    kind: Literal["text", "pairs", "alpaca", "messages"] | None = Field(
        default=None,
        description="of causal_lm: text; pairs (prompt, response); alpaca (instruction, input, output); messages "
        "(role, content); null: told from the columns; of all but text, answers only are learnt",
    )
    prompt_column: Name = Field(default="prompt", description="column that holds the question; of kind: pairs")
    response_column: Name = Field(default="response", description="column that holds the answer; of kind: pairs")
    messages_column: Name = Field(default="messages", description="column with a list of turns; of kind: messages")
    format: Literal["jsonl", "csv", "parquet", "conll", "folder", "text", "datasets"] | None = Field(
        default=None, description="null: told from the path"
    )
    streaming: bool = Field(
        default=False, description="of a datasets name: read by blocks as far as take, never downloaded as a whole"
    )
    take: Annotated[int, Field(ge=1, le=10**9)] | None = Field(
        default=None, description="no more than the first so many records; null: all"
    )

    @model_validator(mode="after")
    def _a_stream_has_an_end(self) -> DatasetConfig:
        if self.streaming and self.take is None:
            raise ValueError("streaming: true wants take: how many records are kept in memory, such as take: 10000")
        return self


class PartitionConfig(Settings):
    """How texts that all nodes can read are dealt out; every node computes the same deal from the seed."""

    by: Literal["none", "iid", "class", "shards", "dirichlet", "quantity", "key", "temporal"] = Field(
        default="none",
        description="none: all of it (each node has its own files); class: each class on one node only; "
        "key: each value of a column on one node only; more in docs/data.md",
    )
    alpha: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        default=None, description="dirichlet, quantity: 0.1 is strong skew (of labels, of sizes), 100 is nearly none"
    )
    power: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None, description="quantity, instead of alpha: the node of rank k has 1 / k^power as much as the first"
    )
    shards: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="shards: pieces of the texts sorted by class that each node gets, such as 2"
    )
    column: Name | None = Field(
        default=None, description="key, temporal: the column that holds speaker, hospital, domain; or the time"
    )
    seed: Seed = Field(default=0, description="the same on all nodes")

    @model_validator(mode="after")
    def _each_deal_has_its_settings(self) -> PartitionConfig:
        wanted = PARTITION_TAKES.get(self.by, ())
        for name in ("alpha", "power", "shards", "column"):
            value = getattr(self, name)
            if value is not None and name not in wanted:
                users = " or ".join(by for by, takes in PARTITION_TAKES.items() if name in takes)
                raise ValueError(f"{name}: {value} has no use with by: {self.by}; remove it, or write by: {users}")
        given = [name for name in wanted if getattr(self, name) is not None]
        if wanted and len(given) != 1:
            said = "is missing" if not given else "are one too many"
            raise ValueError(
                f"{' or '.join(wanted) if not given else ' and '.join(given)} {said}; by: {self.by} wants one, "
                f"such as {PARTITION_EXAMPLES[wanted[0]]}"
            )
        return self


class LoraConfig(Settings):
    """The adapter, in the words of peft. All nodes must agree; the hello compares."""

    method: Literal["lora", "rslora", "ia3", "prompt", "bias", "head"] = Field(
        default="lora",
        description="rslora: scaled by alpha / sqrt(r); ia3: vectors that scale keys, values and the feed-forward "
        "part; prompt: virtual tokens before each text; bias: biases and a classifier's head; head: nothing but that",
    )
    r: int = Field(default=8, ge=1, le=1024, description="rank; of lora and rslora")
    alpha: float = Field(default=16.0, gt=0, le=1e6, description="updates are scaled by alpha / r")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="0: little data a node, but few steps, too")
    target_modules: Targets = Field(
        default=None, description="e.g. [query, value]; null: what peft takes for this model"
    )
    layers: Layers | None = Field(
        default=None, description="adapters on these layers only; the last few allow a prefix cache"
    )
    modules_to_save: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        default=(), description="trained whole, beside the head: e.g. [pooler]"
    )
    freeze: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        default=(),
        description="what of the adapter is not trained but stays at its common start: patterns as in gossip.share; "
        "[lora_A] is FFA-LoRA",
    )
    own_rank: Rank | dict[Name, Rank] | None = Field(
        default=None, description="directions that this node trains, or {id: number}, r or less; null: all r"
    )
    prompt_tokens: int = Field(default=8, ge=1, le=4096, description="of method: prompt; virtual tokens")

    @model_validator(mode="after")
    def _fits_the_method(self) -> LoraConfig:
        useless = {"prompt": ("target_modules", "layers", "modules_to_save"), "head": ("target_modules", "layers")}
        names = useless.get(self.method, ()) + (("dropout",) if self.method not in ("lora", "rslora") else ())
        for name in names:
            if getattr(self, name):
                raise ValueError(
                    f"{name}: {seen(getattr(self, name))} has no use with method: {self.method}; remove it"
                )
        return self


class TrainConfig(Settings):
    """Local training between two exchanges."""

    learning_rate: float = Field(
        default=5e-3, gt=0, le=10, description="5e-3 suits the demo's small adapter, 2e-4 a 7B model"
    )
    micro_batch_size: int = Field(default=16, ge=1, le=65_536, description="texts a step")
    local_steps: int = Field(
        default=1, ge=1, le=100_000, description="steps a round; 1 mixes best, more send fewer bytes a step"
    )
    gradient_accumulation_steps: int = Field(
        default=1, ge=1, le=65_536, description="micro-batches whose gradients make one step; memory is that of one"
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="compute each layer again in the backward pass: a third of the memory, 1.6 times the time",
    )
    max_grad_norm: Annotated[float, Field(gt=0, le=1e9)] | None = Field(
        default=None, description="a longer gradient is cut to this L2 norm; null: never"
    )
    sequence_len: int = Field(default=32, ge=2, le=1_048_576, description="tokens; longer texts are cut")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="cpu",
        description="where model and steps are; auto: a GPU if there is one; what is sent is in main memory",
    )
    load_in_4bit: bool = Field(
        default=False, description="hold the frozen weights in 4 bits; wants a GPU and gossip-node[quantized]"
    )
    bf16: bool = Field(default=False, description="keep the frozen weights in bfloat16; the adapter stays in float32")
    prefix_cache: Literal["auto", "on", "off"] = Field(
        default="auto", description="remember what the frozen layers below the first adapter say about a text"
    )
    optimizer: Literal["adamw"] = Field(default="adamw", description="SGD failed on LoRA factors where AdamW worked")
    lr_scheduler: Literal["constant", "linear", "cosine"] = Field(
        default="constant", description="linear and cosine: down to 0 at the last round"
    )
    warmup_ratio: float = Field(
        default=0.0, ge=0, lt=1, description="share of the rounds over which the learning rate grows to its full value"
    )
    adam_beta1: float = Field(default=0.9, ge=0, lt=1, description="memory of the mean gradient")
    adam_beta2: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        description="memory of its square; 0.999 is for thousands of steps, a run here has hundreds",
    )
    delayed_gradient: bool = Field(
        default=True,
        description="with shared moments: a gradient moves nothing before it was mixed; worth 2 to 3 points",
    )
    weight_decay: float = Field(default=0.0, ge=0, le=1, description="decoupled, as in AdamW")
    proximal: float = Field(
        default=0.0, ge=0, le=1e6, description="mu: pulls each local step to where the round started, as in FedProx"
    )
    missing_classes: Literal["keep", "mask"] = Field(
        default="keep", description="mask: logits of classes that this node has no text of do not count in training"
    )
    logit_adjustment: float = Field(
        default=0.0, ge=0, le=10, description="tau: logits + tau log(share of the class on this node) in training"
    )
    eval_every: int = Field(
        default=0, ge=0, le=10**9, description="rounds between evaluations on both test sets; 0: only at the end"
    )
    eval_answers: int = Field(
        default=16,
        ge=0,
        le=10**6,
        description="questions a test set that are answered in an evaluation, for exact_match",
    )
    packing: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="of questions and answers: several short ones in a row of sequence_len tokens; auto: where the "
        "model keeps them apart",
    )
    early_stopping_patience: int = Field(
        default=0,
        ge=0,
        le=10**6,
        description="evaluations without a smaller private loss after which this node takes no more steps; it goes on "
        "mixing, and keeps its best adapter beside the last; 0: never",
    )

    @model_validator(mode="after")
    def _a_pull_wants_steps(self) -> TrainConfig:
        if self.proximal and self.local_steps == 1:
            raise ValueError(
                f"proximal: {self.proximal} has no use with local_steps: 1, whose only step begins at the start; "
                f"wanted 0, or more local steps"
            )
        return self

    @model_validator(mode="after")
    def _stopping_wants_evaluations(self) -> TrainConfig:
        if self.early_stopping_patience and not self.eval_every:
            raise ValueError(
                f"early_stopping_patience: {self.early_stopping_patience} counts evaluations, of which eval_every: 0 "
                f"makes none; wanted eval_every: 1 or more"
            )
        return self


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
    datasets: Annotated[tuple[DatasetConfig, ...], Field(strict=False), AfterValidator(_some)] = Field(
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
