"""From the words of a node file to how LoRA products are mixed: the layout of factor pairs, and the rule that has it.

Decides what names mean (`lora_A` and `lora_B` of peft) and which rules and pairs fit together. The mathematics is in
`node.gossip.aligned` and `node.gossip.product_mean`, which know no names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from node.app.rules.mixing import mixing_of, predicted_contraction
from node.config import NodeConfig
from node.errors import ConfigError
from node.gossip.aligned import aligned_mean, padded_mean
from node.gossip.dpsgd import dpsgd
from node.gossip.factors import padded
from node.gossip.mixing import Mixing
from node.gossip.product_mean import product_mean
from node.graph.topology import Topology
from node.types import Pair, PeerId, Shared

if TYPE_CHECKING:
    from node.learn.model.schema import Entry, Schema

SIDES = (("lora_A.weight", "lora_B.weight"), ("lora_embedding_A", "lora_embedding_B"))  # peft's names of A and of B


def pairs_of(schema: Schema) -> tuple[Pair, ...]:
    """The factor pairs whose both sides are in the schema, in its order; those of convolutions are left out."""
    pairs = [
        Pair(slice(a.offset, a.stop), slice(b.offset, b.stop), a.shape[0], a.shape[1], b.shape[0])
        for a, b in _sides(schema)
        if _are_matrices(a, b)
    ]
    return tuple(sorted(pairs, key=lambda pair: pair.a.start))


def _sides(schema: Schema) -> list[tuple[Entry, Entry]]:
    entries = {e.name: e for e in schema.entries}
    names = [(n, n.removesuffix(a) + b) for a, b in SIDES for n in entries if n.endswith(f".{a}")]
    return [(entries[a], entries[b]) for a, b in names if b in entries]


def _are_matrices(a: Entry, b: Entry) -> bool:
    return len(a.shape) == 2 and len(b.shape) == 2 and a.shape[0] == b.shape[1]


def _matrices_of(schema: Schema, said: str) -> tuple[Pair, ...]:
    """All pairs, of which there are some. Raises ConfigError."""
    for a, b in _sides(schema):
        if not _are_matrices(a, b):
            raise ConfigError(
                f"{said}: {a.name} has shape {a.shape} and its B {b.shape}; wanted matrices (r, n_in) and (n_out, r): "
                "leave convolutions out of lora.target_modules, or write products: factors"
            )
    pairs = pairs_of(schema)
    if not pairs:
        raise ConfigError(
            f"{said}, but no module has both lora_A and lora_B among what is shared; "
            "wanted gossip.share: [all] and lora.method: lora, or products: factors"
        )
    return pairs


def rule_of(config: NodeConfig, topology: Topology, schema: Schema) -> Mixing:
    """The mixing rule of a node, with the way in which it is to mix products.

    Args:
        config, topology: as `node.app.rules.fit` has them: it has refused rules that products cannot be put into.
        schema: of what is shared.

    Raises:
        ConfigError: no factor pairs are shared.
    """
    products, ranks = config.gossip.products, config.lora.own_rank
    if products not in ("procrustes", "svd") and ranks is None:
        return mixing_of(config, topology)
    pairs = _matrices_of(schema, f"gossip.products: {products}" if ranks is None else "lora.own_rank")
    if products == "svd":
        return product_mean(pairs)
    return dpsgd(aligned_mean(pairs) if products == "procrustes" else padded_mean(pairs))


def own_rank(config: NodeConfig, peer: PeerId) -> int:
    """How many directions of each pair a node has.

    Raises:
        ConfigError: not a rank that it can have.
    """
    said = config.lora.own_rank
    rank = said.get(peer, config.lora.r) if isinstance(said, Mapping) else said or config.lora.r
    if rank > config.lora.r:
        raise ConfigError(f"lora.own_rank: {rank} for {peer}; wanted {config.lora.r} (lora.r) or less")
    return rank


def start_of(config: NodeConfig, peer: PeerId, shared: Shared, schema: Schema) -> Shared:
    """x_0 of a node: that of all, without the directions that it has not."""
    rank = own_rank(config, peer)
    return shared if rank == config.lora.r else padded(shared, pairs_of(schema), rank)


def period_of(config: NodeConfig, topology: Topology) -> int:
    """Rounds in which A is trained before it is B's turn, and the other way round; 0: both in every round.

    auto: the rounds in which W shrinks a spread e times, T = ln(e) / ln(1 / rho), rounded up: while one factor is
    trained the other one's spread decays as rho^t, and with it the cross term, which is the product of both spreads. A
    shorter turn ends before what the turn before has added is gone; a longer one gains little and leaves the blocks
    behind each other. At most a quarter of the run, so that each has two turns. rho: what the graph and the rule
    promise (`predicted_contraction`).

    References:
        Chen et al. 2024, RoLoRA, arXiv:2409.02346 (a period of 1); Wang et al. 2026, TAD-LoRA, arXiv:2602.00451
        (longer periods for sparser graphs, both blocks mixed in each round). Difference: of TAD-LoRA only the abstract
        was at hand; the rule for T is ours.
    """
    if config.gossip.products != "alternate":
        return 0
    if config.gossip.alternate_every is not None:
        return config.gossip.alternate_every
    rate = min(max(predicted_contraction(config, topology), 1e-9), 1.0 - 1e-9)
    return max(1, min(math.ceil(-1.0 / math.log(rate)), config.gossip.rounds // 4))
