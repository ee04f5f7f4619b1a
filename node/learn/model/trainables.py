"""The trainable parameters of a model that somebody else made and trains, as vectors of ours.

The model stays theirs: values are copied out (float32, CPU) and written back in place, in whatever dtype and on
whatever device the parameters live. Decides what they are called (as in peft's files), which are shared, and whether
LoRA factors get the start values that all nodes draw alike. Knows no Trainer and no network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from node.errors import ConfigError
from node.learn.model.base import vocabulary_digest, weights_digest
from node.learn.model.names import own_name
from node.learn.model.schema import Schema
from node.learn.model.sharing import ALL, selected
from node.learn.model.starts import lora_start
from node.learn.reading.examples import Task, digest_of
from node.types import Digests, Vector

FROZEN_COPY = ".original_module."  # what peft keeps of a module that is trained whole
HEADS: Mapping[str, Task] = {
    "ForSequenceClassification": "classification",
    "ForTokenClassification": "token_classification",
}


class Trainables:
    """Parameters of `model` that require a gradient and are shared, in the order of our schema.

    Args:
        share: patterns over their names, see `node.learn.model.sharing`; what they leave out is the script's own.

    Raises:
        ConfigError: there are none.
    """

    def __init__(self, model: nn.Module, share: Sequence[str] = ALL) -> None:
        self.model = model
        adapter = getattr(model, "active_adapter", None)
        self._adapter = adapter if isinstance(adapter, str) else "default"
        named = {self._own_name(n): p for n, p in model.named_parameters() if p.requires_grad}
        if not named:
            raise ConfigError(
                "the model has no trainable parameter; wanted one with a peft adapter (get_peft_model), or unfrozen"
            )
        chosen = selected("gossip.share", share, named)
        if not chosen:
            raise ConfigError(f"gossip.share: {list(share)} shares nothing; wanted one parameter or more")
        self.schema = Schema.of({name: named[name].shape for name in chosen})
        self.parameters: tuple[nn.Parameter, ...] = tuple(named[e.name] for e in self.schema.entries)

    def read(self) -> Vector:
        """(d,) a copy of the values."""
        return self.flatten([p.detach() for p in self.parameters])

    def flatten(self, tensors: Sequence[Tensor]) -> Vector:
        """One tensor a parameter, in our order -> (d,) float32 on the CPU, a copy."""
        theta = torch.empty(self.schema.d)
        for view, tensor in zip(self.schema.views(theta).values(), tensors, strict=True):
            view.copy_(tensor)
        return theta

    @torch.no_grad()
    def write(self, theta: Vector) -> None:
        """Put (d,) into the model, in place."""
        for parameter, view in zip(self.parameters, self.schema.views(theta).values(), strict=True):
            parameter.copy_(view)

    @contextmanager
    def holding(self, theta: Vector) -> Iterator[None]:
        """The model has these values inside the block, and its own again after it."""
        before = self.read()
        self.write(theta)
        try:
            yield
        finally:
            self.write(before)

    # ---- common start
    @property
    def has_fresh_lora(self) -> bool:
        """Whether there are LoRA factors, and their product is still zero."""
        zeros = [p for name, p in self._named() if "lora_B" in name or "lora_embedding_A" in name]
        return bool(zeros) and not any(bool(p.detach().any()) for p in zeros)

    @torch.no_grad()
    def draw_lora(self, seed: int) -> tuple[str, ...]:
        """Give LoRA factors the values that all nodes draw from their names and `seed`; the names of those drawn.

        As peft does with torch's generator, whose numbers depend on who draws first.
        """
        drawn = []
        for name, parameter in self._named():
            if (value := lora_start(name, tuple(parameter.shape), seed)) is not None:
                parameter.copy_(value)
                drawn.append(name)
        return tuple(drawn)

    def _own_name(self, name: str) -> str:
        """As in peft's files, whatever the adapter is called."""
        return own_name(name.replace(f".{self._adapter}", ".default") if self._adapter != "default" else name)

    def _named(self) -> Iterator[tuple[str, nn.Parameter]]:
        return zip((e.name for e in self.schema.entries), self.parameters, strict=True)

    # ---- what nodes must agree on
    def digests(self, tokenizer: Any = None) -> Digests:
        """Of the frozen base, the adapter, the labels, the schema and the values as they are now; by name."""
        labels = self.labels
        said = {
            "base_model": weights_digest(dict(self._frozen())),
            "labels": digest_of(labels),
            "adapter": self._adapter_digest(),
            "schema": self.schema.digest,
            "initial": hashlib.sha256(self.read().numpy().astype("<f4", copy=False).tobytes()).hexdigest(),
        }
        return {**said, **({"tokenizer": vocabulary_digest(tokenizer)} if hasattr(tokenizer, "get_vocab") else {})}

    @property
    def task(self) -> Task:
        """What the model is made for, by its class; a causal language model if nothing else."""
        wrapped: Any = self.model
        base = wrapped.get_base_model() if hasattr(wrapped, "get_base_model") else wrapped
        found = (task for ending, task in HEADS.items() if type(base).__name__.endswith(ending))
        return next(found, "causal_lm")

    @property
    def labels(self) -> tuple[str, ...]:
        """Of a classifier, in order; () of anything else."""
        numbered = getattr(getattr(self.model, "config", None), "id2label", None)
        if not numbered or self.task == "causal_lm":
            return ()
        return tuple(str(numbered[number]) for number in sorted(numbered))

    @property
    def peft_config(self) -> Any:
        """peft's description of the adapter; None of a model without one."""
        configs: Mapping[str, Any] = getattr(self.model, "peft_config", {})
        return configs.get(self._adapter)

    def _frozen(self) -> Iterator[tuple[str, Tensor]]:
        for name, p in self.model.named_parameters():
            if not p.requires_grad and FROZEN_COPY not in name:
                yield self._own_name(name).replace(".base_layer.", "."), p

    def _adapter_digest(self) -> str:
        """Of what decides how the vector acts: peft's own settings, without paths and what only says how it began."""
        config = self.peft_config
        if config is None:
            return digest_of(("no adapter",))
        said = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items() if k not in FORGETTABLE}
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


FORGETTABLE = frozenset(
    {"base_model_name_or_path", "revision", "inference_mode", "init_lora_weights", "peft_version", "auto_mapping"}
)
