"""The packages that cnnkit needs, or can use: are they there, new enough, and whole?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit import __version__
from cnnkit.commands._health import Ailment, Section
from cnnkit.commands._metadata import blames_another, damaged_entry_points
from cnnkit.stdout import stdout_to

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_MODULES = {"pillow": "PIL", "scikit-learn": "sklearn"}
"""What is imported under another name than it is installed."""


@dataclass(frozen=True, slots=True)
class Package:
    """A requirement and what became of it: `error` is "" where it can be used."""

    name: str
    needs: str
    version: str | None
    error: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else f"{self.name} (missing)"


def look_at_python() -> Section:
    """Return the interpreter."""
    found = ".".join(map(str, sys.version_info[:3]))
    name = sys.implementation.name
    facts = {"version": found, "implementation": name, "executable": sys.executable}
    section = Section(facts, [f"{found} ({name}), {sys.executable}"])
    for owner, said in damaged_entry_points().items():
        what = f"the entry points of {owner} cannot be read, which stops other packages: {said}"
        fix = f"pip install --force-reinstall {owner.partition(' ')[0]}"
        section.ailments.append(Ailment(what, fix))
    return section


def look_at_cnnkit() -> Section:
    """Return cnnkit's version and place, and whether it is installed as it is."""
    place = str(Path(__file__).parents[1])
    facts = {"version": __version__, "path": place}
    section = Section(facts, [f"{__version__}, {place}"])
    try:
        installed = version("cnnkit")
    except PackageNotFoundError:
        what = "cnnkit is not installed, so its own types cannot be found"
        section.ailments.append(Ailment(what, "pip install cnnkit", fatal=True))
        return section
    if installed != __version__:
        what = f"cnnkit {__version__} runs, but {installed} is what pip installed"
        section.ailments.append(Ailment(what, "install it anew: pip install -e ."))
    return section


def look_at_dependencies() -> Section:
    """Return every package that cnnkit cannot do without."""
    packages = [_package(wanted) for wanted in _requirements("")]
    section = Section([asdict(package) for package in packages])
    section.lines = [", ".join(map(str, packages))]
    for package in packages:
        if package.error:
            again = "--force-reinstall " if package.version else ""
            fix = f'pip install {again}"{package.name}{package.needs}"'
            section.ailments.append(Ailment(package.error, fix, fatal=True))
    return section


def look_at_extras() -> Section:
    """Return what is optional, and whether it works; what is not installed is no ailment."""
    section = Section({})
    for extra in metadata("cnnkit").get_all("Provides-Extra", []):
        packages = [_package(wanted) for wanted in _requirements(extra)]
        works = not any(package.error for package in packages)
        section.facts[extra] = {"works": works, "packages": [asdict(p) for p in packages]}
        listed = ", ".join(map(str, packages))
        install = "" if works else f'; pip install "cnnkit[{extra}]"'
        section.lines.append(f"{extra}: {'works' if works else 'no'}, {listed}{install}")
        for broken in (p for p in packages if p.error and p.version):
            if blames_another(broken.error):
                continue  # it is named already
            fix = f'pip install --force-reinstall "{broken.name}{broken.needs}"'
            section.ailments.append(Ailment(broken.error, fix))
    return section


def _requirements(extra: str) -> Iterator[Requirement]:
    """Yield what cnnkit's metadata ask for: always, or for an extra alone."""
    from packaging.requirements import Requirement

    for line in requires("cnnkit") or []:
        wanted = Requirement(line)
        always = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        taken = wanted.marker is None or wanted.marker.evaluate({"extra": extra})
        if wanted.name != "cnnkit" and taken and always is (extra == ""):
            yield wanted


def _package(wanted: Requirement) -> Package:
    name, needs = wanted.name, str(wanted.specifier)
    try:
        found = version(name)
    except PackageNotFoundError:
        return Package(name, needs, None, f"{name} is not installed")
    except Exception as error:  # whatever importlib.metadata does with damaged files
        said = f"the metadata of {name} are damaged: {type(error).__name__}: {error}"
        return Package(name, needs, "?", said)
    fits = wanted.specifier.contains(found, prereleases=True)
    other = f"{name} {found} is installed, but cnnkit needs {name}{needs}"
    return Package(name, needs, found, _import_error(name, found) if fits else other)


def _import_error(name: str, found: str) -> str:
    """Import a package; return "", or what is wrong with it."""
    module = _MODULES.get(name.lower(), name.replace("-", "_"))
    try:
        with stdout_to(StringIO()):
            import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a package of this name may do anything
        said = " ".join(str(error).split())
        return f"{name} {found} cannot be imported: {type(error).__name__}: {said}"
    return ""
