from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest
import torch

from node.errors import ConfigError
from node.learn.dealing.partition import PartitionSettings
from node.learn.prepare import LearnSettings, Prepared, open_learner, open_model, prepare
from node.learn.training.objective import ObjectiveSettings
from node.learn.training.train_settings import TrainSettings
from node.learn.training.trainer import Interrupted
from node.types import Shared
from tests.learn.runs import run


def _node(settings: LearnSettings, peer: str = "n0", index: int = 0) -> Prepared:
    return prepare(settings, open_model(settings), peer=peer, index=index, nodes=2)


def _same(a: Shared, b: Shared) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def test_training_lowers_the_loss_and_learns(settings: LearnSettings) -> None:
    node = _node(settings)
    start = node.trainer.evaluate(node.trainer.whole(node.shared))

    end = node.trainer.evaluate(node.trainer.whole(run(node, 60)))

    assert end["loss"] < start["loss"] - 0.1
    assert set(end) == {"accuracy", "f1", "loss"}


def test_a_causal_language_model_learns_its_blocks(causal: LearnSettings) -> None:
    node = _node(causal)

    end = node.trainer.evaluate(node.trainer.whole(run(node, 40)))

    assert end["loss"] < node.trainer.evaluate(node.trainer.whole(node.shared))["loss"] - 0.01
    assert node.classes == ()


def test_a_base_in_half_precision_trains_an_adapter_in_full(settings: LearnSettings) -> None:
    node = _node(replace(settings, train=replace(settings.train, bf16=True)))

    end = run(node, 60)

    assert node.prefix.startswith("on: ")
    assert node.adapter.model.bert.embeddings.word_embeddings.weight.dtype == torch.bfloat16
    assert end["theta"].dtype == torch.float32
    assert (
        node.trainer.evaluate(node.trainer.whole(end))["loss"]
        < node.trainer.evaluate(node.trainer.whole(node.shared))["loss"] - 0.1
    )
    assert node.digests["base_model"] == _node(settings).digests["base_model"]


