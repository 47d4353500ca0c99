"""What a plugin's methods return is checked where it enters, at every step and not only the first:
one form of error names plugin, type, method, what came and what was expected."""

# ruff: noqa: E501  # the texts of errors stand on one line

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from cnnkit.base import Data, Dataset, Initializer, Layer, Loss, Metric, Schedule, Split, Transform
from cnnkit.base.contract import checked_data, checked_shape
from cnnkit.engine.trainer import Trainer
from cnnkit.errors import ContractError, TrainingError
from cnnkit.layers import Dense, Softmax
from cnnkit.losses import CrossEntropy
from cnnkit.model import Model
from cnnkit.optimizers import Sgd

X = np.random.default_rng(0).random((12, 1, 3, 3)).astype(np.float32)
Y = np.arange(12) % 2
STEPS = []


class Turns(Layer):
    """The identity for the trial step and the first real one; then it turns bad."""

    type: Literal["turns"] = "turns"
    into: str

    def forward(self, x, w, ctx):
        STEPS.append(ctx.key)
        if len(STEPS) > 4:
            match self.into:
                case "list":
                    return x.tolist(), lambda dy: (dy, {})
                case "float64":
                    return x.astype(np.float64), lambda dy: (dy, {})
                case "short":
                    return x[:1], lambda dy: (dy, {})
                case "exit":
                    raise SystemExit
                case "nothing":
                    return None
                case "backward":
                    return x.copy(), lambda dy: (dy.astype(np.float64), {})
                case "gradient":
                    return x.copy(), lambda dy: (dy, {"W": dy})
        return x.copy(), lambda dy: (dy, {})


def train(layers=(), loss=None, optimizer=None, transforms=(), **settings: Any) -> str:
    """Return what training fails with."""
    STEPS.clear()
    model = Model.build([*layers, Softmax(units=2)], (1, 3, 3), transforms=transforms)
    loss, optimizer = loss or CrossEntropy(), optimizer or Sgd(lr=0.1)

    def run():
        Trainer(model, loss, optimizer, batch=4, epochs=3, **settings).fit(X, Y, (X, Y))

    with pytest.raises((TrainingError, ContractError)) as caught:
        run()
    return str(caught.value)


LAYER = f"layer 2 (turns of module {__name__})"
ARRAY = "an array of shape (4, 4) and dtype"


@pytest.mark.parametrize(
    ("into", "said"),
    [
        ("list", ": forward returned y: [["),
        ("float64", f": forward returned y: {ARRAY} float64 at step 3; expected shape (4, 4) and "),
        ("short", ": forward returned y: an array of shape (1, 4) and dtype float32 at step 3; "),
        ("nothing", ": forward returned None of type NoneType at step 3; expected (y, backward). "),
        ("backward", f": backward returned dx: {ARRAY} float64 at step 3; expected shape (4, 4) "),
        (
            "gradient",
            ": backward returned a gradient for W at step 3; expected none, as it has no ",
        ),
    ],
)
def test_a_layer_that_turns_bad_later(into, said):
    text = train([Dense(units=4), Turns(into=into)])
    assert text.startswith(LAYER + said), text
    assert text.endswith("This is a fault of the layer, not of the spec")


def test_a_layer_that_ends_the_program_does_not_end_it_with_success():
    text = train([Dense(units=4), Turns(into="exit")])
    assert text.startswith(f"the forward pass of {LAYER} raised SystemExit at step 3")


class Wrong(Schedule):
    """Gives what it is told."""

    type: Literal["wrong"] = "wrong"
    gives: float | str

    def factor(self, epoch, epochs):
        return float("nan") if self.gives == "nan" else self.gives


@pytest.mark.parametrize(
    ("gives", "got"),
    [("nan", "nan of type float"), (-1.0, "-1.0 of type float")],
)
def test_a_schedule(gives, got):
    assert train(schedule=Wrong(gives=gives)) == (
        f"wrong of module {__name__}: factor returned {got} at step 1; expected a finite number >= "
        "0. This is a fault of the schedule, not of the spec"
    )


class Array(Metric):
    """Returns an array."""

    type: Literal["array"] = "array"

    def evaluate(self, y, labels, classes):
        return np.zeros(2)


def test_a_metric():
    assert train(metrics=[Array()]) == (
        f"array of module {__name__}: evaluate returned an array of shape (2,) and dtype float64 at "
        "step 4; expected finite plain numbers, or lists and dicts of them. This is a fault of the "
        "metric, not of the spec"
    )


