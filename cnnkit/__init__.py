"""cnnkit: a convolutional network is a TOML file, and NumPy trains it.

    import cnnkit

    run = cnnkit.train(cnnkit.load_spec("specs/tiny.toml"))  # as `cnnkit run` does
    print(run.summary["test"]["accuracy"], run.path)

    from cnnkit.layers import Conv, Softmax  # or on arrays, with nothing on disk
    layers = [Conv(filters=8, kernel=3), "relu", Softmax(units=10)]
    run = cnnkit.fit(layers, images, labels, validation=0.1, epochs=3)
    run.history, run.model  # a notebook shows curves, and the layer table

`cnnkit layers` lists what networks are made of, and `help(Conv)` says what a layer can be told.
"""

# The names are imported when first used, so that `import cnnkit` and `cnnkit --help` stay fast.

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnkit.base import Epoch
    from cnnkit.engine.trainer import Trainer
    from cnnkit.errors import (
        CnnkitError,
        DataError,
        DataUnavailable,
        OptionError,
        PluginError,
        RunError,
        ShapeError,
        SpecError,
        TrainingError,
    )
    from cnnkit.hookspecs import hookimpl
    from cnnkit.model import Model
    from cnnkit.notebook.fit import fit
    from cnnkit.notebook.run import Run, train
    from cnnkit.specfile.load import load_spec
    from cnnkit.specfile.runspec import RunSpec

__version__ = "0.1.0"
__all__ = [
    "CnnkitError",
    "ContractError",
    "DataError",
    "DataUnavailable",
    "Epoch",
    "Model",
    "OptionError",
    "PluginError",
    "Run",
    "RunError",
    "RunSpec",
    "ShapeError",
    "SpecError",
    "Trainer",
    "TrainingError",
    "fit",
    "hookimpl",
    "load_spec",
    "train",
]

_HOMES = dict.fromkeys(__all__, "cnnkit.errors") | {
    "Epoch": "cnnkit.base",
    "Model": "cnnkit.model",
    "Run": "cnnkit.notebook.run",
    "RunSpec": "cnnkit.specfile.runspec",
    "Trainer": "cnnkit.engine.trainer",
    "fit": "cnnkit.notebook.fit",
    "hookimpl": "cnnkit.hookspecs",
    "load_spec": "cnnkit.specfile.load",
    "train": "cnnkit.notebook.run",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cnnkit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
