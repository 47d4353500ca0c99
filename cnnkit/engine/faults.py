"""Whose fault it is when a component raises what it should not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from cnnkit.base import Layer, LayerFault
from cnnkit.base.place import place_of
from cnnkit.errors import CnnkitError, TrainingError
from cnnkit.registry import Plugin, Registry


@contextmanager
def blaming_plugins(registry: Registry, now: Callable[[], str]) -> Iterator[None]:
    """Turn what a plugin raises inside the block into an error that names it; it costs nothing
    until then. What cnnkit raises, on purpose or not, passes as it is.

    Args:
        now: returns when it happened, such as "step 50".

    Raises:
        TrainingError: with layer, type, distribution and version.
    """
    try:
        yield
    except (CnnkitError, MemoryError):
        raise
    except Exception as error:
        named = name_fault(error, registry, now())
        if named is None:
            raise
        raise named from error


def name_fault(error: Exception, registry: Registry, when: str) -> TrainingError | None:
    """Return an error that names the plugin behind `error`, or None: then it is cnnkit's bug.

    Args:
        error: whatever came out of a step.
        when: such as "step 50".
    """
    if isinstance(error, LayerFault) and is_foreign(error.layer, registry):
        place, cause = describe(error.path, error.layer, registry), error.cause
        place = f"the {error.phase} pass of {place}"
    else:
        cause = error.cause if isinstance(error, LayerFault) else error
        plugin = next(_plugins_at_work(cause, registry), None)
        if plugin is None:
            return None
        place = f"plugin {plugin.owner}"
    return TrainingError(
        f"{place} raised {type(cause).__name__} at {when}: {cause}. "
        "This is a fault of the plugin, not of the spec"
    )


def describe(path: str, layer: Layer, registry: Registry) -> str:
    """Return "layer 4 (prelu of cnnkit-prelu 0.1.0)" for path 3_prelu."""
    entry = registry.entry_of(type(layer))
    owner = entry.owner if entry else f"module {type(layer).__module__}"
    return f"layer {place_of(path)[0]} ({layer.type} of {owner})"


def is_foreign(layer: Layer, registry: Registry) -> bool:
    """Tell if somebody else than cnnkit wrote the layer."""
    entry = registry.entry_of(type(layer))
    return not (entry.built_in if entry else type(layer).__module__.startswith("cnnkit."))


def _plugins_at_work(error: BaseException, registry: Registry) -> Iterator[Plugin]:
    """Yield the third-party plugins whose code was running, the innermost first."""
    modules = [frame.f_globals.get("__name__", "") for frame in _frames(error)]
    for module in reversed(modules):
        for plugin in registry.third_party():
            root = plugin.module.partition(":")[0]
            if module == root or module.startswith(f"{root}."):
                yield plugin


def _frames(error: BaseException) -> Iterator[FrameType]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next
