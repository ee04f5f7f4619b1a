"""What others may build on: a name more or less here is a decision, and belongs into CHANGELOG.md."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import node

ROOT = Path(__file__).resolve().parent.parent

PUBLIC = {
    "ConfigError",
    "Context",
    "Faults",
    "GossipCallback",
    "GossipPeer",
    "Heard",
    "Mixing",
    "NodeConfig",
    "PeerConfig",
    "Topology",
    "__version__",
    "load_topology",
    "simulate",
}


def test_these_are_the_public_names() -> None:
    assert set(node.__all__) == PUBLIC
    assert set(dir(node)) >= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_a_public_name_is_the_thing_that_its_module_defines(name: str) -> None:
    found = getattr(node, name)

    assert found.__name__ == name
    assert found is getattr(sys.modules[found.__module__], name)


def test_type_checkers_are_told_the_same_homes() -> None:
    tree = ast.parse((ROOT / "node" / "__init__.py").read_text())
    block = next(s for s in tree.body if isinstance(s, ast.If))
    told = {alias.name: s.module for s in block.body if isinstance(s, ast.ImportFrom) for alias in s.names}

    assert told == {name: getattr(node, name).__module__ for name in PUBLIC - {"__version__"}}


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'node' has no attribute 'simulated'"):
        node.simulated  # noqa: B018


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import node, sys; print([m for m in sys.modules if m.startswith(('node.', 'torch', 'numpy'))])"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "[]"


def test_simulating_imports_neither_trainer_nor_sockets() -> None:
    code = "import node, sys; node.simulate; print({m.partition('.')[0] for m in sys.modules})"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)

    assert set(ast.literal_eval(done.stdout)) & {"transformers", "peft", "grpc", "matplotlib"} == set()
