"""A LoRA adapter on a base model, bound to one flat vector: theta (d,) and its gradient (d,).

Decides which parameters are shared and what they start from. Every trainable parameter is a view into `theta`, so
loading a mixed vector is one copy and the optimizer runs over one tensor. Values at the start come from a stream
keyed by name and seed (common A initialisation: the mean of products differs from the product of means only by the
spread).
"""

from __future__ import annotations

import copy
import hashlib
import json
import threading
import warnings
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

PREFIX = "base_model.model."  # how peft names parameters in its files
WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """The words of peft; None means what peft does for this architecture."""

    r: int = 8
    alpha: float = 16
    dropout: float = 0.0
    target_modules: tuple[str, ...] | None = None  # e.g. ("query", "value")
    layers: tuple[int, ...] | None = None  # adapters on these layers only (peft: layers_to_transform)
    modules_to_save: tuple[str, ...] = ()  # trained whole, beside the head that peft adds by itself


class Adapter:
    """The adapted model of one process, its schema, and the flat vectors that its parameters live in."""

    def __init__(self, base: Base, settings: LoraSettings, model: Any, parameters: dict[str, nn.Parameter], seed: int):
        self.base = base
        self.settings = settings
        self.peft_model = model
        self.model: Any = model.base_model.model  # the transformers model with LoRA layers inside: what we call
        if base.bf16:
            self.model.forward = torch.autocast("cpu", torch.bfloat16)(self.model.forward)
        self.schema = Schema.of({name: p.shape for name, p in parameters.items()})
        self.theta = torch.empty(self.schema.d)
        self.grad = torch.zeros(self.schema.d)
        self.prefix: Prefix | None = None  # what answers from memory, where the layers allow it
        self.lock = threading.Lock()  # one user of theta at a time: training and evaluation may come from two threads
        _bind(self.schema, parameters, self.theta, self.grad)
        std = float(getattr(self.model.config, "initializer_range", 0.02))
        for name, view in self.schema.views(self.theta).items():
            view.copy_(_initial(base, name, parameters[name].detach(), view.clone(), std, seed))
        self.initial = self.theta.clone()  # (d,) x_0, the same on every node

    @property
    def config_digest(self) -> str:
        """sha256 hex of r, alpha, scaling and targets: equal digests, equal meaning of the vector."""
        s = self.settings
        words = [s.r, s.alpha, s.alpha / s.r, sorted(self.targets), sorted(self.schema_modules())]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()

    @property
    def targets(self) -> tuple[str, ...]:
        """The modules that carry LoRA factors, by their full names."""
        return tuple(sorted({e.name.split(".lora_")[0] for e in self.schema.entries if ".lora_" in e.name}))

    def schema_modules(self) -> tuple[str, ...]:
        """The parameters that are trained whole."""
        return tuple(e.name for e in self.schema.entries if ".lora_" not in e.name)

    @property
    def initial_digest(self) -> str:
        """sha256 hex of x_0's bytes (float32, little-endian)."""
        return hashlib.sha256(self.initial.numpy().astype("<f4", copy=False).tobytes()).hexdigest()

    def save(self, folder: Path, theta: Tensor) -> None:
        """Write adapter_config.json and adapter_model.safetensors; `PeftModel.from_pretrained` reads equal bits."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {PREFIX + name: view.contiguous() for name, view in self.schema.views(theta.detach().clone()).items()}
        save_file({name: t.clone() for name, t in tensors.items()}, folder / WEIGHTS, metadata={"format": "pt"})
        config = copy.deepcopy(self.peft_model.peft_config["default"])
        config.base_model_name_or_path = self.base.hub_name
        config.inference_mode = True
        config.target_modules = sorted(config.target_modules)  # a set in memory: equal adapters, equal files
        config.save_pretrained(str(folder))

    def load(self, folder: Path) -> Tensor:
        """The vector (d,) that a saved adapter holds.

        Raises:
            ConfigError: no adapter there, or one of another shape.
        """
        path = folder / WEIGHTS
        if not path.is_file():
            raise ConfigError(f"{path} does not exist; give a folder that holds {WEIGHTS}")
        tensors = {name.removeprefix(PREFIX): tensor for name, tensor in load_file(path).items()}
        try:
            return self.schema.flatten(tensors)
        except BadMessage as error:
            raise ConfigError(
                f"{path} is an adapter of another shape: {error}; same base, r, targets wanted"
            ) from error


def attach(base: Base, settings: LoraSettings, seed: int) -> Adapter:
    """LoRA on a copy of the base that shares its frozen weights; the base itself stays as it is.

    Raises:
        ConfigError: the settings do not fit the architecture (targets or layers that it does not have).
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
    adapter = Adapter(base, settings, model, parameters, seed)
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
