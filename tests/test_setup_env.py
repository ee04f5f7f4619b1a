"""setup_env.py against real pip and real environments, offline: the index is a folder of tiny wheels made here."""

from __future__ import annotations

import ast
import base64
import hashlib
import importlib.util
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "setup_env.py"


@pytest.fixture
def setup() -> ModuleType:
    """A fresh copy of the module, so that a test may point its folders elsewhere."""
    spec = importlib.util.spec_from_file_location("setup_env", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- Which torch -----------------------------------------------------------------------------------------------------

INDEX = ["2.15.0", "2.14.1", "2.13.0+cpu", "2.13.0", "2.12.1", "2.5.1"]


def test_without_a_gpu_the_cpu_build_is_taken(setup: ModuleType) -> None:
    assert setup.choose_torch(INDEX, gpu=False)[0] == "torch===2.13.0+cpu"


def test_with_a_gpu_the_default_build_is_taken_although_the_cpu_build_sorts_higher(setup: ModuleType) -> None:
    assert setup.choose_torch(INDEX, gpu=True)[0] == "torch===2.13.0"


def test_gigabytes_are_told_before_they_are_downloaded(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")

    requirement, told = setup.choose_torch(["2.14.0", "2.13.0"], gpu=False)

    assert requirement == "torch===2.13.0"
    assert "2.7 GB" in told
    assert "no GPU is visible" in told


def test_an_index_that_tells_nothing_leaves_the_choice_to_pip_within_our_bounds(setup: ModuleType) -> None:
    assert setup.choose_torch([], gpu=False)[0] == setup.torch_requirement()


@pytest.mark.parametrize(
    ("version", "inside"),
    [
        ("2.5.1", False),
        ("2.6.0", True),
        ("2.11.0a0+nv26.1", True),  # what a vendor's container image carries
        ("2.13.1+cpu", True),
        ("2.14.0", False),
        ("10.0", False),
        ("", False),
    ],
)
def test_bounds_of_torch(setup: ModuleType, version: str, inside: bool) -> None:
    assert setup.in_range(version) is inside


# ---- Python ----------------------------------------------------------------------------------------------------------


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_an_old_python_can_read_the_script_and_start_a_newer_one() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 6))


