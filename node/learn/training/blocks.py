"""Which ranges of theta an optimizer steps together, and which of them in a round.

Decides where blocks begin and end: at the border between shared and private entries, and, where the factors A and B
are trained in turn, wherever one gives way to the other.
"""

from __future__ import annotations

from itertools import groupby

from node.learn.model.schema import Schema
from node.learn.training.adamw import Block

A, B, OTHER = "lora_A", "lora_B", "other"


def blocks_of(whole: Schema, d: int, alternating: bool) -> tuple[Block, ...]:
    """Blocks that cover `whole` in its order, shared ones first.

    Args:
        d: entries that are shared.
        alternating: whether A, B and the rest have blocks of their own.
    """
    if not alternating:
        both = Block("shared", 0, d), Block("private", d, whole.d)
        return tuple(block for block in both if block.stop > block.start)
    runs = groupby(whole.entries, lambda e: (e.offset < d, factor(e.name)))
    members = [(name, list(entries)) for (_, name), entries in runs]
    return tuple(Block(name, entries[0].offset, entries[-1].stop) for name, entries in members)


def factor(name: str) -> str:
    """Which factor of a product B A a parameter is, or "other"."""
    if "lora_A" in name or "lora_embedding_A" in name:
        return A
    return B if "lora_B" in name or "lora_embedding_B" in name else OTHER


def active(round: int, alternate: int) -> frozenset[str] | None:
    """Names of the blocks that a round steps: B first (at the start B is zero, so A has no gradient); None: all."""
    if not alternate:
        return None
    return frozenset((OTHER, A if round // alternate % 2 else B))
