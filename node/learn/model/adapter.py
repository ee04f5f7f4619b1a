"""An adapter on a base model, bound to one flat vector: theta (d,) and its gradient (d,).

Decides what is trained, which of it is shared, and what it starts from. Every trainable parameter is a view into
`theta`, the shared ones first, so loading a mixed vector is one copy and the optimizer runs over one tensor. Values at
the start come from a stream keyed by name and seed (common A initialisation: the mean of products differs from the
product of means only by the spread).
"""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from node.errors import BadMessage, ConfigError
from node.learn.model.base import Base
from node.learn.model.lora_settings import LoraSettings
from node.learn.model.methods import Adapted, adapted
from node.learn.model.names import file_name, module_of, own_name
from node.learn.model.prefix import Prefix
from node.learn.model.schema import Schema
from node.learn.model.sharing import ALL, selected
from node.learn.model.starts import start

WEIGHTS = "adapter_model.safetensors"
PLAIN_WEIGHTS = "tuned.safetensors"  # of a method that peft does not have: the model's own names, for load_state_dict
HEADS = frozenset(("classifier", "score"))  # what transformers calls the head of a classifier


class Adapter:
    """The adapted model of one process, its schemas, and the flat vectors that its parameters live in.

    `whole` orders all that is trained: shared entries first (sorted by name), then private ones (sorted). `schema`
    holds the shared ones alone, at the same offsets; its length is d.
    """

    def __init__(
        self,
        base: Base,
        settings: LoraSettings,
        changed: Adapted,
        seed: int,
        share: Sequence[str] = ALL,
    ):
        """`changed.parameters`: all that may be trained, by name; `settings.freeze` takes some out.

        Raises:
            ConfigError: a pattern of `share` or `settings.freeze` matches nothing, or nothing is left.
        """
        self.base = base
        self.settings = settings
        self.peft_model = changed.peft_model  # None where peft does not have the method
        self.model: Any = changed.model  # what we call; the transformers model, save for prompts
        parameters, device = changed.parameters, base.device
        if base.bf16:
            self.model.forward = torch.autocast(device.type, torch.bfloat16)(self.model.forward)
        self.frozen = _freeze(parameters, settings.freeze)  # name -> parameter: of the adapter, but not trained
        for name, p in self.frozen.items():
            p.data = start(base, name, p.detach(), seed).clone().to(device)
        parameters = {name: p for name, p in parameters.items() if name not in self.frozen}
        chosen = selected("gossip.share", share, parameters)
        if not chosen:
            raise ConfigError(f"gossip.share: {list(share)} shares nothing; wanted one parameter or more")
        shared, private = (
            {n: p.shape for n, p in parameters.items() if (n in chosen) == side} for side in (True, False)
        )
        self.schema = Schema.of(shared)
        self.whole = Schema.of(shared, private)
        self.theta = torch.empty(self.whole.d, device=device)
        self.grad = torch.zeros(self.whole.d, device=device)
        self.prefix: Prefix | None = None  # what answers from memory, where the layers allow it
        self.lock = threading.Lock()  # one user of theta at a time: training and evaluation may come from two threads
        _bind(self.whole, parameters, self.theta, self.grad)
        for name, view in self.whole.views(self.theta).items():
            view.copy_(start(base, name, view.clone(), seed))
        self.initial = self.theta[: self.schema.d].to("cpu", copy=True)  # (d,) x_0, the same on every node
        self.initial_private = self.theta[self.schema.d :].to("cpu", copy=True)  # (whole.d - d,)

    @property
    def config_digest(self) -> str:
        """sha256 hex of method, r, alpha, scaling and targets: equal digests, equal meaning of the vector."""
        s = self.settings
        words: list[Any] = [s.r, s.alpha, s.scaling] if s.method in ("lora", "rslora") else []
        words += [sorted(self.targets), sorted(self.schema_modules())]
        words += [s.method] if s.method != "lora" else []
        words += [sorted(self.frozen)] if self.frozen else []
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()

    @property
    def targets(self) -> tuple[str, ...]:
        """The modules that carry factors (or IA3's vectors), by their full names."""
        names = (*(e.name for e in self.whole.entries), *self.frozen)
        return tuple(sorted({module for module in map(module_of, names) if module}))

    def schema_modules(self) -> tuple[str, ...]:
        """The parameters that are trained whole, and shared."""
        return tuple(e.name for e in self.schema.entries if module_of(e.name) is None)

    @property
    def weights_file(self) -> str:
        """How the file of parameters in an adapter's folder is called."""
        return PLAIN_WEIGHTS if self.peft_model is None else WEIGHTS

    def answers(self) -> tuple[str, ...]:
        """The common parameters that mean the same only to nodes with the same labels: of a head, a row a label."""
        named = [(e.name, e.shape) for e in self.schema.entries] + [(n, tuple(p.shape)) for n, p in self.frozen.items()]
        heads = [(name, shape) for name, shape in named if set(name.split(".")) & HEADS]
        return tuple(name for name, shape in heads if shape[0] == len(self.base.labels))

    @property
    def initial_digest(self) -> str:
        """sha256 hex of x_0's bytes and of what is frozen there (float32, little-endian)."""
        frozen = [self.frozen[name].detach().reshape(-1).cpu() for name in sorted(self.frozen)]
        start = torch.cat([self.initial, *frozen])
        return hashlib.sha256(start.numpy().astype("<f4", copy=False).tobytes()).hexdigest()

    def save(self, folder: Path, theta: Tensor) -> None:
        """Write adapter_config.json and adapter_model.safetensors; `PeftModel.from_pretrained` reads equal bits.

        Where peft does not have the method, tuned.safetensors alone: `model.load_state_dict(..., strict=False)`.

        Args:
            theta: (whole.d,) what is shared and the node's private part.
        """
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {**self.whole.views(theta.detach()), **{name: p.detach() for name, p in self.frozen.items()}}
        named = {file_name(name, self.settings.method): t.cpu().contiguous().clone() for name, t in tensors.items()}
        save_file(named, folder / self.weights_file, metadata={"format": "pt"})
        if self.peft_model is None:
            return
        config = copy.deepcopy(self.peft_model.peft_config["default"])
        config.base_model_name_or_path = self.base.hub_name
        config.inference_mode = True
        for words in ("target_modules", "feedforward_modules"):  # sets in memory: equal adapters, equal files
            if isinstance(getattr(config, words, None), set):
                setattr(config, words, sorted(getattr(config, words)))
        config.save_pretrained(str(folder))

    def load(self, folder: Path) -> Tensor:
        """The vector (whole.d,) that a saved adapter holds.

        Raises:
            ConfigError: no adapter there, one of another shape, or one with other values of what is frozen.
        """
        path = folder / self.weights_file
        if not path.is_file():
            raise ConfigError(f"{path} does not exist; give a folder that holds {self.weights_file}")
        tensors = {own_name(name): tensor for name, tensor in load_file(path).items()}
        other = [n for n, p in self.frozen.items() if n in tensors and not torch.equal(tensors.pop(n), p.detach())]
        if other:
            raise ConfigError(f"{path}: {other[0]} is frozen at another value; wanted the same seed and lora.freeze")
        try:
            return self.whole.flatten(tensors)
        except BadMessage as error:
            raise ConfigError(
                f"{path} is an adapter of another shape: {error}; same base, r, targets wanted"
            ) from error


