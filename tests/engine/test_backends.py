"""Backends in the engine: what is fused, what runs as it is, and who is named where it fails."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pytest

import cnnkit
from cnnkit import workers
from cnnkit.arrays import flatten
from cnnkit.base import (
    Backend,
    Layer,
    LayerFault,
    Layers,
    Loss,
    Optimizer,
    Split,
    chain_shapes,
    forward_chain,
)
from cnnkit.base.backend import _KEPT, Fusing
from cnnkit.engine import step
from cnnkit.errors import ContractError, PluginError, TrainingError
from cnnkit.layers import Conv, Dense, Relu, Residual, Sequential, Softmax
from cnnkit.losses import CrossEntropy
from cnnkit.model import Model
from cnnkit.optimizers import Sgd
from cnnkit.plugins import load_plugins

SAME = {"kernel": 3, "padding": "same"}
LAYERS = [
    Conv(filters=4, **SAME),
    "relu",
    Residual(body=[Conv(filters=4, **SAME), "relu"], shortcut=[Sequential(layers=["relu"])]),
    "pool",
    Dense(units=6),
    "relu",
    Softmax(units=5),
]
CALLS: list[Any] = []
"""What the toy was asked, and what its steps did."""


class Chain:
    """Stands for layers, and runs them one after the other."""

    def __init__(self, steps, backend):
        self.names, self._steps = tuple(name for name, _ in steps), steps
        self._breaks = backend.breaks

    def forward(self, x, w, ctx):
        CALLS.append((*self.names, ctx.path, ctx.wants_dx))
        if self._breaks == "forward":
            raise ValueError("no plan")
        y, back = forward_chain(self._steps, x, w, ctx._replace(fuse=None))

        def backward(dy):
            if self._breaks == "backward":
                raise ValueError("no plan")
            return back(dy)

        return y, backward


class Twice(Loss):
    """A loss that counts twice."""

    type: Literal["twice"] = "twice"

    def forward(self, y, labels):
        losses, gradient = CrossEntropy().fuse(Softmax()).forward(y, labels)
        return 2 * losses, lambda: 2 * gradient()


class Toy(Backend):
    """Runs everything up to the first layer it does not know as one step."""

    type: Literal["toy"] = "toy"
    breaks: str = ""
    doubles: bool = False
    known: ClassVar[tuple[str, ...]] = ("conv", "dense", "relu", "softmax", "pool")

    def fuse(self, steps, dtype, training):
        CALLS.append((len(steps), str(dtype), training))
        if self.breaks == "names":
            return [("", Chain(steps[1:], self))]
        if self.breaks == "answer":
            return None
        made: list[Any] = []
        for name, layer in steps:
            known = layer.type in self.known
            if known and made and made[-1][0] == "":
                made[-1] = "", Chain([*made[-1][1]._steps, (name, layer)], self)
            else:
                made.append(("", Chain([(name, layer)], self)) if known else (name, layer))
        return made

    def fuse_loss(self, loss, dtype):
        return Twice() if self.doubles else loss

    def fuse_optimizer(self, optimizer, dtype):
        return Still(lr=0.0) if self.doubles else optimizer


class Still(Optimizer):
    """Moves nothing."""

    type: Literal["still"] = "still"

    def update(self, weights, grads, state, lr, step):
        return


class Blow(Layer):
    """Makes large values larger than any number."""

    type: Literal["blow"] = "blow"

    def forward(self, x, w, ctx):
        return x * 1e200, lambda dy: (dy * 1e-200, {})


class Foreign(Layer):
    """A container of somebody else's, which makes its steps anew in each call."""

    type: Literal["foreign"] = "foreign"
    inside: Layers

    def weights(self, shape):
        return {f"{i}_x": one.weights(shape) for i, one in enumerate(self.inside)}

    def output_shape(self, shape):
        return chain_shapes(self.inside, shape, "inside")[-1]

    def forward(self, x, w, ctx):
        return forward_chain(((f"{i}_x", one) for i, one in enumerate(self.inside)), x, w, ctx)


@pytest.fixture(autouse=True)
def _fresh():
    CALLS.clear()


