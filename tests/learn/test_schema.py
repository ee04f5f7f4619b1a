from __future__ import annotations

import pytest
import torch

from node.errors import BadMessage
from node.learn.model.schema import Schema


def test_names_are_laid_out_in_sorted_order() -> None:
    schema = Schema.of({"b": (2,), "a": (2, 3)})

    assert [(e.name, e.offset, e.stop) for e in schema.entries] == [("a", 0, 6), ("b", 6, 8)]
    assert schema.d == 8


def test_views_share_memory_and_flatten_undoes_them() -> None:
    schema = Schema.of({"b": (2,), "a": (2, 3)})
    flat = torch.arange(8.0)

    views = schema.views(flat)
    views["b"][0] = 60.0

    assert flat.tolist() == [0, 1, 2, 3, 4, 5, 60, 7]
    assert torch.equal(schema.flatten(views), flat)


def test_digest_tells_names_and_shapes_apart_and_order_does_not_matter() -> None:
    shapes = {"a": (2, 3), "b": (2,)}

    assert Schema.of(shapes).digest == Schema.of(dict(reversed(shapes.items()))).digest
    assert len({Schema.of(s).digest for s in (shapes, {"a": (3, 2), "b": (2,)}, {"a": (2, 3), "c": (2,)})}) == 3


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"a": torch.zeros(2, 3)}, "'b' stands on one side only"),
        ({"a": torch.zeros(2, 3), "b": torch.zeros(2), "c": torch.zeros(1)}, "'c' stands on one side only"),
        ({"a": torch.zeros(3, 2), "b": torch.zeros(2)}, r"'a' has shape \(3, 2\), not \(2, 3\)"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(tensors: dict[str, torch.Tensor], words: str) -> None:
    with pytest.raises(BadMessage, match=words):
        Schema.of({"a": (2, 3), "b": (2,)}).flatten(tensors)


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(BadMessage, match=r"\(7,\), not \(8,\)"):
        Schema.of({"a": (8,)}).views(torch.zeros(7))
