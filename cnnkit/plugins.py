"""Finding plugins and containing the broken ones.

pluggy's own entry-point loader stops at the first plugin that cannot be imported, and healthy
ones behind it are lost. Here each entry point is read, imported and asked by itself, so whatever
goes wrong has one owner and one record.
"""

from __future__ import annotations

import os
import re
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import Distribution, EntryPoint, distributions
from io import StringIO

import numpy as np

from cnnkit.errors import PluginError
from cnnkit.hookcalls import ask
from cnnkit.hookspecs import PROJECT
from cnnkit.registry import CORE, Plugin, Registry, canonical
from cnnkit.stdout import stdout_to


def load_plugins() -> Registry:
    """Load the built-ins and every installed plugin; the broken ones are recorded, not raised.

    CNNKIT_PLUGINS=a,b loads only these third-party plugins, by distribution or entry point;
    empty means none.
    """
    chosen = os.environ.get("CNNKIT_PLUGINS")
    wanted = None if chosen is None else {CORE, *map(canonical, chosen.replace(" ", "").split(","))}
    found = sorted(find_plugins(), key=lambda p: (canonical(p.distribution), p.name))
    return Registry(
        _refuse_doubles(
            [load_plugin(p) if _wanted(p, wanted) else replace(p, blocked=True) for p in found]
        )
    )


def _wanted(plugin: Plugin, wanted: set[str] | None) -> bool:
    return wanted is None or not wanted.isdisjoint(
        {canonical(plugin.distribution), canonical(plugin.name)}
    )


def find_plugins() -> Iterator[Plugin]:
    """Yield a record for each entry point in the group "cnnkit", nothing imported yet.

    Of two copies of a distribution the first on `sys.path` counts, as it does for imports.
    """
    seen = set[str]()
    for distribution in distributions():
        found = list(_read_metadata(distribution))
        if found and canonical(found[0].distribution) not in seen:
            seen.add(canonical(found[0].distribution))
            yield from found


def _read_metadata(distribution: Distribution) -> Iterator[Plugin]:
    """Yield the plugins of one distribution; damaged metadata makes one broken plugin."""
    try:
        text = distribution.read_text("entry_points.txt") or ""
    except (OSError, ValueError) as error:  # not UTF-8, not readable
        if (folder := _folder(distribution)).startswith(PROJECT):
            yield replace(Plugin("?", *_from_folder(folder), "?"), error=_damaged(error))
        return
    if f"[{PROJECT}]" not in text:
        return
    name, version = _from_folder(_folder(distribution))
    try:
        facts = distribution.metadata
        name = facts.get_all("Name", [name])[0]
        version = facts.get_all("Version", [version])[0]
        points = distribution.entry_points.select(group=PROJECT)
        requires = _requirement(distribution.requires or [])
        yield from [Plugin(p.name, name, version, p.value, requires) for p in points]
    except Exception as error:  # whatever importlib.metadata does with files like these
        yield replace(Plugin("?", name, version, "?"), error=_damaged(error))


def _folder(distribution: Distribution) -> str:
    return getattr(getattr(distribution, "_path", None), "name", "")


def _from_folder(folder: str) -> tuple[str, str]:
    """Read name and version from a folder's name: "cnnkit_x-1.0.dist-info"."""
    name, _, version = folder.removesuffix(".dist-info").removesuffix(".egg-info").partition("-")
    return name.replace("_", "-") or "unknown", version or "unknown"


def _damaged(error: Exception) -> str:
    return f"its metadata is damaged ({_one_line(error)}); install it anew"


def _requirement(requires: list[str]) -> str:
    """Return the range of cnnkit versions that a distribution asks for."""
    ranges = (re.match(rf"{PROJECT}(\[.*\])?\s*(?![\w.-])([^;]*)", line) for line in requires)
    return next((match[2].strip(" ()") for match in ranges if match), "")


def load_plugin(plugin: Plugin) -> Plugin:
    """Import a plugin and collect what it registers; never raises but for Ctrl-C.

    Its prints are kept for `cnnkit plugins --verbose`: stdout belongs to the command, and may be
    JSON. Warning filters and NumPy's error state are put back, so that importing one plugin
    cannot change how another, or a spec that uses neither, runs.
    """
    if plugin.error:
        return plugin
    started, printed = time.perf_counter(), StringIO()
    try:
        with stdout_to(printed), warnings.catch_warnings(), np.errstate():
            point = EntryPoint(plugin.name, plugin.module, PROJECT)
            if not EntryPoint.pattern.match(point.value):
                raise PluginError(f"its entry point {point.name} = {point.value!r} names no module")
            plugin = ask(plugin, point.load())
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit at import must not end the tool either
        plugin = replace(plugin, error=_one_line(error), traceback=traceback.format_exc())
    seconds = time.perf_counter() - started
    return replace(plugin, seconds=seconds, printed=printed.getvalue())


def _one_line(error: BaseException) -> str:
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
            return replace(plugin, error=error, entries=(), commands=())
    return plugin
