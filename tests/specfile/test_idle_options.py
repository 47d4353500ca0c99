"""trainable, lr_scale and weight_decay that move no weight, and networks that learn nothing."""

from __future__ import annotations

import pytest

from cnnkit.errors import SpecError
from cnnkit.specfile.load import load_spec
from cnnkit.specfile.resolved import resolved_toml

SPEC = """\
format = 1
name = "idle"
data = "digits"
loss = "cross_entropy"
optimizer = { type = "adam", lr = 0.01 }
[model]
layers = [
  LAYERS
  { type = "softmax", units = 10 },
]
"""
CONV = '{ type = "conv", filters = 2, kernel = 1'


def load(tmp_path, layers: str, more: str = "", *set_: str):
    path = tmp_path / "a.toml"
    path.write_text(SPEC.replace("LAYERS", layers) + more)
    return load_spec(path, set_)


def refused(tmp_path, *given: str):
    with pytest.raises(SpecError) as caught:
        load(tmp_path, *given)
    return [(one.message, one.line, one.help) for one in caught.value.problems]


@pytest.mark.parametrize(
    ("layers", "messages"),
    [
        (
            '{ type = "relu", trainable = false, lr_scale = 3.0, weight_decay = 0.1 },',
            ["layer 1 (relu) has no weights, so trainable = false changes nothing",
             "layer 1 (relu) has no weights, so lr_scale = 3 changes nothing",
             "layer 1 (relu) has no weights, so weight_decay = 0.1 changes nothing"],
        ),
        (
            '{ type = "batch_norm", weight_decay = 5.0 },',
            ["layer 1 (batch_norm) has no weights that decay, so weight_decay = 5 changes nothing"],
        ),
        (
            f"{CONV}, trainable = false, lr_scale = 2.0 }},",
            ["layer 1 (conv) has no weights that learn, so lr_scale = 2 changes nothing"],
        ),
        (
            '{ type = "residual", body = ["relu", { type = "sequential", lr_scale = 2.0, '
            'layers = ["tanh"] }] },',
            ["layer 1 (residual) > layer 2 (sequential) has no weights, so lr_scale = 2 changes "
             "nothing"],
        ),
        (
            '{ type = "sequential", weight_decay = 0.1, layers = ['
            f"{CONV}, weight_decay = 0.2 }}] }},",
            ["layer 1 (sequential) has layers that decide themselves, so weight_decay = 0.1 "
             "changes nothing"],
        ),
    ],
)  # fmt: skip
def test_an_option_that_moves_no_weight_is_refused(layers, messages, tmp_path):
    assert refused(tmp_path, layers) == [(one, 8, "take it out") for one in messages]


@pytest.mark.parametrize(
    "layers",
    [
        f"{CONV}, lr_scale = 2.0, weight_decay = 0.1 }},",
        '{ type = "batch_norm", trainable = false },',  # holds the running statistics
        '{ type = "batch_norm", lr_scale = 0.0 },',
        '{ type = "relu", trainable = true, lr_scale = 1.0 },',  # as they are without
        '{ type = "batch_norm", weight_decay = 0.0 },',  # as it is
        f'{{ type = "residual", lr_scale = 2.0, weight_decay = 0.1, body = ["relu", {CONV}, '
        "filters = 1 }] },".replace("filters = 2, kernel = 1, ", "kernel = 1, "),
        '{ type = "parallel", trainable = false, branches = [["relu"], ["batch_norm"]] },',
        f'{{ type = "sequential", trainable = false, layers = [{CONV}, lr_scale = 2.0 }}] }},',
    ],
)
def test_an_option_that_moves_any_weight_may_stand(layers, tmp_path):
    assert load(tmp_path, layers).warnings == []


def test_a_default_may_stand_where_others_of_the_type_have_use_for_it(tmp_path):
    """Written out, too, where nobody can tell a default any more."""
    layers, more = f"{CONV}, trainable = false }},", "[model.defaults.conv]\nlr_scale = 2.0\n"
    spec = load(tmp_path, f"{layers}\n  {CONV} }},", more)
    (tmp_path / "out.toml").write_text(resolved_toml(spec))
    assert load_spec(tmp_path / "out.toml").model == spec.model
    message = "layer 1 (conv) has no weights that learn, so lr_scale = 2 changes nothing"
    assert refused(tmp_path, f"{layers}\n  {layers}", more) == [(message, 13, "take it out")]


def test_what_is_watched_must_be_measured(tmp_path):
    more = '[train]\ncallbacks = ["ema", { type = "plateau", metric = "accuracy" }]\n'
    sets = ('data={type="digits", validation=0}',)
    with pytest.raises(SpecError) as caught:
        load(tmp_path, "", more, *sets)
    [problem] = caught.value.problems
    assert (problem.message, problem.line, problem.help) == (
        "[train]: plateau watches accuracy, which is measured on validation images, and there are "
        "none",
        12,
        "watch the loss, or set some aside: validation = 0.1, say",
    )
    assert load(tmp_path, "", more).warnings == []
    assert load(tmp_path, "", more.replace("accuracy", "loss"), *sets).warnings == []
    own = "data={type='npz', path='later.npz', validation=0}"  # which may have images for it
    assert load(tmp_path, "", more, own).warnings == []


def test_a_network_that_is_frozen_is_refused(tmp_path):
    layers = f'{{ type = "sequential", trainable = false, layers = [{CONV} }}] }},\n  "relu",'
    assert load(tmp_path, layers).warnings == []
    with pytest.raises(SpecError) as caught:
        load(tmp_path, layers, "", "model.layers.2.trainable=false")
    [problem] = caught.value.problems
    assert (problem.message, problem.argument, problem.help) == (
        "[model]: no weight of this network learns, so that there is nothing to train",
        "--set model.layers.2.trainable=false",
        "take trainable = false out of a layer that has weights",
    )
