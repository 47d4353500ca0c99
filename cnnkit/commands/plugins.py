"""`cnnkit plugins`: what is installed, what it offers, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnkit.commands._console import emit, emit_json, table
from cnnkit.commands._plugins import conflicts, verb_name
from cnnkit.plugins import load_plugins
from cnnkit.registry import Plugin

if TYPE_CHECKING:
    from rich.table import Table


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
    emit(_listed(registry.plugins))
    for what, way_out in conflicts(registry):
        emit(f"\nnote: {what}; {way_out}")
    for plugin in registry.plugins if verbose else ():
        for what, text in (("printed", plugin.printed), ("failed", plugin.traceback)):
            if text:
                emit(f"\n{plugin.name} of {plugin.owner} {what}:\n{text.rstrip()}")
    if registry.broken() and not verbose:
        emit("\nnote: `cnnkit plugins --verbose` shows the traceback of what failed")


_COLUMNS = ("plugin", "from", "needs cnnkit", "import", "offers")
_BETWEEN = 3
"""Blanks between two columns."""


def _listed(plugins: Sequence[Plugin]) -> Table:
    """Return a table of plugins, a line each; or where that would break words, with all but what
    they offer below one another."""
    from cnnkit.commands._screen import Screen

    rows = [(plugin.name, plugin.owner, plugin.requires or "-",
             "-" if plugin.blocked else f"{1000 * plugin.seconds:.0f} ms", _offers(plugin))
            for plugin in plugins]  # fmt: skip
    *narrow, offers = zip(_COLUMNS, *rows, strict=True)
    width = sum(max(map(len, column)) + _BETWEEN for column in narrow)
    if width + max(len(word) for cell in offers for word in cell.split()) > Screen().width:
        made = table("plugin", "offers")
        made.leading = 1
        for name, owner, requires, seconds, offered in rows:
            needs = [f"needs cnnkit {requires}"] if requires != "-" else []
            made.add_row("\n".join([name, owner, *needs, seconds]), offered)
    else:
        made = table(*_COLUMNS, right=("import",))
        for row in rows:
            made.add_row(*row)
    for column in made.columns[:-1]:
        column.no_wrap = True
    return made


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
