"""How a base model is tuned, in the words of peft: one frozen value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

Method: TypeAlias = Literal["lora", "rslora", "ia3", "prompt", "bias", "head"]


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
