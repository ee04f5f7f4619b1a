"""The prefix: the frozen layers below the first adapter. Their activations are computed once a text, then replayed.

Decides whether a model has such layers (everything that enters them is frozen, and nothing but hidden states leaves
them: both are tried, not guessed from names) and how its forward pass is short-cut. The model's own `forward` runs in
both paths; only the layers below the first adapter answer from memory, so masks and positions are made where they
always are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from node.learn.model.first_token import FirstTokenOnly
from node.learn.reading.texts import Batch, Texts

GROUP = 32  # texts computed together; fixed groups by length, so that the same text always gets the same bits
UNFIT = (RuntimeError, TypeError, KeyError, AttributeError, ValueError, IndexError)  # another kind of model
TOLERANCE = 1e-3  # of the largest logit, when a replay is compared with the plain path


class _Reached(Exception):
    """The pass came to the end of the prefix; the rest is not needed."""


class Prefix:
    """Layers 0 to first - 1 of a model, taught to answer from memory."""

    def __init__(self, model: nn.Module, layers: Sequence[nn.Module]) -> None:
        self.depth = len(layers)
        self._model = model
        self._tuple = False
        self._replayed: Tensor | None = None
        self._captured: Tensor | None = None
        self._capturing = False
        self._shortened: FirstTokenOnly | None = None
        for index, layer in enumerate(layers):
            last = index == len(layers) - 1
            layer.forward = self._taught(layer.forward, last)

    def _taught(self, original: Callable[..., Any], last: bool) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if self._replayed is None:
                out = original(*args, **kwargs)
                if last and self._capturing:
                    self._tuple = isinstance(out, tuple)
                    self._captured = out[0] if self._tuple else out
                    raise _Reached
                return out
            hidden = self._replayed if last else (args[0] if args else kwargs["hidden_states"])
            return (hidden,) if self._tuple else hidden

        return forward

    def hidden(self, batch: Batch) -> Tensor:
        """(b, t, h): what enters the first layer with an adapter."""
        self._capturing = True
        try:
            self._model(**batch.inputs(), use_cache=False)
        except _Reached:
            assert self._captured is not None
            return self._captured
        finally:
            self._capturing, self._captured = False, None
        raise RuntimeError("the model did not pass through its layers")

    def replay(self, batch: Batch, hidden: Tensor) -> Any:
        """The model's output where the prefix answers with `hidden` (b, t, h)."""
        self._replayed = hidden
        self._shorten(True)
        try:
            return self._model(**batch.inputs(), use_cache=False)
        finally:
            self._replayed = None
            self._shorten(False)

    def shorten(self, layer: nn.Module) -> None:
        """From now on replay `layer`, the model's last one, for the first token only."""
        self._shortened = FirstTokenOnly(layer, self._tuple)

    def lengthen(self) -> None:
        """Take `shorten` back."""
        if self._shortened is not None:
            self._shortened.release()
            self._shortened = None

    def _shorten(self, on: bool) -> None:
        if self._shortened is not None:
            self._shortened.on = on


def find_prefix(
    model: nn.Module, trainable: Iterable[str], probe: Batch, shorten: bool = True
) -> tuple[Prefix | None, str]:
    """The prefix of a model whose trainable parameters have these names, or None and the reason.

    Args:
        shorten: whether the last layer may be replayed for the first token only, where nothing else is read.
    """
    layers, first = _layers_below(model, list(trainable))
    if first == 0:
        return None, "no frozen layer lies below the first adapter"
    prefix = Prefix(model, layers[:first])
    try:
        with torch.enable_grad():
            depends = prefix.hidden(probe).requires_grad
        if depends:
            return None, "something that is trained lies below the layers with adapters"
        with torch.no_grad():
            plain = model(**probe.inputs(), use_cache=False).logits
            replayed = prefix.replay(probe, prefix.hidden(probe)).logits
    except UNFIT as error:
        return None, f"the model's layers cannot be replayed ({type(error).__name__})"
    if not _alike(plain, replayed, probe):
        return None, "the model's layers hand on more than hidden states"
    short = shorten and plain.dim() == 2 and first < len(layers) and _can_shorten(prefix, layers[-1], plain, probe)
    return prefix, f"{first} of {len(layers)} layers{', the last one for the first token only' if short else ''}"


def _can_shorten(prefix: Prefix, last: nn.Module, plain: Tensor, probe: Batch) -> bool:
    """Whether the logits are the same with the last layer shortened; if not, it is as it was."""
    prefix.shorten(last)
    try:
        with torch.no_grad():
            shortened = prefix.replay(probe, prefix.hidden(probe)).logits
    except UNFIT:
        shortened = None
    if shortened is None or not _alike(plain, shortened, probe):
        prefix.lengthen()
        return False
    return True


def _alike(plain: Tensor, other: Tensor, probe: Batch) -> bool:
    """Equal logits up to rounding, where the texts are not padded."""
    real = probe.mask.bool() if plain.dim() == 3 else slice(None)
    return torch.allclose(plain[real], other[real], atol=TOLERANCE * float(plain.abs().max()), rtol=0.0)


def _layers_below(model: nn.Module, trainable: list[str]) -> tuple[list[nn.Module], int]:
    """The layer list that carries adapters, and how many of its layers lie below the first one."""
    lists = {name: list(module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    touched: dict[str, list[int]] = {}
    for parameter in trainable:
        found = re.match(r"(.+?)\.(\d+)\.", parameter)
        if found and found[1] in lists:
            touched.setdefault(found[1], []).append(int(found[2]))
    if len(touched) > 1 or not lists:
        return [], 0
    if not touched:  # only a head is trained
        longest = max(lists.values(), key=len)
        return longest, len(longest)
    name, indices = next(iter(touched.items()))
    return lists[name], min(indices)


class Remembered:
    """The hidden states of some texts (`only` these indices, or all), computed when first needed.

    Memory: 4 bytes * tokens * h at the most.
    """

    def __init__(self, prefix: Prefix, texts: Texts, device: torch.device, only: Sequence[int] | None = None) -> None:
        self._prefix = prefix
        self._texts = texts
        self._device = device
        self.rows: dict[int, Tensor] = {}  # index -> (tokens, h), as far as computed
        self._groups = list(texts.by_length(GROUP, only))
        self._group_of = {index: number for number, group in enumerate(self._groups) for index in group}

    def fill(self, part: int = 0, parts: int = 1) -> None:
        """Compute now what is missing of every `parts`-th group, from number `part` on."""
        for number in range(part, len(self._groups), parts):
            if any(index not in self.rows for index in self._groups[number]):
                self._compute(number)

    def hidden(self, indices: Sequence[int]) -> Tensor:
        """(b, t, h) for the texts at these indices, zeros where padded."""
        for number in sorted({self._group_of[index] for index in indices if index not in self.rows}):
            self._compute(number)
        return nn.utils.rnn.pad_sequence([self.rows[index] for index in indices], batch_first=True)

    def _compute(self, number: int) -> None:
        group = self._groups[number]
        batch = self._texts.batch(group).to(self._device)
        with torch.no_grad():
            hidden = self._prefix.hidden(batch)
        for row, index in enumerate(group):
            self.rows[index] = hidden[row, : len(self._texts.ids[index])].clone()


def bytes_needed(texts: Texts, hidden_size: int, item: int = 4) -> int:
    """Memory of `Remembered` for these texts, in bytes."""
    return texts.tokens * hidden_size * item
