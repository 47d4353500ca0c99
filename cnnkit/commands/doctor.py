"""`cnnkit doctor`: what is installed, what works, and how to mend what does not."""

from __future__ import annotations

import json as json_format
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distributions, metadata, requires, version
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnkit import __version__
from cnnkit.commands._console import emit, facts
from cnnkit.errors import CnnkitError
from cnnkit.stdout import stdout_to

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from cnnkit.base import DataPaths
    from cnnkit.datasets.published import Published
    from cnnkit.registry import Plugin

# What needs NumPy is imported where it is used: the doctor works where NumPy does not.


def doctor(*, json: bool = False) -> int:
    """Say what is installed, what works, and how to mend what does not.

    The exit code is 2 where something is broken that every run needs; a broken plugin, a missing
    extra or missing data are not: it is 0 then.

    Args:
        json: print one JSON document.
    """
    sections: dict[str, Section] = {}
    for place, look in _PLACES.items():
        explained = any(ailment.fatal for s in sections.values() for ailment in s.ailments)
        section = sections[place] = examine(place, look)
        if section.facts is None and explained:  # for want of what is known to be broken
            section.ailments = []
    ailments = [ailment for section in sections.values() for ailment in section.ailments]
    well = not any(ailment.fatal for ailment in ailments)
    if json:
        found = {place: section.facts for place, section in sections.items()}
        problems = [{"severity": a.severity, "what": a.what, "fix": a.fix} for a in ailments]
        emit(json_format.dumps({"ok": well, **found, "problems": problems}))
    else:
        _print(sections, ailments)
    return 0 if well else CnnkitError.exit_code


@dataclass(frozen=True, slots=True)
class Ailment:
    """Something wrong, and how to mend it; `fatal` where no run can work before that."""

    what: str
    fix: str
    fatal: bool = False

    @property
    def severity(self) -> str:
        """The word that a line about it starts with."""
        return "error" if self.fatal else "warning"


@dataclass(slots=True)
class Section:
    """What was found in one place: `facts` for programs, `lines` for people."""

    facts: Any = None
    lines: list[str] = field(default_factory=list)
    ailments: list[Ailment] = field(default_factory=list)

    def report(self, what: str, fix: str, fatal: bool = False) -> None:
        """Note that something is wrong."""
        self.ailments.append(Ailment(what, fix, fatal))


def examine(place: str, look: Callable[[], Section]) -> Section:
    """Return what `look` finds; where it cannot even look, that is the finding."""
    try:
        return look()
    except (Exception, SystemExit) as error:  # a broken package may raise anything
        section = Section(None, ["unknown"])
        fix = "mend what it names, then ask again"
        section.report(f"{place} cannot be examined: {_said(error)}", fix, fatal=True)
        return section


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _print(sections: dict[str, Section], ailments: list[Ailment]) -> None:
    made = facts()
    for place, section in sections.items():
        for number, line in enumerate(section.lines):
            made.add_row("" if number else place, line)
    emit(made)
    for ailment in ailments:
        emit(f"\n{ailment.severity}: {ailment.what}\n   = fix: {ailment.fix}")
    counts = Counter(ailment.severity for ailment in ailments)
    words = [f"{n} {word}{'s' * (n > 1)}" for word, n in sorted(counts.items())]
    emit("\n" + (", ".join(words) or "nothing is wrong"))


def look_at_python() -> Section:
    """Return the interpreter, and whose metadata it stumbles over."""
    found, name = ".".join(map(str, sys.version_info[:3])), sys.implementation.name
    facts = {"version": found, "implementation": name, "executable": sys.executable}
    section = Section(facts, [f"{found} ({name}), {sys.executable}"])
    for owner, said in damaged_entry_points().items():
        what = f"the entry points of {owner} cannot be read, which stops other packages: {said}"
        section.report(what, f"pip install --force-reinstall {owner.partition(' ')[0]}")
    return section


