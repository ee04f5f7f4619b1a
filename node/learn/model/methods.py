"""Which parameters a method trains: LoRA, rsLoRA, IA3, prompt tuning, biases only, head only.

Decides how a copy of the base is changed. Whatever the method, the rest of the system sees the same: named float32
parameters in one flat vector. Knows no vectors and no files. What peft has a method for is peft's own, so that its
`PeftModel.from_pretrained` reads it; biases and heads are the model's own parameters. What they are called is in
`names`, what they start from in `starts`, on which modules they are put in `targets`.

References:
    lora: Hu et al. 2021, arXiv:2106.09685. rslora: Kalajdzievski 2023, arXiv:2312.03732, scaling alpha / sqrt(r).
    ia3: Liu et al. 2022, arXiv:2205.05638, equation 1; vectors start at one. Difference: of `target_modules`, those
    that peft knows as feed-forward modules of this architecture scale their inputs, all others their outputs.
    prompt: Lester, Al-Rfou, Constant 2021, arXiv:2104.08691; the start is drawn from the vocabulary.
    bias: Ben Zaken, Goldberg, Ravfogel 2022, arXiv:2106.10199 (BitFit): biases and the head of a classifier.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any, NamedTuple

from torch import nn

from node.errors import ConfigError
from node.learn.model.base import Base
from node.learn.model.libraries import peft
from node.learn.model.lora_settings import LoraSettings
from node.learn.model.names import module_of, own_name
from node.learn.model.targets import ALL_LINEAR, LINEAR, ends_with, ia3_modules, layer_of, lora_modules


class Adapted(NamedTuple):
    """A changed copy of a base model."""

    model: Any  # what is called with ids and mask
    parameters: dict[str, nn.Parameter]  # those that are trained, by their names in files without peft's prefix
    peft_model: Any  # peft.PeftModel around the model; None where peft has no such method


def adapted(base: Base, settings: LoraSettings) -> Adapted:
    """A copy of the base that trains what the method says and shares all other tensors with it.

    Raises:
        ConfigError: the settings do not fit the architecture.
    """
    return _plain(base, settings) if settings.method in ("bias", "head") else _by_peft(base, settings)


def require_room(base: Base, settings: LoraSettings, sequence_len: int) -> None:
    """Virtual tokens stand before a text; both must find room in the model.

    Raises:
        ConfigError: they do not.
    """
    if settings.method != "prompt":
        return
    room = getattr(base.model.config, "max_position_embeddings", None)
    if room is not None and sequence_len + settings.prompt_tokens > room:
        raise ConfigError(
            f"lora.prompt_tokens: {settings.prompt_tokens} and train.sequence_len: {sequence_len} are more than the "
            f"{room} tokens that {base.name!r} reads; lower one of them"
        )
    if hasattr(base.model, "score"):  # it looks for the last token that is no padding, in ids that it is not given
        raise ConfigError(
            f"lora.method: prompt cannot classify with {base.name!r}, which reads from a text's last token; "
            f"wanted a model such as BERT, or another method"
        )


def peft_config(base: Base, settings: LoraSettings) -> Any:
    """peft's own description of the method (a peft.PeftConfig)."""
    common: dict[str, Any] = {"task_type": TASK_TYPES[base.task]}
    if settings.method == "prompt":
        return peft.PromptTuningConfig(num_virtual_tokens=settings.prompt_tokens, **common)
    common["modules_to_save"] = list(settings.modules_to_save) or None
    if settings.method == "ia3":
        return peft.IA3Config(**ia3_modules(base.model, settings), **common)
    return peft.LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # peft annotates int and divides
        lora_dropout=settings.dropout,
        use_rslora=settings.method == "rslora",
        **lora_modules(base.model, settings),
        **common,
    )


TASK_TYPES = {
    "classification": peft.TaskType.SEQ_CLS,
    "token_classification": peft.TaskType.TOKEN_CLS,
    "causal_lm": peft.TaskType.CAUSAL_LM,
}