def test_a_newer_python_is_found_on_path_and_a_shim_without_one_behind_it_is_passed_over(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "python3.13", "exit 127")
    program(tmp_path / "python3.11", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert setup.newer_python() == str(tmp_path / "python3.11")


def test_no_newer_python_says_what_was_seen_and_wanted(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(setup.Failed, match=r"3\.11 or newer is needed, and none of python3\.13, .* is on PATH"):
        setup.newer_python()


def test_a_python_without_ensurepip_names_the_system_package(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(setup, "STAMP", tmp_path / ".venv" / "stamp")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "ensurepip" else object())

    with pytest.raises(setup.Failed, match=r"has no module 'ensurepip'; .*install"):
        setup.make_venv()
    assert not (tmp_path / ".venv").exists()


# ---- Steps -----------------------------------------------------------------------------------------------------------


def test_a_failed_step_is_named_and_shows_the_end_of_its_output(
    setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "LOG", tmp_path / "log")
    code = "for i in range(30): print('line', i)\nraise SystemExit(3)"

    with pytest.raises(setup.Failed) as failure:
        setup.step("the third step", [sys.executable, "-c", code])

    shown = str(failure.value).splitlines()
    assert shown[0] == f"step failed: the third step (exit 3); the end of {tmp_path / 'log'}:"
    assert shown[1:] == [f"    line {i}" for i in range(15, 30)]


def test_every_job_has_parts_and_a_line_in_the_makefile(setup: ModuleType) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert setup.JOBS.keys() == setup.PARTS.keys()
    assert targets == setup.JOBS.keys() | {"help", "clean"}


@pytest.mark.parametrize(("arguments", "status"), [([], 2), (["dmeo"], 2), (["--help"], 0)])
def test_an_unknown_job_prints_the_jobs(
    setup: ModuleType, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int
) -> None:
    assert setup.main(arguments) == status
    assert "python3 setup_env.py demo" in capsys.readouterr().err


# ---- All of it, with pip, offline ------------------------------------------------------------------------------------

BACKEND = '''"""A build backend in 20 lines: an editable wheel that is a .pth file and one command."""
import os, sys
sys.path.insert(0, os.path.dirname(__file__))
from wheels import wheel
from pathlib import Path

COMMAND = "import json, sys\\ndef main(): print(json.dumps(sys.argv[1:]))\\n"

def build_editable(folder, config_settings=None, metadata_directory=None):
    entry = {"gossip_node-0.1.0.dist-info/entry_points.txt": "[console_scripts]\\ngossip = tiny_gossip:main\\n"}
    return wheel(Path(folder), "gossip_node", "0.1.0", {"tiny_gossip.py": COMMAND, **entry}, ["torch>=2.6,<2.14"]).name
'''
PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "gossip-node"
version = "0.1.0"
dependencies = ["torch>=2.6,<2.14"]
[project.optional-dependencies]
demo = ["tiny-model==0.1.0"]
"""
TORCH = {"torch/__init__.py": "import torch.body\n", "torch/body.py": ""}


def wheel(
    folder: Path, name: str, version: str, files: Mapping[str, str], needs: tuple[str, ...] | list[str] = ()
) -> Path:
    """A pure Python wheel in `folder`."""
    info = f"{name}-{version}.dist-info"
    requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()) for path, text in content.items()}
    rows = [f"{path},sha256={digest.rstrip(b'=').decode()},{len(content[path])}" for path, digest in digests.items()]
    content[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in content.items():
            archive.writestr(member, text)
    return path


def checkout(folder: Path) -> Path:
    """A tiny project with our setup_env.py, and an empty folder `index` beside it."""
    folder.mkdir()
    shutil.copy(SCRIPT, folder)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND)
    imports = "from __future__ import annotations\nimport base64, hashlib, zipfile\n"
    (folder / "wheels.py").write_text(imports + inspect.getsource(wheel))
    (folder.parent / "index").mkdir()
    return folder


def run(folder: Path, *words: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """setup_env.py with a pip that sees only the folder of wheels, and no GPU."""
    offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder.parent / "index")}
    env = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    env |= offline | {"CUDA_VISIBLE_DEVICES": "", "CI": "true"}
    return subprocess.run(
        [python, "setup_env.py", *words], cwd=folder, env=env, capture_output=True, text=True, timeout=120
    )


def torch_of(folder: Path) -> str:
    code = "import importlib.metadata as m, torch; print(m.version('torch'))"
    return subprocess.check_output([folder / ".venv" / "bin" / "python", "-c", code], text=True).strip()


@pytest.fixture
def plain_python(tmp_path: Path) -> str:
    """An interpreter that can import nothing but the standard library, whatever runs the tests."""
    venv.create(tmp_path / "plain", with_pip=False, symlinks=True)
    return str(tmp_path / "plain" / "bin" / "python")


@pytest.mark.slow
@pytest.mark.process
def test_from_a_failed_step_to_a_demo_that_is_ready_at_once(tmp_path: Path, plain_python: str) -> None:
    here = checkout(tmp_path / "here")
    index = tmp_path / "index"

    failed = run(here, "install", python=plain_python)

    assert failed.returncode == 1
    assert "setup_env: step failed: torch" in failed.stderr
    assert "No matching distribution" in failed.stderr
    assert "Traceback" not in failed.stderr

    for version in ("2.14.0", "2.13.0", "2.13.0+cpu", "2.5.0"):
        wheel(index, "torch", version, TORCH)
    wheel(index, "tiny_model", "0.1.0", {"tiny_model.py": ""}, ["a-dependency-that-no-index-has"])
    installed = run(here, "install", python=plain_python)

    assert installed.returncode == 0, installed.stderr
    assert "environment" not in installed.stderr  # the one that the failed run made is used
    assert torch_of(here) == "2.13.0+cpu"

    demo = run(here, "demo", "--seed", "1", python=plain_python)

    assert demo.returncode == 0, demo.stderr
    assert json.loads(demo.stdout) == ["demo", "--seed", "1"]
    assert (here / ".venv" / "lib").exists()
    assert list(here.glob(".venv/lib/*/site-packages/tiny_model.py"))

    again = run(here, "demo", python=plain_python)

    assert again.stderr == ""
    assert json.loads(again.stdout) == ["demo"]


@pytest.mark.slow
@pytest.mark.process
def test_an_importable_torch_in_range_is_kept_and_not_downloaded(tmp_path: Path, plain_python: str) -> None:
    here = checkout(tmp_path / "here")  # its index is empty
    site = next((tmp_path / "plain").glob("lib/python*/site-packages"))
    vendor = wheel(tmp_path, "torch", "2.11.0a0+nv26.1", TORCH)
    with zipfile.ZipFile(vendor) as archive:
        archive.extractall(site)

    installed = run(here, "install", python=plain_python)

    assert installed.returncode == 0, installed.stderr
    assert f"keeping the one in {site}" in installed.stderr
    assert torch_of(here) == "2.11.0a0+nv26.1"

    shutil.rmtree(site / "torch")
    shutil.rmtree(site / "torch-2.11.0a0+nv26.1.dist-info")
    gone = run(here, "install", python=plain_python)

    assert gone.returncode == 1  # noticed, although the stamp says that all is there
    assert "step failed: torch" in gone.stderr
