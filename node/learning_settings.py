"""The blocks of a node file that say what is learnt and how: data sets, partition, adapter, training.

Words are those of axolotl and LLaMA-Factory where they have one. Layer 5, below `node.settings`; no torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from node.fields import Layers, Name, Rank, Seed, Settings, Targets
from node.graph.checks import seen

PARTITION_TAKES = {  # by -> its settings, of which it wants one
    "dirichlet": ("alpha",),
    "quantity": ("alpha", "power"),
    "shards": ("shards",),
    "key": ("column",),
    "temporal": ("column",),
}
PARTITION_EXAMPLES = {"alpha": "alpha: 0.3", "shards": "shards: 2", "column": "column: speaker"}


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
