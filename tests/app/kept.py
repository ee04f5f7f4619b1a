"""A run as its files keep it: nodes that have trained for a few rounds, without processes or sockets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from node.app.run.run_files import write_files
from node.app.run.run_folder import RunFolder, write_json
from node.app.settings import learn_settings
from node.config import NodeConfig, check_config
from node.drivers.checkpoint import Checkpoint, CheckpointStore
from node.graph.topology import Topology
from node.learn.prepare import Prepared, open_model, prepare
from node.types import PeerId, Vector
from tests.learn import tiny

IDS = (PeerId("n0"), PeerId("n1"))
ENDS, SAVED = 3, 2  # rounds of the run, and of the checkpoint


class Kept:
    """Two nodes in a folder; each has trained alone, so that they differ."""

    def __init__(self, folder: Path, model: Path, **said: Any) -> None:
        self.run = RunFolder(folder / "run")
        graph = Topology.from_mapping(
            {"nodes": {p: f"127.0.0.1:{7001 + i}" for i, p in enumerate(IDS)}, "edges": [list(IDS)]}, "pair"
        )
        words = {
            "base_model": str(model),
            "datasets": [{"path": str(folder / "{id}.jsonl")}],
            "labels": {"causal_lm": None, "token_classification": ["O", "B-THING"]}.get(
                said.get("task", ""), list(tiny.LABELS)
            ),
            "lora": {"r": 2, "alpha": 4.0},
            "train": {"learning_rate": 0.05, "micro_batch_size": 4, "sequence_len": 16},
            "gossip": {"rounds": ENDS},
            "output_dir": str(self.run.path),
        }
        self.config: NodeConfig = check_config({**words, **said}, "kept")
        for place, peer in enumerate(IDS):
            rows = [_row(text, label) for text, label in tiny.texts(40)[place::2]]
            (folder / f"{peer}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        write_files(self.run, self.config, graph)
        self.nodes: dict[PeerId, Prepared] = {}
        for place, peer in enumerate(IDS):
            settings = learn_settings(self.config, peer)
            base = open_model(settings, peer)
            self.nodes[peer] = prepare(settings, base, peer=peer, index=place, nodes=len(IDS))

    def train(self, rounds: int, peers: Sequence[PeerId] = IDS) -> dict[PeerId, Vector]:
        """Train from the start; a checkpoint of the last round. What each has then."""
        return {peer: self._train(peer, rounds) for peer in peers}

    def finish(self, peers: Sequence[PeerId] = IDS) -> dict[PeerId, Vector]:
        """The last round, the adapter and the result."""
        held = self.train(ENDS, peers)
        for place, peer in enumerate(peers):
            folder = self.run.node(peer)
            self.nodes[peer].adapter.save(folder.adapter, held[peer])
            result = {"rounds": ENDS, "accuracy": 0.5 + place / 4, "loss": 1.0, "examples": 20, "classes": [10, 10, 0]}
            write_json(folder.result, {"node": peer, "tested_on": "common", **result})
        return held

    def _train(self, peer: PeerId, rounds: int) -> Vector:
        one = self.nodes[peer]
        shared = one.shared
        for round in range(rounds):
            shared, _ = one.trainer.train(round, shared)
        CheckpointStore(self.run.node(peer).checkpoint).save(Checkpoint(1, rounds, shared, one.trainer.state()))
        return one.trainer.whole(shared)


def _row(text: str, label: str) -> dict[str, Any]:
    """For every task; a word of four letters or more is a thing."""
    words = text.split()
    return {"text": text, "label": label, "tokens": words, "tags": ["B-THING" if w[3:] else "O" for w in words]}
