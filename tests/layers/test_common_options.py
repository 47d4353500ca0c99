"""name, trainable, lr_scale and weight_decay: what every layer takes, whoever wrote it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

import cnnkit
from cnnkit import Model, OptionError, SpecError, Trainer, TrainingError
from cnnkit.arrays import flatten
from cnnkit.base import Layer, Macro, Weight
from cnnkit.base.component import walk
from cnnkit.base.weight import declared
from cnnkit.layers import BatchNorm, Conv, Dense, Residual, Sequential, Softmax
from cnnkit.losses import CrossEntropy
from cnnkit.optimizers import Adam, Sgd
from cnnkit.plugins import load_plugins
from cnnkit.specfile.resolved import resolved_toml
from cnnkit.testing.chains import CHAINS


class Scale(Layer):
    """A third party's: y = scale * x; it knows nothing of these options."""

    type: Literal["scale"] = "scale"
    start: float = 2.0

    def weights(self, shape):
        return {"scale": Weight(shape, self.start)}

    def forward(self, x, w, ctx):
        return x * w["scale"], lambda dy: (dy * w["scale"], {"scale": (dy * x).sum(axis=0)})


class Twice(Scale):
    """Derives from it, and asks it for its weights."""

    type: Literal["twice"] = "twice"

    def weights(self, shape):
        return {**super().weights(shape)}


class Pair(Macro):
    """A third party's macro."""

    type: Literal["pair"] = "pair"

    def lower(self):
        return Sequential(layers=[Scale(), BatchNorm()], label=self.type)


def trained(layers, optimizer=None, shard=3, seed=0, threads=None):
    """Return the weights before and after two steps of six images."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((12, 4)), np.arange(12) % 3
    model = Model.build(layers, (4,), dtype="float64", seed=seed)
    before = {path: w.copy() for path, w in flatten(model.weights).items()}
    trainer = Trainer(model, CrossEntropy(), optimizer or Sgd(lr=0.5), epochs=1, batch=6,
                      shard=shard, shuffle="none")  # fmt: skip
    trainer.fit(x, y)
    return before, flatten(model.weights)


def moved(layers, **how):
    before, after = trained(layers, **how)
    return [path for path, w in after.items() if not np.array_equal(w, before[path])]


HEAD = Softmax(units=3)


@pytest.mark.parametrize("shard", [2, 6])
@pytest.mark.parametrize("cls", [Scale, Twice])
def test_what_is_frozen_stays_and_all_else_learns(cls, shard):
    assert moved([Dense(units=4), cls(trainable=False), HEAD], shard=shard) == [
        "0_dense/W", "0_dense/b", "2_softmax/0_dense/W", "2_softmax/0_dense/b",
    ]  # fmt: skip


def test_a_frozen_container_freezes_what_is_inside_running_statistics_too():
    body = [Dense(units=4), BatchNorm(), Pair()]
    assert moved([Residual(body=body, trainable=False), HEAD]) == [
        "1_softmax/0_dense/W", "1_softmax/0_dense/b",
    ]  # fmt: skip
    assert "0_pair/1_batch_norm/mean" in moved([Pair(), HEAD])
    assert moved([Pair(trainable=False), HEAD]) == ["1_softmax/0_dense/W", "1_softmax/0_dense/b"]


def test_a_frozen_macro_is_frozen():
    assert moved([Dense(units=4), Softmax(units=3, trainable=False)]) == ["0_dense/W", "0_dense/b"]


def test_a_frozen_batch_norm_takes_the_running_statistics():
    """Keras's convention: what it gives in training is what it gives in prediction."""
    layer = BatchNorm(trainable=False)
    w = {"gamma": np.array([2.0]), "beta": np.ones(1), "mean": np.ones(1), "variance": np.ones(1)}
    y, _ = layer.forward(np.array([[3.0]]), w, cnnkit.base.Context(training=True))
    assert y.item() == pytest.approx(5, abs=1e-4)


def test_nothing_to_learn_is_an_error():
    with pytest.raises(TrainingError, match="no layer of this network has weights that learn"):
        trained([Softmax(units=3, trainable=False)])


