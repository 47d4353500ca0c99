"""Who supplied what: the distributions behind the types of a run, and behind a fault."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cnnkit.base import Component, FusedStep, LayerFault
from cnnkit.base.component import is_path, walk
from cnnkit.base.place import place_of, spoken
from cnnkit.errors import CnnkitError, ContractError, PluginError, SpecError, TrainingError
from cnnkit.hookspecs import FAMILIES
from cnnkit.registry import GIVEN, Entry, Plugin, PluginFile, Registry


def missing_suppliers(
    made_with: Mapping[str, Any], registry: Registry, families: Collection[str] = FAMILIES.keys()
) -> list[str]:
    """Return a sentence for each type that cannot be had from the distribution it came from.

    Args:
        made_with: what `suppliers` returned then; it may come from a file, so it may be anything.
        families: those that matter.
    """
    return [
        f"{_what(family, name)} came from {owner}, {_state(registry.installed(owner_name), owner)}"
        for family, name, owner, owner_name in _missing(made_with, registry, families)
    ]


def missing_files(
    made_with: Mapping[str, Any], registry: Registry, families: Collection[str]
) -> list[str]:
    """Return the plugin files, by owner, that types came from and nobody has named now."""
    missing = _missing(made_with, registry, families)
    owners = dict.fromkeys(owner for _, _, owner, _ in missing if _is_file(owner))
    return [owner for owner in owners if not registry.installed(owner.partition(" ")[0])]


def files_behind(made_with: Mapping[str, str], registry: Registry) -> dict[str, PluginFile]:
    """Return the plugin files that types came from, by the name of their owner."""
    owners = {*made_with.values()}
    return {p.distribution: p.file for p in registry.plugins if p.file and p.owner in owners}


def _missing(
    made_with: Mapping[str, Any], registry: Registry, families: Collection[str]
) -> Iterator[tuple[str, str, str, str]]:
    for one in _types(made_with, families):
        if _entry(registry, one[0], one[1], one[3]) is None:
            yield one


def _is_file(owner: str) -> bool:
    """Tell if an owner is a plugin file: the sha256 of its bytes is its version."""
    return ".py sha256:" in owner


def other_versions(
    made_with: Mapping[str, Any], registry: Registry, families: Collection[str] = FAMILIES.keys()
) -> list[str]:
    """Return a sentence for each third-party type that another version supplies now."""
    found = []
    for family, name, owner, owner_name in _types(made_with, families):
        entry = _entry(registry, family, name, owner_name)
        if entry is not None and not entry.built_in and entry.owner != owner:
            found.append(
                f"{_what(family, name)} came from {owner}, but {entry.owner} supplies it now: "
                "results may differ"
            )
    return found


def _types(
    made_with: Mapping[str, Any], families: Collection[str]
) -> Iterator[tuple[str, str, str, str]]:
    """Yield family, type, owner with version, and owner."""
    for used, owner in made_with.items():
        family, _, name = used.partition("/")
        if isinstance(owner, str) and family in families:
            yield family, name.rpartition(":")[2], owner, owner.partition(" ")[0]


def _entry(registry: Registry, family: str, name: str, distribution: str) -> Entry | None:
    return next(iter(registry.claims(family, f"{distribution}:{name}")), None)


def _what(family: str, name: str) -> str:
    return f"{FAMILIES[family].__name__.lower()} type {name!r}"


def _state(plugins: list[Plugin], owner: str) -> str:
    """Say why none of a distribution's plugins supplies a type."""
    if owner.startswith(f"{GIVEN} "):
        return "as a class of your own: pass it in types=[...], or name its file with --plugin"
    if not plugins and _is_file(owner):
        return "a plugin file: name it with --plugin, or pass its classes in types=[...]"
    if not plugins:
        return f'which is not installed: pip install "{owner.replace(" ", "==")}"'
    defect = next((plugin.defect for plugin in plugins if plugin.defect), "")
    offers = f"but {plugins[0].owner}, which is here now, does not offer it"
    return f"which {defect}" if defect else offers


def check_offered(value: Any, registry: Registry) -> None:
    """Refuse components that could not be found again by their type.

    Raises:
        PluginError: where no installed plugin offers the class, or another one goes by its type.
    """
    for _, component in walk(value):
        cls = type(component)
        if registry.entry_of(cls) is None:
            rivals = registry.claims(cls.family, component.type)
            why = f"{rivals[0].owner} offers another class" if rivals else "no plugin offers it"
            raise PluginError(
                f"{component.type} of module {cls.__module__} could not be found again: {why}; "
                f"pass types=[{cls.__name__}], here and when it is loaded, or make a plugin of it"
            )


def plain(value: Any, registry: Registry, folder: Path = Path()) -> Any:
    """Return options as plain data, with every default, that means the same in any folder."""
    if isinstance(value, BaseModel):
        options = {name: getattr(value, name) for name in type(value).model_fields}
        if isinstance(value, Component):  # of these no later default could change a thing
            left = value.common - value.model_fields_set
            options = {name: v for name, v in options.items() if name not in left}
        for name, field in type(value).model_fields.items():
            if is_path(field) and options[name] is not None:
                options[name] = str(folder / options[name])
        given = {name: plain(v, registry, folder) for name, v in options.items() if v is not None}
        if isinstance(value, Component):
            given["type"] = type_of(value, registry)
        return given
    if isinstance(value, list | tuple):
        return [plain(item, registry, folder) for item in value]
    return value