def damaged_entry_points() -> dict[str, str]:
    """Return the distributions whose entry points cannot be read, each with the error.

    The standard library reads those of all distributions to find one, so one of them fails
    programs that have nothing to do with it.
    """
    found = {}
    for distribution in distributions():
        try:
            tuple(distribution.entry_points)
        except Exception as error:  # whatever importlib.metadata does with files like these
            folder = getattr(getattr(distribution, "_path", None), "name", "?")
            name = folder.removesuffix(".dist-info").replace("-", " ")
            found[name] = f"{type(error).__name__}: {error}"
    return found


def look_at_cnnkit() -> Section:
    """Return cnnkit's version and place, and whether it is installed as it is."""
    place = str(Path(__file__).parents[1])
    section = Section({"version": __version__, "path": place}, [f"{__version__}, {place}"])
    try:
        installed = version("cnnkit")
    except PackageNotFoundError:
        what = "cnnkit is not installed, so its own types cannot be found"
        section.report(what, "pip install cnnkit", fatal=True)
        return section
    if installed != __version__:
        what = f"cnnkit {__version__} runs, but {installed} is what pip installed"
        section.report(what, "install it anew: pip install -e .")
    return section


class Package(NamedTuple):
    """A requirement and what became of it: `error` is "" where it can be used."""

    name: str
    needs: str
    version: str | None
    error: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else f"{self.name} (missing)"


def look_at_dependencies() -> Section:
    """Return every package that cnnkit cannot do without."""
    packages = [_package(wanted) for wanted in _requirements("")]
    section = Section([package._asdict() for package in packages], [", ".join(map(str, packages))])
    for package in packages:
        if package.error:
            again = "--force-reinstall " if package.version else ""
            fix = f'pip install {again}"{package.name}{package.needs}"'
            section.report(package.error, fix, fatal=True)
    return section


def look_at_extras() -> Section:
    """Return what is optional, and whether it works; what is not installed is no ailment."""
    section, damaged = Section({}), damaged_entry_points().values()
    for extra in metadata("cnnkit").get_all("Provides-Extra", []):
        packages = [_package(wanted) for wanted in _requirements(extra)]
        works = not any(package.error for package in packages)
        section.facts[extra] = {
            "works": works,
            "packages": [package._asdict() for package in packages],
        }
        install = "" if works else f'; pip install "cnnkit[{extra}]"'
        listed = f"{'works' if works else 'no'}, {', '.join(map(str, packages))}"
        section.lines.append(f"{extra}: {listed}{install}")
        for package in packages:
            is_named_already = any(package.error.endswith(error) for error in damaged)
            if package.error and package.version and not is_named_already:
                fix = f'pip install --force-reinstall "{package.name}{package.needs}"'
                section.report(package.error, fix)
    return section


def _requirements(extra: str) -> Iterator[Requirement]:
    """Yield what cnnkit's metadata ask for: always, or for an extra alone."""
    from packaging.requirements import Requirement

    for wanted in map(Requirement, requires("cnnkit") or []):
        always = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        taken = wanted.marker is None or wanted.marker.evaluate({"extra": extra})
        if wanted.name != "cnnkit" and taken and always is (extra == ""):
            yield wanted


_MODULES = {"pillow": "PIL", "scikit-learn": "sklearn"}
"""What is imported under another name than it is installed."""


def _package(wanted: Requirement) -> Package:
    name, needs = wanted.name, str(wanted.specifier)
    try:
        found = version(name)
    except PackageNotFoundError:
        return Package(name, needs, None, f"{name} is not installed")
    except Exception as error:  # whatever importlib.metadata does with damaged files
        said = f"the metadata of {name} are damaged: {type(error).__name__}: {error}"
        return Package(name, needs, "?", said)
    if not wanted.specifier.contains(found, prereleases=True):
        other = f"{name} {found} is installed, but cnnkit needs {name}{needs}"
        return Package(name, needs, found, other)
    try:
        with stdout_to(StringIO()):
            import_module(_MODULES.get(name.lower(), name.replace("-", "_")))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a package of this name may do anything
        return Package(name, needs, found, f"{name} {found} cannot be imported: {_said(error)}")
    return Package(name, needs, found, "")


