"""K2 and K3: what plugins return, raise and spoil, through the command: exit 1 or 2, the plugin's
name and version, no traceback unless asked for, and nobody else is blamed."""

# ruff: noqa: E501  # bodies of plugins stand on one line

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.reliability
SAME = """
    def forward(self, x, w, ctx):
        return x.copy(), lambda dy: (dy.copy(), {})
"""
LAYERS = {
    "own_init": ("    def __init__(self, slope=0.3):\n        self.slope = slope\n" + SAME, "__init__"),
    "no_type": (SAME, "has the type"),
    "state": (
        "    def forward(self, x, w, ctx):\n        self.kept = x\n        return x, lambda dy: (dy, {})\n",
        "has no option 'kept'",
    ),
    "bad_shape_rule": ("    def output_shape(self, shape):\n        return shape['C']\n" + SAME, "TypeError"),
    "shape_of_floats": (
        "    def output_shape(self, shape):\n        return tuple(n / 1 for n in shape)\n" + SAME,
        "output_shape returned",
    ),
    "weights_are_none": ("    def weights(self, shape):\n        return None\n" + SAME, "declared"),
    "weights_raise": ("    def weights(self, shape):\n        return 1 / 0\n" + SAME, "ZeroDivisionError"),
    "no_gradient": (
        "    def weights(self, shape):\n        from cnnkit.base import Weight\n"
        "        return {'a': Weight((1,), 1.0)}\n"
        "    def forward(self, x, w, ctx):\n        return x * w['a'], lambda dy: (dy * w['a'], {})\n",
        "returned no gradient for a",
    ),
    "exits": ("    def forward(self, x, w, ctx):\n        raise SystemExit(0)\n", "SystemExit"),
    "makes_nan": (
        "    def forward(self, x, w, ctx):\n        return (x - x) / (x - x), lambda dy: (dy.copy(), {})\n",
        "is the first to give values that are not finite",
    ),
    "nan_backward": (
        "    def forward(self, x, w, ctx):\n        return x.copy(), lambda dy: (dy * np.nan, {})\n",
        "not finite in its backward pass",
    ),
    "hides_infinity": (
        "    def forward(self, x, w, ctx):\n        y = x.copy(); y.flat[0] = -np.inf\n"
        "        return y, lambda dy: (dy.copy(), {})\n",
        "is the first to give values that are not finite",
    ),
    "batch_axis": (
        "    def forward(self, x, w, ctx):\n        return x[:1].copy(), lambda dy: (dy, {})\n",
        "forward returned y",
    ),
    "no_array": ("    def forward(self, x, w, ctx):\n        return [x], None\n", "forward returned y"),
}  # fmt: skip
DATASETS = {
    "labels_from_one": ("y = y + 1", "train labels from 1 to 10"),
    "labels_as_floats": (
        "y = y.astype(float)",
        "train labels: an array of shape (1400,) and dtype",
    ),
    "labels_one_hot": ("y = np.eye(10)[y]", "train labels: an array of shape (1400, 10)"),
    "labels_short": ("y = y[:-5]", "397 test images with 392 labels"),
    "no_images": ("x = x[:, 0]", "train images: an array of shape (1400, 8, 8)"),
    "images_of_nan": ("x = x / 1.0; x[3] = np.nan", "image 3 holds values that are not finite"),
    "raises": ("raise KeyError('gone')", "raised KeyError"),
    "none": ("return None", "load returned None"),
    "class_names": ("names = list(names)", "classes ['0', '1'"),
}
SPEC = """name = "case"
[data]
type = "{dataset}"
[model]
layers = [
  {{ type = "conv", filters = 4, kernel = 3 }}, {layer}
  {{ type = "pool" }}, "relu", {{ type = "softmax", units = 10 }},
]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 0.1
[train]
epochs = 1
"""


def run(folder, name: str, body: str, family: str, dataset: str = "digits", layer: str = "", *more):
    """Install a plugin that looks real, run a spec that uses it, and return code and stderr."""
    site = folder / "site"
    info = site / f"cnnkit_{name}-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: cnnkit-{name}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[cnnkit]\n{name} = cnnkit_{name}\n")
    (site / f"cnnkit_{name}.py").write_text(
        "from typing import Literal\nfrom pathlib import Path\nimport numpy as np\nimport cnnkit\n"
        "from cnnkit import hookimpl\nfrom cnnkit.base import Data, Dataset, Layer, Split\n"
        f"{body}\n@hookimpl\ndef cnnkit_{family}():\n    return [Mine]\n"
    )
    (folder / "spec.toml").write_text(SPEC.format(dataset=dataset, layer=layer))
    command = [sys.executable, "-m", "cnnkit", "run", "spec.toml", "--out", "run", *more]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, "PYTHONPATH": str(site), "CNNKIT_PLUGINS": f"cnnkit-{name}"},
    )  # fmt: skip
    return ran.returncode, ran.stderr


def test_layers(cases, tmp_path):
    for name in cases.of(LAYERS, quick=6):
        body, said = LAYERS[name]
        kind = "" if name == "no_type" else f"    type: Literal['{name}'] = '{name}'\n"
        source = f"class Mine(Layer):\n    '''A layer.'''\n{kind}{body}"
        code, error = run(tmp_path / name, name, source, "layers", layer=f'"{name}",')
        assert code in (1, 2), error
        assert said in error, error
        assert f"cnnkit-{name} 0.1" in error, error
        assert "Traceback" not in error, error
        assert "bug in cnnkit" not in error, error
        assert not re.search(r"layer \d+ \((pool|relu|conv)\) is the first", error), error


def test_datasets(cases, tmp_path):
    for name in cases.of(DATASETS, quick=4):
        change, said = DATASETS[name]
        source = f"""
Z = np.load(Path(cnnkit.__file__).parent / "datasets" / "digits.npz")
X, Y = Z["images"].reshape(-1, 1, 8, 8), Z["labels"].astype(np.int64)
class Mine(Dataset):
    '''Digits.'''
    type: Literal['{name}'] = '{name}'
    def load(self, paths):
        x, y, names = X, Y, tuple('0123456789')
        {change}
        return Data('{name}', Split(x[:1400], y[:1400]), Split(x[1400:], y[1400:]), names)
"""
        code, error = run(tmp_path / name, name, source, "datasets", dataset=name)
        assert code == 2, error
        assert said in error, error
        assert name in error
        assert "Traceback" not in error, error
        assert not (tmp_path / name / "run" / "summary.json").exists()


def test_the_traceback_comes_when_it_is_asked_for(cases, tmp_path):
    for name in cases.of(["bad_shape_rule"]):
        source = f"class Mine(Layer):\n    type: Literal['{name}'] = '{name}'\n{LAYERS[name][0]}"
        layer = f'"{name}",'
        code, error = run(tmp_path, name, source, "layers", "digits", layer, "--traceback")
        assert code == 2
        assert "Traceback (most recent call last):" in error
