"""A LoRA adapter on a base model, bound to one flat vector: theta (d,) and its gradient (d,).

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
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from node.errors import BadMessage, ConfigError
from node.learn.base import Base, fresh_value
from node.learn.libraries import peft
from node.learn.prefix import Prefix
from node.learn.schema import Schema
from node.learn.sharing import ALL, selected

PREFIX = "base_model.model."  # how peft names parameters in its files
WEIGHTS = "adapter_model.safetensors"
HEADS = frozenset(("classifier", "score"))  # what transformers calls the head of a classifier


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """The words of peft; None means what peft does for this architecture."""

    r: int = 8
    alpha: float = 16
    dropout: float = 0.0
    target_modules: tuple[str, ...] | None = None  # e.g. ("query", "value")
    layers: tuple[int, ...] | None = None  # adapters on these layers only (peft: layers_to_transform)
    modules_to_save: tuple[str, ...] = ()  # trained whole, beside the head that peft adds by itself
    freeze: tuple[str, ...] = ()  # patterns of what stays at its common start value, e.g. ("lora_A",): FFA-LoRA


class Adapter:
    """The adapted model of one process, its schemas, and the flat vectors that its parameters live in.

    `whole` orders all that is trained: shared entries first (sorted by name), then private ones (sorted). `schema`
    holds the shared ones alone, at the same offsets; its length is d.
    """

    def __init__(
        self,
        base: Base,
        settings: LoraSettings,
        model: Any,
        parameters: dict[str, nn.Parameter],
        seed: int,
        share: Sequence[str] = ALL,
    ):
        """`parameters`: all that may be trained, by name; `settings.freeze` takes some out.

        Raises:
            ConfigError: a pattern of `share` or `settings.freeze` matches nothing, or nothing is left.
        """
        self.base = base
        self.settings = settings
        self.peft_model = model
        self.model: Any = model.base_model.model  # the transformers model with LoRA layers inside: what we call
        if base.bf16:
            self.model.forward = torch.autocast("cpu", torch.bfloat16)(self.model.forward)
        std = float(getattr(self.model.config, "initializer_range", 0.02))
        self.frozen = _freeze(parameters, settings.freeze)  # name -> parameter: of the adapter, but not trained
        for name, p in self.frozen.items():
            p.data = _initial(base, name, p.detach(), p.detach(), std, seed).clone()
        parameters = {name: p for name, p in parameters.items() if name not in self.frozen}
        chosen = selected("gossip.share", share, parameters)
        if not chosen:
            raise ConfigError(f"gossip.share: {list(share)} shares nothing; wanted one parameter or more")
        shared, private = (
            {n: p.shape for n, p in parameters.items() if (n in chosen) == side} for side in (True, False)
        )
        self.schema = Schema.of(shared)
        self.whole = Schema.of(shared, private)
        self.theta = torch.empty(self.whole.d)
        self.grad = torch.zeros(self.whole.d)
        self.prefix: Prefix | None = None  # what answers from memory, where the layers allow it
        self.lock = threading.Lock()  # one user of theta at a time: training and evaluation may come from two threads
        _bind(self.whole, parameters, self.theta, self.grad)
        for name, view in self.whole.views(self.theta).items():
            view.copy_(_initial(base, name, parameters[name].detach(), view.clone(), std, seed))
        self.initial = self.theta[: self.schema.d].clone()  # (d,) x_0, the same on every node
        self.initial_private = self.theta[self.schema.d :].clone()  # (whole.d - d,)

    @property
    def config_digest(self) -> str:
        """sha256 hex of r, alpha, scaling and targets: equal digests, equal meaning of the vector."""
        s = self.settings
        words = [s.r, s.alpha, s.alpha / s.r, sorted(self.targets), sorted(self.schema_modules())]
        words += [sorted(self.frozen)] if self.frozen else []
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()

    @property
    def targets(self) -> tuple[str, ...]:
        """The modules that carry LoRA factors, by their full names."""
        names = (*(e.name for e in self.whole.entries), *self.frozen)
        return tuple(sorted({name.split(".lora_")[0] for name in names if ".lora_" in name}))

    def schema_modules(self) -> tuple[str, ...]:
        """The parameters that are trained whole, and shared."""
        return tuple(e.name for e in self.schema.entries if ".lora_" not in e.name)

    def answers(self) -> tuple[str, ...]:
        """The common parameters that mean the same only to nodes with the same labels: of a head, a row a label."""
        named = [(e.name, e.shape) for e in self.schema.entries] + [(n, tuple(p.shape)) for n, p in self.frozen.items()]
        heads = [(name, shape) for name, shape in named if set(name.split(".")) & HEADS]
        return tuple(name for name, shape in heads if shape[0] == len(self.base.labels))

    @property
    def initial_digest(self) -> str:
        """sha256 hex of x_0's bytes and of what is frozen there (float32, little-endian)."""
        frozen = [self.frozen[name].detach().reshape(-1) for name in sorted(self.frozen)]
        start = torch.cat([self.initial, *frozen])
        return hashlib.sha256(start.numpy().astype("<f4", copy=False).tobytes()).hexdigest()

    def save(self, folder: Path, theta: Tensor) -> None:
        """Write adapter_config.json and adapter_model.safetensors; `PeftModel.from_pretrained` reads equal bits.

        Args:
            theta: (whole.d,) what is shared and the node's private part.
        """
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {**self.whole.views(theta.detach()), **{name: p.detach() for name, p in self.frozen.items()}}
        named = {PREFIX + name: t.contiguous().clone() for name, t in tensors.items()}
        save_file(named, folder / WEIGHTS, metadata={"format": "pt"})
        config = copy.deepcopy(self.peft_model.peft_config["default"])
        config.base_model_name_or_path = self.base.hub_name
        config.inference_mode = True
        config.target_modules = sorted(config.target_modules)  # a set in memory: equal adapters, equal files
        config.save_pretrained(str(folder))

    def load(self, folder: Path) -> Tensor:
        """The vector (whole.d,) that a saved adapter holds.

        Raises:
            ConfigError: no adapter there, one of another shape, or one with other values of what is frozen.
        """
        path = folder / WEIGHTS
        if not path.is_file():
            raise ConfigError(f"{path} does not exist; give a folder that holds {WEIGHTS}")
        tensors = {name.removeprefix(PREFIX): tensor for name, tensor in load_file(path).items()}
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
    """LoRA on a copy of the base that shares its frozen weights; the base itself stays as it is.

    Args:
        share: patterns of what is shared, see `node.learn.sharing`; what they leave out is private.

    Raises:
        ConfigError: the settings do not fit the architecture (targets, layers or parameters that it does not have).
    """
    shared = {id(t): t for t in (*base.model.parameters(), *base.model.buffers())}
    config = peft.LoraConfig(
        task_type=peft.TaskType.SEQ_CLS if base.task == "classification" else peft.TaskType.CAUSAL_LM,
        r=settings.r,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # peft annotates int and divides
        lora_dropout=settings.dropout,
        target_modules=list(settings.target_modules) if settings.target_modules else None,
        layers_to_transform=list(settings.layers) if settings.layers is not None else None,
        modules_to_save=list(settings.modules_to_save) or None,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 uses names that transformers 5 renames
            model: Any = peft.get_peft_model(copy.deepcopy(base.model, shared), config)
    except ValueError as error:
        raise ConfigError(
            f"lora: does not fit {base.name!r}: {str(error).splitlines()[0]}; change lora.target_modules or layers"
        ) from error
    parameters = {_plain(name): p for name, p in model.named_parameters() if p.requires_grad}
    model.eval()  # the base's own dropout stays off; see `live_dropout`
    adapter = Adapter(base, settings, model, parameters, seed, share)
    if settings.layers and not all(any(f".{n}." in t for t in adapter.targets) for n in settings.layers):
        raise ConfigError(
            f"lora.layers: {list(settings.layers)} are not all layers of {base.name!r}; "
            f"adapters would stand on {list(adapter.targets)}"
        )
    return adapter


def live_dropout(model: nn.Module, on: bool) -> None:
    """Switch LoRA's dropout. The base's own stays off in training too: a few thousand parameters need no such brake."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and "lora_dropout" in name:
            module.train(on)


def _plain(name: str) -> str:
    """A parameter's name in peft's files, without its prefix: free of the adapter's own name."""
    return name.removeprefix(PREFIX).replace(".modules_to_save.default.", ".").replace(".default.", ".")


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


def _initial(base: Base, name: str, given: Tensor, view: Tensor, std: float, seed: int) -> Tensor:
    """Start value: A uniform in +-1/sqrt(inputs) as in peft, B zero, a new head small, all else as pretrained."""
    shape = tuple(view.shape)
    if "lora_embedding_A" in name or "lora_B" in name:
        return torch.zeros(shape)
    if "lora_embedding_B" in name:
        return fresh_value(name, shape, 1.0, seed)
    if "lora_A" in name:
        inputs = torch.Size(shape[1:]).numel()
        return fresh_value(name, shape, (3.0 * inputs) ** -0.5, seed)
    return fresh_value(name, shape, std, seed) if name in base.fresh else given
