"""Scaffold: a whole plugin to start from, made of the templates in this folder."""

from __future__ import annotations

import builtins
import keyword
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from cnnkit.errors import CnnkitError, RunError

FAMILIES = {
    "layer": "A layer",
    "loss": "A loss",
    "optimizer": "An optimizer",
    "schedule": "A learning-rate schedule",
    "initializer": "An initializer",
    "dataset": "A dataset",
    "transform": "A transform",
    "metric": "A metric",
    "observer": "An observer",
    "callback": "A callback",
    "backend": "A backend",
    "command": "A verb",
}
"""What a plugin may be made for; each has a folder of templates here."""

_NAME = re.compile(r"cnnkit(-[a-z][a-z0-9]*)(-[a-z0-9]+)*")
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class Names:
    """What the parts of a plugin are called, all told by its distribution: "cnnkit-soft-plus"."""

    distribution: str

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.distribution) and len(self.distribution) <= _LONGEST:
            return
        given = self.distribution.lower().replace("_", "-").removeprefix("cnnkit-")
        near = f"cnnkit-{given}"
        meant = (
            f'; did you mean "{near}"?'
            if near != self.distribution and _NAME.fullmatch(near)
            else ""
        )
        raise CnnkitError(
            f"{self.distribution!r} is no name for a plugin{meant}\n   = help: expected cnnkit- "
            f"and lower-case words, such as cnnkit-soft-plus; at most {_LONGEST} characters"
        )

    @property
    def module(self) -> str:
        """The module, "cnnkit_soft_plus"."""
        return self.distribution.replace("-", "_")

    @property
    def type(self) -> str:
        """The name in specs, "soft_plus"."""
        return self.module.removeprefix("cnnkit_")

    @property
    def verb(self) -> str:
        """The word on the command line, "soft-plus"."""
        return self.type.replace("_", "-")

    @property
    def cls(self) -> str:
        """The class, "SoftPlus"."""
        return "".join(word.capitalize() for word in self.type.split("_"))


def make_plugin(names: Names, family: str, cnnkit_version: str) -> dict[str, str]:
    """Return a package's files as {path inside it: text}.

    Raises:
        CnnkitError: where the name means something else already in the module's code.
    """
    module = _template(family, "module.py")
    _check_free(names.type if family == "command" else names.cls, module.template)
    title = names.verb if family == "command" else names.type
    facts = {
        "distribution": names.distribution, "module": names.module, "type": names.type,
        "verb": names.verb, "class": names.cls, "range": _range(cnnkit_version),
        "summary": f"{FAMILIES[family]} for cnnkit: {title}.",
    }  # fmt: skip
    facts["usage"] = _template(family, "usage.md").substitute(facts)
    made = {
        "pyproject.toml": _template("common", "pyproject.toml"),
        "README.md": _template("common", "README.md"),
        ".gitignore": _template("common", "gitignore"),
        ".github/workflows/ci.yml": _template("common", "ci.yml"),
        f"{names.module}/__init__.py": module,
        f"{names.module}/py.typed": Template(""),
        f"specs/{names.type}.toml": _template(family, "spec.toml"),
        f"tests/test_{names.type}.py": _template(family, "test.py"),
    }
    return {path: template.substitute(facts) for path, template in made.items()}


def write_plugin(folder: Path, made: dict[str, str]) -> None:
    """Write the files into a new folder; what exists is never touched.

    Raises:
        RunError: where the folder exists, or cannot be written.
    """
    try:
        folder.mkdir(parents=True)
        for path, text in made.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8", newline="\n")
    except FileExistsError:
        raise RunError(
            f"{folder} exists already and is left as it is; name another folder with --out"
        ) from None
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror}") from error


def _template(folder: str, name: str) -> Template:
    file = files("cnnkit.scaffold") / folder / f"{name}.tmpl"
    return Template(file.read_text(encoding="utf-8"))


def _range(version: str) -> str:
    """Return the versions that promise to understand what is written for this one.

    >>> _range("0.1.3"), _range("2.4.1")
    ('>=0.1,<0.2', '>=2.4,<3')
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    return f">={major}.{minor},<{f'0.{minor + 1}' if major == 0 else major + 1}"


def _check_free(name: str, module: str) -> None:
    imports = [line for line in module.splitlines() if line.startswith(("import ", "from "))]
    taken = set(re.findall(r"\w+", " ".join(imports))) | set(keyword.kwlist) | set(dir(builtins))
    if name in taken:
        raise CnnkitError(f"{name!r} means something else in Python code; choose another name")
    if name.lower().startswith("test"):  # the generated tests import it
        raise CnnkitError(f"pytest takes {name!r} for a test; choose another name")