def _by_peft(base: Base, settings: LoraSettings) -> Adapted:
    config = peft_config(base, settings)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 uses names that transformers 5 renames
            model: Any = peft.get_peft_model(_copy(base.model), config)
    except ValueError as error:
        raise ConfigError(
            f"lora: does not fit {base.name!r}: {str(error).splitlines()[0]}; change lora.target_modules or layers"
        ) from error
    parameters = {own_name(name): p for name, p in model.named_parameters() if p.requires_grad}
    _require_layers(base, settings, [m for m in map(module_of, parameters) if m])
    # Prompts are put before the texts by peft's wrapper; other methods live inside the model, which is called alone.
    return Adapted(model if settings.method == "prompt" else model.base_model.model, parameters, model)


def _plain(base: Base, settings: LoraSettings) -> Adapted:
    """Parameters of the model itself, in a copy of their own."""
    names = [name for name, _ in base.model.named_parameters(remove_duplicate=False)]
    chosen = {name for name in names if _is_chosen(base, settings, name)}
    tied = _tied(base.model, chosen)
    if tied:
        raise ConfigError(
            f"lora.method: {settings.method} would train {tied[0]}, which {base.name!r} also uses as {tied[1]}; "
            f"wanted a model with a head of its own, or another method"
        )
    if not any(_is_of_method(base, settings, name) for name in chosen):
        raise ConfigError(
            f"lora.method: {settings.method} finds nothing to train in {base.name!r} with these target_modules and "
            f"layers; wanted a model with such parameters, or another method"
        )
    model = _copy(base.model, own=chosen)
    parameters = {name: p for name, p in model.named_parameters() if name in chosen}
    if settings.method == "bias":
        _require_layers(base, settings, list(parameters))
    for p in parameters.values():
        p.requires_grad_(True)
    return Adapted(model, parameters, None)


def _copy(model: Any, own: set[str] = frozenset()) -> Any:  # type: ignore[assignment]
    """The same modules anew, over the same tensors, save those that are to be trained."""
    shared = {id(t): t for name, t in (*model.named_parameters(), *model.named_buffers()) if name not in own}
    return copy.deepcopy(model, shared)


def _is_chosen(base: Base, settings: LoraSettings, name: str) -> bool:
    whole = any(part in name.split(".") for part in settings.modules_to_save)
    return whole or _is_head(base, name) or _is_of_method(base, settings, name)


def _is_of_method(base: Base, settings: LoraSettings, name: str) -> bool:
    if settings.method == "head":
        return _is_head(base, name, even_of_a_language_model=True)
    if not name.endswith(".bias"):
        return False
    module, targets = name.removesuffix(".bias"), settings.target_modules
    fits = targets is None or (
        isinstance(base.model.get_submodule(module), LINEAR) if targets == ALL_LINEAR else ends_with(module, targets)
    )
    return fits and (settings.layers is None or layer_of(name) in settings.layers)


def _is_head(base: Base, name: str, even_of_a_language_model: bool = False) -> bool:
    """Of a classifier: what peft trains whole by itself. Of a language model: the matrix before the softmax."""
    if base.task != "causal_lm":
        return name.split(".")[0].endswith(("classifier", "score"))
    output = base.model.get_output_embeddings() if even_of_a_language_model else None
    return output is not None and name.rpartition(".")[0] == _name_of(base.model, output)


def _name_of(model: nn.Module, wanted: nn.Module) -> str:
    name: str = next(name for name, module in model.named_modules() if module is wanted)
    return name


def _tied(model: nn.Module, chosen: set[str]) -> tuple[str, str] | None:
    """A chosen parameter that stands in another place, too, and that place."""
    names: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(p), []).append(name)
    for same in names.values():
        if len(same) > 1 and (both := chosen & set(same)):
            trained = min(both)
            return trained, next(name for name in same if name != trained)
    return None


def _require_layers(base: Base, settings: LoraSettings, targets: list[str]) -> None:
    if settings.layers and not all(any(f".{n}." in t for t in targets) for n in settings.layers):
        raise ConfigError(
            f"lora.layers: {list(settings.layers)} are not all layers of {base.name!r}; "
            f"adapters would stand on {sorted(targets)}"
        )
