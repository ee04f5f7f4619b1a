"""A node's model in a folder: `from_pretrained` gives its logits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers
from peft import PeftModel
from torch import Tensor

import node.learn.model.libraries  # noqa: F401  # first: silences transformers before anything imports it
from node.app.adapters.export import export, save_merged
from node.errors import ConfigError
from node.types import Vector
from tests.app.kept import ENDS, IDS, SAVED, Kept
from tests.learn import tiny

TEXT = "read the file and send each number"
METHODS = [{"r": 2, "alpha": 4.0, "method": m} for m in ("lora", "rslora", "ia3", "bias", "head")]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_bert(tmp_path_factory.mktemp("bert"), layers=2)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_llama(tmp_path_factory.mktemp("llama"))


def logits_of(model: Any, tokenizer: Any) -> Tensor:
    given = tokenizer(TEXT, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        out: Tensor = model(**given).logits
    return out


def own_logits(kept: Kept, theta: Vector) -> Tensor:
    adapter = kept.nodes[IDS[0]].adapter
    adapter.theta.copy_(theta)
    return logits_of(adapter.model, adapter.base.tokenizer)


@pytest.mark.parametrize("lora", METHODS, ids=[m["method"] for m in METHODS])
def test_a_merged_classifier_gives_the_node_s_logits(bert: Path, tmp_path: Path, lora: dict[str, Any]) -> None:
    kept = Kept(tmp_path, bert, lora=lora)
    held = kept.finish()[IDS[0]]

    done = export(kept.run, kept.config, IDS[0], tmp_path / "out", merge=True)

    model = transformers.AutoModelForSequenceClassification.from_pretrained(done.folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(done.folder)
    torch.testing.assert_close(logits_of(model, tokenizer), own_logits(kept, held), rtol=0, atol=1e-5)
    assert model.config.id2label == dict(enumerate(tiny.LABELS))
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(done.files)
    assert (done.round, done.source) == (ENDS, "adapter")


@pytest.mark.parametrize("method", ["lora", "head"])
def test_a_merged_language_model_gives_the_node_s_logits(llama: Path, tmp_path: Path, method: str) -> None:
    kept = Kept(tmp_path, llama, task="causal_lm", lora={"r": 2, "alpha": 4.0, "method": method})
    held = kept.finish()[IDS[0]]

    done = export(kept.run, kept.config, IDS[0], tmp_path / "out", merge=True)

    model = transformers.AutoModelForCausalLM.from_pretrained(done.folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(done.folder)
    torch.testing.assert_close(logits_of(model, tokenizer), own_logits(kept, held), rtol=0, atol=1e-5)


def test_a_run_in_bfloat16_is_merged_in_float32(bert: Path, tmp_path: Path) -> None:
    words = {"learning_rate": 0.05, "micro_batch_size": 4, "sequence_len": 16}
    kept = Kept(tmp_path, bert, train={**words, "bf16": True})
    held = kept.finish()[IDS[0]]
    same = Kept(tmp_path / "run", bert, train=words)

    done = export(kept.run, kept.config, IDS[0], tmp_path / "out", merge=True)

    model = transformers.AutoModelForSequenceClassification.from_pretrained(done.folder).eval()
    assert model.dtype == torch.float32
    tokenizer = transformers.AutoTokenizer.from_pretrained(done.folder)
    torch.testing.assert_close(logits_of(model, tokenizer), own_logits(same, held), rtol=0, atol=1e-5)


def test_merging_leaves_the_adapter_and_its_base_alone(bert: Path, tmp_path: Path) -> None:
    kept = Kept(tmp_path, bert)
    held = kept.finish()[IDS[0]]
    before = own_logits(kept, held)

    save_merged(kept.nodes[IDS[0]].adapter, held, tmp_path / "out")

    assert torch.equal(own_logits(kept, held), before)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # of peft 0.21 to transformers 5
def test_an_adapter_of_a_checkpoint_is_what_peft_loads(bert: Path, tmp_path: Path) -> None:
    """Of a node that has not finished."""
    kept = Kept(tmp_path, bert)
    held = kept.train(SAVED)[IDS[1]]

    done = export(kept.run, kept.config, IDS[1], tmp_path / "out", merge=False)

    base = transformers.AutoModelForSequenceClassification.from_pretrained(bert, num_labels=len(tiny.LABELS))
    model = PeftModel.from_pretrained(base, str(done.folder)).eval()
    tokenizer = kept.nodes[IDS[0]].adapter.base.tokenizer
    torch.testing.assert_close(logits_of(model, tokenizer), own_logits(kept, held), rtol=0, atol=1e-5)
    assert (done.round, done.source) == (SAVED, "checkpoint")


def test_a_checkpoint_that_is_newer_than_the_adapter_counts(bert: Path, tmp_path: Path) -> None:
    """The run was finished, and goes on with more rounds."""
    kept = Kept(tmp_path, bert)
    kept.finish()
    kept.train(ENDS + 2)

    assert export(kept.run, kept.config, IDS[0], tmp_path / "out", merge=False).round == ENDS + 2


def test_a_private_head_is_in_the_model(bert: Path, tmp_path: Path) -> None:
    """It is in no message, but in the checkpoint."""
    kept = Kept(tmp_path, bert, gossip={"rounds": ENDS, "share": ["lora_A", "lora_B"]})
    held = kept.train(SAVED)[IDS[0]]

    done = export(kept.run, kept.config, IDS[0], tmp_path / "out", merge=True)

    model = transformers.AutoModelForSequenceClassification.from_pretrained(done.folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(done.folder)
    torch.testing.assert_close(logits_of(model, tokenizer), own_logits(kept, held), rtol=0, atol=1e-5)


def test_the_card_tells_rounds_figures_and_the_spread(bert: Path, tmp_path: Path) -> None:
    kept = Kept(tmp_path, bert)
    kept.finish()

    done = export(kept.run, kept.config, IDS[0], tmp_path / "out", merge=True)

    card = huggingface_hub.ModelCard.load(done.folder / "README.md")
    assert card.data.library_name == "transformers"
    assert {r.metric_type: r.metric_value for r in card.data.eval_results} == {"accuracy": 0.5, "loss": 1.0}
    assert "| rounds | 3 |" in card.text
    assert "worst 0.500, mean 0.625, best 0.750" in card.text
    assert "20 of 2 of 3 labels" in card.text


def test_what_cannot_be_written_is_said(bert: Path, tmp_path: Path) -> None:
    kept = Kept(tmp_path, bert, lora={"r": 2, "alpha": 4.0, "method": "prompt", "prompt_tokens": 2})

    with pytest.raises(ConfigError, match="n0: nothing saved yet; n0 writes a checkpoint every 10 rounds"):
        export(kept.run, kept.config, IDS[0], tmp_path / "out", merge=False)
    with pytest.raises(ConfigError, match="prompt tuning adds no weights"):
        export(kept.run, kept.config, IDS[0], tmp_path / "out", merge=True)
    with pytest.raises(ConfigError, match="not empty; wanted a new folder"):
        export(kept.run, kept.config, IDS[0], bert, merge=False)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_other_settings_is_refused(bert: Path, tmp_path: Path) -> None:
    kept = Kept(tmp_path, bert)
    kept.train(SAVED)
    (tmp_path / "other").mkdir()
    other = Kept(tmp_path / "other", bert, lora={"r": 4, "alpha": 4.0})

    with pytest.raises(ConfigError, match=r"holds \d+ parameters, the settings of the run make \d+"):
        export(kept.run, other.config, IDS[0], tmp_path / "out", merge=False)


def test_json_documents_are_json(bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.lab import call

    kept = Kept(tmp_path, bert)
    kept.train(SAVED)

    code = call(["export", "--run", str(kept.run.path), "--node", "n1", "-o", str(tmp_path / "out"), "--json"])

    assert code == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["node"], said["round"], said["source"], said["merged"]) == ("n1", SAVED, "checkpoint", False)
