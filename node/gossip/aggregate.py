"""Ways to fold neighbours' vectors into ours. Pure functions of vectors of shape (..., d)."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from node.gossip.mixing import Heard
from node.types import PeerId, Shared, Weights


def weighted_mean(own: Shared, heard: Mapping[PeerId, Heard], row: Weights) -> Shared:
    """own + sum_j W_ij (theirs_j - mine_j), channel by channel: the edge form of sum_j W_ij x_j.

    Both ends of an edge add opposite amounts, so a symmetric W keeps the mean to float rounding whatever the codec
    lost, and the weight of a neighbour that stayed silent goes to ourselves.

    Args:
        own: channels of shape (..., d).
        heard: public copies by neighbour; visited in sorted order, since float addition is not associative.
        row: W_ij by neighbour j.
    """
    mixed = {}
    for name, x in own.items():
        total = x.clone()
        difference = torch.empty_like(x)
        for peer in sorted(heard):
            torch.sub(heard[peer].theirs[name], heard[peer].mine[name], out=difference)
            total.add_(difference, alpha=row[peer])
        mixed[name] = total
    return mixed