@pytest.mark.parametrize("moments", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_restored_trainer_goes_on_with_the_same_bits(settings: LearnSettings, moments: bool, dropout: float) -> None:
    settings = replace(settings, moments=moments, lora=replace(settings.lora, dropout=dropout))
    unbroken = run(_node(settings), 9)

    before, after = _node(settings), _node(settings)
    middle = run(before, 4)
    after.trainer.load_state(before.trainer.state())
    torch.manual_seed(1234)  # nothing may hang on torch's global generator
    resumed = run(after, 5, middle, first=4)

    assert set(unbroken) == ({"theta", "m", "s", "scalars"} if moments else {"theta"})
    assert _same(unbroken, resumed)


def test_trainers_that_take_turns_on_one_model_do_not_disturb_each_other(settings: LearnSettings) -> None:
    base = open_model(settings)
    learner = open_learner(settings, base)
    alone = [run(prepare(settings, base, peer=p, index=i, nodes=2, learner=learner), 4) for i, p in enumerate("ab")]

    a, b = (prepare(settings, base, peer=p, index=i, nodes=2, learner=learner) for i, p in enumerate("ab"))
    x, y = a.shared, b.shared
    for round in range(4):
        (x, _), (y, _) = a.trainer.train(round, x), b.trainer.train(round, y)

    assert _same(x, alone[0])
    assert _same(y, alone[1])


def test_what_is_handed_in_stays_as_it_is(settings: LearnSettings) -> None:
    node = _node(settings)
    before = {name: t.clone() for name, t in node.shared.items()}

    after, stats = node.trainer.train(0, node.shared)

    assert _same(node.shared, before)
    assert not torch.equal(after["theta"], before["theta"])
    assert stats["examples"] == 8.0
    assert "accuracy" not in stats


def test_an_epoch_sees_every_example_once_and_nodes_see_their_own(settings: LearnSettings) -> None:
    node = _node(settings)
    trainer, own = node.trainer, sorted(int(i) for i in node.own)

    seen = [i for step in range(len(own)) for i in trainer.indices(step)][: 3 * len(own)]

    assert Counter(seen) == dict.fromkeys(own, 3)
    assert seen[: len(own)] != seen[len(own) : 2 * len(own)]
    assert not set(own) & {int(i) for i in _node(settings, "n1", 1).own}


def test_stop_interrupts_a_running_round_and_leaves_no_trace(settings: LearnSettings) -> None:
    settings = replace(settings, train=replace(settings.train, local_steps=1_000_000))
    node = _node(settings)
    started, ended = threading.Event(), []
    original = node.trainer.indices
    node.trainer.indices = lambda step: (started.set(), original(step))[1]  # type: ignore[method-assign]

    def train() -> None:
        try:
            node.trainer.train(0, node.shared)
        except Interrupted:
            ended.append("interrupted")

    thread = threading.Thread(target=train)
    thread.start()
    assert started.wait(10)
    state = node.trainer.state()
    node.trainer.stop()
    thread.join(10)

    assert ended == ["interrupted"]
    assert node.trainer.state() == state == {"steps": 0}
    with pytest.raises(Interrupted):
        node.trainer.train(0, node.shared)


def test_accuracy_is_told_in_the_rounds_that_evaluate(settings: LearnSettings) -> None:
    node = _node(replace(settings, train=replace(settings.train, eval_every=2)))

    told = []
    shared = node.shared
    for round in range(4):
        expected = node.trainer.evaluate(node.trainer.whole(shared))["accuracy"]
        shared, stats = node.trainer.train(round, shared)
        told.append(stats.get("accuracy") == expected)

    assert told == [True, False, True, False]


def test_nodes_start_alike_and_say_what_they_are_made_of(settings: LearnSettings) -> None:
    a, b = _node(settings), _node(settings, "n1", 1)

    assert a.digests == b.digests
    assert set(a.digests) == {"base_model", "tokenizer", "labels", "adapter", "schema", "initial"}
    assert _same(a.shared, b.shared)
    assert a.data_digest == b.data_digest
    assert sum(a.classes) == a.examples


def test_a_linear_schedule_ends_at_zero() -> None:
    settings = TrainSettings(schedule="linear", rounds=4, warmup=0)

    assert [settings.rate(round) for round in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert TrainSettings(schedule="constant", warmup=0).rate(3) == 1.0


def test_a_warm_up_grows_in_equal_steps() -> None:
    settings = TrainSettings(schedule="constant", rounds=8, warmup=0.375)

    assert [settings.rate(round) for round in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


@pytest.mark.parametrize("name", ["learning_rate", "micro_batch_size", "local_steps", "rounds"])
def test_settings_that_cannot_train_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"train\.{name}: 0 seen"):
        TrainSettings(**{name: 0})  # type: ignore[arg-type]


def _with(settings: LearnSettings, objective: ObjectiveSettings, local_steps: int) -> LearnSettings:
    """Each class on one node: files and net here, maths there (or another pair)."""
    train = replace(settings.train, objective=objective, local_steps=local_steps, delayed=False)
    return replace(settings, train=train, partition=PartitionSettings("class"))


def test_one_step_a_round_is_not_pulled(settings: LearnSettings) -> None:
    free, pulled = (_node(_with(settings, ObjectiveSettings(proximal=mu), 1)) for mu in (0.0, 10.0))

    assert _same(run(free, 3), run(pulled, 3))


@pytest.mark.parametrize("moments", [True, False])
def test_the_pull_keeps_several_steps_near_their_start(settings: LearnSettings, moments: bool) -> None:
    def moved(mu: float) -> float:
        node = _node(replace(_with(settings, ObjectiveSettings(proximal=mu), 8), moments=moments))
        return float((run(node, 1)["theta"] - node.shared["theta"]).norm())

    assert moved(100.0) < 0.5 * moved(0.0)


@pytest.mark.parametrize(("index", "held"), [(0, 2), (1, 1)])
def test_what_a_node_has_never_seen_it_does_not_unlearn_under_the_mask(
    settings: LearnSettings, index: int, held: int
) -> None:
    """The head's row of a missing class is pushed down, and masked it is not; with one class nothing is learnt."""

    def rows_moved(objective: ObjectiveSettings) -> list[bool]:
        node = _node(_with(settings, objective, 2), f"n{index}", index)
        head = next(e for e in node.adapter.schema.entries if e.name.endswith("classifier.weight"))
        change = (run(node, 1)["theta"] - node.shared["theta"])[head.offset : head.stop].view(head.shape)
        return [bool(row.any()) for row in change]

    has = [count > 0 for count in _node(_with(settings, ObjectiveSettings(), 2), f"n{index}", index).classes]

    assert sum(has) == held
    assert rows_moved(ObjectiveSettings()) == [True, True, True]
    assert rows_moved(ObjectiveSettings(missing_classes="mask")) == (has if held > 1 else [False] * 3)
