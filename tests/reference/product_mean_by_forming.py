"""The mean of products as the papers write it: formed (n_out, n_in), and cut by a whole SVD."""

from __future__ import annotations

import numpy as np


def product_mean_by_forming(weights, factors, rank):
    """Best rank-`rank` approximation of sum w B A: (n_out, n_in), and |P - P_r| / |P|.

    `factors`: [(A (r, n_in), B (n_out, r))]. FlexLoRA, arXiv:2402.11505; DeCAF, arXiv:2505.21382.
    """
    p = sum(w * b @ a for w, (a, b) in zip(weights, factors, strict=True))
    u, s, vh = np.linalg.svd(p, full_matrices=False)
    cut = (u[:, :rank] * s[:rank]) @ vh[:rank]
    return cut, np.linalg.norm(p - cut) / np.linalg.norm(p)
