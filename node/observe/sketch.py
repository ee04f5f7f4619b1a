"""Short random projections of long vectors: how nodes show where they are without shipping an adapter.

Decides which projection all nodes share. Knows nothing of torch, rounds or peers: arrays in, arrays out.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from node.errors import BadMessage, LocalFault

Sketch: TypeAlias = NDArray[np.float32]  # (k,) or (n, k)

LENGTH = 512  # k: 2 KiB a sketch; norms within 3.1 % (one sigma)
SEED = 4_13  # shared by all nodes: sketches under different seeds cannot be compared
CHUNK = 1 << 16  # coordinates; its codes and products (1 MB) stay in cache, and no array of length d is made


def sketch(
    x: NDArray[np.floating], start: NDArray[np.floating] | None = None, *, seed: int = SEED, k: int = LENGTH
) -> Sketch:
    """Count-sketch of `x - start`: each coordinate is added to one of `k` buckets with a random sign.

    Linear, and E |S x|^2 = |x|^2 over seeds, so distances between nodes are distances between sketches, up to noise:
    the standard deviation of |S x| / |x| is 1/sqrt(2k) at the most (first order). Measured over 400 seeds at k = 512 on
    a normal vector of d = 10,000: 3.0 %, mean error -0.02 %, worst 11 %. Cost: 6 ms a million coordinates on one core.

    Args:
        x: (d,) any float type; summed in float64.
        start: (d,) what to subtract, theta_0; None for zero.
        seed: of the Philox stream; chunk c of 65,536 coordinates has a stream of its own, so d may grow.
        k: buckets, a power of two from 2 to 32,768.

    Returns:
        (k,) float32; not finite where x is not.

    Raises:
        LocalFault: shapes that do not fit, or another k.

    References:
        Charikar, Chen, Farach-Colton 2002 (count-sketch); Weinberger et al. 2009, arXiv:0902.2206 (its use as a
        norm-preserving projection). Difference: one row only, and random bits instead of a hash of the index.
    """
    if x.ndim != 1 or (start is not None and start.shape != x.shape):
        raise LocalFault(f"sketch of shape {x.shape} from a start of shape {None if start is None else start.shape}")
    if k not in (1 << bits for bits in range(1, 16)):
        raise LocalFault(f"sketch of length {k}, wanted a power of two from 2 to 32768")
    sums = np.zeros(2 * k)
    for low in range(0, x.size, CHUNK):
        part = x[low : low + CHUNK].astype(np.float64)
        if start is not None:
            part -= start[low : low + CHUNK]
        sums += np.bincount(_codes(seed, low // CHUNK, part.size, k), weights=part, minlength=2 * k)
    return (sums[0::2] - sums[1::2]).astype(np.float32)


def _codes(seed: int, chunk: int, count: int, k: int) -> NDArray[np.uint16]:
    """(count,) numbers below 2k: bucket in the high bits, sign in the lowest. Four from each word of the stream."""
    words = np.random.Philox(key=np.array([seed, chunk], dtype=np.uint64)).random_raw((count + 3) // 4)
    return words.astype("<u8", copy=False).view("<u2")[:count] & np.uint16(2 * k - 1)


def to_bytes(values: Sketch) -> bytes:
    """(k,) -> 4k bytes, float32 little-endian."""
    return values.astype("<f4", copy=False).tobytes()


def from_bytes(data: bytes) -> Sketch:
    """The inverse of `to_bytes`.

    Raises:
        BadMessage: a length that is no multiple of 4, zero included.
    """
    if not data or len(data) % 4:
        raise BadMessage(f"sketch of {len(data)} bytes, wanted a positive multiple of 4")
    return np.frombuffer(data, dtype="<f4").astype(np.float32, copy=False)
