"""`cnnkit plugins new`: a whole plugin to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cnnkit import __version__
from cnnkit.commands import VERBS
from cnnkit.commands._console import News
from cnnkit.errors import CnnkitError
from cnnkit.hookspecs import FAMILIES
from cnnkit.plugins import load_plugins
from cnnkit.scaffold import Names, make_plugin, write_plugin

Family = Literal[
    "layer", "loss", "optimizer", "schedule", "initializer", "dataset", "transform", "metric",
    "observer", "callback", "backend", "command",
]  # fmt: skip


def new(name: str, /, *, family: Family = "layer", out: Path | None = None) -> None:
    """Write a whole plugin to start from: a module, tests that pass, a spec, README and CI.

    A folder that is there already is never touched.

    Args:
        name: of the distribution: cnnkit- and lower-case words, such as cnnkit-soft-plus.
        family: what the plugin adds: layer, loss, optimizer, schedule, initializer, dataset,
            transform, metric, observer, callback, backend or command.
        out: the folder to make; by default NAME, here.
    """
    names = Names(name)
    if family == "command":
        if names.verb in VERBS:
            raise CnnkitError(f"the verb {names.verb} is a built-in one; choose another name")
    else:
        plural = next(key for key, cls in FAMILIES.items() if cls.__name__.lower() == family)
        for entry in load_plugins().claims(plural, names.type):
            raise CnnkitError(f"{family} type {names.type!r} is offered by {entry.owner} already; "
                              "choose another name")  # fmt: skip
    folder = out or Path(name)
    write_plugin(folder, make_plugin(names, family, __version__))
    News().say(
        f"wrote {folder}: {names.module}/__init__.py is the plugin\n"
        f'next: cd {folder} && pip install -e ".[dev]" && pytest'
    )