def attach(base: Base, settings: LoraSettings, seed: int, share: Sequence[str] = ALL) -> Adapter:
    """An adapter on a copy of the base that shares its frozen weights; the base itself stays as it is.

    Args:
        share: patterns of what is shared, see `node.learn.model.sharing`; what they leave out is private.

    Raises:
        ConfigError: the settings do not fit the architecture (targets, layers or parameters that it does not have).
    """
    changed = adapted(base, settings)
    changed.model.eval()  # the base's own dropout stays off; see node.learn.model.dropout
    return Adapter(base, settings, changed, seed, share)


def _freeze(parameters: Mapping[str, nn.Parameter], patterns: Sequence[str]) -> dict[str, nn.Parameter]:
    """The parameters that these patterns name, no longer trainable."""
    names = selected("lora.freeze", patterns, parameters) if patterns else ()
    if len(names) == len(parameters):
        raise ConfigError(f"lora.freeze: {list(patterns)} leaves nothing to train")
    frozen = {name: parameters[name] for name in sorted(names)}
    for parameter in frozen.values():
        parameter.requires_grad_(False)
    return frozen


def _bind(schema: Schema, parameters: dict[str, nn.Parameter], theta: Tensor, grad: Tensor) -> None:
    """Make every parameter a view into theta, and its gradient one into grad (autograd then adds in place)."""
    views, slopes = schema.views(theta), schema.views(grad)
    with torch.no_grad():
        for name, parameter in parameters.items():
            views[name].copy_(parameter)
            parameter.data = views[name]
            parameter.grad = slopes[name]
