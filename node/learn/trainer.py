"""Local training between two mixings: K AdamW steps from the vectors that the round starts with.

Decides which examples a step sees and how far it moves. Keeps across rounds: the count of steps (which is the data
position and the dropout seed in one: both are functions of it) and what does not travel: the private part of theta
with its moments, and all moments where none are shared. Does not know peers. A round that is interrupted leaves no
trace: state changes at its end, at once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from node.errors import ConfigError
from node.learn import draw
from node.learn.adamw import AdamW, AdamWSettings, no_moments
from node.learn.adapter import live_dropout
from node.learn.blocks import active, blocks_of
from node.learn.passes import Reader
from node.types import Shared, Vector

PrefixCache: TypeAlias = Literal["auto", "on", "off"]
Schedule: TypeAlias = Literal["constant", "linear"]


class Interrupted(Exception):
    """`stop` was called; the round was given up and left no trace."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a node trains. The defaults are the demo's; docs/experiments.md says where they come from."""

    learning_rate: float = 7e-3
    micro_batch_size: int = 16  # examples a step
    local_steps: int = 1  # K, steps a round
    sequence_len: int = 16  # tokens; longer texts are cut
    weight_decay: float = 0.0
    beta1: float = 0.8  # 0.9 costs up to 2 points: a delayed gradient is late already
    beta2: float = 0.99  # shorter memory than the usual 0.999: a run has a hundred steps, not thousands
    delayed: bool = True  # see node.learn.adamw; changes a lone learner by one step of lag
    schedule: Schedule = "linear"  # linear: the rate falls to 0 at the last round
    rounds: int = 120  # of the run: where a linear schedule ends
    warmup: float = 0.2  # share of the rounds over which the learning rate grows to its full value
    alternate: int = 0  # rounds that only B, then only A, are stepped; 0: both in every round
    bf16: bool = False
    prefix_cache: PrefixCache = "auto"
    prefix_cache_limit: int = 1 << 30  # bytes
    eval_every: int = 0  # rounds between evaluations of the vectors handed in; 0: never while training
    eval_examples: int = 256  # of the test set, in those evaluations

    def __post_init__(self) -> None:
        for name in ("learning_rate", "micro_batch_size", "local_steps", "rounds"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"train.{name}: {getattr(self, name)} seen, a number above 0 wanted")
        if not 0.0 <= self.warmup < 1.0:
            raise ConfigError(f"train.warmup: {self.warmup} seen, a share of the rounds from 0 to below 1 wanted")
        if self.sequence_len < 2:
            raise ConfigError(f"train.sequence_len: {self.sequence_len} seen, 2 or more tokens wanted")

    def optimizer(self) -> AdamWSettings:
        return AdamWSettings(self.learning_rate, self.weight_decay, self.beta1, self.beta2, delayed=self.delayed)

    def rate(self, round: int) -> float:
        """What the learning rate is multiplied with in this round (0 is the first)."""
        grown = min(1.0, (round + 1) / (int(self.warmup * self.rounds + 0.5) + 1))
        return grown * (1.0 if self.schedule == "constant" else max(0.0, 1.0 - round / self.rounds))


