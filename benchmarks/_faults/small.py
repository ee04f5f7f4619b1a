"""A network of real processes that fits two cores: a tiny BERT of random weights, a file of texts a node, a ring.

A round takes as long as `pace` says, whatever the machine: the training itself takes 10 ms. A fifth of the labels is
wrong, so that the loss has a floor well above 0 and a ratio of two losses means something. Two thirds of a node's
texts are of one label, as private data are: nodes that do not talk drift apart.
"""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path
from typing import Any

from node.app.run.run_folder import RunFolder
from node.config import check_config, load_topology, write_yaml
from node.graph.topology import Topology
from node.types import PeerId
from node.yaml_files import to_yaml, write_text

LABELS = ("files", "net", "maths")
OWN = {
    "files": ("read", "write", "open", "close", "file"),
    "net": ("socket", "send", "receive", "port", "host"),
    "maths": ("number", "sum", "log", "root", "sine"),
}
COMMON = (
    "the",
    "a",
    "of",
    "to",
    "return",
    "value",
    "from",
    "into",
    "with",
    "each",
    "new",
    "old",
    "test",
    "run",
    "list",
)
WRONG = 0.2  # of the labels
TEXTS = 200  # a node
SEED = 0


def ring(count: int) -> Topology:
    """A ring of `count` nodes on free ports of this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    nodes = {f"n{i}": f"127.0.0.1:{s.getsockname()[1]}" for i, s in enumerate(sockets)}
    for s in sockets:
        s.close()
    edges = [sorted((f"n{i}", f"n{(i + 1) % count}")) for i in range(count)]
    return Topology.from_mapping({"nodes": nodes, "edges": edges}, "ring")


def make_run(folder: Path, graph: Topology, **gossip: Any) -> RunFolder:
    """A run folder with everything that `graph` needs to start.

    Args:
        gossip: settings of the gossip block; `checkpoint_every` is of the file itself.
    """
    folder.mkdir(parents=True)
    model = folder / "model"
    save_model(model)
    for place, peer in enumerate(graph.nodes):
        write_texts(folder / f"{peer}.jsonl", TEXTS, seed=place, mostly=LABELS[place % 3])
    write_texts(folder / "test.jsonl", 200, seed=len(graph.nodes))
    run = RunFolder(folder / "run")
    run.path.mkdir()
    settings = {
        "base_model": str(model),
        "datasets": [{"path": str(folder / "{id}.jsonl")}],
        "test_datasets": [{"path": str(folder / "test.jsonl")}],
        "labels": list(LABELS),
        "output_dir": str(run.path),
        "lora": {"r": 2, "alpha": 8.0, "target_modules": ["query", "value"]},
        "train": {"learning_rate": 2e-2, "micro_batch_size": 8, "sequence_len": 16},
        "checkpoint_every": gossip.pop("checkpoint_every", 1),
        "gossip": {"topology": str(run.topology), "mixing": "dpsgd", **gossip},
    }
    write_yaml(run.config, check_config(settings, "benchmark"))
    document = {"nodes": dict(graph.addresses), "edges": [list(edge) for edge in graph.edges]}
    write_text(run.topology, to_yaml(document))
    load_topology(run.topology)
    return run


def write_texts(path: Path, count: int, seed: int, mostly: str | None = None) -> None:
    """Lines of text and label; two thirds of label `mostly`, or all labels alike."""
    draw = random.Random(SEED * 1000 + seed)
    rows = []
    for i in range(count):
        label = LABELS[i % 3] if mostly is None or draw.random() < 0.5 else mostly
        words = [*draw.choices(COMMON, k=draw.randint(1, 3)), *draw.choices(OWN[label], k=4)]
        draw.shuffle(words)
        said = draw.choice(LABELS) if draw.random() < 1.5 * WRONG else label  # a third of the draws is right by luck
        rows.append(json.dumps({"text": " ".join(words), "label": said}) + "\n")
    path.write_text("".join(rows))


def save_model(folder: Path) -> None:
    import torch

    from node.learn.model.libraries import transformers

    folder.mkdir()
    words = [*COMMON, *(word for own in OWN.values() for word in own)]
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n")
    tokenizer = transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(SEED)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).bert.save_pretrained(folder)


def peer(place: int) -> PeerId:
    return PeerId(f"n{place}")
