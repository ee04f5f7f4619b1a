"""How a node trains, as one frozen value checked when it is made; what each word does is told where it is used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from node.errors import ConfigError
from node.learn.model.device import DeviceName
from node.learn.training.adamw import AdamWSettings
from node.learn.training.objective import ObjectiveSettings
from node.learn.training.rates import Schedule, rate

PrefixCache: TypeAlias = Literal["auto", "on", "off"]
Packing: TypeAlias = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a node trains. The defaults are the demo's; docs/experiments.md says where they come from."""

    learning_rate: float = 7e-3
    micro_batch_size: int = 16  # examples a forward pass
    accumulation: int = 1  # forward passes a step
    local_steps: int = 1  # K, steps a round
    sequence_len: int = 16  # tokens; longer texts are cut
    weight_decay: float = 0.0
    beta1: float = 0.8  # 0.9 costs up to 2 points: a delayed gradient is late already
    beta2: float = 0.99  # shorter memory than the usual 0.999: a run has a hundred steps, not thousands
    delayed: bool = True  # see node.learn.training.adamw; changes a lone learner by one step of lag
    floored: bool = False  # moments come by a codec that loses bits; see node.learn.training.adamw
    max_grad_norm: float | None = None  # L2; a longer gradient is cut to it
    schedule: Schedule = "linear"  # linear, cosine: the rate falls to 0 at the last round
    rounds: int = 120  # of the run: where a falling schedule ends
    warmup: float = 0.2  # share of the rounds over which the learning rate grows to its full value
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)  # what a step minimises, besides
    alternate: int = 0  # rounds that only B, then only A, are stepped; 0: both in every round
    patience: int = 0  # evaluations without a smaller private loss before the node stops stepping; 0: it never does
    checkpointing: bool = False  # see node.learn.model.recompute
    device: DeviceName = "cpu"
    four_bits: bool = False  # the frozen weights; see node.learn.model.device
    bf16: bool = False
    prefix_cache: PrefixCache = "auto"
    prefix_cache_limit: int = 1 << 30  # bytes
    eval_every: int = 0  # rounds between evaluations of the vectors handed in; 0: never while training
    eval_examples: int = 256  # of each test set, in those evaluations
    eval_answers: int = 16  # questions whose greedy answers are compared with the wanted ones, in every evaluation
    packing: Packing = "auto"  # of conversations: several short ones in a row

    def __post_init__(self) -> None:
        for name in ("learning_rate", "micro_batch_size", "accumulation", "local_steps", "rounds", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"train.{name}: {value} seen, a number above 0 wanted")
        if not 0.0 <= self.warmup < 1.0:
            raise ConfigError(f"train.warmup: {self.warmup} seen, a share of the rounds from 0 to below 1 wanted")
        if self.sequence_len < 2:
            raise ConfigError(f"train.sequence_len: {self.sequence_len} seen, 2 or more tokens wanted")

    def optimizer(self) -> AdamWSettings:
        return AdamWSettings(
            self.learning_rate,
            self.weight_decay,
            self.beta1,
            self.beta2,
            delayed=self.delayed,
            floored=self.floored,
        )

    def rate(self, round: int) -> float:
        """What the learning rate is multiplied with in this round (0 is the first)."""
        return rate(self.schedule, self.warmup, self.rounds, round)
