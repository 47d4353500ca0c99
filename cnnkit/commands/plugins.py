"""`cnnkit plugins`: what is installed, what it offers, and what is wrong with it."""

from __future__ import annotations

from typing import Any

from cnnkit.commands._console import emit, emit_json, table
from cnnkit.commands._plugins import conflicts, verb_name
from cnnkit.plugins import load_plugins
from cnnkit.registry import Plugin


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
    for what, way_out in conflicts(registry):
        emit(f"\nnote: {what}; {way_out}")
    for plugin in registry.plugins if verbose else ():
        for what, text in (("printed", plugin.printed), ("failed", plugin.traceback)):
            if text:
                emit(f"\n{plugin.name} of {plugin.owner} {what}:\n{text.rstrip()}")
    if registry.broken() and not verbose:
        emit("\nnote: `cnnkit plugins --verbose` shows the traceback of what failed")


def _facts(plugin: Plugin) -> dict[str, Any]:
    types: dict[str, list[str]] = {}
    for entry in plugin.entries:
        types.setdefault(entry.family, []).append(entry.type)
    return {
        "name": plugin.name, "distribution": plugin.distribution, "version": plugin.version,
        "module": plugin.module, "requires": plugin.requires, "seconds": plugin.seconds,
        "hooks": plugin.hooks, "types": types,
        "verbs": [verb_name(command.__name__) for command in plugin.commands],
        "blocked": plugin.blocked, "error": plugin.error, "traceback": plugin.traceback,
        "printed": plugin.printed,
    }  # fmt: skip


def _offers(plugin: Plugin) -> str:
    if plugin.defect:
        return f"{plugin.state}: {plugin.error}" if plugin.error else plugin.state
    facts = _facts(plugin)
    parts = [f"{family}: {', '.join(types)}" for family, types in facts["types"].items()]
    parts += [f"verbs: {', '.join(facts['verbs'])}"] if facts["verbs"] else []
    return "\n".join(parts) or f"nothing, through {', '.join(plugin.hooks)}"
