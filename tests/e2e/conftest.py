"""Folders to run networks in: one tiny model for the session, a folder a test (or a module)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import node.learn.model.libraries  # noqa: F401  # first: silences transformers before anything imports it
from tests.lab import IDS, RING, Lab
from tests.learn import tiny

MakeLab = Callable[..., Lab]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_bert(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def make_lab(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[MakeLab]:
    """Makes a lab with model and data; ends what was started in it after the module."""
    made: list[Lab] = []

    def make(edges: tuple[tuple[str, str], ...] = RING, ids: tuple[str, ...] = IDS) -> Lab:
        lab = Lab(tmp_path_factory.mktemp("lab") / "here", edges, ids)
        made.append(lab)
        (lab.path / "model").symlink_to(model)
        rows = tiny.texts(30 * len(ids))
        for place, peer in enumerate(ids):
            lab.write_data(peer, rows[place :: len(ids)])
        return lab

    yield make
    for lab in made:
        lab.close()
