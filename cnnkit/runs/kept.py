"""Kept: the copies of the plugin files that a run was made with, and where they are asked for."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from cnnkit.errors import PluginError
from cnnkit.files.durable import make_folder, read_bytes, write_durably
from cnnkit.provenance import missing_files
from cnnkit.registry import PluginFile, Registry

_FOLDER = "plugins"


def keep_plugin(run: Path, name: str, file: PluginFile) -> None:
    """Keep a copy of a plugin file, which is run only where somebody names it."""
    make_folder(run / _FOLDER)
    write_durably(run / _FOLDER / name, file.content)


def plugin_facts(files: Mapping[str, PluginFile]) -> dict[str, Any]:
    """Return what env.json says of plugin files; nothing, as mostly, where there are none."""
    facts = {name: {"path": file.path, "sha256": file.sha256} for name, file in files.items()}
    return {"plugin_files": facts} if facts else {}


def plugin_flags(run: Path) -> str:
    """Return what a command that goes on with a run has to say besides: " --plugin FILE"."""
    kept = sorted((run / _FOLDER).glob("*.py"))
    return "".join(f" --plugin {shlex.quote(str(path))}" for path in kept)


def need_plugin_files(
    run: Path, facts: dict[str, Any], registry: Registry, families: Collection[str]
) -> None:
    """See whether the plugin files that types of a run came from have been named again.

    Args:
        facts: what env.json holds; it may be anything, as people edit files.
        families: the types that matter.

    Raises:
        PluginError: with their sha256, and where the run keeps them.
    """
    made_with, files = facts.get("plugins"), facts.get("plugin_files")
    if not isinstance(made_with, dict) or not isinstance(files, dict):
        return
    missing = [owner.partition(" ")[0] for owner in missing_files(made_with, registry, families)]
    known = {name: files[name] for name in missing if isinstance(files.get(name), dict)}
    if not known:
        return
    paths = [str(file.get("path")) for file in known.values()]
    sums = [str(file.get("sha256")) for file in known.values()]
    kept = [str(run / _FOLDER / name) for name, s in zip(known, sums, strict=True)
            if _sum(run / _FOLDER / Path(name).name) == s]  # fmt: skip
    words = " and ".join(f"{p} (sha256 {s})" for p, s in zip(paths, sums, strict=True))
    what = f"{run} was made with the plugin file{'s' * (len(paths) > 1)} {words}"
    note = f"\n   = note: the run keeps {' and '.join(kept)}" if kept else ""
    error = PluginError(
        f"{what}: name {'them' if len(paths) > 1 else 'it'} again with --plugin{note}\n   = note: "
        "a plugin file is code that will be run: read what you did not write"
    )
    error.lacks = tuple(kept if len(kept) == len(known) else paths)
    raise error


def _sum(path: Path) -> str:
    return sha256(read_bytes(path)).hexdigest() if path.is_file() else ""
