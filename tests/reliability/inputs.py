"""Small inputs as people have them: digits as arrays, pictures and tables, and specs for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import cnnkit

with np.load(Path(cnnkit.__file__).parent / "datasets" / "digits.npz") as digits:
    X, Y = digits["images"].reshape(-1, 8, 8), digits["labels"].astype(np.int64)
TEST = np.arange(len(X)) % 5 == 0
SPEC = """name = "case"
{top}
[data]
{data}
[model]
layers = [
  {{ type = "conv", filters = 8, kernel = 3, padding = "same" }}, "relu", {{ type = "pool" }},
  {{ type = "softmax", units = {units} }},
]
[loss]
type = "cross_entropy"
[optimizer]
type = "adam"
lr = 0.01
[train]
epochs = 3
{more}
"""


def spec(folder: Path, data: str, units: int = 10, top: str = "", more: str = "") -> Path:
    """Write a spec that trains in half a second."""
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / "spec.toml"
    path.write_text(SPEC.format(data=data, units=units, top=top, more=more), encoding="utf-8")
    return path


def arrays(x: Any = lambda x: x, y: Any = lambda y: y) -> dict[str, Any]:
    """Return the arrays of both splits, each changed."""
    return {"x_train": x(X[~TEST]), "y_train": y(Y[~TEST]), "x_test": x(X[TEST]),
            "y_test": y(Y[TEST])}  # fmt: skip


def npz(folder: Path, options: str = "", units: int = 10, **given: Any) -> Path:
    """Write arrays as data.npz, and a spec for them."""
    path = spec(folder, f'type = "npz"\npath = "data.npz"\n{options}', units)
    np.savez(folder / "data.npz", **(given or arrays()))
    return path


def picture(path: Path, image: Any, **how: Any) -> None:
    """Write a picture, and the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **how)


def pictures(
    folder: Path, put: Callable[[Path, int, int, Any], object], options: str = "", of: int = 40
) -> Path:
    """Write pictures of three classes below data, each by `put(data, class, number, image)`."""
    options = f'type = "image_folder"\npath = "data"\nsize = 8\n{options}'
    for k in range(3):
        for number, index in enumerate(np.flatnonzero(k == Y)[:of]):
            put(folder / "data", k, number, X[index])
    return spec(folder, options + ("" if "mode" in options else 'mode = "grayscale"'), units=3)


def accuracy(run: Path) -> float:
    """Return what a finished run reached, 0 where there is none."""
    summary = run / "summary.json"
    return json.loads(summary.read_text())["test"]["accuracy"] if summary.exists() else 0.0
