"""A training script of somebody's own: a tiny model with a peft adapter and a transformers.Trainer around it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch.utils.data import Dataset

from tests.learn.tiny import LABELS, texts

STEPS, BATCH, RATE = 6, 4, 1e-2


class Rows(Dataset[dict[str, Any]]):
    """The texts of one node, encoded."""

    def __init__(self, tokenizer: Any, part: int, parts: int) -> None:
        self._rows = [
            {**tokenizer(text, padding="max_length", max_length=12, truncation=True), "labels": LABELS.index(label)}
            for text, label in texts(24 * parts)[part::parts]
        ]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: torch.tensor(value) for name, value in self._rows[index].items()}


def tokenizer_of(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder)


def make_model(folder: Path, seed: int = 0, **lora: Any) -> Any:
    """Without dropout, so that the same batches give the same gradients."""
    transformers.set_seed(seed)
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_labels": len(LABELS)}
    base = transformers.AutoModelForSequenceClassification.from_pretrained(folder, **quiet)
    words = {"r": 2, "lora_alpha": 4, "target_modules": ["query", "value"], "task_type": "SEQ_CLS"} | lora
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 uses names that transformers 5 renames
        return get_peft_model(base, LoraConfig(**words))


def make_trainer(model: Any, rows: Rows, out: Path, **said: Any) -> transformers.Trainer:
    callbacks = said.pop("callbacks", [])
    words = {
        "per_device_train_batch_size": BATCH,
        "max_steps": STEPS,
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "logging_strategy": "no",
        "train_sampling_strategy": "sequential",
    }
    args = transformers.TrainingArguments(output_dir=str(out), **(words | said))
    return transformers.Trainer(model=model, args=args, train_dataset=rows, callbacks=callbacks)
