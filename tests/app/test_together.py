"""All nodes in one process: what real processes would come to, and what is measured on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from node.app.rules.fit import fitted
from node.app.run.run_folder import RunFolder
from node.app.simulating.simulate import topology_of
from node.app.simulating.together import AfterRound, Together, Watch
from node.app.warm import Warm, prepare
from node.cli.simulate import simulate
from node.config import check_config, write_yaml
from node.drivers.faults import Faults, Kill
from node.errors import ConfigError
from node.monitor.report import load_run
from node.types import Shared
from tests.grpc.network import Cluster
from tests.learn import tiny

ROUNDS = 6


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A tiny model and one data set for all."""
    folder = tmp_path_factory.mktemp("together")
    tiny.save_bert(folder / "bert")
    rows = [json.dumps({"text": text, "label": label}) + "\n" for text, label in tiny.texts(120)]
    (folder / "all.jsonl").write_text("".join(rows))
    return {"model": str(folder / "bert"), "data": str(folder / "all.jsonl")}


def warm(files: Mapping[str, str], nodes: int = 3, graph: str = "ring", **gossip: Any) -> Warm:
    settings = {
        "base_model": files["model"],
        "datasets": [{"path": files["data"]}],
        "labels": list(tiny.LABELS),
        "partition": {"by": "class"} if nodes <= len(tiny.LABELS) else {"by": "iid"},
        "lora": {"r": 2, "alpha": 4.0, "target_modules": ["query", "value"], "layers": [2]},
        "train": {"learning_rate": 2e-2, "micro_batch_size": 4, "local_steps": 2, "sequence_len": 16},
        "gossip": {"rounds": ROUNDS, "mixing": "auto", **gossip},
    }
    config, topology, _ = fitted(check_config(settings, "test"), topology_of((graph, nodes)))
    return prepare(config, topology)


def same(a: Mapping[Any, Shared], b: Mapping[Any, Shared]) -> bool:
    return all(torch.equal(a[p][name], b[p][name]) for p in a for name in a[p]) and a.keys() == b.keys()


@pytest.mark.parametrize("mixing", ["dpsgd", "auto", "gradient-tracking"])
def test_nodes_end_with_the_bits_of_nodes_over_sockets(files: Mapping[str, str], mixing: str) -> None:
    over = Together(warm(files, mixing=mixing))

    async def over_sockets() -> Mapping[Any, Shared]:
        trainers = {peer: one.trainer for peer, one in over.learners.items()}
        async with Cluster(over.peers, trainers=trainers) as cluster:
            return await cluster.run()

    real = asyncio.run(over_sockets())
    here = Together(warm(files, mixing=mixing)).run()

    assert same(here.final, real)


def test_bytes_of_vectors_are_those_that_a_stream_carries(files: Mapping[str, str]) -> None:
    """But for probes, whose number is a matter of time: at most 400 of 29,000 bytes a node here."""
    over = Together(warm(files, mixing="dpsgd"))

    async def over_sockets() -> Mapping[Any, int]:
        trainers = {peer: one.trainer for peer, one in over.learners.items()}
        async with Cluster(over.peers, trainers=trainers) as cluster:
            await cluster.run()
            return {peer: node.bytes_sent for peer, node in cluster.nodes.items()}

    real = asyncio.run(over_sockets())
    here = Together(warm(files, mixing="dpsgd")).run()

    assert all(abs(here.sent[peer] - real[peer]) < 400 for peer in real)


def test_every_round_is_measured_once_and_in_order(files: Mapping[str, str]) -> None:
    told: list[AfterRound] = []

    outcome = Together(warm(files), watch=Watch(every=2), on_round=told.append).run()

    assert [after.round for after in outcome.rounds] == list(range(ROUNDS))
    assert told == list(outcome.rounds)
    assert [after.round for after in told if after.metrics] == [1, 3, 5]
    assert told[-1].metrics == outcome.metrics
    assert all(after.distance < 1e-4 for after in told), "auto is exact on a ring of 3"


def test_looking_on_the_way_changes_nothing(files: Mapping[str, str]) -> None:
    plain, watched = Together(warm(files)).run(), Together(warm(files), watch=Watch(every=1, examples=5)).run()

    assert same(plain.final, watched.final)


def test_a_node_that_is_killed_goes_on_from_its_disk(files: Mapping[str, str]) -> None:
    faults = Faults(kill=[Kill(topology_of(("ring", 3)).nodes[1], at=3.5, back_after=0.3)])

    outcome = Together(warm(files, mixing="dpsgd"), faults).run()

    assert len(outcome.final) == 3
    assert [after.round for after in outcome.rounds] == list(range(ROUNDS))


def test_mean_worst_and_spread_are_of_each_nodes_own_model(files: Mapping[str, str]) -> None:
    outcome = Together(warm(files, mixing="dpsgd", moments=False, rounds=2)).run()

    values = sorted(outcome.values())
    assert outcome.worst == values[0]
    assert outcome.mean == pytest.approx(sum(values) / 3)
    assert outcome.spread == pytest.approx(values[-1] - values[0])


# ---- the folder and the verb
def test_the_verb_leaves_what_report_and_try_read(
    files: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = warm(files).config.model_copy(update={"output_dir": str(tmp_path / "run")})
    write_yaml(tmp_path / "node.yaml", settings)
    (tmp_path / "ring.yaml").write_text("nodes: 3\ngenerator: ring\n")
    monkeypatch.chdir(tmp_path)

    simulate(Path("ring.yaml"), json=True)

    document = json.loads(capsys.readouterr().out)
    assert document["rounds"] == ROUNDS
    assert document["consensus_distance"] < 1e-4
    assert [node["id"] for node in document["nodes"]] == ["n0", "n1", "n2"]
    run = RunFolder(tmp_path / "run")
    assert len(load_run(run.path).common) == ROUNDS
    assert (run.node("n1").adapter / "adapter_config.json").is_file()
    by_hand = Together(warm(files)).run()
    assert document["accuracy"]["mean"] == pytest.approx(by_hand.mean)
    with pytest.raises(ConfigError, match="exists already"):
        simulate(Path("ring.yaml"))


def test_the_verb_removes_no_folder_that_is_not_a_runs(files: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    settings = warm(files).config.model_copy(update={"output_dir": str(tmp_path / "mine")})
    write_yaml(tmp_path / "node.yaml", settings)
    (tmp_path / "ring.yaml").write_text("nodes: 3\ngenerator: ring\n")

    with pytest.raises(ConfigError, match="is no run folder"):
        simulate(tmp_path / "ring.yaml", tmp_path / "node.yaml", fresh=True)
