"""The plugin hooks: one table of families, one hook per family.

Hooks only add names. They return classes; a class carries its own type, options and docs, and
behaviour enters a run through the spec alone.
"""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pluggy

from cnnkit.base import (
    Backend,
    Callback,
    Component,
    Dataset,
    Initializer,
    Layer,
    Loss,
    Metric,
    Observer,
    Optimizer,
    Schedule,
    Transform,
)

PROJECT = "cnnkit"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

FAMILIES: dict[str, type[Component]] = {
    cls.family: cls
    for cls in (
        Layer,
        Loss,
        Optimizer,
        Schedule,
        Initializer,
        Dataset,
        Transform,
        Metric,
        Observer,
        Callback,
        Backend,
    )
}
"""family -> its abstract class; the registry, CLI, docs and meta-tests all read this table."""


@hookspec
def cnnkit_layers() -> Iterable[type[Layer]]:
    """Return layer classes."""


@hookspec
def cnnkit_losses() -> Iterable[type[Loss]]:
    """Return loss classes."""


@hookspec
def cnnkit_optimizers() -> Iterable[type[Optimizer]]:
    """Return optimizer classes."""


@hookspec
def cnnkit_schedules() -> Iterable[type[Schedule]]:
    """Return learning-rate schedule classes."""


@hookspec
def cnnkit_initializers() -> Iterable[type[Initializer]]:
    """Return initializer classes."""


@hookspec
def cnnkit_datasets() -> Iterable[type[Dataset]]:
    """Return dataset classes."""


@hookspec
def cnnkit_transforms() -> Iterable[type[Transform]]:
    """Return transform classes."""


@hookspec
def cnnkit_metrics() -> Iterable[type[Metric]]:
    """Return metric classes."""


@hookspec
def cnnkit_observers() -> Iterable[type[Observer]]:
    """Return observer classes."""


@hookspec
def cnnkit_callbacks() -> Iterable[type[Callback]]:
    """Return callback classes."""


@hookspec
def cnnkit_backends() -> Iterable[type[Backend]]:
    """Return backend classes."""


@hookspec
def cnnkit_commands() -> Iterable[Callable[..., Any]]:
    """Return functions that become verbs of the `cnnkit` command, named after themselves."""