def type_of(component: Component, registry: Registry) -> str:
    """Return the name that finds the component's class again, qualified unless built in."""
    entry = registry.entry_of(type(component))
    return component.type if entry is None or entry.built_in else entry.qualified


def suppliers(value: Any, registry: Registry) -> dict[str, str]:
    """Return the distribution and version behind every type in a spec, or in components.

    As in a resolved spec, only built-in types go by their bare names: `{"layers/relu": "cnnkit
    0.1.0", "layers/cnnkit-prelu:prelu": "cnnkit-prelu 0.1.0"}`.
    """
    entries = [(component, registry.entry_of(type(component))) for _, component in walk(value)]
    found = {f"{e.family}/{type_of(c, registry)}": e.owner for c, e in entries if e}
    return dict(sorted(found.items()))


@contextmanager
def attribute(
    registry: Registry, now: Callable[[], str], kind: type[CnnkitError] = TrainingError
) -> Iterator[None]:
    """Turn what a plugin raises inside the block, or returns against its family's promise, into an
    error that names it; it costs nothing until then. What else cnnkit raises passes as it is.

    Args:
        now: returns when it happened, such as "at step 50".
        kind: of the error.

    Raises:
        CnnkitError: of that kind, with layer, type, distribution and version.
    """
    try:
        yield
    except ContractError as error:
        named_promise = kind(_promise(error, registry, now()))
        named_promise.layer_path = error.layer_path
        raise named_promise from error
    except CnnkitError:
        raise
    except MemoryError as error:
        raise exhausted(error, now()) from error
    except (Exception, SystemExit) as error:
        named = named_plugin(error, registry, now())
        if named is None and isinstance(getattr(error, "cause", error), RecursionError):
            raise exhausted(error, now()) from error
        if named is None:
            raise
        text, note = named
        raised = kind(text)
        raised.layer_path = getattr(error, "path", "")
        if note:
            raised.add_note(note)
        raise raised from error


def exhausted(error: BaseException, when: str = "") -> CnnkitError:
    """Return the error of the spec, or the model, whose network is too large for this machine.

    Args:
        error: a MemoryError, or a RecursionError, or a fault caused by one.
        when: such as "at step 50".
    """
    path = getattr(error, "path", "") or getattr(error, "layer_path", "")
    cause = getattr(error, "cause", error)
    too_deep = isinstance(cause, RecursionError)
    what = "layers are nested too deep" if too_deep else "not enough memory"
    words = [what, when, f"in {spoken(path)}" if path else ""]
    help_ = "nest fewer layers" if too_deep else "use a smaller network or batch, or fewer threads"
    named = SpecError(f"error: {' '.join(filter(None, words))}: {cause}\n   = help: {help_}")
    named.layer_path = path
    return named


def _promise(error: ContractError, registry: Registry, when: str) -> str:
    """Return what a broken promise is called: place, type, plugin, version, method, got, wanted."""
    whose = describe(error.layer_path, error.component, registry)
    kind = FAMILIES[error.component.family].__name__.lower()
    return (
        f"{whose}: {error.method} {error.did} {when}; expected {error.expected}. "
        f"This is a fault of the {kind}, not of the spec"
    )


def named_plugin(error: BaseException, registry: Registry, when: str) -> tuple[str, str] | None:
    """Return a sentence that names the plugin behind `error`, and the line of its code as a note,
    or None: then it is cnnkit's bug.

    Args:
        error: whatever came out of a step.
        when: such as "at step 50".
    """
    if isinstance(error, LayerFault) and is_foreign(error.layer, registry):
        cause, module = error.cause, type(error.layer).__module__
        place = f"the {error.phase} pass of {describe(error.path, error.layer, registry)}"
    else:
        cause = error.cause if isinstance(error, LayerFault) else error
        plugin = next(_plugins_at_work(cause, registry), None)
        if plugin is None:
            return None
        place, module = f"plugin {plugin.owner}", plugin.module.partition(":")[0]
    text = (
        f"{place} raised {type(cause).__name__} {when}: {cause}. "
        "This is a fault of the plugin, not of the spec"
    )
    lines = [line for name, line in _lines(cause) if _is_of(name, module)]
    return text, f"   = note: raised at {lines[-1]}" if lines else ""


def describe(path: str, component: Component | FusedStep, registry: Registry) -> str:
    """Return "layer 4 (prelu of cnnkit-prelu 0.1.0)" for path 3_prelu, or without a path "metric
    recall of cnnkit-recall 0.1.0"; "layer 4 (a fused step of cnnkit-fast 1.0)" for a backend's."""
    entry, module = registry.entry_of(type(component)), type(component).__module__
    owner = (
        entry.owner
        if entry
        else next((p.owner for p in _plugins_of(module, registry)), f"module {module}")
    )
    what = component.type if isinstance(component, Component) else "a fused step"
    whose = f"{what} of {owner}"
    return f"layer {place_of(path)[0]} ({whose})" if path else whose


def is_foreign(component: Component | FusedStep, registry: Registry) -> bool:
    """Tell if somebody else than cnnkit wrote it."""
    entry = registry.entry_of(type(component))
    return not (entry.built_in if entry else type(component).__module__.startswith("cnnkit."))


def _plugins_at_work(error: BaseException, registry: Registry) -> Iterator[Plugin]:
    """Yield the third-party plugins whose code was running, the innermost first."""
    for module, _ in reversed([*_lines(error)]):
        yield from _plugins_of(module, registry)


def _plugins_of(module: str, registry: Registry) -> Iterator[Plugin]:
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
