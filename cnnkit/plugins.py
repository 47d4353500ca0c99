"""Finding plugins, asking each for what it registers, and containing the broken ones."""

from __future__ import annotations

import inspect
import os
import re
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from io import StringIO
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pluggy
from pydantic_core import PydanticCustomError

from cnnkit import hookspecs
from cnnkit.base import Component
from cnnkit.base.component import BuiltIns, Table
from cnnkit.errors import PluginError, Terminated
from cnnkit.hookspecs import FAMILIES, PROJECT
from cnnkit.registry import CORE, Entry, Plugin, Registry, canonical
from cnnkit.stdout import stdout_to

_LEGAL_TYPE = re.compile(r"[a-z][a-z0-9_]*")
_HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("cnnkit_"))
GIVEN_FILES: ContextVar[tuple[Plugin, ...]] = ContextVar("GIVEN_FILES", default=())
"""The plugin files that the command line names: `load_plugins` adds them to what is installed."""


def ask(plugin: Plugin, module: Any) -> Plugin:
    """Call the hooks of `module`, and of no other; return the filled-in record.

    Raises:
        PluginError: for everything a hook can do wrong but raise.
    """
    manager, hooks = _manager(), _hooks(module)
    if not hooks:
        raise PluginError(
            f"{plugin.module} has no hook; expected a function marked with @cnnkit.hookimpl, "
            "such as cnnkit_layers"
        )
    marked = SimpleNamespace(**{name: getattr(module, name) for name in hooks})
    entries: list[Entry] = []
    commands: list[Callable[..., Any]] = []
    try:
        manager.register(marked, plugin.name)
        for hook in dict.fromkeys(hooks.values()):
            results = getattr(manager.hook, hook)()
            answers = _answers(hook, results, list(hooks.values()).count(hook))
            family = hook.removeprefix("cnnkit_")
            if family in FAMILIES:
                entries += _entries(plugin, family, answers)
            else:
                commands += _commands(hook, answers)
    finally:
        if manager.is_registered(marked):  # else Ctrl-C came first
            manager.unregister(marked)
    return plugin._replace(
        hooks=tuple(sorted({*hooks.values()})), entries=tuple(entries), commands=tuple(commands)
    )


@cache
def _manager() -> pluggy.PluginManager:
    """Return a manager that knows the hooks, and holds one plugin at a time."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _hooks(module: Any) -> dict[str, str]:
    """Return the functions of `module` that implement hooks, with their hooks, by name; refuse
    those that pluggy would ignore."""
    manager, found = _manager(), dict[str, str]()
    for name in sorted(dir(module)):
        function = getattr(module, name)
        if not inspect.isroutine(function):
            continue
        options = manager.parse_hookimpl_opts(module, name)
        if options is None:
            if name in _HOOKS:
                raise PluginError(
                    f"{name} is not marked with @cnnkit.hookimpl, so it has no effect"
                )
            continue
        hook = options.get("specname") or name
        if hook not in _HOOKS:
            from difflib import get_close_matches

            near = get_close_matches(hook, _HOOKS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known hooks are {', '.join(_HOOKS)}"
            raise PluginError(f"unknown hook {hook}; {hint}")
        if arguments := ", ".join(inspect.signature(function).parameters):
            raise PluginError(f"{name}({arguments}) asks for arguments; hooks are called with none")
        found[name] = hook
    return found


def has_hooks(module: Any) -> bool:
    """Tell if a module implements any hook; PluginError for one that pluggy would ignore."""
    return bool(_hooks(module))


def _answers(hook: str, results: list[Any], implementations: int) -> list[Any]:
    """Return all that the hook's implementations (mostly one) returned, as one list."""
    expected = f"expected a list of {_expected(hook)}"
    if len(results) < implementations:  # pluggy drops None
        raise PluginError(f"{hook} returned None; {expected}: is its return missing?")
    answers: list[Any] = []
    for result in results:
        if not isinstance(result, Iterable) or isinstance(result, type):
            raise PluginError(f"{hook} returned {_short(result)}; {expected}")
        answers += result
    return answers


def _expected(hook: str) -> str:
    family = FAMILIES.get(hook.removeprefix("cnnkit_"))
    return f"subclasses of {family.__name__}" if family else "functions"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _entries(plugin: Plugin, family: str, classes: list[Any]) -> Iterator[Entry]:
    """Check what a hook returned and yield an entry for each class."""
    hook, seen = f"cnnkit_{family}", set[str]()
    for cls in classes:
        name = _type_name(cls, FAMILIES[family], hook)
        if name in seen:
            raise PluginError(f"{hook} returned two classes with the type {name!r}")
        seen.add(name)
        yield Entry(family, name, cls, plugin.distribution, plugin.version)


