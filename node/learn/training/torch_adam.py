"""The memory of torch's Adam and AdamW as channels that can be mixed, and back.

torch keeps, for each parameter, exp_avg, exp_avg_sq and a count of steps; what travels is m, s = sqrt(v) and the bias
corrections, as in `node.learn.training.adamw`. Decides how mixed corrections become a count again: nodes may have taken
different numbers of steps, and one count cannot give both corrections of an average. The count is the one that gives
the correction of the second moment, and exp_avg is scaled so that the next update is what the mixed corrections say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from node.errors import ConfigError
from node.learn.model.trainables import Trainables
from node.learn.training.adamw import no_moments


class TorchAdam:
    """The memory of `optimizer` for the parameters of `trainables`.

    Raises:
        ConfigError: another optimizer, several pairs of betas, or amsgrad.
    """

    def __init__(self, optimizer: Any, trainables: Trainables) -> None:
        inner = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
        if not isinstance(inner, torch.optim.Adam | torch.optim.AdamW):
            raise ConfigError(
                f"moments: true wants torch's AdamW or Adam, the Trainer has {type(inner).__name__}; "
                f"set optim='adamw_torch' in TrainingArguments, or moments=False in GossipCallback"
            )
        betas = {tuple(group["betas"]) for group in inner.param_groups}
        if len(betas) != 1 or any(group["amsgrad"] for group in inner.param_groups):
            raise ConfigError(
                "moments: true wants one pair of betas and no amsgrad; set moments=False, or change optim"
            )
        self._beta1, self._beta2 = (float(b) for b in betas.pop())
        self._optimizer, self._trainables = inner, trainables

    def read(self) -> dict[str, Tensor]:
        """m (d,), s (d,) = sqrt(exp_avg_sq), scalars (2,) = [1 - beta1^t, sqrt(1 - beta2^t)]; copies."""
        if self._steps == 0:
            return no_moments(self._trainables.schema.d)
        memory = [self._memory(p) for p in self._trainables.parameters]
        return {
            "m": self._trainables.flatten([one["exp_avg"] for one in memory]),
            "s": self._trainables.flatten([one["exp_avg_sq"] for one in memory]).sqrt_(),
            "scalars": self._corrections(self._steps),
        }

    @torch.no_grad()
    def write(self, channels: Mapping[str, Tensor]) -> None:
        """Go on from mixed moments."""
        schema, c1 = self._trainables.schema, float(channels["scalars"][0])
        steps = self._count(channels["scalars"])
        scale = (1.0 - self._beta1**steps) / c1 if c1 > 0.0 and steps > 0.0 else 1.0
        m, s = (schema.views(channels[name]).values() for name in ("m", "s"))
        for parameter, mean, root in zip(self._trainables.parameters, m, s, strict=True):
            one = self._memory(parameter)
            one["exp_avg"].copy_(mean * scale)
            one["exp_avg_sq"].copy_(root.clamp(min=0.0).square())
            one["step"].fill_(steps)

    @property
    def _steps(self) -> float:
        """Steps taken, of the parameter that took most."""
        taken = [self._optimizer.state.get(p, {}).get("step", 0.0) for p in self._trainables.parameters]
        return max(float(steps) for steps in taken)

    def _corrections(self, steps: float) -> Tensor:
        return torch.tensor([1.0 - self._beta1**steps, math.sqrt(1.0 - self._beta2**steps)])

    def _count(self, scalars: Tensor) -> float:
        """The count of steps that goes with mixed corrections; where it is beyond float32, our own."""
        own, c2 = self._steps, float(scalars[1])
        if torch.equal(scalars, self._corrections(own)) or not 0.0 <= c2 < 1.0:
            return own
        return math.log1p(-c2 * c2) / math.log(self._beta2)

    def _memory(self, parameter: Tensor) -> dict[str, Tensor]:
        """What torch remembers of a parameter; made as torch makes it where it has not seen a gradient yet."""
        state: dict[str, Tensor] = self._optimizer.state[parameter]
        if not state:
            group = next(g for g in self._optimizer.param_groups if any(p is parameter for p in g["params"]))
            beside = parameter.device if group["capturable"] or group["fused"] else "cpu"
            state["step"] = torch.zeros((), dtype=torch.float32, device=beside)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        return state
