"""A folder whose files pass every check that needs no model: the model is a folder with a config.json."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "here")
    (made.path / "model").mkdir()
    (made.path / "model" / "config.json").write_text("{}")
    for peer in made.ids:
        made.write_data(peer, [("read the file", "files"), ("open a socket", "net"), ("the sum", "maths")])
    yield made
    made.close()
