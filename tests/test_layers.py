"""Imports only point down, there are no cycles, and the control plane never imports torch.

The rules are functions over a folder of sources, so that the tests can also show each of them fail on a made-up tree.
Imports inside functions count like those at the top: a lazy import upwards is still a dependency upwards.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = (  # the lowest first; names directly below the package
    ("types", "errors", "failpoints"),
    ("graph", "gossip", "codec", "learn"),
    ("core",),
    ("wire", "observe"),
    ("drivers",),
    (
        "yaml_files",
        "mixings",
        "fields",
        "learning_settings",
        "settings",
        "complaints",
        "config",
    ),  # single modules that make up one layer
    ("app",),
    ("monitor", "cli", "__main__"),
)
SIDEWAYS = {  # the only imports within a layer, each for a reason
    ("failpoints", "errors"): "a point that does not exist is the user's error",
    ("wire", "observe"): "a status reply carries a round record",
    ("cli", "monitor"): "`gossip top` is the monitor",
    ("__main__", "cli"): "`python -m node` is the command",
}
ONE_LAYER = frozenset(
    {"yaml_files", "mixings", "fields", "learning_settings", "settings", "complaints", "config"}
)  # these may import each other
TORCH_FREE = ("graph", "wire", "observe", "monitor", "cli", *sorted(ONE_LAYER), "core.messages")

Imports = Mapping[str, frozenset[str]]  # module -> the modules of the same package that it imports


def modules_of(package: Path) -> dict[str, Path]:
    """Dotted name -> file, for every module of a package folder."""
    named = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imports_of(package: Path) -> Imports:
    modules = modules_of(package)
    return {name: frozenset(_targets(name, path, modules)) for name, path in modules.items()}


def _targets(name: str, path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    root = name.partition(".")[0]
    body = ast.parse(path.read_text(), str(path))
    # The root package may hand out public names lazily, from inside __getattr__: only its top level counts.
    for statement in body.body if name == root else ast.walk(body):
        match statement:
            case ast.Import(names=names):
                found = [alias.name for alias in names]
            case ast.ImportFrom(module=module, names=names, level=level):
                base = _absolute(name, path, module, level)
                found = [f"{base}.{a.name}" if f"{base}.{a.name}" in modules else base for a in names]
            case _:
                continue
        yield from (target for target in found if target.partition(".")[0] == root and target != name)


def _absolute(name: str, path: Path, module: str | None, level: int) -> str:
    """The module that `from <dots><module> import` names, seen from `name`."""
    if level == 0:
        return module or ""
    parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    return ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])


def part(module: str) -> str:
    """`node.graph.weighting.weights` -> `graph`; the root package itself -> ``."""
    return [*module.split("."), ""][1]


def violations(imports: Imports) -> list[str]:
    """Every import that points up, or sideways without a reason; and every part that no layer names."""
    height = {name: level for level, names in enumerate(LAYERS) for name in names} | {"": -1}
    unknown = {part(module) for module in imports} - height.keys()
    found = [f"{name}: no layer names it" for name in sorted(unknown)]
    for importer, targets in sorted(imports.items()):
        for target in sorted(targets):
            one, other = part(importer), part(target)
            if one == other or {one, other} & unknown or {one, other} <= ONE_LAYER or (one, other) in SIDEWAYS:
                continue
            if height[one] <= height[other]:
                found.append(f"{importer} imports {target}: {'up' if height[one] < height[other] else 'sideways'}")
    return found


def cycles(imports: Imports) -> list[list[str]]:
    """Import cycles, each as the path that closes it (depth first; one for each edge that goes back)."""
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
        elif module not in done:
            for target in sorted(imports.get(module, ())):
                visit(target, [*path, module])
            done.add(module)

    for module in sorted(imports):
        visit(module, [])
    return found


def rooms(imports: Imports) -> Imports:
    """The same between sub-folders: `node.graph.weighting.weights` counts as `node.graph.weighting`."""
    found: dict[str, frozenset[str]] = {}
    for importer, targets in imports.items():
        room = _room(importer)
        found[room] = found.get(room, frozenset()) | {_room(target) for target in targets} - {room}
    return found


def _room(module: str) -> str:
    return ".".join(module.split(".")[:3])


def busy_packages(package: Path) -> list[str]:
    """Sub-packages whose __init__.py holds more or less than a docstring."""
    inits = (path for path in sorted(package.rglob("__init__.py")) if path.parent != package)
    return [str(path.relative_to(package)) for path in inits if not _is_docstring(ast.parse(path.read_text()))]


def _is_docstring(module: ast.Module) -> bool:
    return len(module.body) == 1 and ast.get_docstring(module) is not None


def loaded_by(modules: list[str], path: Path) -> set[str]:
    """The top-level packages in sys.modules after a fresh interpreter in `path` has imported `modules`."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", code]  # -c puts the working folder first on the path
    return set(subprocess.run(command, check=True, capture_output=True, text=True, cwd=path).stdout.split())


# ---- The tree as it stands -------------------------------------------------------------------------------------------


def test_imports_only_point_down() -> None:
    assert violations(imports_of(ROOT / "node")) == []


def test_there_are_no_import_cycles() -> None:
    assert cycles(imports_of(ROOT / "node")) == []


def test_there_are_no_import_cycles_between_folders() -> None:
    assert cycles(rooms(imports_of(ROOT / "node"))) == []


