"""Scripts around transformers.Trainer that join by a callback: several in this process, over real sockets."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor

import node.learn.model.libraries  # noqa: F401  # first: silences transformers before anything imports it
from node import GossipCallback
from node.app.adapters.export import export
from node.app.run.processes import state_of
from node.app.run.run_folder import RunFolder
from node.config import load_node_config
from node.errors import ConfigError
from node.graph.topology import Topology
from node.learn.model.trainables import Trainables
from node.monitor.verbs import members
from node.observe.records import read_records
from tests.lab import free_ports
from tests.learn import own, tiny
from tests.reference.torch_adam_by_matrix import steps_and_mixing

PATIENCE = 120.0  # seconds; a test that takes longer hangs


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_bert(tmp_path_factory.mktemp("bert"), layers=1)


def path_of(n: int) -> Topology:
    nodes = {f"n{i}": f"127.0.0.1:{port}" for i, port in enumerate(free_ports(n))}
    return Topology.from_mapping({"nodes": nodes, "edges": [[f"n{i}", f"n{i + 1}"] for i in range(n - 1)]}, "path")


class Script:
    """One user's script: a model, texts of its own, a Trainer."""

    def __init__(
        self, bert: Path, graph: Topology, peer: str, folder: Path, args: Mapping[str, Any] = {}, **said: Any
    ) -> None:
        index, before = list(graph.nodes).index(peer), said.pop("before", ())
        self.model = said.pop("model", None) or own.make_model(bert)
        self.rows = own.Rows(own.tokenizer_of(bert), index, len(graph.nodes))
        self.callback = GossipCallback(
            graph, peer, **({"every": 2, "output_dir": folder / "run", "mixing": "dpsgd"} | said)
        )
        callbacks = [*before, self.callback]
        self.trainer = own.make_trainer(self.model, self.rows, folder / peer, callbacks=callbacks, **args)
        self.error: BaseException | None = None

    def train(self, **said: Any) -> None:
        try:
            self.trainer.train(**said)
        except BaseException as error:
            self.error = error
            self.callback.close()

    @property
    def theta(self) -> Tensor:
        return Trainables(self.model).read()


def train(scripts: Sequence[Script], **said: Any) -> None:
    """All at once, a thread each."""
    threads = [threading.Thread(target=script.train, kwargs=said, daemon=True) for script in scripts]
    for thread in threads:
        thread.start()
    until = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    assert not any(thread.is_alive() for thread in threads), "a script hangs"


def batches_of(script: Script, steps: int) -> list[dict[str, Tensor]]:
    """What a Trainer that does not shuffle shows to its model."""
    at = [script.rows[i % len(script.rows)] for i in range(steps * own.BATCH)]
    groups = [at[start : start + own.BATCH] for start in range(0, len(at), own.BATCH)]
    return [{name: torch.stack([row[name] for row in group]) for name in group[0]} for group in groups]


def test_three_scripts_end_where_adamw_and_w_by_hand_end(bert: Path, tmp_path: Path) -> None:
    """K = 2, 6 steps, Metropolis on a path; parameters and AdamW's memory are mixed."""
    graph = path_of(3)
    scripts = [Script(bert, graph, peer, tmp_path) for peer in graph.nodes]
    twins = [own.make_model(bert) for _ in graph.nodes]
    for twin in twins:
        Trainables(twin).draw_lora(0)
    w = torch.tensor([[2 / 3, 1 / 3, 0], [1 / 3, 1 / 3, 1 / 3], [0, 1 / 3, 2 / 3]])

    train(scripts)
    steps_and_mixing(twins, [batches_of(s, own.STEPS) for s in scripts], w, every=2, rate=own.RATE)

    assert [(s.error, s.callback.failure) for s in scripts] == [(None, None)] * 3
    for script, twin in zip(scripts, twins, strict=True):
        torch.testing.assert_close(script.theta, Trainables(twin).read(), rtol=1e-3, atol=2e-5)


def test_a_run_by_scripts_leaves_what_any_run_leaves(bert: Path, tmp_path: Path) -> None:
    graph = path_of(2)
    scripts = [Script(bert, graph, peer, tmp_path, mixing="exact") for peer in graph.nodes]

    train(scripts)

    torch.testing.assert_close(scripts[0].theta, scripts[1].theta, rtol=0, atol=1e-6)
    run = RunFolder(tmp_path / "run")
    for peer, script in zip(graph.nodes, scripts, strict=True):
        folder, state = run.node(peer), state_of(run.node(peer))
        assert state is not None
        assert state.phase == "finished"
        records = read_records(folder.records)
        assert [(r.round, r.contributions, r.missing) for r in records] == [(i, 1, ()) for i in range(3)]
        assert all(0.5 < r.loss < 2.0 for r in records)
        assert json.loads(folder.result.read_text())["rounds"] == 3
        assert folder.journal.exists()
        saved = load_file(folder.adapter / "adapter_model.safetensors")
        assert sum(x.numel() for x in saved.values()) == len(script.theta)
    card = huggingface_hub.ModelCard.load(run.node("n0").adapter / "README.md")
    assert card.data.pipeline_tag == "text-classification"
    assert "Trained on 24 private examples" in card.text


