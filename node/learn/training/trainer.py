"""Local training between two mixings: K AdamW steps from the vectors that the round starts with.

Decides which examples a step sees and how far it moves. Keeps across rounds: the count of steps (which is the data
position and the dropout seed in one: both are functions of it) and what does not travel: the private part of theta
with its moments, and all moments where none are shared. Does not know peers. A round that is interrupted leaves no
trace: state changes at its end, at once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from node.errors import ConfigError
from node.learn import draw
from node.learn.model.dropout import Dropout
from node.learn.reading.data import TestSet
from node.learn.reading.texts import IGNORED
from node.learn.training.adamw import AdamW, no_moments
from node.learn.training.blocks import active, blocks_of
from node.learn.training.clip import clip
from node.learn.training.metrics import named
from node.learn.training.objective import PLAIN, Objective
from node.learn.training.order import Order
from node.learn.training.passes import Reader
from node.learn.training.patience import PRIVATE_LOSS, Patience
from node.learn.training.train_settings import TrainSettings
from node.types import Shared, Vector


class Interrupted(Exception):
    """`stop` was called; the round was given up and left no trace."""


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
        objective: Objective = PLAIN,
        held: NDArray[np.int64] | None = None,
        tested_on: TestSet = "common",
    ) -> None:
        """`stream` (the node's id) and `seed` decide the order of the data; `moments`: whether `shared` holds them.

        `held`: indices within `reader` of private texts to measure on; none of them in `own`. `tested_on`: whose texts
        `test` has.
        """
        if len(own) == 0:
            raise ConfigError(f"datasets: node {stream!r} has no examples; wanted at least one (see partition)")
        self._reader = reader
        self._order = Order(own, seed, stream)
        self._test = test
        self._tested_on = tested_on
        self._held = [] if held is None else [int(i) for i in held]
        self._settings = settings
        self._purpose = (seed, stream)
        self._objective = objective
        adapter = reader.adapter
        self._blocks = blocks_of(adapter.whole, adapter.schema.d, settings.alternate > 0)
        mixed = sum(block.start < adapter.schema.d for block in self._blocks)
        entries = {"theta": adapter.schema.d, "m": adapter.schema.d, "s": adapter.schema.d, "scalars": 2 * mixed}
        # Of each channel of a whole vector, how many entries travel; the private ones follow them.
        self._travels = entries if moments else {"theta": adapter.schema.d, "m": 0, "s": 0, "scalars": 0}
        start = {"theta": torch.cat([adapter.initial, adapter.initial_private])}
        self._shared, self._private = self._split(start | no_moments(adapter.whole.d, len(self._blocks)))
        self._patience = Patience(settings.patience)
        self._steps = 0  # of all rounds so far
        self._stopped = threading.Event()

    @property
    def examples(self) -> int:
        return len(self._order)

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
            stats = self._measured_at(round, shared)
            patience = self._patience
            if PRIVATE_LOSS in stats:
                patience = patience.noted(stats[PRIVATE_LOSS], self.whole(shared))
            trained, losses = (self._joined(shared), []) if patience.is_over else self._stepped(round, shared)
        self._steps, self._patience = self._steps + len(losses), patience
        trained, self._private = self._split(trained)
        examples = len(losses) * self._settings.micro_batch_size * self._settings.accumulation
        loss = sum(losses) / len(losses) if losses else math.nan
        return trained, stats | {"loss": loss, "examples": float(examples)}

    def evaluate(self, theta: Vector, examples: int | None = None) -> dict[str, float]:
        """{"accuracy", "loss"} of a whole vector on the test set (its first `examples`); {} where there is none."""
        if self._test is None:
            return {}
        adapter = self._reader.adapter
        with adapter.lock:
            return self._measured(theta, examples)

    def metrics(self, theta: Vector, examples: int | None = None) -> dict[str, float]:
        """{"common/accuracy": ..., "private/f1": ...} of a whole vector, of each set its first `examples`.

        On the test set ("common", or "own" where nodes have different ones) and on this node's held-out texts.
        """
        with self._reader.adapter.lock:
            return self._all_measured(theta, examples)

    def stop(self) -> None:
        """Make the running and every later `train` or `evaluate` raise Interrupted. Safe from any thread."""
        self._stopped.set()

    @property
    def best(self) -> Vector | None:
        """(whole.d,) the vector with the smallest private loss of all evaluations; None: early stopping is off."""
        return self._patience.theta

    def state(self) -> dict[str, Any]:
        """What the next round depends on besides `shared`: JSON-able values and tensors."""
        private = {name: t.clone() for name, t in self._private.items() if t.numel()}
        return {"steps": self._steps, **private, **self._patience.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of this trainer: the same bits as an unbroken run."""
        self._steps = int(state["steps"])
        self._patience = self._patience.restored(state)
        self._private = {name: state[name].clone() if t.numel() else t for name, t in self._private.items()}

    def _split(self, whole: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The channels that travel, and what of each stays here (maybe nothing)."""
        cuts = [(name, t, self._travels[name]) for name, t in whole.items()]
        shared = {name: t[:cut].to("cpu", copy=True) for name, t, cut in cuts if cut}
        return shared, {name: t[cut:].to("cpu", copy=True) for name, t, cut in cuts}

    def _joined(self, shared: Shared) -> dict[str, Tensor]:
        """The inverse of `_split`."""
        return {name: torch.cat([shared[name], t]) if name in shared else t for name, t in self._private.items()}

    def indices(self, step: int) -> list[int]:
        """The texts that step sees: consecutive places in the order of our own examples."""
        size = self._settings.micro_batch_size * self._settings.accumulation
        return self._order.texts(step * size, size)

    def _stepped(self, round: int, shared: Shared) -> tuple[dict[str, Tensor], list[float]]:
        """All channels after K steps, wherever the model is, and the loss of each step."""
        adapter = self._reader.adapter
        whole = {name: t.to(adapter.theta.device) for name, t in self._joined(shared).items()}
        optimizer = AdamW(self._settings.optimizer(), whole, self._blocks)
        adapter.theta.copy_(whole["theta"])
        start = adapter.theta[: adapter.schema.d].clone()
        losses = [self._step(optimizer, self._steps + k, round, start) for k in range(self._settings.local_steps)]
        return {"theta": adapter.theta.clone(), **optimizer.channels()}, losses

    def _step(self, optimizer: AdamW, step: int, round: int, start: Vector) -> float:
        adapter, stepped = self._reader.adapter, active(round, self._settings.alternate)
        adapter.grad.zero_()
        loss = self._descend(step)
        self._objective.pull(adapter.grad[: len(start)], adapter.theta[: len(start)], start)
        if self._settings.max_grad_norm is not None:
            ranges = [b for b in self._blocks if stepped is None or b.name in stepped]
            clip(adapter.grad, ranges, self._settings.max_grad_norm)
        optimizer.step(adapter.theta, adapter.grad, self._settings.rate(round), stepped)
        return loss

    def _descend(self, step: int) -> float:
        """The mean loss of a step's texts; its gradient is added to the adapter's, one micro-batch at a time."""
        total = 0.0
        for number, (indices, share) in enumerate(self._portions(self.indices(step))):
            self._check()
            # The backward pass within, too: with gradient checkpointing it draws the same dropout again.
            with self._dropout(step, number):
                loss = self._objective.loss(*self._reader.logits(indices)) * share
                self._check()
                loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def _portions(self, indices: Sequence[int]) -> list[tuple[Sequence[int], float]]:
        """Micro-batches, and the share of each in the mean over all targets of the step; none without targets."""
        size = self._settings.micro_batch_size
        if len(indices) <= size:
            return [(indices, 1.0)]
        parts = [indices[at : at + size] for at in range(0, len(indices), size)]
        counts = [int((self._reader.texts.batch(part).targets != IGNORED).sum()) for part in parts]
        return [(part, count / sum(counts)) for part, count in zip(parts, counts, strict=True) if count]

    def _dropout(self, step: int, number: int) -> Dropout:
        part = (number,) if number else ()
        return Dropout(self._reader.adapter, draw.integer(*self._purpose, "dropout", step, *part))

    def _measured_at(self, round: int, shared: Shared) -> dict[str, float]:
        """What is measured of the vectors that a round starts from; "accuracy" is that on the test set."""
        every = self._settings.eval_every
        if not every or round % every:
            return {}
        found = self._all_measured(self.whole(shared), self._settings.eval_examples)
        accuracy = found.get(f"{self._tested_on}/accuracy")
        return found if accuracy is None else found | {"accuracy": accuracy}

    def _all_measured(self, theta: Tensor, examples: int | None) -> dict[str, float]:
        self._reader.adapter.theta.copy_(theta)
        common = {} if self._test is None else self._measured_on(self._test, range(len(self._test.texts)), examples)
        private = self._measured_on(self._reader, self._held, examples)
        return named(self._tested_on, common) | named("private", private)

    def _measured_on(self, reader: Reader, rows: Sequence[int], examples: int | None) -> dict[str, float]:
        rows = rows[:examples]
        found = reader.measure(rows, check=self._check)
        return found | reader.answers(self._settings.eval_answers, rows, check=self._check)

    def _measured(self, theta: Tensor, examples: int | None) -> dict[str, float]:
        assert self._test is not None
        self._reader.adapter.theta.copy_(theta)
        return self._test.measure(range(len(self._test.texts))[:examples], check=self._check)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Interrupted
