"""What a spec says that can hardly be meant: errors where nobody can mean it, else warnings."""

from __future__ import annotations

import warnings

import pytest

from cnnkit import train
from cnnkit.base import DataPaths
from cnnkit.errors import SpecError
from cnnkit.runs.prepare import prepare
from cnnkit.specfile.load import load_spec

SPEC = """\
name = "doubt"
data = "digits"
loss = "cross_entropy"
train = { epochs = 1 }
[model]
layers = [
  { type = "dense", units = 4 },
  "relu",
  { type = "softmax", units = 10 },
]
[optimizer]
type = "adam"
lr = 0.01
"""
HEAD = '{ type = "softmax", units = 10 }'


def spec_of(tmp_path, old: str = "", new: str = ""):
    path = tmp_path / "a.toml"
    assert old in SPEC
    path.write_text(SPEC.replace(old, new) if old else SPEC)
    return load_spec(path)


def test_a_sound_spec_has_no_warnings(tmp_path):
    assert spec_of(tmp_path).warnings == []


@pytest.mark.parametrize(
    ("layers", "number"),
    [
        (f'{HEAD}, "softmax"', 4),
        (f'{HEAD}, "flatten", "softmax"', 5),
        (f'{HEAD}, {{ type = "dropout", rate = 0.1 }}, "softmax"', 5),
        (f'{{ type = "sequential", layers = [{HEAD}] }}, "softmax"', 4),
    ],
)
def test_softmax_twice_is_refused(layers, number, tmp_path):
    with pytest.raises(SpecError) as caught:
        spec_of(tmp_path, HEAD, layers)
    [problem] = caught.value.problems
    assert (problem.message, problem.help, problem.line) == (
        f"layer {number} (softmax) follows another softmax, and a softmax of probabilities makes "
        "them all but equal",
        "leave one of the two out",
        9,
    )


DOUBTS = [
    ("lr = 0.01", "lr = 0", (13, 6), "[optimizer]: lr = 0, so nothing will be learned"),
    ("lr = 0.01", "lr = 1e-12", (13, 6), "[optimizer]: lr = 1e-12, so nothing will be learned"),
    (
        "lr = 0.01", 'lr = 0.01\nschedule = { type = "cosine", warmup = 1.5 }', (14, 40),
        "[optimizer] schedule: warmup = 1.5 is longer than the 1 epoch of training, so the "
        "learning rate never gets there",
    ),
    (
        "lr = 0.01", 'lr = 0.01\nschedule = { type = "step", every = 1 }', (14, 37),
        "[optimizer] schedule: step first lowers the rate after epoch 1, and there are to be 1 "
        "epoch",
    ),
    (
        "lr = 0.01", 'lr = 0.01\nschedule = { type = "multistep", milestones = [9, 12] }', (14, 47),
        "[optimizer] schedule: multistep first lowers the rate after epoch 9, and there are to be "
        "1 epoch",
    ),
    *(
        (
            '"digits"\nloss = "cross_entropy"\ntrain = { epochs = 1 }',
            '{ type = "digits", transforms = ["scale", "mixup"] }\nloss = "cross_entropy"\n'
            f"train = {{ epochs = 1, {option} = 1 }}", (2, 50),
            f"[data]: mixup mixes the images of a shard, and with [train] {option} = 1 there is "
            "nothing to mix an image with",
        )
        for option in ("batch", "shard")
    ),
    (
        "epochs = 1", 'epochs = 1, callbacks = [{ type = "plateau", min_rate = 0.1 }]', (4, 67),
        "[train]: plateau lowers no rate to less than min_rate = 0.1, and [optimizer] lr = 0.01",
    ),
    *(
        (
            "units = 4", f"units = 4, init = {init}", (7, column),
            f"layer 1 (dense): init = {kind} makes all its units equal, and they stay equal; use "
            '"he" or "glorot"',
        )
        for init, kind, column in (
            ('"zeros"', "zeros", 39), ('{ type = "normal", std = 0.0 }', "normal", 39),
            ('{ type = "normal", mean = 0.1, std = 0.0 }', "normal", 39),
        )
    ),
    (
        '"relu"', '{ type = "softmax", units = 4 }', (8, 3),
        "layer 2 (softmax) hands probabilities on to softmax, which squeezes them once more",
    ),
    (
        HEAD, '"sigmoid", { type = "dense", units = 10 }, "sigmoid", "softmax"', (9, 46),
        "layer 5 (sigmoid) hands probabilities on to softmax, which squeezes them once more",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "message"), DOUBTS)
def test_what_can_hardly_be_meant(old, new, place, message, tmp_path):
    [(problem, text)] = spec_of(tmp_path, old, new).warnings
    assert (problem.message, (problem.line, problem.column)) == (message, place)
    assert text.startswith(f"warning: {message}\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("units = 10", 'units = 10, init = "zeros"'),  # a last layer may start from zeros
        ("units = 4", 'units = 4, bias_init = "zeros"'),
        ('"relu"', '"sigmoid"'),  # a hidden layer with a dense one behind it
        ("lr = 0.01", 'lr = 0.01\nschedule = { type = "cosine", warmup = 1 }'),
        (
            "epochs = 1 }",
            'epochs = 1, callbacks = [{ type = "plateau", min_rate = 0.001 }] }',
        ),
    ],
)
def test_what_can_be_meant(old, new, tmp_path):
    assert spec_of(tmp_path, old, new).warnings == []


def test_train_warns(tmp_path):
    spec = spec_of(tmp_path, "lr = 0.01", "lr = 0")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run = train(spec, out=tmp_path / "run")
    assert [str(one.message) for one in told] == [spec.warnings[0][1]]
    assert run.summary["remarks"][0].endswith("; lr = 0 moves no weight: try 0.001")


def test_a_subset_larger_than_the_data_is_told(tmp_path):
    spec = spec_of(tmp_path, "epochs = 1", "epochs = 1, subset = 99999")
    said: list[str] = []
    images = len(prepare(spec, DataPaths(say=said.append)).train)
    assert said == [
        f"warning: [train] subset = 99,999, but there are {images:,} images to train on: all of "
        "them are taken"
    ]
