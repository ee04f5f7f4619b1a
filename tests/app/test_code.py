"""Rules of the user's own: only by permission, found where Python looks, and compared by their source."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from node.app.rules.code import find, load, require_allowed
from node.errors import ConfigError
from node.gossip.mixing import Context, Heard
from node.types import PeerId

A, B = PeerId("a"), PeerId("b")
RULES = """\
import node

def mean(own, neighbours, weights, round, far=1.0):
    return own + far * sum(weights[j] * (x - own) for j, x in neighbours.items())

ready = node.Mixing(lambda shared, ctx: None, lambda round: 1, None, None)
number = 7

def short(own):
    return own
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a module into the working directory, under a name that no other test has."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def put(name: str, text: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        return path

    yield put
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def mixed(name: str, **settings: float) -> float:
    rule = load(name, settings).mixing
    ctx = Context(A, 0, 0, {A: 0.5, B: 0.5}, (B,), torch.Generator())
    own, theirs = {"theta": torch.zeros(1)}, {"theta": torch.ones(1)}
    return float(rule.combine(own, {B: Heard(theirs, own, 0)}, (), ctx)[0]["theta"])


def test_without_permission_it_is_refused_in_a_line_that_names_the_flag() -> None:
    require_allowed("mine:mean", allowed=True)
    with pytest.raises(ConfigError, match=r"^gossip\.mixing: 'mine:mean' is code of your own; wanted --allow-code"):
        require_allowed("mine:mean", allowed=False)


def test_a_function_in_the_working_directory_is_a_rule(write: Callable[[str, str], Path]) -> None:
    path = write("mine_a", RULES)

    assert mixed("mine_a:mean") == 0.5
    assert mixed("mine_a:mean", far=0.5) == 0.25
    assert load("mine_a:mean", {}).source == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_mixing_is_taken_as_it_is(write: Callable[[str, str], Path]) -> None:
    write("mine_b", RULES)

    assert load("mine_b:ready", {}).mixing is sys.modules["mine_b"].ready
    with pytest.raises(ConfigError, match="far: mine_b:ready is a Mixing, which takes no settings"):
        load("mine_b:ready", {"far": 1.0})


def test_a_function_from_elsewhere_counts_by_the_file_that_defines_it(write: Callable[[str, str], Path]) -> None:
    defines = write("mine_c", RULES)
    write("front_c", "from mine_c import mean")

    assert load("front_c:mean", {}).source == hashlib.sha256(defines.read_bytes()).hexdigest()


def test_nothing_here_can_stand_for_an_installed_module(
    write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = write("tabnanny", "def check(own, neighbours, weights, round):\n    return own").parent
    monkeypatch.setattr(sys, "path", ["", str(here), *sys.path])  # as `python -m` has it

    with pytest.raises(ConfigError, match=r"tabnanny\.check\(file\)"):  # the standard library's
        load("tabnanny:check", {})


def test_finding_a_module_does_not_run_it(write: Callable[[str, str], Path]) -> None:
    write("mine_d", "raise SystemError('I ran')")

    find("mine_d:mean")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        (
            "nowhere_e:mean",
            r"'nowhere_e:mean': no module nowhere_e; wanted one that can be imported, or nowhere_e.py in",
        ),
        ("no.where.e:mean", "ModuleNotFoundError: No module named 'no'"),
        ("mine_e:maen", "mine_e.py has no maen: did you mean 'mean'?"),
        ("mine_e:number", "mine_e:number is a int; wanted a function or a node.Mixing"),
        ("mine_e:short", r"short\(own\): too many positional arguments; wanted \(own, neighbours, weights, round\)"),
        ("broken_e:mean", "broken_e: ZeroDivisionError: division by zero"),
        ("wrong_e:mean", "wrong_e: SyntaxError"),
    ],
)
def test_what_is_no_rule_is_told_in_a_line(write: Callable[[str, str], Path], name: str, complaint: str) -> None:
    write("mine_e", RULES)
    write("broken_e", "1 / 0")
    write("wrong_e", "def mean(:")

    with pytest.raises(ConfigError, match=complaint) as error:
        load(name, {})

    assert "\n" not in str(error.value)
