"""What is wrong with plugins, and what to do about each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cnnkit import __version__
from cnnkit.commands._health import Ailment, Section

if TYPE_CHECKING:
    from cnnkit.registry import Plugin, Registry

# What needs NumPy is imported where it is used: the doctor works where NumPy does not.


def look_at_plugins() -> Section:
    """Return every third-party plugin, and what is wrong with it or with cnnkit's own."""
    from cnnkit.commands._plugins import clashes, unused_verbs
    from cnnkit.plugins import load_plugins

    registry = load_plugins()
    third = registry.third_party()
    section = Section([_facts(plugin) for plugin in third])
    section.lines = [f"{plugin.owner}: {_state(plugin)}" for plugin in third] or ["none"]
    section.ailments = [*_missing_built_ins(registry), *_unknown_choices(registry)]
    for plugin in registry.plugins:
        section.ailments += _ailments(plugin)
    pairs = [*clashes(registry), *unused_verbs(registry)]
    section.ailments += [Ailment(what, way_out) for what, way_out in pairs]
    return section


def _facts(plugin: Plugin) -> dict[str, str | None]:
    return {
        "distribution": plugin.distribution, "version": plugin.version, "name": plugin.name,
        "requires": plugin.requires, "state": _state(plugin), "error": plugin.error or None,
    }  # fmt: skip


def _state(plugin: Plugin) -> str:
    if plugin.error:
        return "FAILED"
    return "left out by CNNKIT_PLUGINS" if plugin.blocked else "works"


def _ailments(plugin: Plugin) -> Iterator[Ailment]:
    from cnnkit.registry import CORE

    what = f"plugin {plugin.owner} failed to load: {plugin.error}"
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
