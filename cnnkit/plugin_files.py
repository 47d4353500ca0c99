"""Plugin files: a Python file that is a whole plugin, where the command line names it."""

from __future__ import annotations

import inspect
import re
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import ExecutionLoader
from importlib.util import decode_source, module_from_spec, spec_from_loader
from io import StringIO
from pathlib import Path
from types import ModuleType

from cnnkit.errors import CnnkitError, PluginError, Terminated
from cnnkit.files.durable import read_bytes
from cnnkit.hookspecs import FAMILIES
from cnnkit.plugins import GIVEN_FILES, ask, has_hooks, one_line, quietly
from cnnkit.registry import Plugin, PluginFile, canonical

_MAX_BYTES = 2**20
_KINDS = {
    ImportError: "install what it imports; a plugin file cannot import the files beside it",
    SystemExit: "take out what ends the program: a plugin file is imported, not run",
}
"""What to say of some exceptions, besides where they came from."""


@contextmanager
def plugin_files(paths: Sequence[str]) -> Iterator[None]:
    """Let `load_plugins` offer inside the block what these files register.

    Raises:
        PluginError: for a file that cannot be loaded, as somebody asked for it.
    """
    token = GIVEN_FILES.set(_loaded(paths))
    try:
        yield
    finally:
        GIVEN_FILES.reset(token)


def _loaded(paths: Sequence[str]) -> tuple[Plugin, ...]:
    found: dict[str, Plugin] = {}
    for path in paths:
        plugin = load_file(path)
        other = found.setdefault(canonical(plugin.distribution), plugin)
        if other.version != plugin.version:
            raise PluginError(
                f"{other.name} and {path} are two plugin files, and both go by the name "
                f"{plugin.distribution}\n   = help: give one of them another name"
            )
    return tuple(found.values())


def load_file(path: str) -> Plugin:
    """Run a Python file, and collect what its hooks register, as of an installed plugin.

    Neither its folder nor its name can be imported, so it stands in no other module's way.

    Args:
        path: as it was given; its name without what no distribution may have is its owner's.

    Raises:
        PluginError: where it cannot be read or run, or registers nothing: file, line and why.
    """
    file = PluginFile(path, _content(path))
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(path).stem).strip("._-") or "plugin"
    short = file.sha256[:12]
    module = f"{re.sub('[.-]', '_', stem)}@{short}"
    plugin = Plugin(path, f"{stem}.py", f"sha256:{short}", module, file=file)
    started, printed = time.perf_counter(), StringIO()
    try:
        with quietly(printed):
            ran = _run(plugin.module, file)
            _refuse_without_hook(ran, path)
            plugin = ask(plugin, ran)
    except (KeyboardInterrupt, Terminated):
        raise
    except PluginError as error:
        raise PluginError(f"plugin file {path}: {error}") from error
    except BaseException as error:  # SystemExit too, as of an installed one
        raise PluginError(_failure(file, error)) from error
    seconds = time.perf_counter() - started
    return plugin._replace(seconds=seconds, printed=printed.getvalue())


def _content(path: str) -> bytes:
    try:
        if Path(path).stat().st_size > _MAX_BYTES:
            raise CnnkitError(f"cannot read {path}: it is larger than 1 MiB")
        return read_bytes(Path(path))
    except (OSError, ValueError, CnnkitError) as error:
        why = f"cannot read {path}: {error.strerror}" if isinstance(error, OSError) else error
        raise PluginError(
            f"{why}\n   = help: --plugin takes the path of a Python file; an installed plugin "
            "needs none"
        ) from error


class _Loader(ExecutionLoader):
    """Makes a module of the bytes that the sha256 is of, and leaves no cache beside the file."""

    def __init__(self, file: PluginFile) -> None:
        self._file = file

    def get_filename(self, fullname: str) -> str:
        return str(Path(self._file.path).absolute())

    def get_source(self, fullname: str) -> str:
        return decode_source(self._file.content)


def _run(name: str, file: PluginFile) -> ModuleType:
    """Return the file as a module, which is run once in a process as any other."""
    loader = _Loader(file)
    known = sys.modules.get(name)
    if known is not None and known.__file__ == loader.get_filename(name):
        return known
    spec = spec_from_loader(name, loader)
    if spec is None:  # as the signature has it; a loader with a file name always gets one
        raise PluginError("it is no module")
    module = sys.modules[name] = module_from_spec(spec)  # where pydantic looks for annotations
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _refuse_without_hook(module: ModuleType, path: str) -> None:
    """Say which lines a file lacks.

    Raises:
        PluginError: where it has no hook.
    """
    if has_hooks(module):
        return
    own = [value for value in vars(module).values() if isinstance(value, type)
           and value.__module__ == module.__name__ and not inspect.isabstract(value)]  # fmt: skip
    offers = {f: [cls.__name__ for cls in own if issubclass(cls, base)]
              for f, base in FAMILIES.items()}  # fmt: skip
    offers = {family: names for family, names in offers.items() if names}
    if not offers:
        raise PluginError(
            "it has no hook, and no layer or the like; expected such a class, and a function "
            "marked with @cnnkit.hookimpl that returns it, such as cnnkit_layers"
        )
    hooks = (f"\n\n@hookimpl\ndef cnnkit_{family}():\n    return [{', '.join(names)}]"
             for family, names in offers.items())  # fmt: skip
    names = ", ".join(name for names in offers.values() for name in names)
    raise PluginError(
        f"it has no hook, so specs cannot name its {names}\n   = help: add these lines at its "
        f"end:\n\nfrom cnnkit import hookimpl{''.join(hooks)}"
    )


def _failure(file: PluginFile, error: BaseException) -> str:
    """Say what a file raised, with the line of its own that was at work."""
    name = _Loader(file).get_filename("")
    if isinstance(error, SyntaxError) and error.filename == name:
        what, line = f"is no Python: {error.msg}", error.lineno
    else:
        own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
        what, line = f"failed to load: {one_line(error)}", own[-1].lineno if own else None
    lines = file.content.decode(errors="replace").splitlines()
    text = f"plugin file {file.path} {what}"
    if line and line <= len(lines):
        edge = " " * len(str(line))
        text += f"\n  --> {file.path}:{line}\n {edge} |\n {line} | {lines[line - 1].rstrip()}"
    help_ = next((said for kind, said in _KINDS.items() if isinstance(error, kind)), "")
    if getattr(error, "code", None) == "model-field-overridden":
        help_ = 'write type: Literal["NAME"] = "NAME", behind: from typing import Literal'
    return f"{text}\n   = help: {help_}" if help_ else text
