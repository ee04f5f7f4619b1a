from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from node.app.data.holdings import Holdings
from node.monitor.class_picture import draw_classes
from node.types import PeerId


def _holdings(nodes: int, classes: int, seed: int = 0) -> Holdings:
    counts = np.random.default_rng(seed).integers(0, 9, (nodes, classes)) ** 2
    labels = tuple(f"class {c}" for c in range(classes))
    return Holdings(tuple(PeerId(f"n{i}") for i in range(nodes)), tuple(counts.sum(axis=1).tolist()), labels, counts)


@pytest.mark.parametrize(("nodes", "classes"), [(4, 2), (16, 12), (64, 150)])
def test_a_picture_is_drawn_of_few_and_of_many(tmp_path: Path, nodes: int, classes: int) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "classes.png"

    draw_classes(_holdings(nodes, classes).facts(), picture, "who holds what")

    width, height = (int.from_bytes(picture.read_bytes()[at : at + 4], "big") for at in (16, 20))
    assert 400 < width < 2600
    assert 200 < height < 2600


def test_the_words_stand_in_the_picture_and_the_same_facts_give_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "a.svg", tmp_path / "b.svg"
    facts = _holdings(3, 2).facts()

    for picture in (one, other):
        draw_classes(facts, picture, "mine: class, seed 0")

    assert one.read_bytes() == other.read_bytes()
    assert "mine: class, seed 0" in one.read_text()


def test_texts_without_classes_are_one_row(tmp_path: Path) -> None:
    holdings = Holdings((PeerId("a"), PeerId("b")), (3, 5), (), np.zeros((2, 0), dtype=np.int64))

    draw_classes(holdings.facts(), tmp_path / "a.png", "plays")

    assert (tmp_path / "a.png").stat().st_size > 1000
