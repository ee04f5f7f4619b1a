"""Count-sketch (Charikar, Chen, Farach-Colton 2002), one coordinate at a time."""

from __future__ import annotations

import numpy as np


def slow_sketch(x: np.ndarray, seed: int, k: int, chunk: int = 65_536) -> np.ndarray:
    """(d,) -> (k,): bucket and sign of coordinate i are 16 bits of a Philox stream, the sign the lowest of them."""
    buckets = [0.0] * k
    stream: list[int] = []
    for i, value in enumerate(x.tolist()):
        if i % chunk == 0:
            key = np.array([seed, i // chunk], dtype=np.uint64)
            stream = np.random.Philox(key=key).random_raw(chunk // 4).tolist()
        word = stream[i % chunk // 4]
        code = word >> 16 * (i % 4) & 0xFFFF
        buckets[code // 2 % k] += value if code % 2 == 0 else -value
    return np.array(buckets)