def test_a_script_s_model_is_exported_like_any_node_s(bert: Path, tmp_path: Path) -> None:
    """From its checkpoint, by the node file that the callback writes."""
    graph = path_of(2)
    scripts = [Script(bert, graph, peer, tmp_path) for peer in graph.nodes]
    train(scripts)
    run = RunFolder(tmp_path / "run")
    run.node("n1").result.unlink()

    done = export(run, load_node_config(run.config), graph.nodes[1], tmp_path / "out", merge=True)

    model = transformers.AutoModelForSequenceClassification.from_pretrained(done.folder).eval()
    batch = {name: x for name, x in batches_of(scripts[1], 1)[0].items() if name != "labels"}
    with torch.no_grad():
        wanted, seen = scripts[1].model.eval()(**batch).logits, model(**batch).logits
    torch.testing.assert_close(seen, wanted, rtol=0, atol=1e-5)
    assert (done.source, done.round) == ("checkpoint", 3)


class Look(transformers.TrainerCallback):
    """Asks the network who is there, in the middle of a training."""

    def __init__(self, address: str, at: int) -> None:
        self.address, self.at, self.seen = address, at, []

    def on_step_begin(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        if state.global_step == self.at:
            self.seen = [(n["id"], n["round"]) for n in members(self.address)["nodes"]]


def test_members_lists_scripts_like_any_node(bert: Path, tmp_path: Path) -> None:
    graph = path_of(2)
    look = Look(graph.addresses[graph.nodes[0]], at=4)
    scripts = [Script(bert, graph, peer, tmp_path, before=[look] if peer == "n0" else ()) for peer in graph.nodes]

    train(scripts)

    assert [name for name, _ in look.seen] == ["n0", "n1"]
    assert dict(look.seen)["n0"] == 2


class StopAt(transformers.TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        control.should_training_stop = control.should_training_stop or state.global_step >= self.step


def test_a_training_that_ends_early_says_goodbye_and_the_others_go_on(
    bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph = path_of(2)
    scripts = [
        Script(bert, graph, "n0", tmp_path, before=[StopAt(3)]),
        Script(bert, graph, "n1", tmp_path),
    ]

    began = time.monotonic()
    train(scripts)

    assert [s.error for s in scripts] == [None, None]
    assert time.monotonic() - began < 30.0  # nobody waited out a deadline
    assert "n0: training ended at step 3 of 6 and leaves the network" in caplog.text
    run = RunFolder(tmp_path / "run")
    assert [r.round for r in read_records(run.node("n0").records)] == [0]
    assert [r.round for r in read_records(run.node("n1").records)] == [0, 1, 2]
    state = state_of(run.node("n0"))
    assert state is not None
    assert (state.phase, state.message) == ("stopped", "after round 1 of 3")


def test_a_last_round_may_be_shorter(bert: Path, tmp_path: Path) -> None:
    """Seven steps, every 3: the third round has one step, and the training ends with consensus."""
    graph = path_of(2)
    scripts = [
        Script(bert, graph, peer, tmp_path, args={"max_steps": 7}, every=3, mixing="exact", moments=False)
        for peer in graph.nodes
    ]

    train(scripts)

    torch.testing.assert_close(scripts[0].theta, scripts[1].theta, rtol=0, atol=1e-6)
    assert len(read_records(RunFolder(tmp_path / "run").node("n0").records)) == 3


FAILS = """\
def mean(own, neighbours, weights, round):
    if round == 1:
        raise ZeroDivisionError("on purpose")
    return own
"""


@pytest.mark.parametrize("on_error", ["alone", "raise"])
def test_an_error_of_the_network_does_what_was_said(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, on_error: str
) -> None:
    (tmp_path / f"failing_{on_error}.py").write_text(FAILS)
    monkeypatch.syspath_prepend(tmp_path)
    said = {"mixing": f"failing_{on_error}:mean", "allow_code": True, "on_error": on_error}
    graph = path_of(2)
    scripts = [Script(bert, graph, peer, tmp_path, **said) for peer in graph.nodes]

    train(scripts)

    for script in scripts:
        assert "on purpose" in str(script.callback.failure)
        assert script.trainer.state.global_step == (6 if on_error == "alone" else 4)
        assert (script.error is not None) == (on_error == "raise")
    assert ("training goes on ALONE" in caplog.text) == (on_error == "alone")


class Crash(transformers.TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def test_a_run_that_was_cut_goes_on_as_if_it_had_not_been(bert: Path, tmp_path: Path) -> None:
    """Both scripts save after 4 of 6 steps, die, and are started again by resume_from_checkpoint."""
    saving = {"save_strategy": "steps", "save_steps": 4}
    graph, other = path_of(2), path_of(2)
    whole = [Script(bert, graph, peer, tmp_path / "whole") for peer in graph.nodes]
    cut = [Script(bert, other, peer, tmp_path / "cut", args=saving, before=[Crash(4)]) for peer in other.nodes]

    train(whole)
    train(cut)
    again = [Script(bert, other, peer, tmp_path / "cut", args=saving) for peer in other.nodes]
    train(again, resume_from_checkpoint=True)

    assert [type(s.error) for s in cut] == [KeyboardInterrupt] * 2
    assert [s.error for s in again] == [None, None]
    for one, two in zip(whole, again, strict=True):
        torch.testing.assert_close(one.theta, two.theta, rtol=1e-4, atol=1e-6)
    facts = map(json.loads, RunFolder(tmp_path / "cut" / "run").node("n0").journal.read_text().splitlines())
    assert [f["round"] for f in facts if f["event"] == "resume"] == [2]


def test_a_script_that_is_simply_started_again_takes_up_the_network_s_vectors(
    bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph = path_of(2)
    cut = [Script(bert, graph, peer, tmp_path, before=[Crash(4)]) for peer in graph.nodes]
    train(cut)
    held = [script.theta for script in cut]

    again = [Script(bert, graph, peer, tmp_path, before=[Crash(0)]) for peer in graph.nodes]
    train(again)

    for script, theta in zip(again, held, strict=True):
        assert torch.equal(script.theta, theta)
    assert "n0: goes on after round 2 of its checkpoint" in caplog.text


def test_a_run_that_is_over_is_not_begun_again_by_accident(bert: Path, tmp_path: Path) -> None:
    graph = path_of(2)
    train([Script(bert, graph, peer, tmp_path) for peer in graph.nodes])

    with pytest.raises(ConfigError, match=r"this run is over \(3 rounds\); wanted fresh=True"):
        Script(bert, graph, "n0", tmp_path).trainer.train()

    train(fresh := [Script(bert, graph, peer, tmp_path, fresh=True) for peer in graph.nodes])
    assert [s.error for s in fresh] == [None, None]


def test_scripts_whose_heads_began_apart_refuse_each_other_and_say_why(
    bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph = path_of(2)
    scripts = [
        Script(bert, graph, peer, tmp_path, model=own.make_model(bert, seed=seed))
        for seed, peer in enumerate(graph.nodes)
    ]

    with caplog.at_level(logging.WARNING):
        train(scripts)

    assert "to be equal on all nodes: classifier.bias, classifier.weight" in caplog.text
    assert "initial differs" in caplog.text
    assert "n0: heard no neighbour in any round" in caplog.text
    assert [s.trainer.state.global_step for s in scripts] == [6, 6]


def test_a_port_in_use_is_said_before_the_training_begins(bert: Path, tmp_path: Path) -> None:
    graph = path_of(2)
    port = int(graph.addresses[graph.nodes[0]].rpartition(":")[2])

    with socket.create_server(("127.0.0.1", port)):
        script = Script(bert, graph, "n0", tmp_path)
        script.train()

    assert isinstance(script.error, ConfigError)
    assert "already in use" in str(script.error)
    assert script.trainer.state.global_step == 0


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"every": 0}, "every=0; wanted 1 or more optimizer steps a round"),
        ({"initial": "mine"}, "initial='mine'; wanted 'lora' or 'given'"),
        ({"on_error": "hope"}, "on_error='hope'; wanted 'alone' or 'raise'"),
        ({"rounds": 3}, "rounds is no word of it; rounds follow from the Trainer's steps"),
        ({"node": "n7"}, r"node='n7' is not in path \(n0, n1\)"),
        ({"momnets": True}, "momnets"),
        ({"mixing": "nothing"}, "nothing"),
    ],
)
def test_words_that_do_not_fit_are_refused_when_the_callback_is_made(said: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        GossipCallback(path_of(2), **({"node": "n0"} | said))
