"""What is wrong with settings, in one line each: file, key, value seen, value wanted. Layer 5, below `node.config`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from node.graph.checks import seen
from node.graph.reading import did_you_mean
from node.mixings import Rule
from node.settings import Codec

MOST = 8  # problems that are listed
PLAIN_KEY = re.compile(r"[\w.-]{1,60}")
ELSEWHERE: Mapping[str, str] = {  # words of axolotl, LLaMA-Factory and peft -> ours, where they differ
    "model_name_or_path": "base_model",
    "dataset": "datasets",
    "lora_r": "lora.r",
    "lora_rank": "lora.r",
    "rank": "lora.r",
    "lora_alpha": "lora.alpha",
    "lora_dropout": "lora.dropout",
    "lora_target": "lora.target_modules",
    "lora_target_modules": "lora.target_modules",
    "layers_to_transform": "lora.layers",
    "lora_layers_to_transform": "lora.layers",
    "lr": "train.learning_rate",
    "batch_size": "train.micro_batch_size",
    "per_device_train_batch_size": "train.micro_batch_size",
    "cutoff_len": "train.sequence_len",
    "max_length": "train.sequence_len",
    "optim": "train.optimizer",
    "lr_scheduler_type": "train.lr_scheduler",
    "num_epochs": "gossip.rounds",
    "num_train_epochs": "gossip.rounds",
    "max_steps": "gossip.rounds",
    "save_steps": "checkpoint_every",
}


WORDS = (
    (r"^Input should be a valid integer.*", "wanted a whole number"),
    (r"^Input should be a valid boolean.*", "wanted true or false"),
    (r"^Input should be a valid ", "wanted a "),
    (r"^Input should be greater than or equal to (.*)", r"wanted \1 or more"),
    (r"^Input should be less than or equal to (.*)", r"wanted \1 or less"),
    (r"^Input should be (greater|less) than (.*)", r"wanted a number \1 than \2"),
    (r"^Input should be ", "wanted "),
    (r"^String should have ", "wanted "),
)


def complaint(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """One line for one problem; for several a summary line, then a line each."""
    lines = [f"{source}: {_line(detail, model)}" for detail in error.errors(include_url=False)]
    if len(lines) == 1:
        return lines[0]
    more = [f"and {len(lines) - MOST} more"] if len(lines) > MOST else []
    return "\n  ".join([f"{source}: {len(lines)} settings cannot work", *lines[:MOST], *more])


def dotted_keys(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """`train.learning_rate` -> its field, for every key that is no list item."""
    keys: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        keys[prefix + name] = field
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel) and not issubclass(kind, Rule | Codec):  # one value
            keys |= dotted_keys(kind, f"{prefix}{name}.")
    return keys


def _line(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, loc, value = detail["type"], detail["loc"], detail["input"]
    key = _path(loc)
    if kind == "extra_forbidden":
        return f"{key}: unknown key{_meant(loc, model)}"
    if kind == "missing":
        return f"{key}: missing; wanted a value"
    if kind == "invalid_key":
        return f"{key}: wanted keys that are names"
    shown = "" if isinstance(value, dict | BaseModel) else f"{seen(value)}; "
    return f"{key}: {shown}{_wanted(detail)}" if key else f"{shown}{_wanted(detail)}"


def _wanted(detail: ErrorDetails) -> str:
    """pydantic's sentence in our words."""
    if detail["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return "wanted a mapping of settings"
    if detail["type"] in ("tuple_type", "list_type"):
        return "wanted a list"
    seen_first, semicolon, message = detail["msg"].removeprefix("Value error, ").rpartition("; ")  # of a rule's setting
    for pattern, words in WORDS:
        message = re.sub(pattern, words, message)
    message = seen_first + semicolon + message
    if detail["type"] == "literal_error":
        message += did_you_mean(detail["input"], re.findall(r"'([^']*)'", str(detail["ctx"]["expected"])))
    return message[:1].lower() + message[1:]


def _meant(loc: Sequence[int | str], model: type[BaseModel]) -> str:
    """The key that an unknown one stands for: another tool's word, a near spelling, or the same name elsewhere."""
    keys, word = dotted_keys(model), str(loc[-1])
    if word in ELSEWHERE:
        return f": write {ELSEWHERE[word]}"
    block = _block(loc[:-1], model)
    if close := did_you_mean(word, block.model_fields if block else ()):
        return close
    same = [key for key in keys if key.rpartition(".")[2] == word]
    return f": did you mean {same[0]}?" if same else did_you_mean(word, keys)


def _block(loc: Sequence[int | str], model: type[BaseModel]) -> type[BaseModel] | None:
    """The model at a place such as ("datasets", 0); None where it is not one."""
    for part in loc:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        inner = _models_in(field.annotation) if field else []
        if not inner:
            return None
        model = inner[0]
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in getattr(annotation, "__args__", ()) for found in _models_in(inner)]


def _path(loc: Sequence[int | str]) -> str:
    """("datasets", 0, "path") -> datasets[0].path"""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += ("." if path else "") + (part if PLAIN_KEY.fullmatch(part) else seen(part))
    return path
