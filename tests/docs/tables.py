"""The README's tables, made from the code. `python tests/docs/tables.py` writes them anew."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path

os.environ["CNNKIT_PLUGINS"] = ""  # the README documents what comes with cnnkit

from cnnkit import hookspecs
from cnnkit.cli import SUBVERBS, VERBS
from cnnkit.commands._options import option_rows
from cnnkit.hookspecs import FAMILIES
from cnnkit.plugins import load_plugins
from cnnkit.spec.runspec import ModelSpec, RunSpec, TrainSpec

README = Path(__file__).parents[2] / "README.md"
_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(text: str) -> str:
    """Return README text with every marked table filled in."""
    return _MARKED.sub(lambda m: m[1] + TABLES[m[2]]() + m[3], text)


def _row(*cells: str) -> str:
    return "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |\n"


def _head(*names: str) -> str:
    return _row(*names) + "|" + "---|" * len(names) + "\n"


def verbs() -> str:
    text = _head("verb", "what it does")
    for name, help_ in VERBS.items():
        text += _row(f"`cnnkit {name}`", help_)
        for inner, help_ in SUBVERBS.get(name, {}).items():
            text += _row(f"`cnnkit {name} {inner}`", help_)
    return text


def hooks() -> str:
    rows = []
    for name, function in vars(hookspecs).items():
        if name.startswith("cnnkit_"):
            signature = str(inspect.signature(function)).replace("'", "")
            rows.append(_row(f"`{name}{signature}`", inspect.getdoc(function) or ""))
    return _head("hook", "what it returns") + "".join(rows)


def _component_rows(family: str) -> str:
    entries = sorted(load_plugins().entries(family), key=lambda e: e.type)
    text = _head("type", "option", "values", "default", "meaning")
    for entry in entries:
        summary = (inspect.getdoc(entry.cls) or "").split("\n\n")[0]
        text += _row(f"**`{entry.type}`**", "", "", "", summary)
        for row in option_rows(entry.cls):
            if row.name in _INHERITED.get(family, ()):
                continue
            default = "required" if row.default is None else f"`{row.default}`" * bool(row.default)
            text += _row("", f"`{row.name}`", row.type, default, row.description)
    return text


_INHERITED = {"datasets": ("validation", "transforms", "fallback", "only")}
"""Options that every type of a family has; shown once, under the family's own name."""


def sections() -> str:
    text = _head("section", "key", "meaning")
    for name, cls in (("", RunSpec), ("[model]", ModelSpec), ("[train]", TrainSpec)):
        for key, doc in _docs(cls).items():
            text += _row(f"`{name}`" if name else "", f"`{key}`", doc)
    dataset = FAMILIES["datasets"].option_docs()
    for key in _INHERITED["datasets"]:
        text += _row("`[data]`", f"`{key}`", dataset[key])
    return text


def _docs(cls: type) -> dict[str, str]:
    """Return the string literals under a class's fields."""
    from cnnkit.base.component import attribute_docstrings

    docs = attribute_docstrings(cls)
    return {name: docs[name] for name in cls.model_fields}  # type: ignore[attr-defined]


def families() -> str:
    return "".join(
        f"\n#### {family}\n\n" + _component_rows(family)
        for family in FAMILIES
        if family != "layers"
    ).lstrip("\n")


TABLES = {
    "verbs": verbs,
    "hooks": hooks,
    "layers": lambda: _component_rows("layers"),
    "families": families,
    "sections": sections,
}

if __name__ == "__main__":
    README.write_text(render(README.read_text(encoding="utf-8")), encoding="utf-8")