def look_at_machine() -> Section:
    """Return cores, threads and memory."""
    from cnnkit.arrays import size
    from cnnkit.memory import physical_memory
    from cnnkit.runs.environment import environment
    from cnnkit.workers import physical_cores

    made, memory, threads = environment({}), physical_memory(), physical_cores()
    system, cpu, cores = made["os"], made["cpu"]["model"], made["cpu"]["count"]
    facts = {"os": system, "cpu": cpu, "cores": cores, "threads": threads, "memory": memory}
    used = f"{cores} cores, of which runs use {threads}; {size(memory)} of memory"
    return Section(facts, [f"{system}, {cpu}", used])


def look_at_blas() -> Section:
    """Return what multiplies matrices, with the kernel it has chosen for this processor."""
    from cnnkit.runs.environment import environment

    section = Section(environment({})["blas"])
    for library in section.facts:
        kernel = f"kernel {library['kernel']}" if library["kernel"] else "unknown kernel"
        threads = f"{library['threads']} threads, 1 during runs"
        section.lines.append(f"{library['library']} {library['version']}, {kernel}, {threads}")
    if not section.facts:
        section.lines.append("none that is known")
        what = "NumPy multiplies matrices with no BLAS that is known: runs may be slow"
        fix = "install NumPy's own build, which brings one: pip install --force-reinstall numpy"
        section.report(what, fix)
    return section


def look_at_backends() -> Section:
    """Return what can compute a network, and how it is chosen."""
    from cnnkit.plugins import find_component, load_plugins

    section, registry = Section([]), load_plugins()
    for entry in registry.entries("backends"):
        try:
            facts = dict(find_component("backends", entry.qualified, registry).describe())
        except Exception as error:  # a plugin's
            what = f"the backend {entry.type} of {entry.owner} cannot be used: {_said(error)}"
            section.report(what, f"pip install --force-reinstall {entry.distribution}")
            continue
        section.facts.append({"type": entry.type, "from": entry.owner, **facts})
        told = "".join(f", {name} {value}" for name, value in facts.items())
        chosen = "unless another is chosen" if entry.built_in else f"--backend {entry.type}"
        section.lines.append(f"{entry.type} of {entry.owner}{told}: {chosen}")
    return section


def look_at_caches() -> Section:
    """Return where downloads are kept, and how much they take."""
    from cnnkit.arrays import size
    from cnnkit.base import DataPaths
    from cnnkit.datasets.download import cache_folder

    folder = cache_folder(DataPaths())
    taken = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    writable = existing.is_dir() and os.access(existing, os.W_OK)
    facts = [{"what": "downloads", "path": str(folder), "bytes": taken, "writable": writable}]
    section = Section(facts, [f"downloads: {folder}, {size(taken)}"])
    if not writable:
        what = f"downloads cannot be kept in {folder}: {existing} is not a folder to write to"
        section.report(
            what, "mend its permissions, or get the data by hand and set CNNKIT_DATA_DIR"
        )
    return section


def look_at_data() -> Section:
    """Return the folder of datasets, and whether Fashion-MNIST can be had without a network."""
    from cnnkit.base import DataPaths
    from cnnkit.datasets.mnist import FashionMnist
    from cnnkit.runs.data import data_folder

    folder = data_folder()
    section = _fashion_mnist(FashionMnist(transforms=[]), DataPaths(data_dir=folder))
    section.facts["CNNKIT_DATA_DIR"] = folder and str(folder)
    section.lines.insert(0, f"CNNKIT_DATA_DIR: {folder or 'not set'}")
    if folder and not folder.is_dir():
        what = f"CNNKIT_DATA_DIR names {folder}, which is no folder"
        section.report(what, "make it, or name the folder that holds the data")
    return section


