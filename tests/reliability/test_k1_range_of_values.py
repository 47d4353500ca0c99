"""K1: values of another range than the transforms map from: refused, and the help leads to a run
that learns; and the same at prediction."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import cnnkit
from cnnkit.cli import main

pytestmark = pytest.mark.reliability
with np.load(Path(cnnkit.__file__).parent / "datasets" / "digits.npz") as digits:
    X, Y = digits["images"].reshape(-1, 8, 8), digits["labels"].astype(np.int64)
TEST = np.arange(len(X)) % 5 == 0
SPEC = """name = "case"
[data]
type = "npz"
path = "data.npz"
transforms = {transforms}
[model]
layers = [
  {{ type = "conv", filters = 8, kernel = 3, padding = "same" }}, "relu", {{ type = "pool" }},
  {{ type = "softmax", units = 10 }},
]
[loss]
type = "cross_entropy"
[optimizer]
type = "adam"
lr = 0.01
[train]
epochs = 3
"""
RANGES = {
    "unit": lambda x: (x / 255).astype(np.float32),
    "unit, half precision": lambda x: (x / 255).astype(np.float16),
    "unit, double precision": lambda x: x / 255,
    "0..16, double": lambda x: x.astype(np.float64) / 255 * 16,
    "0..16, bytes": lambda x: (x // 16).astype(np.uint8),
    "0..100": lambda x: x.astype(np.float32) / 2.55 * 0.3,
    "standardised": lambda x: ((x.astype(np.float32) - X.mean()) / X.std()).astype(np.float32),
    "centred": lambda x: (x / 127.5 - 1).astype(np.float32),
    "16 bits": lambda x: x.astype(np.uint16) * 257,
    "16 bits, as floats": lambda x: (x.astype(np.uint16) * 257).astype(np.float32),
    "12 bits, signed": lambda x: x.astype(np.int32) * 16,
    "negative": lambda x: -x.astype(np.float32),
}


def write(folder: Path, change, transforms: str = '["scale"]') -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "spec.toml").write_text(SPEC.format(transforms=transforms))
    np.savez(folder / "data.npz", x_train=change(X[~TEST]), y_train=Y[~TEST],
             x_test=change(X[TEST]), y_test=Y[TEST])  # fmt: skip
    return folder / "spec.toml"


def test_before_training(cases, tmp_path, capsys):
    for name in cases.of(RANGES, quick=4):
        folder = tmp_path / re.sub(r"\W+", "-", name)
        spec = write(folder, RANGES[name])
        assert main(["run", str(spec), "--out", str(folder / "run")]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: training images of npz (data.npz): values lie within "), (
            error
        )
        assert not (folder / "run").exists()
        remedy = re.search(r"= help: give scale the (range = \[.*\])", error)
        assert remedy is not None, error
        write(folder, RANGES[name], f'[{{ type = "scale", {remedy[1]} }}]')
        assert main(["run", str(spec), "--out", str(folder / "run")]) == 0
        summary = json.loads((folder / "run" / "summary.json").read_text())
        assert summary["test"]["accuracy"] > 0.7, name
        capsys.readouterr()


def test_in_the_test_images_alone(cases, tmp_path, capsys):
    for name in cases.of(["unit", "standardised", "16 bits, as floats"], quick=1):
        folder = tmp_path / re.sub(r"\W+", "-", name)
        spec = write(folder, lambda x: x.astype(np.float32))
        with np.load(folder / "data.npz") as data:
            arrays = {**data, "x_test": RANGES[name](X[TEST]).astype(np.float32)}
        np.savez(folder / "data.npz", **arrays)
        assert main(["run", str(spec), "--out", str(folder / "run")]) == 2
        assert "error: test images of npz (data.npz): values lie within " in capsys.readouterr().err


def test_at_prediction(cases, tmp_path, capsys):
    spec = write(tmp_path / "bytes", lambda x: x)
    unit = write(tmp_path / "unit", RANGES["unit"], "[]")
    runs = {}
    for key, one in (("bytes", spec), ("unit", unit)):
        runs[key] = tmp_path / f"run-{key}"
        assert main(["run", str(one), "--set", "train.epochs=1", "--out", str(runs[key])]) == 0
    unlikely = ("0..16, bytes", "0..16, double", "0..100")  # dark pictures, perhaps: a warning
    rows = [("bytes", name) for name in RANGES if name not in unlikely]
    rows += [("unit", name) for name in ("0..16, double", "16 bits, as floats", "standardised")]
    for key, name in cases.of(rows, quick=4):
        capsys.readouterr()
        np.save(tmp_path / "x.npy", RANGES[name](X[TEST][:40]).astype(np.float32))
        assert main(["predict", str(runs[key]), str(tmp_path / "x.npy")]) == 2
        error = capsys.readouterr().err
        assert re.search(
            r"x\.npy: values lie within .*, but the model was trained on images", error
        )


def test_what_is_merely_unlikely_is_a_warning(cases, tmp_path, capsys):
    spec = write(tmp_path / "bytes", lambda x: x)
    run = tmp_path / "run"
    assert main(["run", str(spec), "--set", "train.epochs=1", "--out", str(run)]) == 0
    for name in cases.of(["0..16, bytes", "0..16, double", "0..100"]):
        capsys.readouterr()
        np.save(tmp_path / "x.npy", RANGES[name](X[TEST][:40]))
        assert main(["predict", str(run), str(tmp_path / "x.npy")]) == 0
        said = capsys.readouterr().err.splitlines()
        assert [line.startswith("warning: ") for line in said] == [True]
        assert said[0].endswith("but the model was trained on images of 0..255")
