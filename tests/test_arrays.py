"""Weight trees and scratch memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnkit.arrays import FRESH, Arena, Scratch, flatten, unflatten

NAMES = st.text("ab_01", min_size=1, max_size=3)
LEAVES = st.integers(0, 9).map(lambda n: np.full((n,), n))
TREES = st.recursive(
    st.dictionaries(NAMES, LEAVES, min_size=1, max_size=3),
    lambda inner: st.dictionaries(NAMES, inner | LEAVES, min_size=1, max_size=3),
    max_leaves=8,
)


def test_flatten_keeps_names_and_order():
    W, b, slope = np.zeros(1), np.zeros(2), np.zeros(3)
    tree = {"2_residual": {"0_conv": {"W": W, "b": b}}, "1_prelu": {"slope": slope}}
    flat = flatten(tree)
    assert list(flat) == ["2_residual/0_conv/W", "2_residual/0_conv/b", "1_prelu/slope"]
    assert flat["2_residual/0_conv/b"] is b
    assert list(flatten({"W": W}, "0_conv")) == ["0_conv/W"]
    assert flatten({}) == {}


@given(TREES)
def test_unflatten_undoes_flatten(tree):
    again = unflatten(flatten(tree))
    assert again == tree  # leaves are the same objects, so == never looks inside them
    assert [id(leaf) for leaf in flatten(again).values()] == [
        id(leaf) for leaf in flatten(tree).values()
    ]


@pytest.mark.parametrize("scratch", [FRESH, Scratch(), Arena()], ids=["fresh", "base", "arena"])
@pytest.mark.parametrize("shape", [(3, 4), (1,), (), (0, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, bool, np.int64])
def test_every_scratch_gives_what_is_asked_for(scratch, shape, dtype):
    for array in (scratch.empty(shape, dtype), scratch.temp("a", shape, dtype)):
        assert (array.shape, array.dtype) == (shape, dtype)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        array[...] = 1  # the memory is there


def test_float32_by_default():
    assert Arena().empty((1,)).dtype == Arena().temp("a", (1,)).dtype == np.float32
    assert FRESH.empty((1,)).dtype == FRESH.temp("a", (1,)).dtype == np.float32


def test_a_fresh_scratch_never_repeats_itself():
    one, two = FRESH.temp("a", (4,)), FRESH.temp("a", (4,))
    assert not np.shares_memory(one, two)


def test_an_arena_hands_out_disjoint_arrays_between_two_resets():
    arena = Arena()
    for _ in range(3):
        arena.reset()
        arrays = [arena.empty((n + 1, 7)) for n in range(5)]
        arrays += [arena.temp(name, (3, 3)) for name in "abc"]
        for number, array in enumerate(arrays):
            array.fill(number)
        assert [a.min() for a in arrays] == [a.max() for a in arrays] == list(range(8))


def test_an_arena_gives_the_same_memory_after_a_reset_and_allocates_no_more():
    arena = Arena()
    first = [arena.empty((8, n)) for n in (1, 2, 3)]
    arena.reset()
    second = [arena.empty((8, n)) for n in (1, 2, 3)]
    assert all(one is two for one, two in zip(first, second, strict=True))


def test_an_arena_grows_where_the_next_shard_asks_for_more_and_keeps_what_it_has():
    arena = Arena()
    small = arena.empty((4,))
    arena.reset()
    large = arena.empty((400,))
    assert not np.shares_memory(small, large)
    arena.reset()
    again = arena.empty((4,), np.float64)  # fits into the large block
    assert np.shares_memory(large, again)
    assert again.dtype == np.float64


def test_a_temp_is_its_names_own_and_comes_back():
    arena = Arena()
    one, other = arena.temp("a", (5,)), arena.temp("b", (5,))
    assert not np.shares_memory(one, other)
    assert arena.temp("a", (5,)) is one
    arena.reset()
    assert arena.temp("a", (5,)) is one
    assert np.shares_memory(arena.temp("a", (2, 2)), one)


@pytest.mark.parametrize("shape", [(1,), (17,), (3, 5), (1000,)])
def test_arena_memory_starts_at_a_cache_line(shape):
    arena = Arena()
    for dtype in (np.float32, np.float64, np.uint8):
        assert arena.empty(shape, dtype).ctypes.data % 64 == 0
        assert arena.temp("a", shape, dtype).ctypes.data % 64 == 0