def test_subpackages_hold_a_docstring_only() -> None:
    assert busy_packages(ROOT / "node") == []


def test_the_control_plane_does_not_import_torch() -> None:
    prefixes = tuple(f"node.{name}" for name in TORCH_FREE)
    modules = [m for m in modules_of(ROOT / "node") if m.startswith(prefixes)]

    loaded = loaded_by(modules, ROOT)

    assert "node.cli.main" in modules
    assert "node.core.messages" in modules
    assert loaded & {"torch", "transformers", "peft"} == set()


def test_a_control_verb_works_where_torch_cannot_be_imported() -> None:
    code = "import sys; sys.modules['torch'] = None; from node.cli.main import main; main()"
    words = ["topology", "show", "topology/ring-4.yaml", "--json"]

    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert '"spectral_gap"' in done.stdout


# ---- Each rule can fail ----------------------------------------------------------------------------------------------


def tree(folder: Path, files: Mapping[str, str]) -> Path:
    """A package `node` in `folder` with these files; every folder gets an __init__.py with a docstring."""
    for name, text in files.items():
        path = folder / "node" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for inner in [folder / "node", *(path for path in (folder / "node").rglob("*") if path.is_dir())]:
        if not (inner / "__init__.py").exists():
            (inner / "__init__.py").write_text('"""A package."""\n')
    return folder / "node"


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (
            {"core/edge.py": "from node.wire.frames import x", "wire/frames.py": "x = 1"},
            "core.edge imports node.wire.frames: up",
        ),
        ({"core/edge.py": "import node.app.node", "app/node.py": ""}, "core.edge imports node.app.node: up"),
        (
            {"graph/a.py": "def f():\n    from node.cli import main", "cli/main.py": ""},
            "graph.a imports node.cli.main: up",
        ),
        (
            {"gossip/a.py": "from node.graph.b import x", "graph/b.py": "x = 1"},
            "gossip.a imports node.graph.b: sideways",
        ),
        ({"monitor/a.py": "from ..cli import b", "cli/b.py": ""}, "monitor.a imports node.cli.b: sideways"),
        ({"observe/a.py": "from node.wire import b", "wire/b.py": ""}, "observe.a imports node.wire.b: sideways"),
        ({"types.py": "from node import errors", "errors.py": ""}, "types imports node.errors: sideways"),
        ({"helpers/a.py": ""}, "helpers: no layer names it"),
        ({"__init__.py": "from node.cli import main", "cli/main.py": ""}, "node imports node.cli.main: up"),
    ],
)
def test_an_import_that_points_up_or_sideways_is_named(tmp_path: Path, files: dict[str, str], complaint: str) -> None:
    found = violations(imports_of(tree(tmp_path, files)))

    assert [line.removeprefix("node.") for line in found] == [complaint]


@pytest.mark.parametrize(
    "files",
    [
        {"wire/a.py": "from node.core import b", "core/b.py": "from . import c", "core/c.py": "import torch"},
        {"cli/top.py": "from node.monitor import view", "monitor/view.py": "import node.observe.a", "observe/a.py": ""},
        {"config.py": "from node.settings import s", "settings.py": "s = 1"},
        {"__init__.py": "def __getattr__(name):\n    from node.app import demo", "app/demo.py": ""},
    ],
)
def test_an_import_that_points_down_passes(tmp_path: Path, files: dict[str, str]) -> None:
    assert violations(imports_of(tree(tmp_path, files))) == []


def test_a_cycle_is_shown_as_the_path_that_closes_it(tmp_path: Path) -> None:
    files = {
        "core/a.py": "from node.core import b",
        "core/b.py": "from node.core.c import x",
        "core/c.py": "from . import a",
    }

    found = cycles(imports_of(tree(tmp_path, files)))

    assert found == [["node.core.a", "node.core.b", "node.core.c", "node.core.a"]]


def test_two_ways_to_one_module_are_no_cycle(tmp_path: Path) -> None:
    files = {"core/a.py": "from node.core import b, c", "core/b.py": "from node.core import c", "core/c.py": ""}

    assert cycles(imports_of(tree(tmp_path, files))) == []


def test_folders_that_need_each_other_are_a_cycle_even_where_no_module_is_in_one(tmp_path: Path) -> None:
    files = {
        "graph/a/one.py": "from node.graph.b import two",
        "graph/b/two.py": "",
        "graph/b/three.py": "from node.graph.a import four",
        "graph/a/four.py": "",
    }
    imports = imports_of(tree(tmp_path, files))

    assert cycles(imports) == []
    assert cycles(rooms(imports)) == [["node.graph.a", "node.graph.b", "node.graph.a"]]


@pytest.mark.parametrize("text", ["from node.core.edge import Edge", '"""Core."""\nx = 1\n', ""])
def test_a_package_that_holds_more_than_a_docstring_or_none_is_named(tmp_path: Path, text: str) -> None:
    assert busy_packages(tree(tmp_path, {"core/__init__.py": text})) == ["core/__init__.py"]


def test_a_torch_that_comes_in_indirectly_is_seen(tmp_path: Path) -> None:
    files = {"wire/a.py": "import node.core.b", "core/b.py": "import torch"}
    tree(tmp_path, files)
    (tmp_path / "torch.py").write_text("")  # stands for the real one, which takes seconds

    assert "torch" in loaded_by(["node.wire.a"], tmp_path)
