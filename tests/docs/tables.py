"""The tables of the README and the pages, made from the code.

`python tests/docs/tables.py` writes them anew, wherever a page has a marker for one; with --check
it writes nothing, and fails where one is out of date.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path

from cnnkit.described import option_docs

os.environ["CNNKIT_PLUGINS"] = ""  # the pages document what comes with cnnkit
os.environ["COLUMNS"] = "400"  # so that no line of help is broken

import cnnkit
from cnnkit import hookspecs
from cnnkit.cli import SUBVERBS, VERBS, main
from cnnkit.commands.layers import OptionRow, option_rows
from cnnkit.hookspecs import FAMILIES
from cnnkit.plugins import load_plugins
from cnnkit.specfile.runspec import ModelSpec, PredictSpec, RunSpec, TrainSpec

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / ".github" / "docs").glob("*.md"))]
PUBLIC = ["cnnkit", "cnnkit.base", "cnnkit.arrays", "cnnkit.errors", "cnnkit.testing"]
_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(text: str) -> str:
    """Return a page's text with every marked table filled in."""
    return _MARKED.sub(lambda m: m[1] + TABLES[m[2]]() + m[3], text)


def _row(*cells: str) -> str:
    return "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |\n"


def _head(*names: str) -> str:
    return _row(*names) + "|" + "---|" * len(names) + "\n"


def _verbs() -> dict[str, str]:
    found = {}
    for name, help_ in VERBS.items():
        found[name] = help_
        found |= {f"{name} {inner}": text for inner, text in SUBVERBS.get(name, {}).items()}
    return found


def verbs() -> str:
    rows = (_row(f"`cnnkit {name}`", help_) for name, help_ in _verbs().items())
    return _head("verb", "what it does") + "".join(rows)


def flags() -> str:
    """Return what each verb's `--help` lists: arguments, then flags."""
    text = _head("verb", "argument or flag", "meaning")
    for name in _verbs():
        with redirect_stdout(StringIO()) as printed:
            main([*name.split(), "--help"])
        help_ = re.sub(r" *\n {8,}", " ", printed.getvalue())  # a meaning may take two lines
        listed = re.findall(r"^  (\S+(?: \S+)?) {2,}(\S.*?) *$", help_, re.MULTILINE)
        text += _row(f"**`{name}`**", "", "")
        text += "".join(_row("", f"`{label}`", meaning) for label, meaning in listed)
    return text


def fit() -> str:
    """Return what the docstring of `cnnkit.fit` says of its arguments."""
    told = (inspect.getdoc(cnnkit.fit) or "").partition("Args:\n")[2].partition("\nRaises:")[0]
    told = re.sub(r"\n {8}", " ", told)  # a meaning may take several lines
    listed = re.findall(r"^ {4}(.*?): (.*)$", told, re.MULTILINE)
    rows = (_row(re.sub(r"\w+", r"`\g<0>`", names), said) for names, said in listed)
    return _head("argument", "what it is") + "".join(rows)


def public() -> str:
    rows = (_row(f"`{name}`", ", ".join(f"`{n}`" for n in _names(name))) for name in PUBLIC)
    return _head("module", "names") + "".join(rows)


def _names(module: str) -> list[str]:
    return sorted(import_module(module).__all__, key=str.lower)


def layout() -> str:
    """Return the parts of the package, each with the first line of its docstring."""
    package = ROOT / "cnnkit"
    found = {f"{path.parent.name}/": path for path in package.glob("*/__init__.py")}
    found |= {path.name: path for path in package.glob("*.py")}
    rows = []
    for name, path in sorted(found.items(), key=lambda item: ("/" not in item[0], item[0])):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        rows.append(_row(f"[`{name}`](../../cnnkit/{name})", doc.split("\n")[0]))
    return _head("part", "what it is") + "".join(rows)


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
    common = FAMILIES[family].common
    if common:
        text += _row("**every type**", "", "", "", f"What all {family} take.")
        text += "".join(_option(row) for row in option_rows(entries[0].cls) if row.name in common)
    for entry in entries:
        summary = (inspect.getdoc(entry.cls) or "").split("\n\n")[0]
        text += _row(f"**`{entry.type}`**", "", "", "", summary)
        for row in option_rows(entry.cls):
            if row.name not in common and row.name not in _INHERITED.get(family, ()):
                text += _option(row)
    return text


def _option(row: OptionRow) -> str:
    default = "required" if row.default is None else f"`{row.default}`" * bool(row.default)
    return _row("", f"`{row.name}`", row.type, default, row.description)


_INHERITED = {"datasets": ("validation", "folds", "fold", "transforms", "fallback", "only")}
"""Options that every type of a family has; shown once, under the family's own name."""


def sections() -> str:
    text = _head("section", "key", "meaning")
    sections = {"": RunSpec, "[model]": ModelSpec, "[train]": TrainSpec, "[predict]": PredictSpec}
    for name, cls in sections.items():
        for key, doc in option_docs(cls).items():
            text += _row(f"`{name}`" if name else "", f"`{key}`", doc)
    dataset = option_docs(FAMILIES["datasets"])
    for key in _INHERITED["datasets"]:
        text += _row("`[data]`", f"`{key}`", dataset[key])
    return text


def families() -> str:
    return "".join(
        f"\n## {family}\n\n" + _component_rows(family) for family in FAMILIES if family != "layers"
    ).lstrip("\n")


TABLES = {
    "verbs": verbs,
    "hooks": hooks,
    "layers": lambda: _component_rows("layers"),
    "families": families,
    "sections": sections,
    "flags": flags,
    "fit": fit,
    "public": public,
    "layout": layout,
}

if __name__ == "__main__":
    old = {page: page.read_text(encoding="utf-8") for page in PAGES}
    new = {page: render(text) for page, text in old.items()}
    if sys.argv[1:] == ["--check"]:
        raise SystemExit(old != new)
    for page, text in new.items():
        page.write_text(text, encoding="utf-8", newline="\n")