@pytest.fixture
def trained():
    def train(backend, layers=LAYERS, images=40, **settings):
        model = Model.build(layers, (2, 6, 6), dtype="float64", classes=list("abcde"))
        rng = np.random.default_rng(0)
        x = rng.standard_normal((images, 2, 6, 6))
        settings = {"epochs": 1, "batch": 20, **settings}
        trainer = cnnkit.Trainer(model, CrossEntropy(), Sgd(lr=0.1), backend=backend, **settings)
        trainer.fit(x, np.arange(images) % 5)
        return model, x

    return train


@pytest.mark.parametrize("layers", [LAYERS, [Foreign(inside=[Dense(units=5)]), Softmax(units=5)]])
def test_fused_steps_stand_for_their_layers(trained, layers):
    (plain, x), (fused, _) = trained("numpy", layers), trained(Toy(), layers)
    for path, w in flatten(plain.weights).items():
        assert np.array_equal(w, flatten(fused.weights)[path]), path
    assert np.array_equal(plain.predict(x), fused.predict(x))


def test_every_chain_is_fused_once_for_training_and_once_for_prediction(trained):
    model, x = trained(Toy())
    model.predict(x)
    model.predict(x[:1])
    asked = sorted(call for call in CALLS if isinstance(call[0], int))
    # the network, a residual's body, its shortcut, the chain in that, and what softmax stands for
    training, prediction = [1, 1, 1, 2, 7], [1, 1, 2, 2, 7]
    assert [n for n, dtype, is_training in asked if is_training] == training
    assert [n for n, dtype, is_training in asked if not is_training] == prediction
    assert {dtype for _, dtype, _ in asked} == {"float64"}


def test_what_a_fused_step_is_told(trained):
    trained(Toy(), images=5)
    assert [call for call in CALLS if isinstance(call[0], str)] == [
        ("0_conv", "1_relu", "", False),
        ("0_conv", "1_relu", "2_residual", True),
        ("0_relu", "2_residual/shortcut/0_sequential", True),
        ("3_pool", "4_dense", "5_relu", "", True),
        ("0_dense", "6_softmax", True),
    ]


def test_whoever_looks_at_single_layers_runs_them_as_they_are():
    model = Model.build(LAYERS, (2, 6, 6), backend=Toy(breaks="forward"))
    cnnkit.Trainer(model, CrossEntropy(), Sgd(lr=0.1))  # its trial step
    assert "2_residual/0_conv" in model.activations(np.zeros((1, 2, 6, 6), np.float32))
    assert CALLS == []
    with pytest.raises(LayerFault, match=r"layer 1 \(conv\) raised ValueError in forward: no plan"):
        model.predict(np.zeros((1, 2, 6, 6), np.float32))


def test_a_value_that_is_not_finite_is_traced_to_its_layer(trained):
    texts = []
    for backend in ("numpy", Toy()):
        with pytest.raises(TrainingError) as caught, np.errstate(all="ignore"):
            trained(backend, [Dense(units=5), Blow(), "relu", Blow(), "relu", Softmax(units=5)])
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert f"layer 4 (blow of module {__name__}) is the first to give values that" in texts[0]


def test_a_layer_that_the_backend_does_not_know_splits_the_network_and_nothing_else(trained):
    trained(Toy(), [Dense(units=5), "relu", Foreign(inside=["relu"]), Softmax(units=5)], images=5)
    steps = [call[:-2] for call in CALLS if isinstance(call[0], str)]
    assert steps == [("0_dense", "1_relu"), ("0_x",), ("0_dense",)]


@pytest.mark.parametrize(("phase", "place"), [("forward", "1.1"), ("backward", "2.1")])
def test_a_fault_is_that_of_the_first_layer_a_step_stands_for(trained, phase, place):
    with pytest.raises(TrainingError) as caught:
        trained(Toy(breaks=phase), [Residual(body=[Conv(filters=2, **SAME)]),
                                    Softmax(units=5)])  # fmt: skip
    assert str(caught.value) == (
        f"the {phase} pass of layer {place} (a fused step of module {__name__}) raised ValueError "
        "at step 1: no plan. This is a fault of the plugin, not of the spec"
    )


