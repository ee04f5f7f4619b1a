"""Which modules of a model an adapter is put on: by their names, by their layers, or all linear ones."""

from __future__ import annotations

import re
from typing import Any, Literal

from torch import nn

from node.errors import ConfigError
from node.learn.model.libraries import peft, transformers
from node.learn.model.lora_settings import LoraSettings

ALL_LINEAR = "all-linear"
LINEAR = (nn.Linear, transformers.pytorch_utils.Conv1D)
IA3_TARGETS: dict[str, list[str]] = peft.utils.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
IA3_INPUTS: dict[str, list[str]] = peft.utils.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING


def lora_modules(model: Any, settings: LoraSettings) -> dict[str, Any]:
    """The settings' modules and layers as `peft.LoraConfig` takes them."""
    targets = _listed(settings.target_modules)
    layers = None if settings.layers is None else list(settings.layers)
    if targets == ALL_LINEAR and layers is not None:  # peft would forget the layers: it takes full names as they are
        return {"target_modules": _full_names(model, None, settings.layers)}
    return {"target_modules": targets, "layers_to_transform": layers}


def ia3_modules(model: Any, settings: LoraSettings) -> dict[str, Any]:
    """The same as `peft.IA3Config` takes them, which knows no layers.

    Raises:
        ConfigError: layers are wanted of an architecture of which peft knows no modules.
    """
    kind = model.config.model_type
    targets, inputs = _listed(settings.target_modules), IA3_INPUTS.get(kind, [])
    if settings.layers is not None:
        suffixes = targets if targets is not None else IA3_TARGETS.get(kind)
        if suffixes is None:
            raise ConfigError(f"lora.target_modules: none are known for a {kind} model; list them, or all-linear")
        targets = _full_names(model, None if suffixes == ALL_LINEAR else suffixes, settings.layers)
        return {"target_modules": targets, "feedforward_modules": [t for t in targets if ends_with(t, inputs)]}
    if isinstance(targets, list):
        return {"target_modules": targets, "feedforward_modules": [t for t in targets if t in inputs]}
    return {"target_modules": targets, "feedforward_modules": None if kind in IA3_INPUTS else inputs}


def _listed(targets: tuple[str, ...] | Literal["all-linear"] | None) -> list[str] | str | None:
    return list(targets) if isinstance(targets, tuple) else targets


def _full_names(model: nn.Module, suffixes: list[str] | str | None, layers: tuple[int, ...] | None) -> list[str]:
    """Linear modules in these layers, by their full names; None: all linear ones there."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, LINEAR)
        and (suffixes is None or ends_with(name, suffixes))
        and (layers is None or layer_of(name) in layers)
    ]


def ends_with(name: str, suffixes: Any) -> bool:
    return any(name == suffix or name.endswith(f".{suffix}") for suffix in suffixes)


def layer_of(name: str) -> int | None:
    found = re.search(r"\.(\d+)\.", f"{name}.")
    return int(found[1]) if found else None
