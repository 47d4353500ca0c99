"""`[model] weights`: a run begins with the weights of another one, or of a file."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnnkit import Model
from cnnkit.arrays import flatten

NORM = '"relu",\n  "batch_norm"'


@pytest.fixture
def first(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "first").relative_to(tmp_path))


@pytest.fixture
def tune(tiny, call, first):
    """Train the spec from other weights, with some changes to it."""

    def tune_(weights: str, *changes: tuple[str, str], more: str = "", set: str = "train.epochs=1"):
        text = tiny.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        tiny.write_text(text.replace("[model]\n", f'[model]\nweights = "{weights}"\n{more}'))
        return call("run", "tiny.toml", "--out", "run", "--no-report", "--set", set)

    return tune_


def weights(path: Path | str) -> dict[str, np.ndarray]:
    return flatten(Model.load(Path(path, "checkpoints", "last.safetensors")).weights)


def begin_only(tiny: Path) -> tuple[str, str]:
    """With a rate of 0, weights stay what they began as."""
    return ("lr = 0.01", "lr = 0.0")


def test_a_run(tune, tiny, first):
    outcome = tune("first", begin_only(tiny))
    file = first.resolve() / "checkpoints/last.safetensors"
    sha = hashlib.sha256(file.read_bytes()).hexdigest()
    assert outcome.code == 0, outcome.err
    assert f"\nweights of {file} (sha256 {sha[:12]}):\n  all taken\ntiny: " in outcome.err
    assert json.loads(Path("run/env.json").read_text())["weights"] == {
        "file": str(file), "sha256": sha
    }  # fmt: skip
    for path, w in weights("first").items():
        np.testing.assert_array_equal(weights("run")[path], w)


def test_a_file_that_was_saved_in_another_dtype(tune, tiny, first):
    model = Model.load(first / "checkpoints/best.safetensors")
    model.save("best.safetensors")
    outcome = tune("best.safetensors", begin_only(tiny), more='dtype = "float64"\n')
    assert outcome.code == 0, outcome.err
    for path, w in flatten(model.weights).items():
        np.testing.assert_array_equal(weights("run")[path], w.astype("float64"))


def test_strict_is_the_default(tune, first):
    outcome = tune("first", ("filters = 4", "filters = 5"))
    assert outcome.code == 2
    assert outcome.err == (
        f"error: cannot start from {first.resolve()}/checkpoints/last.safetensors: 0_conv/W is "
        "4x1x3x3 there, and 5x1x3x3 here, and 2 more do not fit\n"
        "   = help: [model] strict = false takes what fits, and draws the rest\n"
    )
    assert not Path("run").exists()


def test_what_fits_is_taken_and_the_rest_drawn(tune, tiny, call):
    changes = [('"relu"', NORM), ("size = 2", 'kind = "mean", size = 4'), begin_only(tiny)]
    outcome = tune("first", *changes, more="strict = false\n")
    assert outcome.code == 0, outcome.err
    lines = outcome.err[outcome.err.index("weights of") :].splitlines()
    assert lines[1:6] == [
        "  layer 1 (conv): taken",
        "  layer 3 (batch_norm): drawn anew: it has no 2_batch_norm/gamma; it has no "
        "2_batch_norm/beta; it has no 2_batch_norm/mean; it has no 2_batch_norm/variance",
        "  layer 5.1 (dense): drawn anew: it has no 4_softmax/0_dense/W; it has no "
        "4_softmax/0_dense/b",
        "  layer 4.1 (dense): not used: 3_softmax/0_dense/W is no weight of this network; "
        "3_softmax/0_dense/b is no weight of this network",
        "tiny: 1,297 images of digits to train on, 145 to validate, 355 to test",
    ]
    run, first = weights("run"), weights("first")
    np.testing.assert_array_equal(run["0_conv/W"], first["0_conv/W"])
    tiny.write_text(tiny.read_text().replace('weights = "first"', ""))
    assert call("run", "tiny.toml", "--out", "fresh", "--no-report").code == 0
    head = "4_softmax/0_dense/W"
    np.testing.assert_array_equal(weights("fresh")[head], run[head])


def test_a_layer_that_fits_in_part(tune, first):
    outcome = tune("first", ("size = 2", "size = 4"), more="strict = false\n")
    assert outcome.err.splitlines()[1:3] == [
        "  layer 1 (conv): taken",
        "  layer 4.1 (dense): taken in part: 3_softmax/0_dense/W is 64x10 there, and 16x10 here",
    ]


def test_nothing_fits(tune, first):
    stem, head = 'name = "stem", filters = 4', 'name = "head", units = 10'
    changes = [("filters = 4", stem), ("units = 10", head)]
    outcome = tune("first", *changes, more="strict = false\n")
    assert outcome.code == 2
    assert "none of its weights fits: it has no stem/W" in outcome.err


def test_a_frozen_layer_keeps_them(tune):
    outcome = tune("first", ("filters = 4", "trainable = false, filters = 4"))
    assert outcome.code == 0, outcome.err
    run, first = weights("run"), weights("first")
    np.testing.assert_array_equal(run["0_conv/W"], first["0_conv/W"])
    assert not np.array_equal(run["3_softmax/0_dense/W"], first["3_softmax/0_dense/W"])


def test_it_is_verified_and_gone_on_with(tune, call, first):
    assert tune("first").code == 0
    assert call("verify", "run").code == 0
    shutil.move("first", "away")  # to go on, nobody needs them
    assert call("resume", "run", "--epochs", "2", "--no-report").code == 0
    env = json.loads(Path("run/env.json").read_text())
    assert env["weights"]["file"].endswith("first/checkpoints/last.safetensors")
    assert call("verify", "run").code == 2
    shutil.move("away", "first")
    assert call("verify", "run").code == 0
    shutil.copy("first/checkpoints/before.safetensors", "first/checkpoints/last.safetensors")
    outcome = call("verify", "run")
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1] == (
        f"error: run began with other weights than {first.resolve()} holds now (another sha256), "
        "so nothing was trained; bring it back as it was to verify the run"
    )


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ("nowhere", "cannot read "),
        ("tiny.toml", "cannot use "),
        (".", "is no run but a folder of runs"),
    ],
)
def test_what_is_no_weights(tune, weights, text):
    outcome = tune(weights)
    assert outcome.code == 2
    assert text in outcome.err
    assert not Path("run").exists()
