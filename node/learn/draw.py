"""Random numbers that depend on names, not on who draws first: a Philox stream keyed by what the numbers are for.

Only the raw 64-bit stream is used, which numpy promises never to change, so nodes with different builds agree.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def stream(*purpose: object) -> np.random.Philox:
    """The stream that belongs to these words, e.g. stream(seed, "initial", "classifier.weight")."""
    text = "/".join(map(str, purpose)).encode()
    return np.random.Philox(key=int.from_bytes(hashlib.sha256(text).digest()[:16], "little"))


def uniform(n: int, *purpose: object) -> NDArray[np.float64]:
    """(n,) numbers in [0, 1)."""
    return (stream(*purpose).random_raw(n) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(n: int, *purpose: object) -> NDArray[np.int64]:
    """(n,) a random order of 0 to n - 1."""
    return np.argsort(stream(*purpose).random_raw(n), kind="stable")


def integer(*purpose: object) -> int:
    """One number in [0, 2^63): a seed for somebody else's generator."""
    return int(stream(*purpose).random_raw()) >> 1
