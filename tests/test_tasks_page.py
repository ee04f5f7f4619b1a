"""The examples of docs/tasks.md are true: `gossip check` runs on each node file and says what the page says."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import pytest

from node.app.preflight import MODEL_PACKAGE
from tests.lab import call
from tests.learn import tiny

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tasks.md"
BLOCK = re.compile(r"^```(?:json|text|yaml) (data/\S+|node\.yaml|check)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
TOPOLOGY = "nodes: {n0: '127.0.0.1:1', n1: '127.0.0.1:2'}\nedges: [[n0, n1]]\n"
TOLD = ("texts of n0", "example of n0")


def said(page: str, folder: Path) -> Iterator[str]:
    """What `gossip check` says of each node file, with the data that stands above it."""
    tiny.save_byte_llama(folder / "model")
    (folder / "data").mkdir()
    (folder / "topology.yaml").write_text(TOPOLOGY)
    for name, text in BLOCK.findall(page):
        if name == "check":
            yield checked(folder)
        else:
            (folder / name).write_text(text)


def checked(folder: Path) -> str:
    """Two lines of the check of node n0."""
    out = StringIO()
    arguments = [
        "check",
        "-t",
        str(folder / "topology.yaml"),
        "--config",
        str(folder / "node.yaml"),
        "--id",
        "n0",
        "--json",
    ]
    with redirect_stdout(out):
        call(arguments)
    checks = json.loads(out.getvalue())["checks"]
    assert set(TOLD) <= checks.keys(), checks
    return "".join(f"{name}: {checks[name]}\n" for name in TOLD)


def rewritten(page: str) -> str:
    """The page with what the check says now: python -m tests.test_tasks_page."""
    with tempfile.TemporaryDirectory() as folder:
        found = iter(list(said(page, Path(folder))))
    return BLOCK.sub(lambda m: f"```text check\n{next(found)}```\n" if m[1] == "check" else m[0], page)


@pytest.mark.skipif(find_spec(MODEL_PACKAGE) is None, reason="minilm is not installed")
def test_gossip_check_says_what_the_page_says(tmp_path: Path) -> None:
    """Slow: about 10 s, two models a task."""
    page = PAGE.read_text()
    told = [text for name, text in BLOCK.findall(page) if name == "check"]

    assert len(told) == page.count("```text check") >= 6
    assert list(said(page, tmp_path)) == told


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
