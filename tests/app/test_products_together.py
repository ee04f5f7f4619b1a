"""Every way to mix products, by whole nodes: real trainers on a tiny model, the real protocol, virtual time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from node.app.rules.fit import fitted
from node.app.rules.products import pairs_of
from node.app.simulating.together import Outcome, Together
from node.app.warm import prepare
from node.config import check_config
from node.gossip.factors import held
from node.gossip.product_mean import TRUNCATED
from node.graph.topology import Topology
from tests.learn import tiny

ROUNDS = 6


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("products")
    tiny.save_bert(folder / "bert")
    rows = ({"text": text, "label": label} for text, label in tiny.texts(60))
    (folder / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def run(place: Path, lora: dict[str, Any] | None = None, **gossip: Any) -> tuple[Together, Outcome]:
    said = {
        "base_model": str(place / "bert"),
        "datasets": [{"path": str(place / "all.jsonl")}],
        "labels": list(tiny.LABELS),
        "partition": {"by": "class"},
        "lora": {"r": 2, "alpha": 4.0, "target_modules": ["query", "value"], "layers": [2], **(lora or {})},
        "train": {"local_steps": 2, "micro_batch_size": 4, "sequence_len": 16, "learning_rate": 2e-2},
        "gossip": {"rounds": ROUNDS, "mixing": "dpsgd", **gossip},
    }
    topology = Topology.from_mapping({"nodes": 3, "generator": "path"}, "path.yaml")
    config, topology, _ = fitted(check_config(said, "node.yaml"), topology)
    together = Together(prepare(config, topology))
    return together, together.run()


@pytest.mark.parametrize("moments", [True, False])
@pytest.mark.parametrize("products", ["alternate", "procrustes", "svd"])
def test_nodes_learn_and_stay_close_in_their_products(place, products, moments):
    _, outcome = run(place, products=products, moments=moments)
    assert len(outcome.rounds) == ROUNDS
    assert all(torch.isfinite(x).all() for shared in outcome.final.values() for x in shared.values())
    last = outcome.rounds[-1]
    assert 0.0 < last.product_distance < 1.5
    assert last.loss < outcome.rounds[0].loss


def test_with_alternation_b_is_trained_first_and_then_a(place):
    together, _ = run(place, products="alternate", alternate_every=1)
    (pair, *_) = pairs_of(next(iter(together.learners.values())).adapter.schema)
    trainer, start = together.learners["n0"].trainer, together.learners["n0"].shared
    first, _ = trainer.train(0, start)
    second, _ = trainer.train(1, first)
    moved = [(x["theta"] != y["theta"]) for x, y in ((first, start), (second, first))]
    assert [bool(m[pair.b].any()) for m in moved] == [True, False]
    assert [bool(m[pair.a].any()) for m in moved] == [False, True]


@pytest.mark.parametrize("products", ["factors", "svd"])
def test_nodes_of_unequal_ranks_agree_in_what_they_hold(place, products):
    together, outcome = run(place, {"own_rank": {"n1": 1}}, products=products)
    pairs = pairs_of(next(iter(together.learners.values())).adapter.schema)
    for peer, shared in outcome.final.items():
        rank = 1 if peer == "n1" else 2
        for pair in pairs:
            assert held(shared["theta"], pair).tolist() == [True, rank == 2]
            assert held(shared["s"], pair).tolist() == [True, rank == 2]
    assert outcome.rounds[-1].loss < outcome.rounds[0].loss


def test_what_truncation_lost_is_among_the_figures_of_a_round(place):
    seen = []
    together, _ = run(place, products="svd")
    together = Together(together.warm, on_mixed=lambda peer, mixed, sent, received: seen.append(mixed.stats[TRUNCATED]))
    together.run()
    assert len(seen) == 3 * ROUNDS
    assert all(0.0 <= lost < 1.0 for lost in seen)
    assert max(seen) > 0.0


def test_only_one_factor_shared_has_no_product_to_show(place):
    _, outcome = run(place, share=["lora_A"])
    assert outcome.rounds[-1].product_distance is None
