"""Which parameters a pattern means, where they lie in the vector, and that what is private stays at home."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from node.app.rules.mixing import place_of
from node.core.messages import Message, Snapshot, Update
from node.core.peer import GossipPeer
from node.core.peer_config import PeerConfig
from node.drivers.faults import Faults
from node.drivers.simulation import Simulation
from node.errors import ConfigError
from node.gossip.dpsgd import dpsgd
from node.learn.dealing.partition import PartitionSettings
from node.learn.model.adapter import Adapter, attach
from node.learn.model.base import open_base
from node.learn.model.libraries import peft, transformers
from node.learn.model.sharing import selected
from node.learn.prepare import LearnSettings, Prepared, open_model, prepare
from node.learn.reading.data import DataSettings
from node.learn.reading.source import DatasetSettings
from node.types import PeerId, Shared
from tests.cluster import digest, topology
from tests.grpc.network import Cluster, Steps
from tests.grpc.network import run as run_async
from tests.learn import tiny
from tests.learn.runs import run

Q, V = (f"bert.encoder.layer.2.attention.self.{m}" for m in ("query", "value"))
NAMES = (
    *(f"{module}.lora_{factor}.weight" for module in (Q, V) for factor in "AB"),
    "classifier.bias",
    "classifier.weight",
)
BOTH_HEAD = {"classifier.bias", "classifier.weight"}


# ---- patterns
@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        (("all",), set(NAMES)),
        (("lora_A",), {f"{Q}.lora_A.weight", f"{V}.lora_A.weight"}),
        (("classifier",), BOTH_HEAD),
        (("classifier*",), BOTH_HEAD),
        (("classifier.bias", "query.lora_B"), {"classifier.bias", f"{Q}.lora_B.weight"}),
        (("*.query.lora_?.weight",), {f"{Q}.lora_A.weight", f"{Q}.lora_B.weight"}),
        (("all", "!classifier"), set(NAMES) - BOTH_HEAD),
        (("!classifier",), set(NAMES) - BOTH_HEAD),
        (("!classifier*", "!lora_B", "layer.2", "classifier"), {f"{Q}.lora_A.weight", f"{V}.lora_A.weight"}),
    ],
)
def test_what_a_pattern_means(patterns: Sequence[str], wanted: set[str]) -> None:
    assert selected("gossip.share", patterns, NAMES) == wanted


@pytest.mark.parametrize("pattern", ["theta", "lora", "layer.1", "!score", "class", "!", "*.gamma"])
def test_a_pattern_that_means_nothing_is_told_with_the_names_there_are(pattern: str) -> None:
    with pytest.raises(ConfigError) as error:
        selected("gossip.share", ("all", pattern), NAMES)

    assert str(error.value) == (
        f"gossip.share: {pattern!r} matches no parameter; there are bert.encoder.layer.N.attention.self.query.lora_A"
        ".weight, bert.encoder.layer.N.attention.self.query.lora_B.weight, bert.encoder.layer.N.attention.self.value"
        ".lora_A.weight, bert.encoder.layer.N.attention.self.value.lora_B.weight, classifier.bias, classifier.weight"
    )


# ---- the vector
def _adapter(settings: LearnSettings, share: Sequence[str], freeze: Sequence[str] = (), labels: int = 3) -> Adapter:
    base = open_base(settings.base_model, "classification", tuple("abcdefgh"[:labels]))
    return attach(base, replace(settings.lora, freeze=tuple(freeze)), 0, share)


def test_shared_entries_come_first_each_part_by_name(settings: LearnSettings) -> None:
    adapter = _adapter(settings, ("lora_A",))

    assert [(e.name, e.offset) for e in adapter.whole.entries] == [
        (f"{Q}.lora_A.weight", 0),  # (2, 16)
        (f"{V}.lora_A.weight", 32),
        (f"{Q}.lora_B.weight", 64),  # (16, 2)
        (f"{V}.lora_B.weight", 96),
        ("classifier.bias", 128),  # (3,)
        ("classifier.weight", 131),  # (3, 16)
    ]
    assert adapter.schema.entries == adapter.whole.entries[:2]
    assert (adapter.schema.d, adapter.whole.d) == (64, 179)
    assert (len(adapter.initial), len(adapter.initial_private)) == (64, 115)
    assert len(adapter.theta) == len(adapter.grad) == 179


def test_a_parameter_starts_at_the_same_value_on_either_side(settings: LearnSettings) -> None:
    everything, part = _adapter(settings, ("all",)), _adapter(settings, ("lora_A",))

    a = everything.whole.views(everything.initial)
    b = part.whole.views(torch.cat([part.initial, part.initial_private]))

    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_frozen_factors_are_no_part_of_theta_and_keep_their_common_start(settings: LearnSettings) -> None:
    adapter, free = _adapter(settings, ("all",), ("lora_A",)), _adapter(settings, ("all",))
    starts = free.schema.views(free.initial)

    assert [e.name for e in adapter.whole.entries] == [n for n in NAMES if "lora_A" not in n]
    assert set(adapter.frozen) == {f"{Q}.lora_A.weight", f"{V}.lora_A.weight"}
    assert all(torch.equal(p, starts[name]) for name, p in adapter.frozen.items())
    adapter.model(input_ids=torch.tensor([[2, 6, 7, 3]])).logits.sum().backward()
    assert all(p.grad is None for p in adapter.frozen.values())


def test_frozen_values_are_compared_at_the_hello(settings: LearnSettings) -> None:
    base = open_base(settings.base_model, "classification", tiny.LABELS)
    lora = replace(settings.lora, freeze=("lora_A",))
    a, again, other = (attach(base, lora, seed, ("lora_B",)) for seed in (0, 0, 1))

    assert torch.equal(a.initial, other.initial)  # B starts at zero, whatever the seed
    assert a.initial_digest == again.initial_digest != other.initial_digest
    assert a.config_digest != attach(base, settings.lora, 0, ("lora_B",)).config_digest


@pytest.mark.parametrize(
    ("share", "freeze", "told"),
    [
        (("all", "!*"), (), r"gossip\.share: .* shares nothing"),
        (("all",), ("all",), r"lora\.freeze: .* leaves nothing to train"),
        (("all",), ("lora_C",), r"lora\.freeze: 'lora_C' matches no parameter; there are"),
        (("lora_A",), ("lora_A",), r"gossip\.share: 'lora_A' matches no parameter; there are"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    settings: LearnSettings, share: Sequence[str], freeze: Sequence[str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        _adapter(settings, share, freeze)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft 0.21 with transformers 5
@pytest.mark.parametrize(("share", "freeze"), [(("lora_A",), ()), (("all",), ("lora_A",)), (("!classifier",), ())])
def test_a_saved_adapter_is_the_whole_of_it(
    settings: LearnSettings, tmp_path: Path, share: Sequence[str], freeze: Sequence[str]
) -> None:
    adapter = _adapter(settings, share, freeze)
    theta = torch.randn(adapter.whole.d, generator=torch.Generator().manual_seed(3))
    adapter.theta.copy_(theta)
    ids = torch.tensor([[2, 6, 7, 3], [2, 9, 8, 3]])
    ours = adapter.model(input_ids=ids).logits

    adapter.save(tmp_path, theta)
    fresh = transformers.AutoModelForSequenceClassification.from_pretrained(settings.base_model, num_labels=3)
    loaded = peft.PeftModel.from_pretrained(fresh, str(tmp_path)).eval()

    assert torch.equal(loaded(input_ids=ids).logits, ours)
    assert torch.equal(adapter.load(tmp_path), theta)


def test_an_adapter_frozen_at_other_values_is_not_loaded(settings: LearnSettings, tmp_path: Path) -> None:
    base = open_base(settings.base_model, "classification", tiny.LABELS)
    lora = replace(settings.lora, freeze=("lora_A",))
    saved, ours = attach(base, lora, 1), attach(base, lora, 0)
    saved.save(tmp_path, saved.initial)

    with pytest.raises(ConfigError, match=r"lora_A\.weight is frozen at another value"):
        ours.load(tmp_path)


# ---- nodes
def _node(settings: LearnSettings, peer: str = "n0", index: int = 0, nodes: int = 2) -> Prepared:
    return prepare(settings, open_model(settings, peer), peer=peer, index=index, nodes=nodes)


def _same(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def part(settings: LearnSettings) -> LearnSettings:
    """Only A is shared."""
    return replace(settings, share=("lora_A",))


@pytest.mark.parametrize("alternate", [0, 2])
@pytest.mark.parametrize("moments", [True, False])
def test_what_travels_has_the_length_of_the_shared_part(part: LearnSettings, moments: bool, alternate: int) -> None:
    settings = replace(part, moments=moments, train=replace(part.train, alternate=alternate))
    node = _node(settings)

    trained, _ = node.trainer.train(0, node.shared)

    wanted = {"theta": 64, "m": 64, "s": 64, "scalars": 2} if moments else {"theta": 64}
    assert {name: len(t) for name, t in trained.items()} == wanted == {n: len(t) for n, t in node.shared.items()}
    assert node.parameters == {"shared": 64, "private": 115, "frozen": 0}
    assert torch.equal(node.trainer.whole(trained)[:64], trained["theta"])
    assert not torch.equal(node.trainer.whole(trained)[64:], node.adapter.initial_private)


@pytest.mark.parametrize("share", [("all",), ("lora_A",), ("!classifier",)])
@pytest.mark.parametrize("moments", [True, False])
def test_alone_it_does_not_matter_what_is_shared(
    settings: LearnSettings, share: tuple[str, ...], moments: bool
) -> None:
    everything = replace(settings, moments=moments)
    a, b = _node(everything), _node(replace(everything, share=share))

    ends = [n.adapter.whole.views(n.trainer.whole(run(n, 6))) for n in (a, b)]

    assert ends[0].keys() == ends[1].keys()
    for name, end in ends[0].items():
        torch.testing.assert_close(end, ends[1][name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("alternate", [0, 2])
@pytest.mark.parametrize("moments", [True, False])
def test_a_restored_node_goes_on_with_its_private_part(part: LearnSettings, moments: bool, alternate: int) -> None:
    settings = replace(part, moments=moments, train=replace(part.train, alternate=alternate))
    whole = _node(settings)
    unbroken = run(whole, 9)

    before, after = _node(settings), _node(settings)
    middle = run(before, 4)
    after.trainer.load_state(before.trainer.state())
    resumed = run(after, 5, middle, first=4)

    assert _same(unbroken, resumed)
    assert torch.equal(whole.trainer.whole(unbroken), after.trainer.whole(resumed))


def test_the_state_holds_what_is_private_and_nothing_shared(part: LearnSettings) -> None:
    node = _node(part)
    run(node, 1)

    sizes = {name: len(t) for name, t in node.trainer.state().items() if name != "steps"}

    assert sizes == {"theta": 115, "m": 115, "s": 115, "scalars": 2}


def test_who_joins_starts_with_a_fresh_private_part(part: LearnSettings) -> None:
    settings = replace(part, partition=PartitionSettings(by="iid"))
    old, new = _node(settings), _node(settings, "n1", 1)
    adopted = run(old, 5)

    start = new.trainer.whole(adopted)

    assert torch.equal(start[:64], adopted["theta"])
    assert torch.equal(start[64:], new.adapter.initial_private)


def test_the_prefix_cache_works_on(part: LearnSettings) -> None:
    for share, freeze in ((("lora_A",), ()), (("all",), ("lora_A",)), (("!classifier",), ())):
        settings = replace(part, share=share, lora=replace(part.lora, freeze=freeze))
        cached = _node(settings)
        plain = _node(replace(settings, train=replace(settings.train, prefix_cache="off")))
        assert cached.prefix.startswith("on: 2 of 3 layers")
        a, b = (n.trainer.evaluate(n.trainer.whole(run(n, 3)))["loss"] for n in (cached, plain))
        assert a == pytest.approx(b, rel=1e-4)


# ---- labels of their own
@pytest.fixture
def two_sets(settings: LearnSettings, tmp_path: Path) -> dict[str, LearnSettings]:
    """n0 knows two labels, n1 three; the LoRA part is shared."""
    for peer, labels in (("n0", tiny.LABELS[:2]), ("n1", tiny.LABELS)):
        rows = [(text, label) for text, label in tiny.texts(90) if label in labels]
        (tmp_path / f"{peer}.jsonl").write_text("".join(f'{{"text": "{t}", "label": "{y}"}}\n' for t, y in rows))
    data = DataSettings((DatasetSettings(str(tmp_path / "{id}.jsonl")),), labels=tiny.LABELS, own_labels=True)
    common = replace(settings, share=("!classifier",), partition=PartitionSettings("none"), data=data)
    return {"n0": replace(common, data=replace(data, labels=tiny.LABELS[:2])), "n1": common}


def test_nodes_with_other_labels_agree_on_what_they_share(two_sets: dict[str, LearnSettings]) -> None:
    a, b = (_node(settings, peer) for peer, settings in two_sets.items())

    assert a.digests == b.digests
    assert "labels" not in a.digests
    assert a.adapter.schema == b.adapter.schema
    assert (a.parameters["private"], b.parameters["private"]) == (2 * 17, 3 * 17)
    assert (len(a.classes), len(b.classes)) == (2, 3)
    assert a.tested_on == b.tested_on == "own"


def test_labels_are_compared_where_the_head_is_shared(settings: LearnSettings) -> None:
    for share, compared in ((("all",), True), (("lora_A", "classifier.bias"), True), (("lora_A",), False)):
        assert ("labels" in _node(replace(settings, share=share)).digests) == compared
    frozen = replace(settings, share=("lora_B",), lora=replace(settings.lora, freeze=("lora_A", "classifier")))
    assert "labels" in _node(frozen).digests


@pytest.mark.parametrize(
    ("share", "freeze", "told"),
    [
        (("all",), (), r"labels: each node has its own, but all would have classifier\.bias in common"),
        (("lora_A",), ("classifier",), r"all would have classifier\.bias in common"),
    ],
)
def test_a_common_head_wants_common_labels(
    two_sets: dict[str, LearnSettings], share: tuple[str, ...], freeze: tuple[str, ...], told: str
) -> None:
    settings = two_sets["n0"]

    with pytest.raises(ConfigError, match=told):
        _node(replace(settings, share=share, lora=replace(settings.lora, freeze=freeze)))


def test_labels_of_their_own_want_data_of_their_own(two_sets: dict[str, LearnSettings]) -> None:
    with pytest.raises(ConfigError, match=r"labels: each node has its own, but all read .*wanted \{id\}"):
        _node(replace(two_sets["n1"], partition=PartitionSettings("iid")), "n1")


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (DataSettings(), "common"),
        (DataSettings((DatasetSettings("all.jsonl"),)), "common"),
        (DataSettings((DatasetSettings("{id}.jsonl"),)), "own"),
        (DataSettings((DatasetSettings("{id}.jsonl"),), (DatasetSettings("test.jsonl"),)), "common"),
        (DataSettings((DatasetSettings("all.jsonl"),), (DatasetSettings("{id}.jsonl"),)), "own"),
    ],
)
def test_whose_test_set_it_is(data: DataSettings, wanted: str) -> None:
    assert data.tested_on == wanted


# ---- the network
RING = topology("ring", 4)
BIAS = slice(-51, -48)  # of the head: it is last but one on either side
MARK = 12345.678  # a value that no training makes


def _peers(nodes: Mapping[PeerId, Prepared], rounds: int) -> dict[PeerId, GossipPeer]:
    return {
        p: GossipPeer(PeerConfig(**place_of(RING, p, "dpsgd"), rounds=rounds), node.shared, dpsgd())
        for p, node in nodes.items()
    }


def _nodes(settings: LearnSettings) -> dict[PeerId, Prepared]:
    base = open_model(settings)
    return {p: prepare(settings, base, peer=p, index=i, nodes=4) for i, p in enumerate(RING.nodes)}


@pytest.mark.parametrize(("share", "seen"), [(("lora_A",), False), (("all",), True)])
def test_no_channel_ever_carries_what_is_private(settings: LearnSettings, share: tuple[str, ...], seen: bool) -> None:
    nodes = _nodes(replace(settings, share=share))
    for node in nodes.values():  # the bias of the head is marked: alike for all labels, it does not change an answer
        place = node.trainer._private if "theta" in node.trainer.state() else node.shared
        place["theta"][BIAS] = MARK
    said: list[Message] = []

    def listen(sender: PeerId, message: Message) -> Message:
        said.append(message)
        return message

    def step(peer: PeerId, round: int, shared: Shared) -> tuple[Shared, Mapping[str, float]]:
        return nodes[peer].trainer.train(round, shared)

    Simulation(_peers(nodes, 2), step, Faults(tamper=listen)).run()

    channels = [c for m in said if isinstance(m, Snapshot | Update) for c in m.channels]
    in_full = [c.data for m in said if isinstance(m, Snapshot) for c in m.channels if c.name == "theta"]
    d = nodes[RING.nodes[0]].adapter.schema.d
    assert {(c.name, len(c.data)) for c in channels} == {("theta", 4 * d), ("m", 4 * d), ("s", 4 * d), ("scalars", 8)}
    values = np.concatenate([np.frombuffer(data, "<f4") for data in in_full])
    assert bool((np.abs(values - MARK) < 10.0).any()) == seen
    heads = [node.adapter.whole.views(node.trainer.whole(node.shared))["classifier.bias"] for node in nodes.values()]
    assert all(torch.allclose(head, torch.full((3,), MARK), rtol=1e-4) for head in heads)


@pytest.mark.parametrize("alternate", [0, 2])
def test_over_sockets_a_part_is_mixed_to_the_same_bits(part: LearnSettings, alternate: int) -> None:
    settings = replace(part, train=replace(part.train, alternate=alternate))

    def wholes(nodes: Mapping[PeerId, Prepared], final: Mapping[PeerId, Shared]) -> str:
        return digest({p: {**final[p], "whole": node.trainer.whole(final[p])} for p, node in nodes.items()})

    def step(peer: PeerId, round: int, shared: Shared) -> tuple[Shared, Mapping[str, float]]:
        return virtual[peer].trainer.train(round, shared)

    async def over_sockets(nodes: Mapping[PeerId, Prepared]) -> str:
        steps = {p: Steps(p, lambda p, r, x: nodes[p].trainer.train(r, x)) for p in nodes}
        async with Cluster(_peers(nodes, 4), steps) as cluster:
            return wholes(nodes, await cluster.run())

    virtual = _nodes(settings)
    simulated = wholes(virtual, Simulation(_peers(virtual, 4), step).run())

    assert run_async(over_sockets(_nodes(settings))) == simulated
