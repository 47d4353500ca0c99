"""Ask one plugin for what it registers, and check every answer.

pluggy ignores a misspelt hook, an unmarked one and one that returns None; its author would look
for a long time. Here each of them is an error that says what was expected.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import pluggy

from cnnkit import hookspecs
from cnnkit.base import Component
from cnnkit.entries import Entry, Plugin
from cnnkit.errors import PluginError
from cnnkit.hookspecs import FAMILIES, PROJECT

_LEGAL_TYPE = re.compile(r"[a-z][a-z0-9_]*")
_HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("cnnkit_"))


def ask(plugin: Plugin, module: Any) -> Plugin:
    """Call the hooks of `module`, in a plugin manager of its own; return the filled-in record.

    Raises:
        PluginError: for everything a hook can do wrong but raise.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    hooks = _hooks(module, manager)
    if not hooks:
        raise PluginError(
            f"{plugin.module} has no hook; expected a function marked with @cnnkit.hookimpl, "
            "such as cnnkit_layers"
        )
    manager.register(module, plugin.name)
    entries: list[Entry] = []
    commands: list[Callable[..., Any]] = []
    for hook in dict.fromkeys(hooks):
        answers = _answers(hook, getattr(manager.hook, hook)(), hooks.count(hook))
        family = hook.removeprefix("cnnkit_")
        if family in FAMILIES:
            entries += _entries(plugin, family, answers)
        else:
            commands += _commands(hook, answers)
    return replace(
        plugin, hooks=tuple(sorted(set(hooks))), entries=tuple(entries), commands=tuple(commands)
    )


def _hooks(module: Any, manager: pluggy.PluginManager) -> list[str]:
    """Return the hooks that `module` implements; refuse those that pluggy would ignore."""
    found = []
    for name in sorted(dir(module)):
        function = getattr(module, name)
        options = manager.parse_hookimpl_opts(module, name)
        if options is None:
            if name in _HOOKS and inspect.isroutine(function):
                raise PluginError(
                    f"{name} is not marked with @cnnkit.hookimpl, so it has no effect"
                )
            continue
        hook = options.get("specname") or name
        if hook not in _HOOKS:
            near = get_close_matches(hook, _HOOKS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known hooks are {', '.join(_HOOKS)}"
            raise PluginError(f"unknown hook {hook}; {hint}")
        if arguments := ", ".join(inspect.signature(function).parameters):
            raise PluginError(f"{name}({arguments}) asks for arguments; hooks are called with none")
        found.append(hook)
    return found


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


def _type_name(cls: Any, base: type[Component], hook: str) -> str:
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise PluginError(f"{hook} returned {_short(cls)}; expected subclasses of {base.__name__}")
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        raise PluginError(f"{hook}: {cls.__name__} does not define {missing}")
    if alias := next((n for n, f in cls.model_fields.items() if f.validation_alias), ""):
        raise PluginError(
            f"{hook}: option {alias!r} of {cls.__name__} has an alias; options go by one name, "
            "their field's"
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