class Mean(Loss):
    """Gives one loss for all."""

    type: Literal["mean"] = "mean"

    def forward(self, y, labels):
        return y.mean(keepdims=True)[0], lambda: np.zeros_like(y)


def test_a_loss():
    assert train(loss=Mean()) == (
        f"mean of module {__name__}: forward returned losses: an array of shape (1,) and dtype "
        "float32 at step 1; expected shape (4,) and dtype float32. This is a fault of the loss, not "
        "of the spec"
    )


class Stateful(Sgd):
    """Makes a state that does not fit."""

    type: Literal["stateful"] = "stateful"

    def init_state(self, weights):
        return {"velocity": {path: np.zeros(3) for path in weights}}


def test_an_optimizer():
    text = train(optimizer=Stateful(lr=0.1))
    assert text.startswith(
        "stateful: init_state returned velocity/0_softmax/0_dense/b: an array of "
    )


class Crop(Transform):
    """Says one shape and gives another."""

    type: Literal["crop"] = "crop"

    def apply(self, x, rng, scratch):
        return x[:, :, 1:, 1:]


def test_a_transform():
    assert train(transforms=[Crop()]) == (
        f"crop of module {__name__}: apply returned images: an array of shape (4, 1, 2, 2) and dtype "
        "float32 at step 1; expected shape (4, 1, 3, 3) and dtype float32. This is a fault of the "
        "transform, not of the spec"
    )


class Infinite(Initializer):
    """Draws infinities."""

    type: Literal["infinite"] = "infinite"

    def draw(self, shape, fans, rng):
        return np.full(shape, np.inf)


def test_an_initializer():
    with pytest.raises(ContractError) as caught:
        Model.build([Dense(units=2, init=Infinite())], (3,))
    assert str(caught.value) == (
        "infinite: draw returned an array of shape (3, 2) and dtype float64, not all of it finite "
        "numbers; expected finite ones"
    )


@pytest.mark.parametrize("shape", [3, [3], (3.0,), (0,), (True,), (-1, 2), None, np.zeros(2)])
def test_a_shape_rule(shape):
    with pytest.raises(ContractError, match="output_shape returned"):
        checked_shape(Dense(units=2), shape)


class Mine(Dataset):
    """Any arrays."""

    type: Literal["mine"] = "mine"

    def load(self, paths):
        raise NotImplementedError


IMAGES, LABELS = np.zeros((6, 1, 2, 2), np.uint8), np.array([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize(
    ("images", "labels", "classes", "said"),
    [
        (IMAGES, LABELS + 1, ("a", "b", "c"), "train labels from 1 to 3; expected 0 to 2, as it names"),
        (IMAGES, LABELS / 1, ("a", "b", "c"), "train labels: an array of shape (6,) and dtype float64"),
        (IMAGES, np.eye(3)[LABELS], ("a", "b", "c"), "train labels: an array of shape (6, 3) and dtype"),
        (IMAGES, LABELS[:4], ("a", "b", "c"), "6 train images with 4 labels; expected one label per"),
        (IMAGES[:0], LABELS[:0], ("a",), "0 train images with 0 labels; expected one label per image"),
        (IMAGES[:, 0], LABELS, ("a", "b", "c"), "train images: an array of shape (6, 2, 2) and dtype"),
        (IMAGES.tolist(), LABELS, ("a", "b", "c"), "train images: [[[[0, 0]"),
        (IMAGES, LABELS, ["a", "b", "c"], "classes ['a', 'b', 'c'] of type list; expected a tuple"),
        (IMAGES.astype(object), LABELS, ("a", "b", "c"), "train images: an array of shape (6, 1, 2, 2)"),
    ],
)  # fmt: skip
def test_a_dataset(images, labels, classes, said):
    split = Split(images, labels)
    with pytest.raises(ContractError) as caught:
        checked_data(Mine(), Data("mine", split, split, classes))
    assert str(caught.value).startswith(f"mine: load returned {said}")


def test_a_dataset_whose_splits_differ():
    train, test = Split(IMAGES, LABELS), Split(IMAGES.astype(np.float32), LABELS)
    with pytest.raises(ContractError, match="test images of dtype float32; expected uint8, as in"):
        checked_data(Mine(), Data("mine", train, test, ("a", "b", "c")))
    with pytest.raises(ContractError, match="load returned None of type NoneType; expected a cnn"):
        checked_data(Mine(), None)
