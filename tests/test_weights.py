"""Weights as they are declared: what is checked, drawn, counted and told to initializers."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.arrays import flatten
from cnnkit.base import Fans, Initializer, Weight
from cnnkit.base.weight import count, declared, draw
from cnnkit.errors import PluginError
from cnnkit.initializers import He, Normal, Zeros
from cnnkit.layers import Conv, Dense, Residual, Sequential, Softmax
from cnnkit.model import Model

A, B = Weight((2, 3), Normal(std=1.0)), Weight((3,), 0.5, learns=False, decays=False)


class Told(Initializer):
    """Keeps what it is told."""

    type: str = "told"
    told: list[Fans]

    def draw(self, shape, fans, rng):
        self.told.append(fans)
        return np.zeros(shape)


def test_paths_and_counts():
    tree = {"0_dense": {"W": A, "b": B}, "1_relu": {}, "2_block": {"": {"0_dense": {"W": A}}}}
    flat = declared(tree)
    assert list(flat) == ["0_dense/W", "0_dense/b", "2_block/0_dense/W"]
    assert count(tree) == 6 + 3 + 6
    assert [path for path, weight in flat.items() if not weight.learns] == ["0_dense/b"]
    assert declared({}) == {}
    assert count({"W": Weight((), 1.0), "none": Weight((0, 4), 1.0)}) == 1


def test_each_layer_draws_from_a_generator_of_its_own_and_empty_ones_have_one_too():
    """Equal to spawning by hand, so that no change of the tree's form moves a drawn number."""
    tree = {"0_dense": {"W": A, "b": B}, "1_relu": {}, "2_block": {"": {"0_dense": {"W": A}},
            "shortcut": {"0_dense": {"W": A}}}}  # fmt: skip
    drawn = draw(tree, np.random.default_rng(7), np.float64)
    first, _, block = np.random.default_rng(7).spawn(3)
    body, around = (rng.spawn(1)[0] for rng in block.spawn(2))
    wanted = {
        "0_dense/W": first.standard_normal((2, 3)),
        "0_dense/b": np.full(3, 0.5),
        "2_block/0_dense/W": body.standard_normal((2, 3)),
        "2_block/shortcut/0_dense/W": around.standard_normal((2, 3)),
    }
    assert "1_relu" not in drawn
    assert list(flatten(drawn)) == list(wanted)
    assert all(np.array_equal(a, wanted[path]) for path, a in flatten(drawn).items())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_are_contiguous_and_of_the_networks_dtype(dtype):
    class Turned(Initializer):
        """A transposed view of integers."""

        type: str = "turned"

        def draw(self, shape, fans, rng):
            return np.arange(6).reshape(3, 2).T

    W = draw({"W": Weight((2, 3), Turned()), "s": Weight((), 2)}, np.random.default_rng(), dtype)
    assert W["W"].flags.c_contiguous
    assert W["W"].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert {a.dtype.name for a in W.values()} == {dtype}
    assert W["s"].shape == ()


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), Fans(1, 1, 1)),
        ((5,), Fans(5, 5, 5)),
        ((4, 6), Fans(4, 6, 4)),
        ((8, 4, 3, 2), Fans(4 * 6, 8 * 6, 6)),
        ((0, 6), Fans(1, 6, 1)),
    ],
)
def test_fans_of_arrays_that_say_none(shape, fans):
    told: list[Fans] = []
    Weight(shape, Told.model_construct(told=told)).draw(np.random.default_rng())
    assert told == [fans]
    Weight((0, 6), He()).draw(np.random.default_rng())  # divides by no zero


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ([], "weight tree is declared as []; expected a Weight, or a mapping of them"),
        ({"W": 3.0}, "weight W is declared as 3.0; expected a Weight, or a mapping of them"),
        ({"a": {"b/c": A}}, "weight a holds the name 'b/c'; expected letters, digits and _"),
        ({"": A}, "weight tree holds the name ''; expected letters, digits and _"),
        ({1: A}, "weight tree holds the name 1; expected letters, digits and _"),
        ({"W": Weight((True,), 1.0)}, "weight W has the shape (True,); expected a tuple of ints >= 0"),  # noqa: E501
        ({"W": Weight((np.int64(2),), 1.0)},
         f"weight W has the shape {(np.int64(2),)!r}; expected a tuple of ints >= 0"),
        ({"W": Weight((-1,), 1.0)}, "weight W has the shape (-1,); expected a tuple of ints >= 0"),
        ({"W": Weight((1,), Zeros)},
         f"weight W starts from {Zeros!r}; expected an initializer or a finite number"),
        ({"W": Weight((1,), float("nan"))},
         "weight W starts from nan; expected an initializer or a finite number"),
    ],
)  # fmt: skip
def test_what_is_no_declaration(tree, said):
    with pytest.raises(PluginError) as caught:
        declared(tree)
    assert str(caught.value) == said


def test_an_initializer_that_draws_another_shape():
    class Flat(Initializer):
        """Draws vectors."""

        type: str = "flat"

        def draw(self, shape, fans, rng):
            return np.zeros(6)

    with pytest.raises(PluginError) as caught:
        Model.build([Dense(units=3, init=Flat())], (2,))
    assert str(caught.value) == (
        "flat: draw returned an array of shape (6,) and dtype float64; expected shape (2, 3)"
    )


def test_biases_are_left_alone_by_decay_and_nothing_else_is():
    conv = Conv(filters=4, kernel=1, bias="untied")
    block = Residual(body=[conv], shortcut=[conv])
    network = Sequential(layers=[conv, block, Softmax(units=2)])
    tree = declared(network.weights((3, 4, 4)))
    found = {(path.rpartition("/")[2], weight.decays) for path, weight in tree.items()}
    assert found == {("W", True), ("b", False)}
