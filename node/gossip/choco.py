"""CHOCO-SGD: a step of size gamma towards the neighbours' public copies, so that a coarse codec stays stable.

Decides the step alone. What is lost in compression, and that it is made up for by the next message, is the edge's.
"""

from __future__ import annotations

from collections.abc import Mapping

from node.errors import ConfigError
from node.gossip.aggregate import weighted_mean
from node.gossip.mixing import Context, Heard, Mixing, State
from node.gossip.told import paired, scaled
from node.types import PeerId, Shared, Weights


def choco(step_size: float = 1.0) -> Mixing:
    """x_i <- x_i + gamma sum_j w_ij (xhat_j - xhat_i) after the local steps, xhat being public copies.

    The mean over peers is kept under any codec where W is doubly stochastic and symmetric. Where nothing is lost in
    compression gamma = 1 is D-PSGD; a codec that keeps a share omega of a vector's square norm needs less, and too
    large a gamma diverges.

    Args:
        step_size: gamma, above 0 and at most 1. The paper's safe value, gap^2 omega / (16 gap + gap^2 + 4 beta^2 +
            2 gap beta^2 - 8 gap omega) with beta = |I - W|, is far below what works. bf16, int8 and int4 keep 98 % of a
            vector's square norm or more, and agree as fast as float32 with 1; a codec that drops entries needs less.

    Raises:
        ConfigError: gamma out of range.

    References:
        Koloskova, Stich, Jaggi 2019, Decentralized stochastic optimization and gossip algorithms with compressed
        communication, arXiv:1902.00340, algorithms 1 (CHOCO-Gossip) and 2 (CHOCO-SGD). Differences: each edge has a
        public copy of its own (`mine`, what this neighbour holds of us) where the paper has one a node, so that a
        message lost on one edge leaves the others in step; the two are equal while nothing is lost and the codec draws
        nothing. Copies start from a first message in float32, not from zero. There may be several local steps, and
        moments that are shared take the same step as the parameters.
    """
    if not 0.0 < step_size <= 1.0:
        raise ConfigError(f"gossip.mixing choco: step_size is {step_size}, wanted above 0 and at most 1")

    def init(shared: Shared, ctx: Context) -> State:
        return ()

    def emit(shared: Shared, state: State, ctx: Context) -> tuple[Mapping[PeerId, Shared], State]:
        return dict.fromkeys(ctx.tells, shared), state

    def combine(shared: Shared, heard: Mapping[PeerId, Heard], state: State, ctx: Context) -> tuple[Shared, State]:
        return weighted_mean(shared, paired(heard, shared, ctx), scaled(heard, ctx, step_size)), state

    def pairwise(state: State, heard: Mapping[PeerId, Heard], ctx: Context) -> Weights:
        return scaled(heard, ctx, step_size)

    return Mixing(init, lambda round: 1, emit, combine, pairwise=pairwise)
