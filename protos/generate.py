"""Generates node/wire/generated/ from every .proto under protos/; with --check, compares and changes nothing.

The stubs are made with the lowest grpcio-tools that pyproject.toml's bounds allow, because generated code runs with
newer runtimes and never with older ones. That package pins an older protobuf than we run with, so it lives in an
environment of its own, kept in the user's cache. Standard library only.

    python protos/generate.py            write the stubs
    python protos/generate.py --check    exit 1 with the names of the stubs that are out of date
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

TOOLS = ("grpcio-tools==1.74.0", "grpcio==1.74.0", "protobuf==6.31.1", "setuptools<81")  # the lowest that we declare
HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "node" / "wire" / "generated"
INIT = '"""Made by protos/generate.py; do not edit."""\n'


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when a stub is out of date")
    check = parser.parse_args(arguments).check
    made = generate(tools_python())
    present = {path.name: path.read_text() for path in TARGET.glob("*.py*") if path.is_file()}
    stale = sorted(name for name in made.keys() | present.keys() if made.get(name) != present.get(name))
    if check:
        if stale:
            print(f"{TARGET}: out of date: {', '.join(stale)}; run: python protos/generate.py", file=sys.stderr)
        return 1 if stale else 0
    TARGET.mkdir(exist_ok=True)
    for name in stale:
        if name in made:
            (TARGET / name).write_text(made[name])
        else:
            (TARGET / name).unlink()
    print(f"{TARGET}: {len(made)} files, {len(stale)} changed")
    return 0


def tools_python() -> Path:
    """The interpreter of the tools' own environment, made at the first call."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gossip-node"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hashlib.sha256("\n".join((*TOOLS, version, sys.base_prefix)).encode()).hexdigest()[:12]
    folder = cache / f"protoc-{key}"
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.exists():
        print(f"installing {TOOLS[0]} in {folder}", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:"]
        subprocess.run([*pip, *TOOLS], check=True)
        done.touch()
    return python


def generate(python: Path) -> dict[str, str]:
    """File name -> text of every stub."""
    protos = sorted(path.relative_to(HERE).as_posix() for path in HERE.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as out:
        outputs = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
        subprocess.run(
            [str(python), "-W", "ignore", "-m", "grpc_tools.protoc", f"-I{HERE}", *outputs, *protos], check=True
        )
        made = {path.name: flat(path.read_text()) for path in sorted(Path(out).rglob("*.py*"))}
    return {"__init__.py": INIT} | made


def flat(text: str) -> str:
    """Imports of other stubs of ours, rewritten to the package where they stand."""
    return re.sub(r"^from gossip\.v1 import (\w+_pb2)", r"from node.wire.generated import \1", text, flags=re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
