"""Whose fault it is when a component raises what it should not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
    """Return an error that names the plugin behind `error`, with the line of its code as a note,
    or None: then it is cnnkit's bug.

    Args:
        error: whatever came out of a step.
        when: such as "step 50".
    """
    if isinstance(error, LayerFault) and is_foreign(error.layer, registry):
        place, cause = describe(error.path, error.layer, registry), error.cause
        place, module = f"the {error.phase} pass of {place}", type(error.layer).__module__
    else:
        cause = error.cause if isinstance(error, LayerFault) else error
        plugin = next(_plugins_at_work(cause, registry), None)
        if plugin is None:
            return None
        place, module = f"plugin {plugin.owner}", plugin.module.partition(":")[0]
    named = TrainingError(
        f"{place} raised {type(cause).__name__} at {when}: {cause}. "
        "This is a fault of the plugin, not of the spec"
    )
    lines = [line for name, line in _lines(cause) if _is_of(name, module)]
    if lines:
        named.add_note(f"   = note: raised at {lines[-1]}")
    return named


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
    for module, _ in reversed([*_lines(error)]):
        for plugin in registry.third_party():
            if _is_of(module, plugin.module.partition(":")[0]):
                yield plugin


def _is_of(module: str, root: str) -> bool:
    return module == root or module.startswith(f"{root}.")


def _lines(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield the module and "file:line" of each call under way, the innermost last."""
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        line = f"{frame.f_code.co_filename}:{traceback.tb_lineno}"
        yield frame.f_globals.get("__name__", ""), line
        traceback = traceback.tb_next
