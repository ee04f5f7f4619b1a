"""One tiny model of each kind a session; every test makes its own data and adapter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import node.learn.model.libraries  # noqa: F401  # first: silences transformers before anything imports it
from node.learn.dealing.partition import PartitionSettings
from node.learn.model.adapter import LoraSettings
from node.learn.prepare import LearnSettings
from node.learn.reading.data import DataSettings
from node.learn.reading.source import DatasetSettings
from node.learn.training.train_settings import TrainSettings
from tests.learn import tiny

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def jsonl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "all.jsonl"
    path.write_text("".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in tiny.texts(120)))
    return path


@pytest.fixture
def settings(bert: Path, jsonl: Path) -> LearnSettings:
    """Adapters on the last of three layers, iid over one common file, shared moments."""
    return LearnSettings(
        base_model=str(bert),
        lora=LoraSettings(r=2, alpha=4, target_modules=("query", "value"), layers=(2,)),
        train=TrainSettings(2e-2, micro_batch_size=4, local_steps=2, sequence_len=16, schedule="constant", warmup=0),
        data=DataSettings(datasets=(DatasetSettings(str(jsonl)),)),
        partition=PartitionSettings(by="iid"),
    )


@pytest.fixture
def causal(llama: Path, jsonl: Path) -> LearnSettings:
    """The same for a causal language model."""
    return LearnSettings(
        base_model=str(llama),
        task="causal_lm",
        lora=LoraSettings(r=2, alpha=4, target_modules=("q_proj", "v_proj"), layers=(1, 2)),
        train=TrainSettings(1e-2, micro_batch_size=4, sequence_len=8, schedule="constant", warmup=0),
        data=DataSettings(datasets=(DatasetSettings(str(jsonl)),)),
        partition=PartitionSettings(by="iid"),
    )
