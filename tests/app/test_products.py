"""How LoRA products are mixed, from a node file's words to the rule: layouts from names, turns, ranks, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from node.app.rules.fit import fitted
from node.app.rules.products import own_rank, pairs_of, period_of, rule_of, start_of
from node.app.settings import learn_settings, mixing_said
from node.config import NodeConfig, check_config, set_values
from node.errors import ConfigError
from node.graph.topology import Topology
from node.learn.model.schema import Schema
from node.types import Pair, PeerId

LINEAR = {
    "model.layer.1.query.lora_A.weight": (2, 8),
    "model.layer.1.query.lora_B.weight": (4, 2),
    "model.layer.1.value.lora_A.weight": (2, 8),
    "model.layer.1.value.lora_B.weight": (8, 2),
    "classifier.weight": (3, 8),
}
RING = Topology.from_mapping({"nodes": 4, "generator": "ring"}, "ring.yaml")


def config(**gossip: Any) -> NodeConfig:
    return check_config({"gossip": {"mixing": "dpsgd", **gossip}}, "node.yaml")


def test_pairs_are_found_by_their_names():
    schema = Schema.of(LINEAR)  # the classifier's 24 entries come first
    assert pairs_of(schema) == (
        Pair(slice(24, 40), slice(40, 48), 2, 8, 4),
        Pair(slice(48, 64), slice(64, 80), 2, 8, 8),
    )


def test_an_embedding_is_a_pair_and_half_a_pair_is_none():
    shapes = {"emb.lora_embedding_A": (2, 30), "emb.lora_embedding_B": (8, 2), "key.lora_A.weight": (2, 8)}
    assert pairs_of(Schema.of(shapes)) == (Pair(slice(0, 60), slice(60, 76), 2, 30, 8),)


def test_convolutions_are_refused_where_products_are_to_be_mixed():
    schema = Schema.of({"conv.lora_A.weight": (2, 3, 5, 5), "conv.lora_B.weight": (4, 2, 1, 1)})
    assert pairs_of(schema) == ()
    rule_of(config(), RING, schema)
    with pytest.raises(ConfigError, match=r"gossip\.products: svd: conv\.lora_A\.weight has shape \(2, 3, 5, 5\)"):
        rule_of(config(products="svd"), RING, schema)


def test_without_both_factors_there_is_no_product():
    schema = Schema.of({name: shape for name, shape in LINEAR.items() if "lora_B" not in name})
    with pytest.raises(ConfigError, match=r"gossip\.products: procrustes, but no module has both lora_A and lora_B"):
        rule_of(config(products="procrustes"), RING, schema)


@pytest.mark.parametrize("products", ["procrustes", "svd"])
@pytest.mark.parametrize("mixing", ["exact", "push-sum", "choco", "noloco"])
def test_rules_that_mean_something_by_their_entries_are_refused(products, mixing):
    with pytest.raises(ConfigError, match=rf"gossip\.products: {products} with gossip\.mixing: {mixing}; wanted"):
        fitted(config(products=products, mixing=mixing), RING)


def test_alternation_goes_with_any_rule_but_that_with_periods():
    fitted(config(products="alternate", mixing="exact"), RING)
    with pytest.raises(ConfigError, match=r"alternate with gossip\.mixing: des-loc"):
        fitted(config(products="alternate", mixing="des-loc"), RING)


def test_a_period_without_alternation_is_refused():
    with pytest.raises(ConfigError, match=r"alternate_every has no use with products: factors"):
        config(alternate_every=2)


def test_a_sparser_graph_has_longer_turns():
    def auto(**said: Any) -> int:
        return period_of(config(products="alternate", rounds=800), Topology.from_mapping(said, "t.yaml"))

    assert period_of(config(), RING) == 0
    assert period_of(config(products="alternate", alternate_every=3), RING) == 3
    assert auto(nodes=3, generator="path") == 3  # rho = 2/3: ln(1/rho) = .405, 1/.405 = 2.5
    assert auto(nodes=16, generator="ring") == 20  # rho = 1/3 + 2/3 cos(pi/8) = .949: 1/.0521 = 19.2
    assert auto(nodes=4, generator="complete") == 1
    assert period_of(config(products="alternate", mixing="exact"), RING) == 1
    short = config(products="alternate", rounds=40)
    assert period_of(short, Topology.from_mapping({"nodes": 16, "generator": "ring"}, "t")) == 10  # a quarter


def test_the_turns_reach_the_trainer_and_nobody_elses():
    alternate = config(products="alternate", alternate_every=3)
    assert learn_settings(alternate, alternate=period_of(alternate, RING)).train.alternate == 3
    assert learn_settings(config()).train.alternate == 0


def test_what_is_mixed_how_is_in_the_hello():
    assert mixing_said(config()) == "dpsgd + moments"
    assert mixing_said(config(products="svd", moments=False)) == "dpsgd + products svd"
    assert mixing_said(config(products="alternate")) == "dpsgd + moments + products alternate every auto"
    assert mixing_said(check_config({"lora": {"own_rank": 2}}, "n")).endswith(" + own ranks")


def test_a_node_starts_without_the_directions_that_it_has_not():
    said = check_config({"lora": {"r": 2, "own_rank": {"n1": 1}}}, "node.yaml")
    schema = Schema.of(LINEAR)
    full = {"theta": torch.ones(schema.d), "scalars": torch.ones(2)}
    assert own_rank(said, PeerId("n0")) == 2
    assert start_of(said, PeerId("n0"), full, schema) is full
    views = schema.views(start_of(said, PeerId("n1"), full, schema)["theta"])
    for name, view in views.items():
        kept = view.T if "lora_B" in name else view
        assert kept[0].all()
        assert bool(kept[1].any()) == (name == "classifier.weight")


def test_ranks_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match=r"lora\.own_rank: 9 for n0; wanted 8"):
        own_rank(check_config({"lora": {"own_rank": 9}}, "n"), PeerId("n0"))
    with pytest.raises(ConfigError, match="procrustes turns directions into each other"):
        fitted(check_config({"lora": {"own_rank": 4}, "gossip": {"products": "procrustes"}}, "n"), RING)
    with pytest.raises(ConfigError, match=r"lora\.own_rank with gossip\.mixing: exact"):
        fitted(check_config({"lora": {"own_rank": 4}, "gossip": {"mixing": "exact"}}, "n"), RING)
    with pytest.raises(ConfigError, match="own_rank"):
        set_values(NodeConfig(), {"lora.own_rank": "0"})
