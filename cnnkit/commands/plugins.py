"""`cnnkit plugins`: what is installed, what it offers, and what is wrong with it."""

from __future__ import annotations

from typing import Any

from cnnkit.commands._console import emit, emit_json, table
from cnnkit.commands._plugins import clashes, unused_verbs, verb_name
from cnnkit.plugins import load_plugins
from cnnkit.registry import Plugin, Registry


def plugins(*, verbose: bool = False, json: bool = False) -> None:
    """List the installed plugins: what each offers, what it needs, and why it failed, if it did.

    Args:
        verbose: print also the traceback of what failed, and what plugins printed at import.
        json: print one JSON document, tracebacks included.
    """
    registry = load_plugins()
    if json:
        emit_json([_facts(plugin) for plugin in registry.plugins])
        return
    made = table("plugin", "from", "needs cnnkit", "offers", "import", right=("import",))
    for plugin in registry.plugins:
        seconds = "-" if plugin.blocked else f"{1000 * plugin.seconds:.0f} ms"
        made.add_row(plugin.name, plugin.owner, plugin.requires or "-", _offers(plugin), seconds)
    emit(made)
    for what, way_out in [*clashes(registry), *unused_verbs(registry)]:
        emit(f"\nnote: {what}; {way_out}")
    if verbose:
        _print_details(registry)
    elif registry.broken():
        emit("\nnote: `cnnkit plugins --verbose` shows the traceback of what failed")


def _facts(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "module": plugin.module,
        "requires": plugin.requires,
        "seconds": plugin.seconds,
        "hooks": plugin.hooks,
        "types": _types(plugin),
        "verbs": _verbs(plugin),
        "blocked": plugin.blocked,
        "error": plugin.error,
        "traceback": plugin.traceback,
        "printed": plugin.printed,
    }


def _types(plugin: Plugin) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in plugin.entries:
        found.setdefault(entry.family, []).append(entry.type)
    return found


def _verbs(plugin: Plugin) -> list[str]:
    return [verb_name(command.__name__) for command in plugin.commands]


def _offers(plugin: Plugin) -> str:
    if plugin.defect:
        return f"{plugin.state}: {plugin.error}" if plugin.error else plugin.state
    parts = [f"{family}: {', '.join(types)}" for family, types in _types(plugin).items()]
    if plugin.commands:
        parts.append(f"verbs: {', '.join(_verbs(plugin))}")
    return "\n".join(parts) or f"nothing, through {', '.join(plugin.hooks)}"


def _print_details(registry: Registry) -> None:
    for plugin in registry.plugins:
        for what, text in (("printed", plugin.printed), ("failed", plugin.traceback)):
            if text:
                emit(f"\n{plugin.name} of {plugin.owner} {what}:\n{text.rstrip()}")
