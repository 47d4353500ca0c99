"""What an examination by `cnnkit doctor` yields: facts, and ailments with their remedies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

from cnnkit import __version__

if TYPE_CHECKING:
    from cnnkit.registry import Plugin, Registry


@dataclass(frozen=True, slots=True)
class Ailment:
    """Something wrong, and how to mend it; `fatal` where no run can work before that."""

    what: str
    fix: str
    fatal: bool = False

    @property
    def severity(self) -> str:
        """The word that a line about it starts with."""
        return "error" if self.fatal else "warning"

    def as_json(self) -> dict[str, str]:
        """Return the fields under the names of the JSON output."""
        return {"severity": self.severity, "what": self.what, "fix": self.fix}


@dataclass(slots=True)
class Section:
    """What was found in one place: `facts` for programs, `lines` for people."""

    facts: Any = None
    lines: list[str] = field(default_factory=list)
    ailments: list[Ailment] = field(default_factory=list)


def examine(place: str, look: Callable[[], Section]) -> Section:
    """Return what `look` finds; where it cannot even look, that is the finding."""
    try:
        return look()
    except (Exception, SystemExit) as error:  # a broken package may raise anything
        said = " ".join(str(error).split())
        what = f"{place} cannot be examined: {type(error).__name__}: {said}"
        fix = "mend what it names, then ask again"
        return Section(None, ["unknown"], [Ailment(what, fix, fatal=True)])


def damaged_entry_points() -> dict[str, str]:
    """Return the distributions whose entry points cannot be read, each with the error.

    The standard library reads those of all distributions to find one, so one of them fails
    programs that have nothing to do with it.
    """
    found = {}
    for distribution in distributions():
        try:
            tuple(distribution.entry_points)
        except Exception as error:  # whatever importlib.metadata does with files like these
            folder = getattr(getattr(distribution, "_path", None), "name", "?")
            name = folder.removesuffix(".dist-info").replace("-", " ")
            found[name] = f"{type(error).__name__}: {error}"
    return found


def blames_another(said: str) -> bool:
    """Tell if what an import said is the fault of a distribution with damaged metadata."""
    return any(said.endswith(error) for error in damaged_entry_points().values())


def look_at_plugins() -> Section:
    """Return every third-party plugin, and what is wrong with it or with cnnkit's own."""
    from cnnkit.commands._plugins import clashes, unused_verbs
    from cnnkit.plugins import load_plugins

    registry = load_plugins()
    third = registry.third_party()
    section = Section([_facts(plugin) for plugin in third])
    section.lines = [f"{plugin.owner}: {plugin.state}" for plugin in third] or ["none"]
    section.ailments = [*_missing_built_ins(registry), *_unknown_choices(registry)]
    for plugin in registry.plugins:
        section.ailments += _ailments(plugin)
    pairs = [*clashes(registry), *unused_verbs(registry)]
    section.ailments += [Ailment(what, way_out) for what, way_out in pairs]
    return section


def _facts(plugin: Plugin) -> dict[str, str | None]:
    return {
        "distribution": plugin.distribution, "version": plugin.version, "name": plugin.name,
        "requires": plugin.requires, "state": plugin.state, "error": plugin.error or None,
    }  # fmt: skip


def _ailments(plugin: Plugin) -> Iterator[Ailment]:
    from cnnkit.registry import CORE

    what = f"plugin {plugin.owner} {plugin.defect}"
    if plugin.error and plugin.distribution == CORE:
        yield Ailment(what, f"pip install --force-reinstall {CORE}", fatal=True)
    elif plugin.error:
        name = plugin.distribution
        yield Ailment(what, f"pip install --upgrade {name}, or pip uninstall {name}; "
                            "`cnnkit plugins --verbose` shows where it failed")  # fmt: skip
    if plugin.requires and not _in_range(plugin.requires):
        fix = (
            f'pip install --upgrade {plugin.distribution}, or pip install "{CORE}{plugin.requires}"'
        )
        yield Ailment(
            f"plugin {plugin.owner} asks for {CORE}{plugin.requires}, and {__version__} "
            "is installed", fix,
        )  # fmt: skip


def _in_range(requires: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(requires).contains(__version__, prereleases=True)
    except InvalidSpecifier:
        return False


def _missing_built_ins(registry: Registry) -> Iterator[Ailment]:
    """Say what an old or interrupted installation of cnnkit leaves out."""
    from cnnkit.registry import CORE

    if missing := registry.missing_built_ins():
        what = f"{CORE}'s own {', '.join(missing)} are not registered"
        yield Ailment(what, f"pip install --force-reinstall {CORE}", fatal=True)


def _unknown_choices(registry: Registry) -> Iterator[Ailment]:
    from cnnkit.registry import canonical

    known = {canonical(n) for p in registry.plugins for n in (p.distribution, p.name)}
    for chosen in os.environ.get("CNNKIT_PLUGINS", "").replace(" ", "").split(","):
        if chosen and canonical(chosen) not in known:
            what = f"CNNKIT_PLUGINS names {chosen}, which is no installed plugin"
            yield Ailment(what, f"pip install {chosen}, or take it out of CNNKIT_PLUGINS")
