"""From the node file's words to what the layers below take. No decision is made here that the file does not hold."""

from __future__ import annotations

from node.app.data.data_settings import data_settings, partition_settings
from node.app.rules.mixing import place_of
from node.codec.named import codecs_of
from node.config import NodeConfig
from node.core.deadlines import DeadlineLimits
from node.core.messages import Join
from node.core.peer_config import PeerConfig
from node.graph.growth import grown, rows_of
from node.graph.topology import Topology
from node.learn.model.lora_settings import LoraSettings
from node.learn.prepare import LearnSettings
from node.learn.training.objective import ObjectiveSettings
from node.learn.training.train_settings import TrainSettings
from node.types import Digests, PeerId


def learn_settings(config: NodeConfig, peer: PeerId | None = None, alternate: int = 0) -> LearnSettings:
    """What the learner of a node is made from.

    Args:
        peer: whose; None: any node's, where all have the same labels.
        alternate: rounds of a turn of A or B, see `node.app.rules.products.period_of`.
    """
    return LearnSettings(
        base_model=config.base_model,
        task=config.task,
        template=config.template,
        lora=_lora(config),
        train=_train(config, alternate),
        data=data_settings(config, peer),
        partition=partition_settings(config),
        share=config.gossip.share,
        moments=config.gossip.moments,
        seed=config.seed,
    )


def _lora(config: NodeConfig) -> LoraSettings:
    c = config.lora
    return LoraSettings(
        r=c.r,
        alpha=c.alpha,
        dropout=c.dropout,
        target_modules=c.target_modules,
        layers=c.layers,
        modules_to_save=c.modules_to_save,
        freeze=c.freeze,
        method=c.method,
        prompt_tokens=c.prompt_tokens,
    )


def _train(config: NodeConfig, alternate: int) -> TrainSettings:
    c = config.train
    return TrainSettings(
        learning_rate=c.learning_rate,
        micro_batch_size=c.micro_batch_size,
        accumulation=c.gradient_accumulation_steps,
        max_grad_norm=c.max_grad_norm,
        local_steps=c.local_steps,
        sequence_len=c.sequence_len,
        weight_decay=c.weight_decay,
        beta1=c.adam_beta1,
        beta2=c.adam_beta2,
        objective=ObjectiveSettings(c.proximal, c.missing_classes, c.logit_adjustment),
        delayed=c.delayed_gradient and config.gossip.moments,
        floored=config.gossip.moments and not config.gossip.codec.is_lossless,
        schedule=c.lr_scheduler,
        warmup=c.warmup_ratio,
        alternate=alternate,
        rounds=config.gossip.rounds,
        patience=c.early_stopping_patience,
        checkpointing=c.gradient_checkpointing,
        device=c.device,
        four_bits=c.load_in_4bit,
        bf16=c.bf16,
        prefix_cache=c.prefix_cache,
        eval_every=c.eval_every,
        eval_answers=c.eval_answers,
        packing=c.packing,
    )


def agreed_digests(config: NodeConfig, topology: Topology, learner: Digests) -> Digests:
    """What the hello compares: of the learner, the rule, the graph as it began, and whether it may grow."""
    g = config.gossip
    agreed = {"mixing": mixing_said(config), "topology": topology.digest}
    return {**learner, **agreed, **({"joins": "on"} if g.joins else {})}


def mixing_said(config: NodeConfig) -> str:
    """The rule and all that belongs to it, for the hello and for people; of own ranks only that there are some."""
    g = config.gossip
    turns = f" every {g.alternate_every or 'auto'}" if g.products == "alternate" else ""
    parts = {
        f"{g.mixing}": True,
        "moments": g.moments,
        f"products {g.products}{turns}": g.products != "factors",
        "own ranks": config.lora.own_rank is not None,
    }
    return " + ".join(part for part, said in parts.items() if said)


def peer_config(
    config: NodeConfig,
    topology: Topology,
    peer: PeerId,
    digests: Digests,
    epoch: int,
    start_round: int,
    joins: tuple[Join, ...] = (),
) -> PeerConfig:
    """Settings of the state machine of `peer`.

    Args:
        digests: of the learner.
        joins: nodes that have joined; `peer` may be one of them.
    """
    g, codecs = config.gossip, codecs_of(config.gossip.codec.by_channel)
    joins = joins if g.joins else ()
    graph = topology if peer in topology.addresses else grown(topology, joins)
    return PeerConfig(
        **place_of(graph, peer, g.mixing.name, g.max_staleness),
        joins=joins,
        rewire=(lambda known: rows_of(topology, known, peer)) if g.joins else None,
        rounds=g.rounds,
        digests=agreed_digests(config, topology, digests),
        epoch=epoch,
        start_round=start_round,
        seed=config.seed,
        max_staleness=g.max_staleness,
        first_contact=g.first_contact,
        deadlines=DeadlineLimits(g.deadline.floor, g.deadline.ceiling),
        asynchronous=g.mode == "asynchronous",
        overlap=g.overlap,
        settle=g.settle,
        codec=codecs["theta"],
        codecs={name: codec for name, codec in codecs.items() if name != "theta"},
        persist_every=config.checkpoint_every,
        persist_seconds=config.checkpoint_seconds,
    )
