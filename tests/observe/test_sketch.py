"""Sketches: by hand, by law, and against a slow twin."""

from __future__ import annotations

import numpy as np
import pytest

from node.errors import BadMessage, LocalFault
from node.observe.sketch import CHUNK, LENGTH, from_bytes, sketch, to_bytes
from tests.reference.count_sketch import slow_sketch

SEEDS = range(400)


def normal(seed: int, d: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(d).astype(np.float32)


def test_one_coordinate_lands_in_one_bucket_with_its_own_size():
    made = sketch(np.array([0.0, 0.0, -3.0], dtype=np.float32), k=8)
    assert np.count_nonzero(made) == 1
    assert np.abs(made).max() == 3.0


def test_the_start_is_subtracted_before_the_projection():
    x, start = normal(0, 100), normal(1, 100)
    assert np.allclose(sketch(x, start), sketch(x.astype(np.float64) - start), atol=1e-6)
    assert not sketch(x, x).any()


def test_agrees_with_the_slow_twin_over_several_chunks():
    x = normal(2, 2 * CHUNK + 77)
    assert np.allclose(sketch(x, seed=5, k=64), slow_sketch(x, seed=5, k=64), rtol=0, atol=1e-3)


def test_these_bits_never_change():
    """Nodes of different versions compare sketches, so the projection is part of the protocol."""
    made = sketch(np.arange(1, 9, dtype=np.float32), k=4)
    assert made.tolist() == [-22.0, 0.0, 6.0, 0.0]


def test_it_is_linear():
    x, y = normal(3, 1000), normal(4, 1000)
    assert np.allclose(sketch(x + 2 * y), sketch(x) + 2 * sketch(y), atol=1e-4)


def test_norms_are_kept_on_average_and_within_three_percent_each():
    """The law of the docstring: E |S x|^2 = |x|^2, relative standard deviation of |S x| about 1/sqrt(2k) = 3.1 %."""
    x = normal(7, 10_000)
    true = float(np.linalg.norm(x))
    norms = np.array([np.linalg.norm(sketch(x, seed=seed)) for seed in SEEDS]) / true
    assert abs(np.mean(norms**2) - 1) < 4 * np.sqrt(2 / LENGTH / len(SEEDS))
    assert 0.027 < norms.std() < 0.036


def test_distances_are_kept_for_a_vector_with_one_large_coordinate():
    """The hard case of feature hashing: the large coordinate dominates, and is kept exactly."""
    x = np.full(10_000, 1e-3, dtype=np.float32)
    x[123] = 5.0
    norms = [np.linalg.norm(sketch(x, seed=seed)) / np.linalg.norm(x) for seed in range(20)]
    assert np.abs(np.array(norms) - 1).max() < 1e-2


def test_the_length_of_the_vector_does_not_change_what_came_before():
    x = normal(5, CHUNK + 10)
    padded = np.concatenate([x, np.zeros(1000, dtype=np.float32)])
    assert np.array_equal(sketch(x), sketch(padded))


def test_bytes_are_little_endian_float32_and_come_back():
    made = sketch(normal(6, 500))
    assert len(to_bytes(made)) == 4 * LENGTH
    assert np.array_equal(from_bytes(to_bytes(made)), made)
    assert to_bytes(np.array([1.0], dtype=np.float32)) == b"\x00\x00\x80\x3f"


@pytest.mark.parametrize("data", [b"", b"abc", b"12345"])
def test_a_torn_sketch_is_refused(data):
    with pytest.raises(BadMessage, match="multiple of 4"):
        from_bytes(data)


def test_shapes_and_lengths_that_do_not_fit_are_our_bug():
    with pytest.raises(LocalFault, match="shape"):
        sketch(normal(0, 4), normal(0, 5))
    with pytest.raises(LocalFault, match="power of two"):
        sketch(normal(0, 4), k=100)
