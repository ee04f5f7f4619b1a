"""What unlike data make of the mean that nodes end at: real trainers (AdamW inside), rules and weights."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from node.app.data.holdings import holdings_of
from node.app.rules.fit import fitted
from node.app.simulating.simulate import topology_of
from node.app.simulating.together import Outcome, Together
from node.app.warm import prepare
from node.config import check_config
from node.types import PeerId, Shared
from tests.learn import tiny

ROUNDS, NODES = 5, 4


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("unlike")
    tiny.save_bert(folder / "bert")
    rows = [json.dumps({"text": text, "label": label}) + "\n" for text, label in tiny.texts(150)]
    (folder / "all.jsonl").write_text("".join(rows))
    return {
        "base_model": str(folder / "bert"),
        "datasets": [{"path": str(folder / "all.jsonl")}],
        "labels": list(tiny.LABELS),
        "lora": {"r": 2, "alpha": 4.0, "target_modules": ["query", "value"], "layers": [2]},
        "train": {"learning_rate": 1e-2, "micro_batch_size": 4, "local_steps": 2, "sequence_len": 16},
    }


def _run(
    settings: Mapping[str, Any], mixing: str, partition: Mapping[str, Any], *, by_size: bool = False, **gossip: Any
) -> tuple[Outcome, Mapping[PeerId, float], Mapping[PeerId, Tensor], Tensor]:
    """What came of it, the share of each node's texts, the sum of each node's local updates, and x_0."""
    said = {**settings, "partition": partition, "gossip": {"rounds": ROUNDS, "mixing": mixing, **gossip}}
    graph: dict[str, Any] = {"nodes": NODES, "generator": "ring"}
    config = check_config(said, "test")
    sizes = holdings_of(config, topology_of(graph).nodes).facts()["sizes"]
    if by_size:
        graph |= {"weights": "data_size", "sizes": sizes}
    config, topology, _ = fitted(config, topology_of(graph))
    over = Together(prepare(config, topology))
    moved: dict[PeerId, Tensor] = defaultdict(lambda: torch.zeros(0))

    def watched(peer: PeerId) -> None:
        trainer = over.learners[peer].trainer
        train = trainer.train

        def record(round: int, shared: Shared) -> tuple[Shared, Mapping[str, float]]:
            trained, stats = train(round, shared)
            update = (trained["theta"] - shared["theta"]).double()
            moved[peer] = moved[peer] + update if len(moved[peer]) else update
            return trained, stats

        trainer.train = record  # type: ignore[method-assign]

    for peer in topology.nodes:
        watched(peer)
    start = over.learners[topology.nodes[0]].shared["theta"].double()
    outcome = over.run()
    total = sum(sizes.values())
    return outcome, {peer: size / total for peer, size in sizes.items()}, moved, start


def _mean(vectors: Mapping[PeerId, Tensor], shares: Mapping[PeerId, float]) -> Tensor:
    return torch.stack([share * vectors[peer].double() for peer, share in shares.items()]).sum(0)


EVEN = dict.fromkeys((PeerId(f"n{i}") for i in range(NODES)), 1 / NODES)
UNEVEN = {"by": "quantity", "power": 1.5}


@pytest.mark.parametrize("moments", [True, False])
def test_gradient_tracking_moves_the_mean_by_the_mean_of_what_adamw_did(
    settings: Mapping[str, Any], moments: bool
) -> None:
    """A local update is tracked, learning rate and moments and all; corrections cancel over the nodes."""
    outcome, _, moved, start = _run(
        settings, "gradient-tracking", {"by": "dirichlet", "alpha": 0.3, "seed": 1}, moments=moments
    )

    final = {peer: shared["theta"] for peer, shared in outcome.final.items()}
    assert _mean(moved, EVEN).norm() > 0.1
    assert torch.allclose(_mean(final, EVEN), start + _mean(moved, EVEN), atol=1e-5)


def test_gradient_tracking_brings_nodes_of_unlike_data_closer_than_plain_gossip(settings: Mapping[str, Any]) -> None:
    """With plain AdamW (no moments mixed), where each node pulls its own way for ever."""
    few = {**settings, "train": {**settings["train"], "learning_rate": 3e-3}}
    dirichlet = {"by": "dirichlet", "alpha": 0.3, "seed": 1}
    tracked, plain = (_run(few, rule, dirichlet, moments=False)[0] for rule in ("gradient-tracking", "dpsgd"))

    assert set(tracked.final[PeerId("n0")]) == {"theta"}  # the tracker travels, and is no part of what is learnt
    assert tracked.rounds[-1].distance < plain.rounds[-1].distance


@pytest.mark.parametrize("by_size", [False, True])
def test_by_size_the_mean_over_texts_moves_as_texts_say_and_else_that_over_nodes(
    settings: Mapping[str, Any], by_size: bool
) -> None:
    """sum_i p_i x_i moves by sum_i p_i (local update of i), p the shares of texts; with Metropolis p is 1/n.

    So what the network stops at is where the sum over all texts has no slope, not the mean over nodes.
    """
    outcome, shares, moved, start = _run(settings, "dpsgd", UNEVEN, by_size=by_size)

    final = {peer: shared["theta"] for peer, shared in outcome.final.items()}
    kept, other = (shares, EVEN) if by_size else (EVEN, shares)
    assert max(shares.values()) > 3 * min(shares.values())
    assert torch.allclose(_mean(final, kept), start + _mean(moved, kept), atol=1e-5)
    assert not torch.allclose(_mean(final, other), start + _mean(moved, other), atol=1e-3)


def test_exact_mixing_by_size_ends_a_round_at_the_mean_over_texts(settings: Mapping[str, Any]) -> None:
    outcome, shares, moved, start = _run(settings, "exact", UNEVEN, by_size=True)

    for shared in outcome.final.values():
        assert torch.allclose(shared["theta"].double(), start + _mean(moved, shares), atol=1e-4)
