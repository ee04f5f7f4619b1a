"""A node's own held-out texts: on which its model is measured, and which it never trains on.

Decided by a hash of the text, not the one of the common test set: a text that several nodes have is held out by all of
them, and where the same text stands twice, both are. Where texts share rows, those to train on and those held out do
not share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from node.errors import ConfigError
from node.learn.reading.dialogue import Dialogue
from node.learn.reading.encode import encode, is_one_a_row
from node.learn.reading.examples import Example, share_of
from node.learn.reading.texts import Texts, joined

Held: TypeAlias = NDArray[np.bool_]  # (rows,) whether a row of the training texts is held out


def is_held(example: Example, share: float) -> bool:
    """Whether a text is on the private test side."""
    return share_of("private " + example.text) < share


def encode_apart(
    tokenizer: Any, examples: Sequence[Example], sequence_len: int, dialogue: Dialogue, share: float
) -> tuple[Texts, Held]:
    """The encoded texts, and which rows are held out.

    Where each text has a row of its own the order of the examples stays, so that a deal among nodes does not depend on
    the share.

    Raises:
        ConfigError: nothing is left to train on.
    """
    held = np.array([is_held(example, share) for example in examples], dtype=np.bool_)
    if len(held) and held.all():
        raise ConfigError(
            f"private_share: {share} holds out all {len(examples)} texts; wanted a smaller share, or more"
        )
    if is_one_a_row(examples, dialogue) or not held.any():
        texts = encode(tokenizer, examples, sequence_len, dialogue)
        return texts, held if is_one_a_row(examples, dialogue) else np.zeros(len(texts), dtype=np.bool_)
    sides = [[e for e, out in zip(examples, held, strict=True) if out == side] for side in (False, True)]
    train, private = (encode(tokenizer, side, sequence_len, dialogue) for side in sides)
    return joined([train, private]), np.arange(len(train) + len(private)) >= len(train)
