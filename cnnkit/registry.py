"""Registry: family -> type -> the class behind it and the distribution that supplied it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple

from pydantic_core import PydanticCustomError

from cnnkit.base import Component
from cnnkit.errors import CnnkitError, PluginError
from cnnkit.hookspecs import FAMILIES

__all__ = ["CORE", "Entry", "Plugin", "PluginFile", "Registry", "canonical"]
CORE = "cnnkit"
"""The distribution whose types keep their bare names whatever else is installed."""
GIVEN = "given"
"""Stands for the distribution of classes that were handed over in Python."""
ComponentClass = type[Component]


class Entry(NamedTuple):
    """One registered type and where it came from."""

    family: str
    type: str
    cls: ComponentClass
    distribution: str
    version: str

    @property
    def qualified(self) -> str:
        """The name that is never ambiguous: "cnnkit-prelu:prelu"."""
        return f"{self.distribution}:{self.type}"

    @property
    def owner(self) -> str:
        """The distribution and its version, for people."""
        return f"{self.distribution} {self.version}"

    @property
    def built_in(self) -> bool:
        """True for what cnnkit itself supplies."""
        return self.distribution == CORE


class PluginFile(NamedTuple):
    """A Python file that is a plugin: its path as it was given, and its bytes as they were run."""

    path: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Of its bytes, in hexadecimal digits."""
        return sha256(self.content).hexdigest()


class Plugin(NamedTuple):
    """What became of one entry point, or file: what it registered, or why it could not.

    Args:
        name: of the entry point.
        module: the entry point's value, such as "cnnkit_prelu".
        requires: the versions of cnnkit it asks for, such as ">=0.1,<0.2"; "" for any.
        seconds: taken by its import and its hooks.
        error: one line, "" where it loaded; `traceback` has the rest.
        printed: what it wrote to stdout meanwhile, which went nowhere else.
        blocked: True where CNNKIT_PLUGINS leaves it out; it was not imported then.
        file: what it is, where it is no entry point of an installed distribution.
    """

    name: str
    distribution: str
    version: str
    module: str
    requires: str = ""
    seconds: float = 0.0
    hooks: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    commands: tuple[Callable[..., Any], ...] = ()
    error: str = ""
    traceback: str = ""
    printed: str = ""
    blocked: bool = False
    file: PluginFile | None = None

    @property
    def owner(self) -> str:
        """The distribution and its version, for people."""
        return f"{self.distribution} {self.version}"

    @property
    def state(self) -> str:
        """What tables say of it: "works", "FAILED" or "left out by CNNKIT_PLUGINS"."""
        return "FAILED" if self.error else "left out by CNNKIT_PLUGINS" if self.blocked else "works"

    @property
    def defect(self) -> str:
        """Why it supplies nothing, as a sentence goes on after "which"; "" where it works."""
        if self.error:
            return f"failed to load: {self.error}"
        return "CNNKIT_PLUGINS leaves out" if self.blocked else ""