def _fashion_mnist(dataset: Published, paths: DataPaths) -> Section:
    from cnnkit.datasets.files import digest

    files = {file.name: dataset.local(file, paths) for file in dataset.files}
    found = {name: path for name, path in files.items() if path}
    published = {file.name: file for file in dataset.files}
    damaged = [path for name, path in found.items() if digest(path) != published[name].hash(path)]
    state = "found" if len(found) == len(files) else "incomplete" if found else "not found"
    state = "damaged" if damaged else state
    where = ", ".join(sorted({str(path.parent) for path in found.values()}))
    facts = {"state": state, "files": {name: path and str(path) for name, path in files.items()}}
    line = f"Fashion-MNIST: {state}{f' in {where}' if where else ''}"
    section = Section({"fashion_mnist": facts}, [line])
    for path in damaged:
        what = f"{path} is not the file that was published as Fashion-MNIST"
        section.report(what, "delete it, and get it anew")
    return section


def look_at_plugins() -> Section:
    """Return every third-party plugin, and what is wrong with it or with cnnkit's own."""
    from cnnkit.commands._plugins import conflicts
    from cnnkit.plugins import load_plugins
    from cnnkit.registry import CORE, canonical

    registry = load_plugins()
    third = registry.third_party()
    section = Section([
        {"distribution": plugin.distribution, "version": plugin.version, "name": plugin.name,
         "requires": plugin.requires, "state": plugin.state, "error": plugin.error or None}
        for plugin in third
    ])  # fmt: skip
    section.lines = [f"{plugin.owner}: {plugin.state}" for plugin in third] or ["none"]
    if missing := registry.missing_built_ins():  # of an old or interrupted installation
        what = f"{CORE}'s own {', '.join(missing)} are not registered"
        section.report(what, f"pip install --force-reinstall {CORE}", fatal=True)
    known = {canonical(n) for p in registry.plugins for n in (p.distribution, p.name)}
    for chosen in os.environ.get("CNNKIT_PLUGINS", "").replace(" ", "").split(","):
        if chosen and canonical(chosen) not in known:
            what = f"CNNKIT_PLUGINS names {chosen}, which is no installed plugin"
            section.report(what, f"pip install {chosen}, or take it out of CNNKIT_PLUGINS")
    for plugin in registry.plugins:
        section.ailments += _ailments(plugin)
    for what, fix in conflicts(registry):
        section.report(what, fix)
    return section


def _ailments(plugin: Plugin) -> Iterator[Ailment]:
    from cnnkit.registry import CORE

    name, what = plugin.distribution, f"plugin {plugin.owner} {plugin.defect}"
    if plugin.error and name == CORE:
        yield Ailment(what, f"pip install --force-reinstall {CORE}", fatal=True)
    elif plugin.error:
        yield Ailment(what, f"pip install --upgrade {name}, or pip uninstall {name}; "
                            "`cnnkit plugins --verbose` shows where it failed")  # fmt: skip
    if plugin.requires and not _in_range(plugin.requires):
        asks = f"asks for {CORE}{plugin.requires}, and {__version__} is installed"
        fix = f'pip install --upgrade {name}, or pip install "{CORE}{plugin.requires}"'
        yield Ailment(f"plugin {plugin.owner} {asks}", fix)


def _in_range(requires: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(requires).contains(__version__, prereleases=True)
    except InvalidSpecifier:
        return False


_LOOKS = (look_at_python, look_at_cnnkit, look_at_dependencies, look_at_extras, look_at_machine,
          look_at_blas, look_at_backends, look_at_caches, look_at_data,
          look_at_plugins)  # fmt: skip
_PLACES = {look.__name__.removeprefix("look_at_"): look for look in _LOOKS}