@pytest.mark.parametrize("shard", [2, 6])
def test_lr_scale_multiplies_the_step(shard):
    """One step of plain SGD: the first step's change, times the scale, whatever the layer."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((6, 4)), np.arange(6) % 3
    changes = []
    for scale in (1.0, 0.25):
        layers = [Dense(units=4), Twice(lr_scale=scale), HEAD]
        model = Model.build(layers, (4,), dtype="float64")
        before = {path: w.copy() for path, w in flatten(model.weights).items()}
        Trainer(model, CrossEntropy(), Sgd(lr=0.5), epochs=1, batch=6, shard=shard).fit(x, y)
        changes.append({path: w - before[path] for path, w in flatten(model.weights).items()})
    for path, change in changes[0].items():
        wanted = change * (0.25 if "twice" in path else 1)
        np.testing.assert_allclose(changes[1][path], wanted, rtol=0, atol=1e-15)


def test_scales_multiply_where_containers_are_nested():
    chain = Sequential(layers=[Scale(lr_scale=0.5), Pair(lr_scale=0.1)], lr_scale=0.5)
    found = {path: w.lr_scale for path, w in declared(chain.lower().weights((4,))).items()}
    assert found["0_scale/scale"] == 0.25
    assert found["1_pair/0_scale/scale"] == pytest.approx(0.05)
    for macro in (Pair(lr_scale=0.1), Softmax(units=3, lr_scale=0.1)):
        one, two = (declared(layer.weights((4,))) for layer in (macro, macro.lower()))
        assert one == two
        assert {w.lr_scale for w in one.values()} == {0.1}


@pytest.mark.parametrize("shard", [2, 6])
@pytest.mark.parametrize("optimizer", [Sgd(lr=0.1, momentum=0.5), Adam(lr=0.1)])
def test_weight_decay_of_a_layer_is_the_optimizers_with_that_decay(optimizer, shard):
    """W decays as it would everywhere under this decay; everything else is as without any."""
    decayed = optimizer.model_copy(update={"weight_decay": 0.3})
    layers, own = [Dense(units=4), HEAD], [Dense(units=4, weight_decay=0.3), HEAD]
    one, none = (trained(these, optimizer, shard)[1] for these in (own, layers))
    assert not np.allclose(one["0_dense/W"], none["0_dense/W"])
    rng = np.random.default_rng(1)  # the first step's gradients are the same for all
    x, y = rng.standard_normal((6, 4)), np.arange(6) % 3
    found = []
    for these, how in ((own, optimizer), (layers, optimizer), (layers, decayed)):
        model = Model.build(these, (4,), dtype="float64")
        Trainer(model, CrossEntropy(), how, epochs=1, batch=6, shard=shard).fit(x, y)
        found.append(flatten(model.weights))
    one, none, every = found
    np.testing.assert_allclose(one["0_dense/W"], every["0_dense/W"], rtol=0, atol=1e-14)
    for path in ("0_dense/b", "1_softmax/0_dense/W", "1_softmax/0_dense/b"):
        np.testing.assert_allclose(one[path], none[path], rtol=0, atol=1e-14)


def test_without_these_options_not_a_bit_changes():
    plain, given = ([Dense(units=4, **more), HEAD] for more in ({}, {"trainable": True}))
    one, two = (trained(layers)[1] for layers in (plain, given))
    assert all(np.array_equal(one[path], two[path]) for path in one)


def test_names_in_paths():
    layers = [Conv(filters=2, kernel=1, name="stem"),
              Residual(body=["relu", Conv(filters=2, kernel=1, name="inner")], name="block"),
              Pair(name="two"), Softmax(units=3, name="head")]  # fmt: skip
    model = Model.build(layers, (1, 4, 4))
    assert list(flatten(model.weights)) == [
        "stem/W", "stem/b", "block/inner/W", "block/inner/b", "two/0_scale/scale",
        "two/1_batch_norm/gamma", "two/1_batch_norm/beta", "two/1_batch_norm/mean",
        "two/1_batch_norm/variance", "head/0_dense/W", "head/0_dense/b",
    ]  # fmt: skip
    assert [row.path for row in model.summary()] == ["stem", "block", "two", "head"]
    assert next(iter(model.activations(np.zeros((1, 1, 4, 4), "float32")))) == "stem"


def test_a_name_is_kept_by_a_file(tmp_path):
    model = Model.build([Dense(units=3, name="a", lr_scale=0.5), HEAD], (4,))
    model.save(tmp_path / "m.safetensors")
    again = Model.load(tmp_path / "m.safetensors")
    assert again.layers == model.layers
    assert again.weights.keys() == {"a", "1_softmax"}


@pytest.mark.parametrize("name", sorted(CHAINS))
def test_every_built_in_layer_can_be_frozen_and_named(name):
    layers, shape = CHAINS[name]
    found = {type(layer) for _, layer in walk(Sequential(layers=layers))}
    assert found
    chain = Sequential(layers=[Sequential(layers=layers, trainable=False, name="all")])
    weights = declared(chain.lower().weights(shape))
    assert not any(w.learns for w in weights.values())
    assert all(path.startswith("all/") for path in weights)
    inside = [one for _, one in walk(chain.lower()) if isinstance(one, Layer) and one is not chain]
    assert not any(one.trainable for one in inside[1:])


def test_two_layers_of_one_name_are_refused():
    with pytest.raises(OptionError) as caught:
        Sequential(layers=[Dense(units=3, name="a"), "relu", Dense(units=3, name="a")])
    assert str(caught.value) == (
        'error: sequential > layer 3 (dense a): the name "a" is that of layer 1, too\n'
        "  = help: names in a chain must differ"
    )
    Sequential(layers=[Dense(units=3, name="a"), Residual(body=[Dense(units=3, name="a")])])


def test_the_name_of_the_way_around_is_taken():
    with pytest.raises(OptionError, match='name = "shortcut" is taken by the way around'):
        Residual(body=[Dense(units=3, name="shortcut")])


@pytest.mark.parametrize("name", ["", "1st", "a/b", "a b", "_a", "a" * 41])
def test_names_are_words(name):
    with pytest.raises(OptionError):
        Dense(units=3, name=name)


def test_an_optimizer_without_decay_is_named():
    class Plain(Sgd):
        """Steps against the gradient."""

        type: Literal["plain"] = "plain"
        weight_decay: float = 0.0

    class Bare(cnnkit.base.Optimizer):
        """Steps against the gradient, and knows of no decay."""

        type: Literal["bare"] = "bare"
        lr: float = 0.1

        def init_state(self, weights):
            return {}

        def update(self, weights, grads, state, lr, step):
            for path, grad in grads.items():
                weights[path] -= lr * grad

    trained([Dense(units=3, weight_decay=0.1), HEAD], Plain(lr=0.1))
    with pytest.raises(TrainingError) as caught:
        trained([Dense(units=3, weight_decay=0.1, name="first"), HEAD], Bare())
    assert str(caught.value) == (
        "layer first asks for a weight_decay of its own, but bare knows of none; leave it out, or "
        "take another optimizer"
    )


SPEC = """
name = "named"
[data]
type = "digits"
[model]
layers = [
  { type = "conv", filters = 4, kernel = 3, name = "stem" },
  { type = "residual", body = [{ type = "conv", filters = 4, kernel = 1, name = "inner" }] },
  { type = "softmax", units = 10, name = "head" },
]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 0.1
"""


def test_set_finds_a_layer_by_its_name(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    wanted = ["model.layers.stem.kernel=2", "model.layers.1.body.inner.lr_scale=0.5"]
    spec = cnnkit.load_spec(path, set=wanted)
    assert spec.model.layers[0].kernel == (2, 2)
    assert spec.model.layers[1].body[0].lr_scale == 0.5
    with pytest.raises(SpecError, match=r"model.layers is an array and has no 'trunk'"):
        cnnkit.load_spec(path, set=["model.layers.trunk.kernel=2"])


def test_messages_say_the_name(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    with pytest.raises(SpecError, match=r"layer 1 \(conv stem\) cannot cover its input"):
        cnnkit.load_spec(path, set=["model.layers.stem.kernel=20"])
    with pytest.raises(SpecError, match=r"layer 1 \(conv stem\): unknown option"):
        cnnkit.load_spec(path, set=["model.layers.stem.filter=20"])


def test_a_resolved_spec_says_what_was_asked_for_and_no_more(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    resolved = resolved_toml(cnnkit.load_spec(path))
    assert 'name = "stem"' in resolved
    assert "trainable" not in resolved
    assert "lr_scale" not in resolved


def test_every_layer_takes_them():
    for entry in load_plugins().entries("layers"):
        assert {"name", "trainable", "lr_scale", "weight_decay"} <= entry.cls.model_fields.keys()
        assert entry.cls.option_names()[-4:] == ["name", "trainable", "lr_scale", "weight_decay"]