def _check_methods(cls: type[Component], base: type[Component], hook: str) -> None:
    """Hold a class to the methods that it has to define, and these to what they are called with."""
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        raise PluginError(f"{hook}: {cls.__name__} does not define {missing}")
    for method in sorted(base.__abstractmethods__):
        wanted, own = getattr(base, method), getattr(cls, method)
        if not (callable(wanted) and callable(own)):
            continue
        asked = inspect.signature(wanted).parameters.values()
        words = [p.name for p in asked if p.kind is not p.KEYWORD_ONLY]
        named = {p.name: None for p in asked if p.kind is p.KEYWORD_ONLY}
        takes = inspect.signature(own)
        try:
            takes.bind(*words, **named)
        except TypeError:
            raise PluginError(
                f"{hook}: {cls.__name__}.{method} takes {takes}; expected "
                f"def {method}({', '.join([*words, *named])})"
            ) from None


def _type_name(cls: Any, base: type[Component], hook: str) -> str:
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise PluginError(f"{hook} returned {_short(cls)}; expected subclasses of {base.__name__}")
    _check_methods(cls, base, hook)
    own = cls.__mro__[: cls.__mro__.index(base)]
    if any("__init__" in vars(part) for part in own):
        raise PluginError(
            f"{hook}: {cls.__name__} defines __init__; options are fields in the body of the "
            "class, such as slope: float = 0.3"
        )
    if alias := next((n for n, f in cls.model_fields.items() if f.validation_alias), ""):
        raise PluginError(
            f"{hook}: option {alias!r} of {cls.__name__} has an alias; options go by one name, "
            "their field's"
        )
    words = cls.synonyms
    if not isinstance(words, dict) or not all(isinstance(word, str) for word in words.values()):
        raise PluginError(
            f"{hook}: the synonyms of {cls.__name__} are {_short(words)}; expected such as "
            '{"my_layer": "itsname othername"}'
        )
    name = cls.type_name()
    if not _LEGAL_TYPE.fullmatch(name):
        raise PluginError(
            f"{hook}: {cls.__name__} has the type {name!r}; expected a field such as "
            f'type: Literal["my_layer"] = "my_layer", in lower-case letters, digits and _'
        )
    return name


def _commands(hook: str, functions: list[Any]) -> list[Callable[..., Any]]:
    for function in functions:
        name = getattr(function, "__name__", "")
        if not (callable(function) and name.isidentifier()):
            what = name or _short(function)
            raise PluginError(f"{hook} returned {what}; expected functions with a name")
    return functions


def find_component(family: str, wanted: Component | Table, registry: Registry | None = None) -> Any:
    """Return a component that is given as such, by its type, or as a table with options.

    Only what cnnkit does not bring itself is looked for among the plugins.

    Raises:
        PluginError: where nobody offers the type: what was meant, or how to get it.
        OptionError: where the options are wrong.
    """
    if isinstance(wanted, Component):
        return wanted
    options = {"type": wanted} if isinstance(wanted, str) else dict(wanted)
    name = str(options.pop("type", ""))
    try:
        return (registry or BuiltIns()).find(family, name)(**options)
    except PydanticCustomError as error:
        if registry is None:
            return find_component(family, wanted, load_plugins())
        if error.type == "type_clash":
            raise PluginError(str(error)) from None
    from cnnkit.diagnosis.names import help_for_unknown_type

    note, help_ = help_for_unknown_type(name, family, registry)
    what = f'unknown {FAMILIES[family].__name__.lower()} type "{name}"'
    raise PluginError(f"{what}{f'; {note}' if note else ''}\n   = help: {help_}")


def load_plugins() -> Registry:
    """Load the built-ins and every installed plugin; the broken ones are recorded, not raised.

    Plugin files that the command line names come after them.

    CNNKIT_PLUGINS=a,b loads only these third-party plugins, by distribution or entry point;
    empty means none.
    """
    chosen = os.environ.get("CNNKIT_PLUGINS")
    wanted = None if chosen is None else {CORE, *map(canonical, chosen.replace(" ", "").split(","))}
    found = sorted(find_plugins(), key=lambda p: (canonical(p.distribution), p.name))
    loaded = [load_plugin(p) if _wanted(p, wanted) else p._replace(blocked=True) for p in found]
    return Registry(_refuse_doubles([*loaded, *GIVEN_FILES.get()]))


def plugin_words() -> list[str]:
    """Return what a command line says of plugin files, for one that does the same again."""
    return [word for plugin in GIVEN_FILES.get() for word in ("--plugin", plugin.name)]


def _wanted(plugin: Plugin, wanted: set[str] | None) -> bool:
    return wanted is None or not wanted.isdisjoint(
        {canonical(plugin.distribution), canonical(plugin.name)}
    )


def find_plugins() -> Iterator[Plugin]:
    """Yield a record for each entry point in the group "cnnkit", nothing imported yet.

    Of two copies of a distribution the first on `sys.path` counts, as it does for imports.
    """
    seen = set[str]()
    for folder in metadata_folders():
        found = list(_read_metadata(folder))
        if found and canonical(found[0].distribution) not in seen:
            seen.add(canonical(found[0].distribution))
            yield from found


