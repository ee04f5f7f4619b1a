"""What is shared, in which order: the names, shapes and dtypes of the parameters that lie in one flat vector.

Decides the order (sorted names; of all that is trained, first what is shared) and the offsets. Two nodes that hold
equal digests mean the same number at the same index. Knows nothing of models: a schema is made from names and shapes,
and gives views into any vector of length `d`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from node.errors import BadMessage

DTYPE = "float32"  # adapters are trained and mixed in float32, whatever the base is held in


@dataclass(frozen=True, slots=True)
class Entry:
    """One parameter: where it starts in the flat vector and what shape it has there."""

    name: str
    shape: tuple[int, ...]
    offset: int  # entries, not bytes
    dtype: str = DTYPE

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def stop(self) -> int:
        return self.offset + self.size


@dataclass(frozen=True)
class Schema:
    """Entries one after the other; their sizes add up to `d`."""

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, *groups: Mapping[str, Sequence[int]]) -> Schema:
        """The schema of parameters with these names and shapes: group after group, each in the order of its names."""
        entries: list[Entry] = []
        offset = 0
        for name, shape in ((name, group[name]) for group in groups for name in sorted(group)):
            entries.append(Entry(name, tuple(shape), offset))
            offset = entries[-1].stop
        return cls(tuple(entries))

    @property
    def d(self) -> int:
        """Length of the flat vector."""
        return self.entries[-1].stop if self.entries else 0

    @cached_property
    def digest(self) -> str:
        """sha256 hex of names, shapes and dtypes, in order."""
        lines = [f"{e.name} {'x'.join(map(str, e.shape))} {e.dtype}\n" for e in self.entries]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def flatten(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """{name: shape} -> (d,) float32, a copy.

        Raises:
            BadMessage: a name is missing or unknown, or a shape differs.
        """
        if set(tensors) != {e.name for e in self.entries}:
            odd = sorted(set(tensors) ^ {e.name for e in self.entries})
            raise BadMessage(f"parameter {odd[0]!r} stands on one side only ({len(odd)} such names)")
        for e in self.entries:
            if tuple(tensors[e.name].shape) != e.shape:
                raise BadMessage(f"parameter {e.name!r} has shape {tuple(tensors[e.name].shape)}, not {e.shape}")
        flat = torch.empty(self.d, dtype=torch.float32)
        for name, view in self.views(flat).items():
            view.copy_(tensors[name])
        return flat

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """(d,) -> {name: shape}: views that share memory with `flat`.

        Raises:
            BadMessage: `flat` has another length.
        """
        if tuple(flat.shape) != (self.d,):
            raise BadMessage(f"vector of shape {tuple(flat.shape)}, not ({self.d},)")
        return {e.name: flat[e.offset : e.stop].view(e.shape) for e in self.entries}