@cache
def canonical(distribution: str) -> str:
    """Return a distribution's name as packaging compares it: My_Plugin is my-plugin."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@dataclass
class Registry:
    """Every type that specs may name. Lookup never depends on the order plugins loaded in."""

    plugins: list[Plugin] = field(default_factory=list)

    def offering(self, types: Iterable[ComponentClass]) -> Registry:
        """Return a registry that offers these classes as well: those of a notebook, say."""
        own = [Entry(cls.family, cls.type_name(), cls, GIVEN, "in Python") for cls in types]
        if not own:
            return self
        given = Plugin("types", GIVEN, "in Python", "", entries=tuple(own))
        return Registry([*self.plugins, given])

    def entries(self, family: str) -> Iterator[Entry]:
        """Yield what is registered in `family`, plugin by plugin."""
        for plugin in self.plugins:
            yield from (entry for entry in plugin.entries if entry.family == family)

    def types(self, family: str) -> list[str]:
        """Return the sorted type names of `family`."""
        return sorted({entry.type for entry in self.entries(family)})

    def broken(self) -> list[Plugin]:
        """Return the plugins that could not be loaded."""
        return [plugin for plugin in self.plugins if plugin.error]

    def missing_built_ins(self) -> list[str]:
        """Return the families of which none of cnnkit's own types is there: a bad installation."""
        return [f for f in FAMILIES if not any(entry.built_in for entry in self.entries(f))]

    def third_party(self) -> list[Plugin]:
        """Return the plugins that do not come with cnnkit, in order."""
        return [plugin for plugin in self.plugins if plugin.distribution != CORE]

    def installed(self, distribution: str) -> list[Plugin]:
        """Return the plugins of a distribution, whatever became of them."""
        wanted = canonical(distribution)
        return [plugin for plugin in self.plugins if canonical(plugin.distribution) == wanted]

    def claims(self, family: str, name: str) -> list[Entry]:
        """Return an entry for each class that goes by `name`, which may be "dist:type".

        Built-ins come first, then distributions by name. A class that a second distribution
        merely passes on counts once, as its first owner's.
        """
        owner, colon, bare = name.rpartition(":")
        found = [e for e in self.entries(family) if e.type == bare and (owner or not colon)]
        if owner:
            exact = [e for e in found if canonical(e.distribution) == canonical(owner)]
            found = exact or [e for e in found if _stands_in(e.distribution, owner)]
        distinct: dict[ComponentClass, Entry] = {}
        for entry in sorted(found, key=_by_owner):
            distinct.setdefault(entry.cls, entry)
        return list(distinct.values())

    def rivals(self, family: str, name: str) -> list[Entry]:
        """Return the third-party entries that offer the bare name of a built-in; mostly none."""
        claims = self.claims(family, name)
        return claims[1:] if claims and claims[0].built_in else []

    def entry(self, family: str, name: str) -> Entry | None:
        """Return the entry behind `name`, or None where nobody offers it.

        A built-in keeps its bare name: installing a plugin never changes what a spec means.

        Raises:
            PluginError: two distributions offer the name; it names both and the way out.
        """
        claims = self.claims(family, name)
        if len(claims) <= 1 or claims[0].built_in:
            return claims[0] if claims else None
        owners = " and ".join(entry.owner for entry in claims)
        choices = " or ".join(f'type = "{entry.qualified}"' for entry in claims)
        raise PluginError(f"type {name!r} is offered by {owners}; write {choices}")

    def entry_of(self, cls: type) -> Entry | None:
        """Return the entry of a registered class, or None."""
        family = getattr(cls, "family", "")
        found = (entry for entry in self.entries(family) if entry.cls is cls)
        return min(found, key=_by_owner, default=None)

    def find(self, family: str, name: str) -> type[Component]:
        """Return the class behind `name`, for validation.

        Raises:
            PydanticCustomError: "unknown_type" or "type_clash", located by pydantic.
        """
        try:
            entry = self.entry(family, name)
            if entry is None:
                facts = {"name": name, "family": family}
                raise PydanticCustomError("unknown_type", "unknown type {name} in {family}", facts)
            return entry.cls if entry.built_in else complete(entry)
        except PluginError as error:
            raise PydanticCustomError("type_clash", "{text}", {"text": str(error)}) from None

    def command_offers(self) -> dict[str, list[tuple[Callable[..., Any], Plugin]]]:
        """Return every verb with all the functions offered for it."""
        found: dict[str, list[tuple[Callable[..., Any], Plugin]]] = {}
        for plugin in self.plugins:
            for command in plugin.commands:
                found.setdefault(command.__name__, []).append((command, plugin))
        return found


def _stands_in(offered: str, wanted: str) -> bool:
    """Tell if both are classes of somebody's own: in a file once, handed over in Python once."""
    return GIVEN in (offered, wanted) and (offered.endswith(".py") or wanted.endswith(".py"))


def _by_owner(entry: Entry) -> tuple[bool, str, str]:
    return not entry.built_in, canonical(entry.distribution), entry.cls.__qualname__


def complete(entry: Entry) -> type[Component]:
    """Return the class with its validation built, which pydantic puts off to the first use.

    Raises:
        PluginError: where an option's annotation means nothing.
    """
    with blaming(entry):
        entry.cls.model_rebuild()
    return entry.cls


@contextmanager
def blaming(entry: Entry) -> Iterator[None]:
    """Turn whatever the class of a plugin raises into an error that names its owner.

    Raises:
        PluginError: in its place.
    """
    try:
        with warnings.catch_warnings():
            if not entry.built_in:  # such as of a default that no schema can hold
                warnings.simplefilter("ignore")
            yield
    except Exception as error:  # whatever an author's annotations do
        if entry.built_in or isinstance(error, CnnkitError):
            raise
        raise PluginError(
            f"{entry.type} of {entry.owner} cannot be used: {type(error).__name__}: {said(error)}"
        ) from error


def said(error: BaseException) -> str:
    """Return an error's text on one line, without pydantic's link to its manual."""
    lines = (line.strip() for line in str(error).splitlines())
    return " ".join(line for line in lines if line and not line.startswith("For further info"))
