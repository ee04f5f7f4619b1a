"""What the user got wrong is one line on standard error, exit code 2, and nothing written."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.lab import Done, Lab, tree

Spoil = Callable[[Lab], object]


def refused(lab: Lab, *arguments: str) -> Done:
    """The end of a command that must not have written anything."""
    before = tree(lab.path)
    done = lab.verb(*arguments)
    assert tree(lab.path) == before, "something was written"
    assert done.code == 2, done
    assert done.out == ""
    assert done.err.count("\n") == 1, "wanted one line"
    assert "Traceback" not in done.err
    return done


def edited(file: str, old: str, new: str) -> Spoil:
    def spoil(lab: Lab) -> None:
        path = lab.path / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return spoil


def removed(file: str) -> Spoil:
    return lambda lab: (lab.path / file).unlink()


def written(file: str, text: str) -> Spoil:
    return lambda lab: (lab.path / file).write_text(text)


WRONG_FILES: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "unknown key": (edited("node.yaml", "base_model", "base_modle"), ("node.yaml", "did you mean 'base_model'?")),
    "a word of another tool": (edited("node.yaml", "learning_rate", "lr"), ("train.lr", "write train.learning_rate")),
    "wrong type": (edited("node.yaml", "rounds: 40", "rounds: forty"), ("gossip.rounds", "'forty'", "a whole number")),
    "out of range": (edited("node.yaml", "r: 2", "r: 0"), ("lora.r: 0", "1 or more")),
    "not YAML": (written("node.yaml", "a: [1"), ("node.yaml:",)),
    "node file missing": (removed("node.yaml"), ("node.yaml", "No such file")),
    "topology file missing": (removed("topology.yaml"), ("topology.yaml", "No such file")),
    "no topology": (edited("node.yaml", "topology: topology.yaml, ", ""), ("gossip.topology is not set",)),
    "unknown node id": (edited("topology.yaml", '["n2", "n3"]', '["n2", "n7"]'), ("edges[2]", "'n7'", "n0 to n3")),
    "self-loop": (edited("topology.yaml", '["n2", "n3"]', '["n2", "n2"]'), ("edges[2]", "joined to itself")),
    "disconnected graph": (
        edited("topology.yaml", '["n1", "n2"], ["n2", "n3"], ["n0", "n3"]', '["n2", "n3"]'),
        ("falls into 2 parts (n0, n1 | n2, n3)", "add [n0, n2]"),
    ),
    "a port of another host": (
        edited("topology.yaml", '"n3": "127.0.0.1', '"n3": "192.0.2.7'),
        ("nodes.n3: 192.0.2.7", "is not an address of this machine", "gossip run --id n3"),
    ),
    "missing model folder": (
        edited("node.yaml", "base_model: ./model", "base_model: ./modle"),
        ("base_model", "modle", "config.json"),
    ),
    "model folder without a model": (removed("model/config.json"), ("base_model", "holds no config.json")),
    "missing data file": (removed("data/n2.jsonl"), ("datasets", "data/n2.jsonl", "does not exist")),
    "empty data": (written("data/n2.jsonl", ""), ("datasets", "data/n2.jsonl", "is empty")),
    "no labels": (
        edited("node.yaml", "labels: [files, net, maths]\n", ""),
        ("labels: none given", "data/{id}.jsonl", "all nodes share"),
    ),
    "one label": (edited("node.yaml", "[files, net, maths]", "[files]"), ("labels", "2 or more")),
    "missing label file": (edited("node.yaml", "[files, net, maths]", "./labels.txt"), ("labels.txt",)),
    "code that the command line does not allow": (
        edited("node.yaml", "mixing: dpsgd", "mixing: rules:mean"),
        ("gossip.mixing: 'rules:mean' is code of your own", "wanted --allow-code"),
    ),
    "a file that allows code": (
        edited("node.yaml", "output_dir: run", "output_dir: run\nallow_code: true"),
        ("node.yaml", "allow_code"),
    ),
    "folder that cannot be made": (written("run", "a file"), ("run: cannot be made", "change output_dir")),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_wrong_files_are_refused_before_anything_starts(lab: Lab, case: str) -> None:
    spoil, wanted = WRONG_FILES[case]
    spoil(lab)

    done = refused(lab, "up")

    for words in wanted:
        assert words in done.err


NOT_FOR_ONE = {"a port of another host", "folder that cannot be made"}  # another node's port; found after the model


@pytest.mark.parametrize("case", sorted(WRONG_FILES.keys() - NOT_FOR_ONE))
def test_a_lone_node_is_as_strict(lab: Lab, case: str) -> None:
    spoil, wanted = WRONG_FILES[case]
    spoil(lab)

    done = refused(lab, "run", "--id", "n2")

    for words in wanted:
        assert words in done.err


def test_a_port_in_use_is_named(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", lab.ports["n2"])):
        done = refused(lab, "up")
    assert f"nodes.n2: {lab.address('n2')} is in use" in done.err


WRONG_COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "unknown verb": (("upp",), ("upp",)),
    "unknown option": (("up", "--rounds", "3"), ("--rounds",)),
    "unknown setting": (("up", "--set", "gossip.runds=3"), ("gossip.runds", "did you mean", "rounds")),
    "unknown block": (("up", "--set", "gosip.rounds=3"), ("gosip.rounds", "did you mean 'gossip.rounds'?")),
    "setting without value": (("up", "--set", "seed"), ("--set seed", "no '='")),
    "setting of the wrong type": (("up", "--set", "seed=x"), ("seed", "'x'", "a whole number")),
    "node file elsewhere": (("up", "--config", "nodes.yaml"), ("nodes.yaml",)),
    "topology elsewhere": (("up", "ring.yaml"), ("ring.yaml",)),
    "no id": (("run",), ("--id",)),
    "id that is not there": (("run", "--id", "n8"), ("--id n8", "n0, n1, n2, n3")),
    "try without a run": (("try", "some text"), ("runs/", "no run is kept below it")),
    "try with a folder that is none": (("try", "some text", "--run", "data"), ("--run data", "no node.yaml")),
    "logs without a run": (("logs", "n0"), ("no run is kept below it",)),
    "down without a run": (("down",), ("no run is kept below it",)),
    "members without a run": (("members",), ("no run is kept below it",)),
    "address without port": (("members", "localhost"), ("'localhost'", "HOST:PORT")),
    "address of a monitor": (("top", "localhost"), ("'localhost'", "HOST:PORT")),
    "address to be checked for health": (("health", "localhost"), ("'localhost'", "HOST:PORT")),
    "topology that is not there": (("topology", "show", "ring.yaml"), ("ring.yaml",)),
    "negative grace": (("down", "--grace", "-1"), ("--grace",)),
    "unknown mixing": (("demo", "--mixing", "dpsdg"), ("--mixing dpsdg", "moments, exact, dpsgd")),
    "unknown partition": (("demo", "--partition", "dirichlet"), ("alpha",)),
    "no number": (("demo", "--partition", "dirichlet:x"), ("dirichlet:x", "no number")),
    "no rounds": (("demo", "--rounds", "0"), ("rounds", "1 or more")),
    "demo over a run": (("demo", "--run", "data"), ("data", "exists")),
    "id of a check": (("check", "--id", "n8"), ("--id n8",)),
    "init over files": (("init", "."), ("node.yaml exists already",)),
    "init below a file": (("init", "node.yaml/x"), ("node.yaml/x",)),
}


@pytest.mark.parametrize("case", WRONG_COMMANDS)
def test_wrong_commands_are_refused(lab: Lab, case: str) -> None:
    arguments, wanted = WRONG_COMMANDS[case]
    done = refused(lab, *arguments)
    for words in wanted:
        assert words in done.err
