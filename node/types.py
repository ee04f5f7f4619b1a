"""Names that every layer shares. Imports nothing from the package; torch for type checkers only.

Shape letters used in this package: d = shared parameters, n = peers, k = sketch length or kept entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, NewType, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

PeerId = NewType("PeerId", str)
Vector: TypeAlias = "Tensor"  # (d,) float32: all shared parameters, flattened in schema order; never changed in place
Shared: TypeAlias = "Mapping[str, Tensor]"  # channel -> vector: "theta", moments "m", "s" (d,), "scalars" (2 a block,)
Weights: TypeAlias = Mapping[PeerId, float]  # one row of W: own id and neighbours, sums to 1
Digests: TypeAlias = Mapping[str, str]  # what two ends must agree on -> hex digest ("schema", "base_model", ...)


class Turn(NamedTuple):
    """One peer's part of one round of W(t)."""

    row: Weights  # whom it hears, own id included
    tells: tuple[PeerId, ...]  # who has it in its row, sorted


class Pair(NamedTuple):
    """Where the two LoRA factors of one module lie in a vector (d,): their product B A (n_out, n_in) is what acts.

    Rows are contiguous. Of an embedding peft adds (B A)^T; A and B lie as here.
    """

    a: slice  # r * n_in entries: A (r, n_in)
    b: slice  # n_out * r entries: B (n_out, r)
    r: int
    n_in: int
    n_out: int
