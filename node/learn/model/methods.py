"""Which parameters a method trains, and what they start from: LoRA, rsLoRA, IA3, prompt tuning, biases only, head only.

Decides how a copy of the base is changed and what the trained parameters are called in files. Whatever the method,
the rest of the system sees the same: named float32 parameters in one flat vector. Knows no vectors and no files. What
peft has a method for is peft's own, so that its `PeftModel.from_pretrained` reads it; biases and heads are the model's
own parameters.

References:
    lora: Hu et al. 2021, arXiv:2106.09685. rslora: Kalajdzievski 2023, arXiv:2312.03732, scaling alpha / sqrt(r).
    ia3: Liu et al. 2022, arXiv:2205.05638, equation 1; vectors start at one. Difference: of `target_modules`, those
    that peft knows as feed-forward modules of this architecture scale their inputs, all others their outputs.
    prompt: Lester, Al-Rfou, Constant 2021, arXiv:2104.08691; the start is drawn from the vocabulary.
    bias: Ben Zaken, Goldberg, Ravfogel 2022, arXiv:2106.10199 (BitFit): biases and the head of a classifier.
"""

from __future__ import annotations

import copy
import math
import re
import warnings
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from node.errors import ConfigError
from node.learn import draw
from node.learn.model.base import Base, fresh_value
from node.learn.model.libraries import peft, transformers

Method: TypeAlias = Literal["lora", "rslora", "ia3", "prompt", "bias", "head"]

PREFIX = "base_model.model."  # how peft names parameters in its files
PROMPT = "prompt_embeddings"  # and this one, without a prefix
FACTORS = re.compile(r"(.+)\.(?:lora_\w+|ia3_l)(?:\.weight)?$")  # a parameter that peft adds to a module
ALL_LINEAR = "all-linear"


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """The words of peft; None means what peft does for this architecture."""

    r: int = 8
    alpha: float = 16
    dropout: float = 0.0
    target_modules: tuple[str, ...] | Literal["all-linear"] | None = None  # e.g. ("query", "value")
    layers: tuple[int, ...] | None = None  # adapters on these layers only (peft: layers_to_transform)
    modules_to_save: tuple[str, ...] = ()  # trained whole, beside the head that peft adds by itself
    freeze: tuple[str, ...] = ()  # patterns of what stays at its common start value, e.g. ("lora_A",): FFA-LoRA
    method: Method = "lora"
    prompt_tokens: int = 8  # p, virtual tokens before every text; of method prompt only

    @property
    def scaling(self) -> float:
        """What B A is multiplied with."""
        return self.alpha / (math.sqrt(self.r) if self.method == "rslora" else self.r)


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


def file_name(name: str, method: Method) -> str:
    """The name of a parameter in the file that is saved."""
    if name == PROMPT or method in ("bias", "head"):
        return name
    return f"base_model.{name}" if method == "prompt" else PREFIX + name


def own_name(name: str) -> str:
    """A parameter's name in peft's files or models, without prefix and adapter name."""
    bare = name.removeprefix(PREFIX).removeprefix("base_model.").removesuffix(".default")
    if bare == "prompt_encoder.default.embedding.weight":
        return PROMPT
    return bare.replace(".modules_to_save.default.", ".").replace(".default.", ".")


def module_of(name: str) -> str | None:
    """The module that a parameter was added to; None for one that is trained whole."""
    found = FACTORS.match(name)
    return found[1] if found else None


def start(base: Base, name: str, given: Tensor, seed: int) -> Tensor:
    """x_0 of a parameter: A uniform in +-1/sqrt(inputs) as in peft, B zero, IA3 one, a prompt from the vocabulary, a
    new head small, all else as pretrained. From our own stream: the same on every node.
    """
    shape = tuple(given.shape)
    if (factor := lora_start(name, shape, seed)) is not None:
        return factor
    if name.endswith(".ia3_l"):
        return torch.ones(shape)
    if name == PROMPT:
        return _words(base.model.get_input_embeddings().weight, shape[0], seed)
    std = float(getattr(base.model.config, "initializer_range", 0.02))
    return fresh_value(name, shape, std, seed) if name in base.fresh else given.float()