def metadata_folders() -> Iterator[Path]:
    """Yield the folders by which installers describe distributions, in the order of `sys.path`.

    `importlib.metadata` reads them too, but to import it takes a tenth of the time of a check.
    """
    for entry in dict.fromkeys(sys.path):
        with suppress(OSError):
            yield from sorted(Path(entry).glob("*.*-info"))


def _read_metadata(folder: Path) -> Iterator[Plugin]:
    """Yield the plugins of one distribution; damaged metadata makes one broken plugin."""
    name, _, version = folder.stem.partition("-")
    name, version, text = name.replace("_", "-"), version or "unknown", ""
    try:
        text = _read(folder / "entry_points.txt")
        if f"[{PROJECT}]" not in text:
            return
        head = (_read(folder / "METADATA") or _read(folder / "PKG-INFO")).partition("\n\n")[0]
        facts = re.findall(r"^(Name|Version|Requires-Dist): *(.*?) *$", head, re.MULTILINE)
        said = dict(reversed(facts))
        name, version = said.get("Name", name), said.get("Version", version)
        requires = _requirement([value for fact, value in facts if fact == "Requires-Dist"])
        yield from [Plugin(p, name, version, module, requires) for p, module in _points(text)]
    except (OSError, ValueError) as error:  # not UTF-8, not readable, not name = value
        if text or folder.name.startswith(PROJECT):
            yield Plugin("?", name, version, "?", error=_damaged(error))


def _read(file: Path) -> str:
    with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return file.read_text(encoding="utf-8")
    return ""


def _points(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of the entry points in cnnkit's group."""
    group = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("["):
            group = line
        elif group == f"[{PROJECT}]" and not line.startswith("#"):
            name, value = line.split("=", 1)
            yield name.strip(), value.strip()


def _damaged(error: Exception) -> str:
    return f"its metadata is damaged ({one_line(error)}); install it anew"


def _requirement(requires: list[str]) -> str:
    """Return the range of cnnkit versions that a distribution asks for."""
    ranges = (re.match(rf"{PROJECT}(\[.*\])?\s*(?![\w.-])([^;]*)", line) for line in requires)
    return next((match[2].strip(" ()") for match in ranges if match), "")


def load_plugin(plugin: Plugin) -> Plugin:
    """Import a plugin and collect what it registers; never raises but for Ctrl-C and signals."""
    if plugin.error:
        return plugin
    started, printed = time.perf_counter(), StringIO()
    try:
        with quietly(printed):
            plugin = ask(plugin, _imported(plugin))
    except (KeyboardInterrupt, Terminated):
        raise
    except BaseException as error:  # SystemExit at import must not end the tool either
        plugin = plugin._replace(error=one_line(error), traceback=traceback.format_exc())
    seconds = time.perf_counter() - started
    return plugin._replace(seconds=seconds, printed=printed.getvalue())


def _imported(plugin: Plugin) -> Any:
    """Return the module, or what stands in it, that an entry point names."""
    match = re.fullmatch(r"([\w.]+)\s*(?::\s*([\w.]+)\s*)?(?:\[.*\])?", plugin.module)
    if not match:
        said = f"{plugin.name} = {plugin.module!r}"
        raise PluginError(f"its entry point {said} names no module")
    module = import_module(match[1])
    return attrgetter(match[2])(module) if match[2] else module


@contextmanager
def quietly(printed: StringIO) -> Iterator[None]:
    """Keep what a plugin prints for `cnnkit plugins --verbose`: stdout belongs to the command, and
    may be JSON. Warning filters and NumPy's error state are put back, so that importing one plugin
    cannot change how another, or a spec that uses neither, runs."""
    with stdout_to(printed), warnings.catch_warnings(), np.errstate():
        yield


def one_line(error: BaseException) -> str:
    """Return the kind and the text of an error of a plugin's, on one line."""
    try:
        text = str(error)
    except Exception:  # an exception class of the plugin's own
        text = "(its text cannot be had)"
    name = "" if isinstance(error, PluginError) else type(error).__name__
    return ": ".join(filter(None, [name, " ".join(text.split())]))


def _refuse_doubles(plugins: list[Plugin]) -> list[Plugin]:
    """Mark the plugins of a distribution that offers one type twice: no qualified name can
    tell the two apart, so only its author can settle that."""
    offers = {
        (plugin.distribution, e.family, e.type, e.cls) for plugin in plugins for e in plugin.entries
    }
    counts = Counter(offer[:3] for offer in offers)
    doubled = {offer for offer, count in counts.items() if count > 1}
    return [_without(plugin, doubled) for plugin in plugins]


def _without(plugin: Plugin, doubled: set[tuple[str, str, str]]) -> Plugin:
    for entry in plugin.entries:
        if (plugin.distribution, entry.family, entry.type) in doubled:
            error = f"{entry.owner} offers two classes with the type {entry.type!r}"
            return plugin._replace(error=error, entries=(), commands=())
    return plugin