@pytest.mark.parametrize(
    ("breaks", "did", "expected"),
    [
        ("answer", "returned None of type NoneType",
         '(name, layer) pairs, and ("", fused step with names)'),
        ("names", "returned steps for 2_pool, 1_relu",
         "steps that stand for 0_conv, 2_pool, 1_relu, each once"),
    ],
)  # fmt: skip
def test_a_chain_must_stand_for_all_its_layers(breaks, did, expected):
    model = Model.build([Conv(filters=1, kernel=1), "relu", "pool"], (1, 4, 4))
    model.use(Toy(breaks=breaks))
    with pytest.raises(ContractError) as caught:
        model.predict(np.zeros((1, 1, 4, 4), np.float32))
    assert (caught.value.method, caught.value.did, caught.value.expected) == (
        "fuse", did, expected,
    )  # fmt: skip


def test_a_broken_promise_is_the_backends(trained):
    with pytest.raises(TrainingError) as caught:
        trained(Toy(breaks="names"), ["flatten", Softmax(units=5)])
    assert str(caught.value).startswith(f"toy of module {__name__}: fuse returned steps for 1_soft")
    assert str(caught.value).endswith("This is a fault of the backend, not of the spec")


def test_loss_and_optimizer_are_the_backends(trained):
    model, _ = trained(Toy(doubles=True))
    fresh = Model.build(LAYERS, (2, 6, 6), dtype="float64")
    for path, w in flatten(fresh.weights).items():
        assert np.array_equal(w, flatten(model.weights)[path]), path
    single, double = (
        cnnkit.Trainer(model, CrossEntropy(), Sgd(lr=0.1), backend=Toy(doubles=doubles)).evaluate(
            Split(np.ones((4, 2, 6, 6)), np.arange(4))
        )
        for doubles in (False, True)
    )
    assert double["loss"] == pytest.approx(2 * single["loss"])


@pytest.mark.parametrize(("backend", "forks"), [("numpy", True), (Toy(), False)])
def test_processes_are_forked_where_they_pay(trained, monkeypatch, backend, forks):
    asked = []
    monkeypatch.setattr(step, "Processes", lambda *facts: asked.append(facts) or _None())
    monkeypatch.setattr(step, "can_fork", lambda: True)
    with workers.Threads(2) as pool:
        trained(backend, [Softmax(units=5)], batch=32, threads=pool)
    assert bool(asked) is forks


class _None(list):
    """No processes at all."""

    def close(self):
        return


def test_chains_that_are_made_anew_are_not_kept_for_ever():
    layer, fuse = Relu(), Fusing(Toy(), np.dtype(np.float32), False)
    for _ in range(3 * _KEPT):
        [(_, fused)] = fuse([("0_relu", layer)])
        assert fused.names == ("0_relu",)
    assert len(fuse._seen) <= _KEPT + 1
    assert len(CALLS) <= 4  # asked anew only where everything was forgotten
    for _ in range(3 * _KEPT):
        fuse([("0_relu", Relu())])
    assert len(fuse._fused) <= _KEPT + 1


def test_a_model_computes_with_any_backend(tmp_path):
    model = Model.build(["flatten", Softmax(units=3)], (2, 2), backend=Toy())
    path, x = tmp_path / "model.safetensors", np.ones((1, 2, 2), np.float32)
    model.save(path, types=[Toy])
    assert Model.load(path).backend.type == "numpy"
    other = Model.load(path, types=[Toy], backend={"type": "toy", "doubles": True})
    assert (other.backend.type, other.backend.doubles) == ("toy", True)
    other.use("numpy")
    CALLS.clear()
    assert np.array_equal(other.predict(x), model.predict(x))
    assert len(CALLS) > 0


def test_a_trained_model_keeps_the_trainers_backend(trained):
    assert trained(Toy())[0].backend == Toy()
    assert trained(None)[0].backend.type == "numpy"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("native", 'unknown backend type "native"\n   = help: provided by cnnkit-native, which is '
         "not installed: pip install cnnkit-native"),
        ("nunpy", 'unknown backend type "nunpy"; did you mean "numpy"?\n   = help: installed '
         "backends: numpy"),
    ],
)  # fmt: skip
def test_a_backend_that_nobody_offers(name, text, monkeypatch):
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    if load_plugins().installed("cnnkit-native"):
        pytest.skip("cnnkit-native is installed")
    with pytest.raises(PluginError) as caught:
        Model.build(["relu"], (2,), backend=name)
    assert str(caught.value) == text
