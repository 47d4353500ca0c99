"""K6: runs that cannot be meant, and results that mean nothing: a word before, or after, with the
likeliest cause; and what it says leads to a network that learns."""

# ruff: noqa: E501  # a case is a line

from __future__ import annotations

import re

import numpy as np
import pytest
from inputs import TEST, X, Y, accuracy, arrays, npz

pytestmark = pytest.mark.reliability
LR = "optimizer.lr=0.003"
SETTINGS = {  # what is set; what is said; what is set when that is followed
    "softmax at the end, twice": (
        'model.layers=["flatten", { type = "softmax", units = 10 }, "softmax"]', "follows another softmax",
        'model.layers=["flatten", { type = "softmax", units = 10 }]'),
    "softmax in the middle": ("model.layers.2=softmax", "softmax. hands probabilities on to softmax, which squeezes them once more", "model.layers.2=pool"),
    "lr 0": ("optimizer.lr=0.0", "lr = 0, so nothing will be learned", LR),
    "lr 0, with momentum": ('optimizer={type = "sgd", lr = 0.0, momentum = 0.9}', "lr = 0, so nothing", LR),
    "lr 3": ("optimizer.lr=3.0", "the learning rate 3 is probably too high: try 0.001", LR),
    "lr 1e9": ("optimizer.lr=1e9", r"the learning rate 1e\+09 is probably too high: try 0.001", LR),
    "lr 1e-9": ('optimizer={type = "sgd", lr = 1e-9}', "1e-09 is probably too low: try 0.05", 'optimizer={type = "sgd", lr = 0.05}'),
    "warm-up of 50": ('optimizer.schedule={type = "cosine", warmup = 50}', "warmup = 50 is longer than the 3 epochs", 'optimizer.schedule={type = "cosine", warmup = 0.5}'),
    "weights of 0": ("model.layers.0.init=zeros", "makes all its units equal", "model.layers.0.init=he"),
    "no epochs": ("train.epochs=0", "epochs must be > 0, got 0", "train.epochs=3"),
    "a batch of 5000": ("train.batch=5000", "batch = 5,000, but there are 1,294 images", "train.batch=32"),
    "one percent to train on": ("data.validation=0.99", "classes with fewer than 10 images to train on", "data.validation=0.1"),
    "one class": ("data.only=[3, 3]", "only names class 3 twice", "data.only=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"),
    "all dropped": ("model.layers.1={type = \"dropout\", rate = 0.999}", "no better than always guessing", "model.layers.1=relu"),
}  # fmt: skip


def test_settings(cases, tmp_path, call):
    for name in cases.of(SETTINGS, quick=6):
        change, said, mended = SETTINGS[name]
        spec = npz(tmp_path / re.sub(r"\W+", "-", name))
        out = spec.parent / "run"
        code, error = call("run", spec, "--set", change, "--out", out)

        def follow(spec=spec, mended=mended):
            out = spec.parent / "mended"
            return call("run", spec, "--set", mended, "--out", out)[0] == 0 and accuracy(out) > 0.6

        cases.judge(code, error, said, follow)


def nobody(y):
    return np.random.default_rng(0).permutation(y)


DATA = {
    "labels shuffled": (lambda: arrays(y=nobody), "look at some images beside their labels"),
    "test is train": (
        lambda: arrays() | {"x_test": X[~TEST], "y_test": Y[~TEST]}, "1,294 test images are training images too"),
    "two test images": (lambda: arrays() | {"x_test": X[:2], "y_test": Y[:2]}, "no test image is of class 2"),
    "a test of one class": (
        lambda: arrays() | {"x_test": X[Y == 3], "y_test": Y[Y == 3]}, "no test image is of class 0, 1, 2, 4, 5"),
    "one class far ahead": (
        lambda: arrays() | {"x_train": np.repeat(X[~TEST], 1 + 30 * (Y[~TEST] == 3), axis=0),
                            "y_train": np.repeat(Y[~TEST], 1 + 30 * (Y[~TEST] == 3))}, "over 20 times the images of others"),
    "blank images": (lambda: arrays(lambda x: x * (np.arange(len(x)) % 3 > 0)[:, None, None]), "of one colour all over"),
}  # fmt: skip


def test_data(cases, tmp_path, call):
    for name in cases.of(DATA, quick=3):
        write, said = DATA[name]
        spec = npz(tmp_path / re.sub(r"\W+", "-", name), **write())
        code, error = call("run", spec, "--out", spec.parent / "run")
        cases.judge(code, error, said, spares="no better .* learning rate .* too high")


def test_a_sound_run_is_silent(cases, tmp_path, call):
    for _ in cases.of(["sound"]):
        code, error = call("run", npz(tmp_path / "sound"), "--quiet", "--out", tmp_path / "run")
        cases.judge(code, error, "^$", lambda: accuracy(tmp_path / "run") > 0.85)
