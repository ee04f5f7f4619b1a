"""Whether a mixing rule fits a topology, and what `gossip.mixing: auto` becomes. No torch: verbs ask before they start.

Decides by both files together; each has been checked alone.
"""

from __future__ import annotations

from node.config import NodeConfig
from node.errors import ConfigError
from node.graph.advice.choice import Choice, choose
from node.graph.topology import Topology
from node.graph.weighting.spectrum import interval
from node.graph.weighting.weights import PUSH_SUM
from node.mixings import AUTO, MIXINGS, Rule, traits_of

UNSTABLE = -1 / 3 + 1e-9  # eigenvalues of W below this make D2 diverge: Metropolis on an even ring has just -1/3


def fitted(config: NodeConfig, topology: Topology) -> tuple[NodeConfig, Topology, Choice | None]:
    """Both as they are to be run; third, what `auto` became.

    Raises:
        ConfigError: the rule cannot run on this graph.
    """
    g, choice = config.gossip, None
    if g.mixing.name == AUTO:
        choice = choose(
            topology,
            joins=g.joins,
            asynchronous=g.mode == "asynchronous",
            moments=g.moments,
            products=_over_neighbours(config),
        )
        rule = MIXINGS[choice.mixing].settings(name=choice.mixing)
        config = config.model_copy(update={"gossip": g.model_copy(update={"mixing": rule})})
        topology = choice.on(topology)
    check_fit(config.gossip.mixing, topology, config.gossip.settle)
    _check_products(config)
    if traits_of(config.gossip.mixing).lossless and not config.gossip.codec.is_lossless:
        raise ConfigError(
            f"gossip.codec: {config.gossip.codec}, but mixing: {config.gossip.mixing.name} keeps books of what it sent "
            "to the last bit; wanted codec: float32"
        )
    if config.gossip.joins and not (topology.is_static and not topology.directed):
        raise ConfigError(
            f"gossip.joins: {topology.source} has a schedule or directed edges, which have a plan for its own nodes; "
            "wanted joins: false, or an undirected graph without a schedule"
        )
    return config, topology, choice


def _over_neighbours(config: NodeConfig) -> str:
    """The setting that mixes LoRA's products, which only dpsgd can; empty: none does."""
    if config.gossip.products in ("procrustes", "svd"):
        return f"gossip.products: {config.gossip.products}"
    return "" if config.lora.own_rank is None else "lora.own_rank"


def _check_products(config: NodeConfig) -> None:
    """Only a mean over neighbours can be taken of products; each hop of another rule means something by its entries."""
    rule, products, said = config.gossip.mixing.name, config.gossip.products, _over_neighbours(config)
    if config.lora.own_rank is not None and products == "procrustes":
        raise ConfigError(
            "gossip.products: procrustes turns directions into each other, which lora.own_rank keeps apart; "
            "wanted products: factors or svd, or no own_rank"
        )
    if products == "alternate" and rule == "des-loc":  # its periods would beat with the turns
        raise ConfigError("gossip.products: alternate with gossip.mixing: des-loc; wanted mixing: dpsgd, or factors")
    if said and rule != "dpsgd":
        raise ConfigError(f"{said} with gossip.mixing: {rule}; wanted mixing: dpsgd, or products: factors")


def check_fit(rule: Rule, topology: Topology, settle: bool = True) -> None:
    """Refuse a rule on a graph for which it is not made.

    Raises:
        ConfigError: what to change.
    """
    traits, where = traits_of(rule), topology.source
    if topology.is_open:
        raise ConfigError(
            f"{where}: edges: any wants gossip.mixing: auto, not {rule.name}; or name edges, or a schedule"
        )
    if topology.directed and not traits.directed:
        raise ConfigError(f"gossip.mixing: {rule.name}, but {where} has directed edges; wanted push-sum")
    if not topology.is_static and not traits.schedules:
        raise ConfigError(
            f"gossip.mixing: {rule.name}, but {where} has a schedule; wanted dpsgd, or a graph that stays"
        )
    if topology.weights == PUSH_SUM and rule.name != "push-sum":
        raise ConfigError(f"gossip.mixing: {rule.name}, but {where} has weights: push_sum; wanted mixing: push-sum")
    if rule.name == "exact" and topology.plan is not None and topology.plan.exact is None:
        raise ConfigError(
            f"gossip.mixing: exact, but the schedule of {where} never gives the exact mean; "
            "wanted schedule: base, another mixing, or a graph without a schedule"
        )
    if rule.name == "chebyshev" and not topology.is_symmetric:
        raise ConfigError(
            f"gossip.mixing: chebyshev, but {where} has weights: {topology.weights}, which are not symmetric; "
            "wanted dpsgd, or symmetric weights"
        )
    if rule.name == "exact-diffusion" and not rule.settings["lazy"]:
        lowest, _ = interval(topology.matrix())
        if lowest < UNSTABLE:
            raise ConfigError(
                f"gossip.mixing: exact-diffusion with lazy: false is unstable on {where}, whose W has an eigenvalue of "
                f"{lowest:.3f}; wanted above -1/3, or lazy: true"
            )
    if traits.settles and not (settle and topology.is_symmetric):
        raise ConfigError(
            f"gossip.mixing: {rule.name} works by settlement; wanted gossip.settle: true and a symmetric W"
        )
