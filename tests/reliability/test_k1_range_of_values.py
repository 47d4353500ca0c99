"""K1: values of another range than the transforms map from: refused, and the help leads to a run
that learns; and the same at prediction."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from inputs import TEST, X, Y, accuracy, arrays, npz, picture

pytestmark = pytest.mark.reliability
RANGES = {
    "unit": lambda x: (x / 255).astype(np.float32),
    "unit, half precision": lambda x: (x / 255).astype(np.float16),
    "unit, double precision": lambda x: x / 255,
    "0..16, double": lambda x: x.astype(np.float64) / 255 * 16,
    "0..16, bytes": lambda x: (x // 16).astype(np.uint8),
    "0..30": lambda x: x.astype(np.float32) / 2.55 * 0.3,
    "0..100": lambda x: x.astype(np.float32) / 2.55,
    "true and false": lambda x: x > 127,
    "standardised": lambda x: ((x.astype(np.float32) - X.mean()) / X.std()).astype(np.float32),
    "centred": lambda x: (x / 127.5 - 1).astype(np.float32),
    "16 bits": lambda x: x.astype(np.uint16) * 257,
    "16 bits, as floats": lambda x: (x.astype(np.uint16) * 257).astype(np.float32),
    "12 bits, signed": lambda x: x.astype(np.int32) * 16,
    "negative": lambda x: -x.astype(np.float32),
}


UNLIKELY = ("0..16, bytes", "0..16, double", "0..30")
"""Dark pictures, perhaps: a warning."""


def write(folder: Path, change, transforms: str = '["scale"]') -> Path:
    return npz(folder, f"transforms = {transforms}", **arrays(change))


def test_before_training(cases, tmp_path, call):
    for name in cases.of(RANGES, quick=5):
        folder = tmp_path / re.sub(r"\W+", "-", name)
        spec = write(folder, RANGES[name])
        code, error = call("run", spec, "--out", folder / "run")
        assert not (folder / "run").exists()

        def follow(folder=folder, name=name, error=error):
            remedy = re.search(r"= help: give scale the (range = \[.*\])", error)
            spec = write(folder, RANGES[name], f'[{{ type = "scale", {remedy and remedy[1]} }}]')
            return call("run", spec, "--out", folder / "run")[0] == 0 and (
                accuracy(folder / "run") > 0.7
            )

        said = r"(?m)^error: training images of npz \(data.npz\): values lie within "
        cases.judge(code, error, said, follow)


def test_in_some_images_alone(cases, tmp_path, call):
    rows = [(part, name) for part in ("test", "val", "half")
            for name in ("unit", "standardised", "16 bits, as floats")]  # fmt: skip
    for part, name in cases.of(rows, quick=3):
        floats = arrays(lambda x: x.astype(np.float32))
        odd = RANGES[name](X[TEST]).astype(np.float32)
        if part == "half":
            floats["x_train"][::2] = RANGES[name](X[~TEST])[::2]
        else:
            floats |= {f"x_{part}": odd, f"y_{part}": Y[TEST]}
        folder = tmp_path / f"{part}-{name[:4]}"
        code, error = call("run", npz(folder, **floats), "--out", folder / "run")
        where = {"test": "test images of", "val": "validation images of", "half": ""}[part]
        word = "values lie within" if part != "half" or name != "unit" else "within 0..1 alone"
        cases.judge(code, error, f"{where}.*{word}")


def test_at_prediction(cases, tmp_path, call):
    runs = {}
    for key, transforms in (("bytes", '["scale"]'), ("unit", "[]")):
        runs[key] = tmp_path / f"run-{key}"
        spec = write(tmp_path / key, RANGES["unit"] if key == "unit" else np.copy, transforms)
        assert call("run", spec, "--set", "train.epochs=1", "--out", runs[key])[0] == 0
    rows = [("bytes", name) for name in RANGES]
    rows += [("unit", name) for name in ("0..16, double", "16 bits, as floats", "standardised")]
    for key, name in cases.of(rows, quick=6):
        np.save(tmp_path / "x.npy", RANGES[name](X[TEST][:40]).astype(np.float32))
        code, said = call("predict", runs[key], tmp_path / "x.npy")
        assert code == 2 * (key == "unit" or name not in (*UNLIKELY, "0..100"))
        if name != "0..100" or key == "unit":  # which may well be dark pictures
            cases.judge(code, said, r"x\.npy: values lie within .*, but the model was trained on")
    for index, image in enumerate(X[TEST][:3]):
        picture(tmp_path / f"{index}.png", image)
    for _ in cases.of(["pictures, where 0..1 was learned"]):
        code, said = call("predict", runs["unit"], *tmp_path.glob("*.png"))

        def follow():
            np.save(tmp_path / "x.npy", (X[TEST][:3] / 255).astype(np.float32))
            return call("predict", runs["unit"], tmp_path / "x.npy") == (0, "")

        cases.judge(
            code, said, r"= help: pixels of pictures are 0\.\.255: save them as an array", follow
        )


def test_light_and_dark_exchanged(cases, tmp_path, call):
    spec = write(tmp_path / "bytes", np.copy)
    assert call("run", spec, "--out", tmp_path / "run")[0] == 0
    for form in cases.of(["pictures", "array", "test split"], quick=2):
        files = [tmp_path / f"{index}.png" for index in range(5)]
        if form == "pictures":
            for file, image in zip(files, X[TEST], strict=False):
                picture(file, 255 - image)
        elif form == "array":
            files = [tmp_path / "x.npy"]
            np.save(files[0], 255 - X[TEST])
        code, said = call("predict", tmp_path / "run", *files)
        if form == "test split":
            np.savez(tmp_path / "d.npz", **arrays() | {"x_test": 255 - X[TEST]})
            path = f"data.path={tmp_path / 'd.npz'}"
            code, said = call("evaluate", tmp_path / "run", "--set", path)
        cases.judge(code, said, "where light and dark are exchanged, invert the images")
