"""What the node file says about learning arrives where learning is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from node.app.settings import learn_settings
from node.config import check_config
from node.errors import ConfigError
from node.learn.model.adapter import attach
from node.learn.model.lora_settings import LoraSettings
from node.learn.prepare import open_model
from node.learn.training.train_settings import TrainSettings
from tests.learn import tiny


def _learn(**keys: Any) -> Any:
    return learn_settings(check_config(keys, "node.yaml"))


def test_all_linear_is_a_word_and_not_a_module_of_that_name(tmp_path: Path) -> None:
    folder = str(tiny.save_llama(tmp_path / "llama"))
    settings = _learn(base_model=folder, task="causal_lm", lora={"target_modules": "all-linear"})

    adapter = attach(open_model(settings), settings.lora, settings.seed)

    assert len(adapter.targets) == 3 * 7


def test_methods_and_options_arrive() -> None:
    train = {
        "gradient_accumulation_steps": 4, "gradient_checkpointing": True, "max_grad_norm": 0.5,
        "lr_scheduler": "cosine", "early_stopping_patience": 3, "eval_every": 2, "device": "auto",
        "load_in_4bit": True,
    }  # fmt: skip
    settings = _learn(lora={"method": "prompt", "prompt_tokens": 5}, train=train, private_share=0.1)

    assert (settings.lora.method, settings.lora.prompt_tokens) == ("prompt", 5)
    t = settings.train
    assert (t.accumulation, t.checkpointing, t.max_grad_norm, t.schedule) == (4, True, 0.5, "cosine")
    assert (t.patience, t.eval_every, t.device, t.four_bits) == (3, 2, "auto", True)


def test_left_out_they_change_nothing() -> None:
    settings = _learn()

    names = ("accumulation", "checkpointing", "max_grad_norm", "patience", "device", "four_bits")
    assert all(getattr(settings.train, name) == getattr(TrainSettings(), name) for name in names)
    assert settings.lora.method == LoraSettings().method == "lora"


def test_a_gpu_that_is_not_there_is_told_before_the_model_is_opened() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match=r"train\.device: cuda, but torch finds no GPU here"):
        open_model(_learn(train={"device": "cuda"}, labels=["a", "b"], datasets=[{"path": "x.jsonl"}]))
