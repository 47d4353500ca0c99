"""The validation split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnkit.split import stratified_split

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(np.array)


@given(labels=LABELS, share=st.floats(0, 1, exclude_max=True), seed=st.integers(0, 2**64 - 1))
def test_properties(labels, share, seed):
    train, validation = stratified_split(labels, share, seed)
    assert sorted([*train, *validation]) == list(range(len(labels)))  # all of them, none twice
    assert train.tolist() == sorted(train)
    assert validation.tolist() == sorted(validation)
    for one in set(labels.tolist()):
        members = [index for index, label in enumerate(labels) if label == one]
        taken = len(set(members) & set(validation.tolist()))
        assert abs(taken - share * len(members)) <= 1
        assert taken < len(members)


def test_a_pure_function_of_its_arguments():
    labels = np.tile(np.arange(4), 50)
    first = stratified_split(labels, 0.25, 3)
    np.random.default_rng(0).random(10)
    again = stratified_split(labels, 0.25, 3)
    other = stratified_split(labels, 0.25, 4)
    np.testing.assert_array_equal(first[1], again[1])
    assert len(first[1]) == 4 * 13  # a quarter of 50 is 12.5, which rounds up
    assert first[1].tolist() != other[1].tolist()


def test_pinned():
    """An old run must split the same way tomorrow."""
    labels = np.repeat([0, 1, 2], [8, 4, 1])
    assert stratified_split(labels, 0.5, 0)[1].tolist() == [0, 1, 4, 7, 10, 11]


def test_every_sample_has_the_same_chance():
    labels = np.zeros(20, np.int64)
    counts = np.zeros(20)
    for seed in range(400):
        counts[stratified_split(labels, 0.25, seed)[1]] += 1
    # Binomial(400, 1/4): mean 100, standard deviation 8.7; five of these either way.
    assert counts.min() > 56
    assert counts.max() < 144


@pytest.mark.parametrize("share", [0, 0.001])
def test_nothing_to_set_aside(share):
    train, validation = stratified_split(np.array([0, 1, 0]), share, 0)
    assert train.tolist() == [0, 1, 2]
    assert validation.tolist() == []
    assert validation.dtype.kind == "i"
