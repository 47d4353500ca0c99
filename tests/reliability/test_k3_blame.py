"""K3: what is at fault is named, and nothing else: the first layer that gives what is not finite, the
plugin that spoils a step, the image with NaN, the line of the table."""

# ruff: noqa: E501  # bodies of plugins stand on one line

from __future__ import annotations

import re

import numpy as np
import pytest
from inputs import TEST, X, Y, arrays, npz, spec
from plugged import method, run

pytestmark = pytest.mark.reliability
OTHERS = r"layer \d+(\.\d+)? \((pool|relu|conv|dense|softmax)\)"
"""Layers of cnnkit, none of which is at fault."""
FORWARD = "    def forward(self, x, w, ctx):\n        "
LAYERS = {
    "makes_nan": ("return (x - x) / (x - x), lambda dy: (dy.copy(), {})", "is the first to give values that are not finite ("),
    "nan_backward": ("return x.copy(), lambda dy: (dy * np.nan, {})", "not finite in its backward pass"),
    "hides_infinity": ("y = x.copy(); y.flat[0] = -np.inf; return y, lambda dy: (dy.copy(), {})", "is the first to give values that are not finite ("),
    "nan_in_step_31": ("y = x * (np.nan if ctx.training and ctx.key[2] == 30 else 1); return y, lambda dy: (dy.copy(), {})", "at epoch 1, step 31: layer 2 (nan_in_step_31"),
    "nan_in_evaluation": ("return x * (1 if ctx.training else np.nan), lambda dy: (dy.copy(), {})", "for 145 images outside the training split: layer 2 (nan_in_evaluation"),
}  # fmt: skip
METHODS = {
    "nan_images": ("transforms", "return x * np.float32(np.nan)", "as they enter the first layer; check nan_images of"),
    "nan_loss": ("losses", "return y[:, 0] * np.nan, lambda: y * 0", "though every layer's output is; check nan_loss of"),
    "nan_gradient": ("losses", "return y[:, 0], lambda: y * np.nan", "though every layer's output is; check nan_gradient of"),
    "nan_update": ("optimizers", "\n        for path in grads: weights[path][...] = np.nan", "or check the optimizer nan_update of"),
    "climbs": ("optimizers", "\n        for path in grads: weights[path] += lr * grads[path]", "the first to doubt is climbs of"),
    "loss_of_wrong_sign": ("losses", "return -y[:, 0], lambda: y * 0 - 1", "the first to doubt is loss_of_wrong_sign of"),
    "no_slope": ("losses", "return y[:, 0] * 1, lambda: y * 0", "the first to doubt is no_slope of"),
    "stands_still": ("schedules", "return 0.0", "the first to doubt is stands_still of"),
}  # fmt: skip


def judge(cases, folder, name: str, source: str, family: str, said: str) -> None:
    code, error = run(folder / name, name, source, family)
    said = re.escape(said)
    cases.judge(
        code, error, f"(?s)^(?=.*{said}).*cnnkit-{name} 0\\.1", spares=f"{OTHERS} is the first"
    )


def test_layers(cases, tmp_path):
    for name in cases.of(LAYERS, quick=2):
        body, said = LAYERS[name]
        source = f"class Mine(Layer):\n    type: Literal['{name}'] = '{name}'\n{FORWARD}{body}\n"
        judge(cases, tmp_path, name, source, "layers", said)


def test_other_families(cases, tmp_path):
    for name in cases.of(METHODS, quick=4):
        family, body, said = METHODS[name]
        judge(cases, tmp_path, name, method(family, name, body), family, said)


def test_transforms_that_do_not_meet(cases, tmp_path):
    """Scale is not at fault, nor the data: both work."""
    for name in cases.of(["to_unit"]):
        folder = tmp_path / name
        source = method("transforms", name, "return (x / 255).astype(np.float32)")
        both = 'data.transforms=["to_unit", "scale"]'
        code, error = run(folder, name, source, "transforms", "--set", both)
        cases.judge(code, error, "what reaches the transform scale: values lie within 0..1")


def table(folder, change):
    rows = [",".join(map(str, [y, *x.ravel()])) for x, y in zip(X[:300], Y[:300], strict=True)]
    names = ",".join(["label", *(f"p{i}" for i in range(64))])
    folder.mkdir()
    (folder / "t.csv").write_text("\n".join(change(names, rows)))
    return spec(folder, 'type = "csv"\npath = "t.csv"')


def with_nan(x):
    x = x / 1.0
    x[3, 2, 1] = np.nan
    return x


DATA = {
    "an image with NaN": (lambda f: npz(f, **arrays(with_nan)), r"x_train\)\n.*the first in image 3"),
    "a label that is NaN": (
        lambda f: npz(f, **arrays(y=lambda y: np.where(np.arange(len(y)) == 5, np.nan, y))), "nan at index 5"),
    "names again below": (lambda f: table(f, lambda names, rows: [names, *rows, names, *rows]), "line 302 has the names"),
    "a line above the names": (lambda f: table(f, lambda names, rows: ["sep=,", names, *rows]), "2 fields in its first line"),
    "a comment above": (lambda f: table(f, lambda names, rows: ["# of 2024, mine", names, *rows]), "2 fields in its first line"),
    "a sum below": (lambda f: table(f, lambda names, rows: [names, *rows, "sum,300"]), "line 302 has 2 fields"),
    "an empty field": (lambda f: table(f, lambda names, rows: [names, *rows, "1," + ",".join([""] * 64)]), "line 302 has nothing in"),
    "labels of the test split": (
        lambda f: npz(f, **arrays() | {"y_test": np.where(Y[TEST] == 9, 12, Y[TEST])}), r"y_test\)"),
}  # fmt: skip


def test_data(cases, tmp_path, call):
    for name in cases.of(DATA):
        write, said = DATA[name]
        code, error = call(
            "run", write(tmp_path / name.replace(" ", "-")), "--out", tmp_path / "run"
        )
        cases.judge(code, error, said, spares=OTHERS)


def test_weights(cases, tmp_path, call):
    for rate in cases.of(["1e38", "1e30"], quick=1):
        layers = 'model.layers=[{ type = "dense", units = 8 }, { type = "softmax", units = 10 }]'
        optimizer = f'optimizer={{ type = "sgd", lr = {rate} }}'
        code, error = call("run", spec(tmp_path, 'type = "digits"'), "--set", layers, "--set", optimizer,
                           "--out", tmp_path / rate)  # fmt: skip
        cases.judge(
            code, error, "has diverged; lower the learning rate|to give values that are not finite"
        )
