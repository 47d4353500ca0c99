"""The corpus: NAME.toml is a spec that is wrong, NAME.txt what `cnnkit check` says of it.

NAME.args, where there is one, has a `--set` argument per line. `rewrite.py` writes the texts anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cnnkit
from cnnkit import plugins
from cnnkit.cli import main
from cnnkit.hookspecs import FAMILIES
from cnnkit.registry import CORE, Plugin

FOLDER = Path(__file__).parent
SPECS = sorted(FOLDER.glob("*.toml"))
FOREIGN_SPECS = sorted(FOLDER.glob("foreign/*.toml"))
FOREIGN = (Plugin("foreign", "cnnkit-foreign", "1.0", "foreign_plugin"),)
"""What is installed for the specs in `foreign`, which name layers of a plugin."""


@dataclass(frozen=True)
class Verdict:
    """What came of checking a spec."""

    code: int
    text: str
    report: dict[str, Any]


@cache
def check(spec: Path, others: tuple[Plugin, ...] = ()) -> Verdict:
    """Check a spec where only cnnkit itself and some plugins are installed."""
    out, err = StringIO(), StringIO()
    with chdir(spec.parent), alone(others), redirect_stdout(out), redirect_stderr(err):
        code = main(["check", spec.name, "--json", *arguments(spec)])
    return Verdict(code, abridged(err.getvalue(), others), json.loads(out.getvalue())[0])


def arguments(spec: Path) -> list[str]:
    """Return the `--set` arguments that go with a spec."""
    file = spec.with_suffix(".args")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [word for line in lines for word in ("--set", line)]


@contextmanager
def alone(others: tuple[Plugin, ...] = ()) -> Iterator[None]:
    """Overlook the plugins that happen to be installed, and how wide the terminal is."""
    found = [*own(), *others]
    with patch.object(plugins, "find_plugins", lambda: iter(found)), patch.dict(os.environ):
        os.environ.pop("CNNKIT_PLUGINS", None)
        os.environ.pop("FORCE_COLOR", None)
        yield


def abridged(text: str, others: tuple[Plugin, ...] = ()) -> str:
    """Leave out of a text what changes with every type that cnnkit gets, and its version."""
    for family, types in offered(others).items():
        for before in (f"installed {family}: ", "offers "):
            for after in ("\n", "; "):
                text = text.replace(f"{before}{types}{after}", f"{before}(all {family}){after}")
    return text.replace(f"cnnkit {cnnkit.__version__}", "cnnkit (version)")


@cache
def own() -> list[Plugin]:
    """Return cnnkit's own families; read once, since they are looked up for every spec."""
    return [plugin for plugin in plugins.find_plugins() if plugin.distribution == CORE]


@cache
def offered(others: tuple[Plugin, ...] = ()) -> dict[str, str]:
    """Return the types of every family, as messages list them."""
    with alone(others):
        registry = plugins.load_plugins()
    return {family: ", ".join(registry.types(family)) for family in FAMILIES}