class LocalTrainer:
    """The learner of one node: `own` are the indices of its private texts within `reader`."""

    def __init__(
        self,
        reader: Reader,
        own: NDArray[np.int64],
        test: Reader | None,
        settings: TrainSettings,
        *,
        seed: int,
        stream: str,
        moments: bool,
    ) -> None:
        """`stream` (the node's id) and `seed` decide the order of the data; `moments`: whether `shared` holds them."""
        if len(own) == 0:
            raise ConfigError(f"datasets: node {stream!r} has no examples; wanted at least one (see partition)")
        self._reader = reader
        self._own = own
        self._test = test
        self._settings = settings
        self._purpose = (seed, stream)
        adapter = reader.adapter
        self._blocks = blocks_of(adapter.whole, adapter.schema.d, settings.alternate > 0)
        mixed = sum(block.start < adapter.schema.d for block in self._blocks)
        entries = {"theta": adapter.schema.d, "m": adapter.schema.d, "s": adapter.schema.d, "scalars": 2 * mixed}
        # Of each channel of a whole vector, how many entries travel; the private ones follow them.
        self._travels = entries if moments else {"theta": adapter.schema.d, "m": 0, "s": 0, "scalars": 0}
        start = {"theta": torch.cat([adapter.initial, adapter.initial_private])}
        self._shared, self._private = self._split(start | no_moments(adapter.whole.d, len(self._blocks)))
        self._steps = 0  # of all rounds so far
        self._order: tuple[int, NDArray[np.int64]] | None = None  # (epoch, permutation) in use
        self._stopped = threading.Event()

    @property
    def examples(self) -> int:
        return len(self._own)

    def initial(self) -> Shared:
        """x_0 as channels: theta (d,), and with shared moments m, s (d,) and scalars (2 a shared block)."""
        return {name: t.clone() for name, t in self._shared.items()}

    def whole(self, shared: Shared) -> Vector:
        """(whole.d,): the shared theta and, after it, this node's private part."""
        return torch.cat([shared["theta"], self._private["theta"]])

    def train(self, round: int, shared: Shared) -> tuple[Shared, Mapping[str, float]]:
        """K steps from `shared`, which stays as it is.

        Raises:
            Interrupted: soon after `stop` was called, at the latest after one more backward pass.
        """
        adapter = self._reader.adapter
        with adapter.lock:
            stats = self._accuracy_at(round, shared)
            whole = self._joined(shared)
            optimizer = AdamW(self._settings.optimizer(), whole, self._blocks)
            adapter.theta.copy_(whole["theta"])
            losses = [self._step(optimizer, self._steps + k, round) for k in range(self._settings.local_steps)]
            trained = {"theta": adapter.theta.clone(), **optimizer.channels()}
        self._steps += self._settings.local_steps
        stats |= {"loss": sum(losses) / len(losses), "examples": float(len(losses) * self._settings.micro_batch_size)}
        trained, self._private = self._split(trained)
        return trained, stats

    def evaluate(self, theta: Vector, examples: int | None = None) -> dict[str, float]:
        """{"accuracy", "loss"} of a whole vector on the test set (its first `examples`); {} where there is none."""
        if self._test is None:
            return {}
        adapter = self._reader.adapter
        with adapter.lock:
            return self._measured(theta, examples)

    def stop(self) -> None:
        """Make the running and every later `train` or `evaluate` raise Interrupted. Safe from any thread."""
        self._stopped.set()

    def state(self) -> dict[str, Any]:
        """What the next round depends on besides `shared`: JSON-able values and tensors."""
        return {"steps": self._steps, **{name: t.clone() for name, t in self._private.items() if t.numel()}}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of this trainer: the same bits as an unbroken run."""
        self._steps = int(state["steps"])
        self._private = {name: state[name].clone() if t.numel() else t for name, t in self._private.items()}

    def _split(self, whole: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The channels that travel, and what of each stays here (maybe nothing)."""
        cuts = [(name, t, self._travels[name]) for name, t in whole.items()]
        return {name: t[:cut].clone() for name, t, cut in cuts if cut}, {name: t[cut:].clone() for name, t, cut in cuts}

    def _joined(self, shared: Shared) -> dict[str, Tensor]:
        """The inverse of `_split`."""
        return {name: torch.cat([shared[name], t]) if name in shared else t for name, t in self._private.items()}

    def indices(self, step: int) -> list[int]:
        """The texts that step sees: consecutive places in a row of seeded permutations of our own examples."""
        size = self._settings.micro_batch_size
        return [self._at(position) for position in range(step * size, (step + 1) * size)]

    def _at(self, position: int) -> int:
        epoch, place = divmod(position, len(self._own))
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, draw.permutation(len(self._own), *self._purpose, "epoch", epoch)
        return int(self._own[self._order[1][place]])

    def _step(self, optimizer: AdamW, step: int, round: int) -> float:
        self._check()
        adapter = self._reader.adapter
        adapter.grad.zero_()
        with self._dropout(step):
            loss = self._reader.loss(self.indices(step))
        self._check()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(adapter.theta, adapter.grad, self._settings.rate(round), active(round, self._settings.alternate))
        return float(loss.detach())

    def _dropout(self, step: int) -> _Dropout:
        return _Dropout(self._reader, draw.integer(*self._purpose, "dropout", step))

    def _accuracy_at(self, round: int, shared: Shared) -> dict[str, float]:
        every = self._settings.eval_every
        if self._test is None or not every or round % every:
            return {}
        return {"accuracy": self._measured(self.whole(shared), self._settings.eval_examples)["accuracy"]}

    def _measured(self, theta: Tensor, examples: int | None) -> dict[str, float]:
        assert self._test is not None
        self._reader.adapter.theta.copy_(theta)
        first = None if examples is None else range(min(examples, len(self._test.texts)))
        return self._test.measure(first, check=self._check)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Interrupted


class _Dropout:
    """LoRA's dropout on, drawn from a seed of the step's own; torch's global generator is put back afterwards."""

    def __init__(self, reader: Reader, seed: int) -> None:
        self._adapter = reader.adapter
        self._seed = seed
        self._saved: Tensor | None = None

    def __enter__(self) -> None:
        if self._adapter.settings.dropout > 0.0:
            self._saved = torch.get_rng_state()
            torch.manual_seed(self._seed)
            live_dropout(self._adapter.model, True)

    def __exit__(self, *error: object) -> None:
        if self._saved is not None:
            torch.set_rng_state(self._saved)
            live_dropout(self._adapter.model, False)
