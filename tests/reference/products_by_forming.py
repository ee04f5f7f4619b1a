"""Distances between adapters by their products, each formed: (n_out, n_in)."""

from __future__ import annotations

import numpy as np


def formed(x, pairs):
    """All products B A of x (d,), in one long vector."""
    x = np.asarray(x, dtype=np.float64)
    each = [x[p.b].reshape(p.n_out, p.r) @ x[p.a].reshape(p.r, p.n_in) for p in pairs]
    return np.concatenate([product.ravel() for product in each])


def probed(x, pairs, signs):
    """sum of u^T B A v / sqrt(k), by the formed products; `signs`: [(u (k, n_out), v (k, n_in))] by pair."""
    k = len(signs[0][0])
    z = np.zeros(k)
    for p, (u, v) in zip(pairs, signs, strict=True):
        product = formed(x, [p]).reshape(p.n_out, p.n_in)
        z += [u[i].astype(float) @ product @ v[i].astype(float) for i in range(k)]
    return z / np.sqrt(k)
