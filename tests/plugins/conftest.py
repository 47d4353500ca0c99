"""Fake distributions: a dist-info folder and a module on `sys.path`, which is all pip leaves."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cnnkit import plugins

LAYER = '''
from typing import Literal
import numpy as np
from cnnkit import hookimpl
from cnnkit.base import Layer

class {name}(Layer):
    """A layer that does nothing."""
    type: Literal["{type}"] = "{type}"

    def forward(self, x, w, ctx):
        return x.copy(), lambda dy: (dy.copy(), {{}})
'''
HOOK = """
@hookimpl
def cnnkit_layers():
    return [{name}]
"""


def layer_module(type: str = "mine", name: str = "Mine") -> str:
    """Return the source of a healthy plugin with one layer that passes everything on."""
    return (LAYER + HOOK).format(name=name, type=type)


@dataclass
class Site:
    """A folder on `sys.path` to install into."""

    path: Path

    def install(
        self,
        distribution: str,
        source: str,
        *,
        version: str = "1.0",
        entry: str = "",
        module: str = "",
        requires: tuple[str, ...] = (),
    ) -> Path:
        """Write a module and its dist-info folder; return the folder."""
        module = module or distribution.replace("-", "_")
        (self.path / f"{module}.py").write_text(source, encoding="utf-8")
        sys.modules.pop(module, None)  # the real one, where it happens to be installed
        folder = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = [f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}"]
        lines += [f"Requires-Dist: {line}" for line in requires]
        (folder / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
        points = f"[cnnkit]\n{entry or module} = {module}\n"
        (folder / "entry_points.txt").write_text(points, encoding="utf-8")
        importlib.invalidate_caches()
        return folder


def _without_installed(site: Path) -> Iterator[Path]:
    """Leave out the plugins that happen to be installed where the tests run."""
    return (f for f in FOLDERS() if f.parent == site or f.name.startswith("cnnkit-"))


FOLDERS = plugins.metadata_folders


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty site folder; what is imported from it is forgotten afterwards."""
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(str(path))
    monkeypatch.delenv("CNNKIT_PLUGINS", raising=False)
    monkeypatch.setattr(plugins, "metadata_folders", lambda: _without_installed(path))
    before = set(sys.modules)
    yield Site(path)
    for name in set(sys.modules) - before:
        if (path / f"{name.partition('.')[0]}.py").exists():
            del sys.modules[name]


SPEC = """
name = "small"
seed = 3
[data]
type = "npz"
path = "small.npz"
validation = 0.25
[model]
layers = [
  {{ type = "conv", filters = 2, kernel = 3 }},
  {layer}
  {{ type = "softmax", units = 3 }},
]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 0.1
[train]
epochs = 2
batch = 4
threads = 1
{more}
"""


@pytest.fixture
def write_spec(tmp_path):
    """Return a function that writes a spec of a tiny network on 48 random images.

    `layer` is a line of TOML for the middle of the stack, `more` the end of the file.
    """
    rng = np.random.default_rng(0)
    folder = tmp_path / "specs"
    folder.mkdir()
    splits = {"train": 48, "test": 12}
    arrays = {}
    for split, count in splits.items():
        arrays[f"x_{split}"] = rng.integers(0, 256, (count, 6, 6), np.uint8)
        arrays[f"y_{split}"] = np.arange(count) % 3
    np.savez(folder / "small.npz", **arrays)

    def write(layer: str = '"relu",', more: str = "", name: str = "small.toml") -> Path:
        path = folder / name
        path.write_text(SPEC.format(layer=layer, more=more), encoding="utf-8")
        return path

    return write
