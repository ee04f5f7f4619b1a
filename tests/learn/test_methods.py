"""Every method goes the same way: one vector, a common start, files that others read, and a network that learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from node.drivers.lockstep import Lockstep
from node.errors import ConfigError
from node.gossip.dpsgd import dpsgd
from node.learn.model.adapter import attach
from node.learn.model.base import Base, open_base
from node.learn.model.libraries import peft, transformers
from node.learn.model.lora_settings import LoraSettings, Method
from node.learn.model.targets import ALL_LINEAR
from node.learn.prepare import Learner, LearnSettings, open_learner, open_model, prepare
from node.learn.reading.texts import Texts
from node.learn.training.passes import Reader
from node.types import PeerId, Shared
from tests.cluster import topology
from tests.learn import tiny

BY_PEFT: tuple[Method, ...] = ("lora", "rslora", "ia3", "prompt")
METHODS: tuple[Method, ...] = (*BY_PEFT, "bias", "head")
HEAD = {"classifier.weight", "classifier.bias"}
IDS = torch.tensor([[2, 6, 7, 3], [2, 9, 8, 3]])


@pytest.fixture(scope="module")
def base(bert: Path) -> Base:
    return open_base(str(bert), "classification", tiny.LABELS)


@pytest.fixture(scope="module")
def llm(llama: Path) -> Base:
    return open_base(str(llama), "causal_lm")


def _settings(method: Method, **more: Any) -> LoraSettings:
    return LoraSettings(r=2, alpha=4, method=method, prompt_tokens=3, **more)


def _names(base: Base, settings: LoraSettings) -> set[str]:
    return {entry.name for entry in attach(base, settings, 0).schema.entries}


def test_a_prompt_is_trained_with_the_head_alone(base: Base) -> None:
    assert _names(base, _settings("prompt")) == {"prompt_embeddings", *HEAD}


def test_a_head_is_all_that_is_trained(base: Base, llm: Base) -> None:
    assert _names(base, _settings("head")) == HEAD
    assert _names(llm, _settings("head")) == {"lm_head.weight"}


def test_biases_of_all_layers_or_of_some_and_the_head(base: Base) -> None:
    everywhere = {n for n, _ in base.model.named_parameters() if n.endswith("bias")}
    last = {n for n in everywhere if ".layer.2." in n}

    assert _names(base, _settings("bias")) == everywhere | HEAD
    assert _names(base, _settings("bias", layers=(2,))) == last | HEAD
    assert _names(base, _settings("bias", layers=(2,), target_modules=("query",))) == {
        "bert.encoder.layer.2.attention.self.query.bias",
        *HEAD,
    }


def test_vectors_scale_keys_values_and_the_feed_forward_part(base: Base) -> None:
    layer = "bert.encoder.layer.2."
    wanted = ("attention.self.key", "attention.self.value", "attention.output.dense", "output.dense")

    assert _names(base, _settings("ia3", layers=(2,))) == {f"{layer}{m}.ia3_l" for m in wanted} | HEAD
    assert len(_names(base, _settings("ia3"))) == 3 * 4 + 2
    assert attach(base, _settings("ia3", layers=(2,)), 0).targets == tuple(sorted(f"{layer}{m}" for m in wanted))


@pytest.mark.parametrize("method", ["lora", "ia3"])
def test_all_linear_means_every_linear_module_but_the_head(base: Base, method: Method) -> None:
    linear = {n for n, m in base.model.named_modules() if isinstance(m, torch.nn.Linear)} - {"classifier"}

    assert set(attach(base, _settings(method, target_modules=ALL_LINEAR), 0).targets) == linear


@pytest.mark.parametrize("method", ["lora", "ia3"])
@pytest.mark.parametrize("targets", [ALL_LINEAR, ("query", "dense")])
def test_layers_hold_whatever_the_targets_are(base: Base, method: Method, targets: Any) -> None:
    chosen = attach(base, _settings(method, target_modules=targets, layers=(1, 2)), 0).targets

    assert {name.split(".")[3] for name in chosen} == {"1", "2"}
    assert len(chosen) == 2 * (6 if targets == ALL_LINEAR else 4)


def test_all_linear_of_a_language_model_leaves_its_head_alone(llm: Base) -> None:
    assert len(attach(llm, _settings("lora", target_modules=ALL_LINEAR), 0).targets) == 3 * 7


def test_scaling_is_by_the_rank_or_by_its_root() -> None:
    assert LoraSettings(r=4, alpha=16).scaling == 4.0
    assert LoraSettings(r=4, alpha=16, method="rslora").scaling == 8.0


@pytest.mark.parametrize("method", METHODS)
def test_start_values_depend_on_the_seed_only(base: Base, method: Method) -> None:
    torch.manual_seed(5)
    first = attach(base, _settings(method), 0)
    torch.manual_seed(6)
    again = attach(base, _settings(method), 0)

    assert torch.equal(first.initial, again.initial)
    assert not torch.equal(
        first.initial, attach(base, _settings(method), 1).initial
    )  # the head is new, if nothing else


@pytest.mark.parametrize("method", ["lora", "rslora", "ia3"])
def test_an_adapter_begins_as_the_base_that_it_is_put_on(llm: Base, method: Method) -> None:
    adapter = attach(llm, _settings(method), 0)

    with torch.no_grad():
        assert torch.equal(adapter.model(input_ids=IDS).logits, llm.model(input_ids=IDS).logits)


def test_vectors_start_at_one_and_biases_as_pretrained(base: Base) -> None:
    scales = attach(base, _settings("ia3"), 0)
    biases = attach(base, _settings("bias"), 0)

    assert all((v == 1).all() for n, v in scales.schema.views(scales.initial).items() if n.endswith("ia3_l"))
    given = dict(base.model.named_parameters())
    assert all(torch.equal(v, given[n]) for n, v in biases.schema.views(biases.initial).items() if n not in HEAD)


def test_a_prompt_starts_as_words_of_the_vocabulary_in_any_precision(bert: Path, base: Base) -> None:
    half = open_base(str(bert), "classification", tiny.LABELS, bf16=True)
    start = attach(base, _settings("prompt"), 0)
    words = base.model.bert.embeddings.word_embeddings.weight.bfloat16().float()

    for row in start.schema.views(start.initial)["prompt_embeddings"]:
        assert (words == row).all(1).any()
    assert torch.equal(start.initial, attach(half, _settings("prompt"), 0).initial)


def test_methods_are_told_apart_by_their_digests(base: Base) -> None:
    assert len({attach(base, _settings(m), 0).config_digest for m in METHODS}) == len(METHODS)


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_all_that_is_not_trained_is_the_bases_own_memory(bert: Path, method: Method, bf16: bool) -> None:
    base = open_base(str(bert), "classification", tiny.LABELS, bf16=bf16)
    before = {n: p.clone() for n, p in base.model.named_parameters()}
    own = {p.data_ptr() for p in (*base.model.parameters(), *base.model.buffers())}
    adapter = attach(base, _settings(method), 0)
    theta = adapter.theta.untyped_storage().data_ptr()

    frozen = [p for p in adapter.model.parameters() if not p.requires_grad]
    trained = [p for p in adapter.model.parameters() if p.requires_grad]
    adapter.theta.add_(1.0)

    assert sum(p.numel() for p in trained) == adapter.whole.d
    assert {p.untyped_storage().data_ptr() for p in trained} == {theta}
    assert all(p.data_ptr() in own for p in frozen)
    assert all(p.data_ptr() in own for p in adapter.model.buffers())
    assert all(torch.equal(p, before[n]) and not p.requires_grad for n, p in base.model.named_parameters())


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft 0.21 with transformers 5
@pytest.mark.parametrize("method", BY_PEFT)
@pytest.mark.parametrize("kind", ["classification", "causal_lm"])
def test_peft_reads_what_we_saved_bit_for_bit(
    kind: str, method: Method, bert: Path, llama: Path, base: Base, llm: Base, tmp_path: Path
) -> None:
    ours = base if kind == "classification" else llm
    adapter = attach(ours, _settings(method), 0)
    theta = adapter.initial + 0.1 * torch.randn(adapter.schema.d, generator=torch.Generator().manual_seed(3))
    adapter.theta.copy_(theta)
    given = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}

    adapter.save(tmp_path / "adapter", theta)
    if kind == "classification":
        fresh: Any = transformers.AutoModelForSequenceClassification.from_pretrained(str(bert), num_labels=3)
    else:
        fresh = transformers.AutoModelForCausalLM.from_pretrained(str(llama))
    loaded = peft.PeftModel.from_pretrained(fresh, str(tmp_path / "adapter")).eval()

    assert torch.equal(loaded(**given).logits, adapter.model(**given).logits)
    assert torch.equal(adapter.load(tmp_path / "adapter"), theta)


@pytest.mark.parametrize("method", ["bias", "head"])
def test_the_models_own_parameters_are_a_state_dict(method: Method, bert: Path, base: Base, tmp_path: Path) -> None:
    adapter = attach(base, _settings(method), 0)
    theta = adapter.initial + 0.1
    adapter.theta.copy_(theta)

    adapter.save(tmp_path, theta)
    fresh: Any = transformers.AutoModelForSequenceClassification.from_pretrained(str(bert), num_labels=3).eval()
    unexpected = fresh.load_state_dict(load_file(tmp_path / "tuned.safetensors"), strict=False).unexpected_keys

    assert unexpected == []
    assert torch.equal(fresh(input_ids=IDS).logits, adapter.model(input_ids=IDS).logits)
    assert torch.equal(adapter.load(tmp_path), theta)
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.safetensors"]


def test_equal_vectors_make_equal_files_whatever_a_set_looks_like(base: Base, tmp_path: Path) -> None:
    for name in ("a", "b"):
        attach(base, _settings("ia3"), 0).save(tmp_path / name, attach(base, _settings("ia3"), 0).initial)

    config = "adapter_config.json"
    assert (tmp_path / "a" / config).read_bytes() == (tmp_path / "b" / config).read_bytes()


@pytest.mark.parametrize(
    ("method", "lora", "said"),
    [
        ("lora", {"layers": (2,), "target_modules": ("query",)}, "on: 2 of 3 layers"),
        ("ia3", {"layers": (2,)}, "on: 2 of 3 layers"),
        ("bias", {"layers": (2,)}, "on: 2 of 3 layers"),
        ("head", {}, "on: 3 of 3 layers"),
        ("ia3", {}, "off: no frozen layer"),
        ("bias", {}, "off: no frozen layer"),
        ("prompt", {}, "off: something that is trained lies below"),
    ],
)
def test_layers_below_all_that_is_trained_answer_from_memory(
    settings: LearnSettings, method: Method, lora: dict[str, Any], said: str
) -> None:
    settings = replace(settings, lora=_settings(method, **lora))

    assert open_learner(settings, open_model(settings)).prefix.startswith(said)


@pytest.mark.parametrize(
    ("kind", "method"),
    [(kind, m) for kind in ("settings", "causal") for m in METHODS if (kind, m) != ("causal", "bias")],
)
def test_a_ring_learns_and_agrees_by_every_method(kind: str, method: Method, request: pytest.FixtureRequest) -> None:
    settings: LearnSettings = request.getfixturevalue(kind)
    settings = replace(settings, lora=_settings(method), train=replace(settings.train, local_steps=1))
    base = open_model(settings)
    learner = open_learner(settings, base)
    graph = topology("ring", 3)
    nodes = {p: prepare(settings, base, peer=p, index=i, nodes=3, learner=learner) for i, p in enumerate(graph.nodes)}

    def step(peer: PeerId, round: int, shared: Shared) -> Shared:
        return nodes[peer].trainer.train(round, shared)[0]

    ring = Lockstep(graph, dpsgd(), {p: one.shared for p, one in nodes.items()}, step)
    start = _loss(learner, nodes[graph.nodes[0]].shared)
    ring.run(12)

    ends = torch.stack([ring.shared[p]["theta"] for p in graph.nodes])
    moved = (ends.mean(0) - learner.adapter.initial).norm()
    assert all(_loss(learner, ring.shared[p]) < start for p in graph.nodes)
    # Metropolis weights of a triangle are 1/3: one exchange is consensus.
    assert (ends - ends.mean(0)).norm(dim=1).max() < 1e-5 * moved


def _loss(learner: Learner, shared: Shared) -> float:
    learner.adapter.theta.copy_(shared["theta"])
    return learner.train.measure()["loss"]


@pytest.mark.filterwarnings("error")
def test_a_prompt_goes_on_in_words_as_its_logits_say(causal: LearnSettings) -> None:
    settings = replace(causal, lora=_settings("prompt"))
    learner = open_learner(settings, open_model(settings))
    learner.adapter.theta.normal_(generator=torch.Generator().manual_seed(1))
    said, words = [2, 6, 7], learner.adapter.base.tokenizer

    with torch.no_grad():
        for _ in range(5):
            logits = learner.adapter.model(
                input_ids=torch.tensor([said]), attention_mask=torch.ones(1, len(said))
            ).logits
            said.append(int(logits[0, -1].argmax()))

    assert learner.train.said([2, 6, 7], 5) == words.decode(said[3:], skip_special_tokens=True)


@pytest.mark.parametrize("method", METHODS)
def test_tags_of_words_are_trained_by_every_method(bert: Path, method: Method) -> None:
    adapter = attach(open_base(str(bert), "token_classification", ("O", "B-x", "I-x")), _settings(method), 0)
    reader = Reader(adapter, Texts(((2, 6, 7, 3), (2, 9, 8, 10, 3)), (), 0, ((0, 1, 2, 0), (0, 0, 1, 2, 0))), None)

    logits, targets = reader.logits([0, 1])

    assert logits.shape == (2, 5, 3)
    assert targets.shape == (2, 5)
    assert adapter.answers() == ("classifier.bias", "classifier.weight")


def test_a_model_without_biases_is_told_to_take_another_method(llm: Base) -> None:
    with pytest.raises(ConfigError, match=r"lora\.method: bias finds nothing to train"):
        attach(llm, _settings("bias"), 0)


def test_a_head_that_is_the_embedding_too_is_not_trained(llama: Path) -> None:
    base = open_base(str(llama), "causal_lm")
    base.model.lm_head.weight = base.model.model.embed_tokens.weight

    with pytest.raises(ConfigError, match=r"would train lm_head\.weight, which .* also uses as model\.embed_tokens"):
        attach(base, _settings("head"), 0)


def test_a_prompt_and_a_text_must_find_room(settings: LearnSettings) -> None:
    long = replace(settings, lora=replace(_settings("prompt"), prompt_tokens=49))

    with pytest.raises(ConfigError, match=r"49 and train\.sequence_len: 16 are more than the 64 tokens"):
        open_learner(long, open_model(long))


@pytest.mark.parametrize("method", ["ia3", "bias"])
def test_layers_that_a_model_does_not_have_are_refused(base: Base, method: Method) -> None:
    with pytest.raises(ConfigError, match=r"lora"):
        attach(base, _settings(method, layers=(2, 9)), 0)