def lora_start(name: str, shape: tuple[int, ...], seed: int) -> Tensor | None:
    """x_0 of a LoRA factor; None of any other parameter."""
    if "lora_embedding_A" in name or "lora_B" in name:
        return torch.zeros(shape)
    if "lora_embedding_B" in name:
        return fresh_value(name, shape, 1.0, seed)
    if "lora_A" in name:
        inputs = torch.Size(shape[1:]).numel()
        return fresh_value(name, shape, (3.0 * inputs) ** -0.5, seed)
    return None


def peft_config(base: Base, settings: LoraSettings) -> Any:
    """peft's own description of the method (a peft.PeftConfig)."""
    common: dict[str, Any] = {"task_type": TASK_TYPES[base.task]}
    if settings.method == "prompt":
        return peft.PromptTuningConfig(num_virtual_tokens=settings.prompt_tokens, **common)
    common["modules_to_save"] = list(settings.modules_to_save) or None
    if settings.method == "ia3":
        return peft.IA3Config(**_ia3_modules(base.model, settings), **common)
    return peft.LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # peft annotates int and divides
        lora_dropout=settings.dropout,
        use_rslora=settings.method == "rslora",
        **_lora_modules(base.model, settings),
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
        isinstance(base.model.get_submodule(module), LINEAR) if targets == ALL_LINEAR else _ends_with(module, targets)
    )
    return fits and (settings.layers is None or _layer(name) in settings.layers)


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


def _lora_modules(model: Any, settings: LoraSettings) -> dict[str, Any]:
    targets = _listed(settings.target_modules)
    layers = None if settings.layers is None else list(settings.layers)
    if targets == ALL_LINEAR and layers is not None:  # peft would forget the layers: it takes full names as they are
        return {"target_modules": _full_names(model, None, settings.layers)}
    return {"target_modules": targets, "layers_to_transform": layers}


def _ia3_modules(model: Any, settings: LoraSettings) -> dict[str, Any]:
    kind = model.config.model_type
    targets, inputs = _listed(settings.target_modules), IA3_INPUTS.get(kind, [])
    if settings.layers is not None:
        suffixes = targets if targets is not None else IA3_TARGETS.get(kind)
        if suffixes is None:
            raise ConfigError(f"lora.target_modules: none are known for a {kind} model; list them, or all-linear")
        targets = _full_names(model, None if suffixes == ALL_LINEAR else suffixes, settings.layers)
        return {"target_modules": targets, "feedforward_modules": [t for t in targets if _ends_with(t, inputs)]}
    if isinstance(targets, list):
        return {"target_modules": targets, "feedforward_modules": [t for t in targets if t in inputs]}
    return {"target_modules": targets, "feedforward_modules": None if kind in IA3_INPUTS else inputs}


LINEAR = (nn.Linear, transformers.pytorch_utils.Conv1D)
IA3_TARGETS: dict[str, list[str]] = peft.utils.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
IA3_INPUTS: dict[str, list[str]] = peft.utils.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING


def _listed(targets: tuple[str, ...] | Literal["all-linear"] | None) -> list[str] | str | None:
    return list(targets) if isinstance(targets, tuple) else targets


def _full_names(model: nn.Module, suffixes: list[str] | str | None, layers: tuple[int, ...] | None) -> list[str]:
    """Linear modules in these layers, by their full names; None: all linear ones there."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, LINEAR)
        and (suffixes is None or _ends_with(name, suffixes))
        and (layers is None or _layer(name) in layers)
    ]


def _ends_with(name: str, suffixes: Any) -> bool:
    return any(name == suffix or name.endswith(f".{suffix}") for suffix in suffixes)


def _layer(name: str) -> int | None:
    found = re.search(r"\.(\d+)\.", f"{name}.")
    return int(found[1]) if found else None


def _require_layers(base: Base, settings: LoraSettings, targets: list[str]) -> None:
    if settings.layers and not all(any(f".{n}." in t for t in targets) for n in settings.layers):
        raise ConfigError(
            f"lora.layers: {list(settings.layers)} are not all layers of {base.name!r}; "
            f"adapters would stand on {sorted(targets)}"
        )


def _words(embeddings: Tensor, count: int, seed: int) -> Tensor:
    """(count, h) rows of the vocabulary, cut to bfloat16: a node whose base is in half precision starts alike."""
    chosen = (draw.uniform(count, seed, "initial", PROMPT) * len(embeddings)).astype("int64")
    return embeddings.detach()[torch.from_numpy(chosen).to(embeddings.device)].bfloat16().float().cpu()
