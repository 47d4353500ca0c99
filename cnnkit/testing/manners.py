"""Checks of manners, for any family: what a component does besides computing."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.base import Component
from cnnkit.base.component import walk
from cnnkit.testing.check import Fault, Kit, require
from cnnkit.testing.tools import global_seed, global_state

Use = Callable[..., None]
"""Calls every method of a component once: `use(component, *case)`."""
_OUTSIDE = ("socket.", "subprocess.", "shutil.", "tempfile.", "urllib.", "http.", "ftplib.", "os.")
_IMPORTING = {"os.listdir", "os.scandir"}  # a first import lists folders
_CODE = (".py", ".pyc", ".so", ".pyd")
_CHANGED = {"os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.truncate": 0, "os.rename": 1,
            "os.link": 1, "os.symlink": 1}  # fmt: skip
"""Events that change a file or folder, and which of their arguments is its path."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_here = threading.local()


def add_manners(kit: Kit, use: Use, *, reads_files: bool = False) -> None:
    """Register the checks of manners, for a family whose methods `use` calls."""

    @kit.check
    def silent(component: Component, *case: Any) -> None:
        """Nothing is printed: stdout belongs to the command, and --json is parsed."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            use(component, *case)
        require(
            not out.getvalue(),
            f"the {component.type} component prints",
            expected="nothing on stdout or stderr",
            got=repr(out.getvalue()[:80]),
            fix="drop the print; raise an error where something is wrong",
        )

    if not reads_files:

        @kit.check
        def no_side_effects(component: Component, *case: Any) -> None:
            """No file, network connection or process is opened: a spec is data, and runs replay."""
            with watched() as seen:
                use(component, *case)
            require(
                not seen,
                f"the {component.type} component reaches outside its arrays",
                expected="no file, network or process",
                got="; ".join(seen[:3]),
                fix="put what it reads into its options or its weights; load data in a dataset",
            )

    @kit.check
    def global_randomness_untouched(component: Component, *case: Any) -> None:
        """np.random's and random's global states are neither drawn from nor seeded."""
        with global_seed(271828):
            before = global_state()
            use(component, *case)
            after = global_state()
        require(
            after == before,
            f"the {component.type} component changes the global random state",
            expected="draws from the rng it is given, or from ctx.rng()",
            got="another state of np.random or random",
            fix="replace np.random.x(...) by rng.x(...) or ctx.rng().x(...); never seed",
        )

    @kit.check
    def no_warnings(component: Component, *case: Any) -> None:
        """It works with warnings as errors, on ordinary values and on zeros."""
        with warnings.catch_warnings(), np.errstate(divide="warn", over="warn", invalid="warn"):
            warnings.simplefilter("error")
            try:
                use(component, *case)
            except Warning as warning:
                raise Fault(
                    f"{type(warning).__name__}: {warning}",
                    expected="no warning",
                    got=type(warning).__name__,
                    fix="compute without the overflow or division; do not silence it",
                ) from warning

    @kit.check
    def keeps_no_state(component: Component, *case: Any) -> None:
        """Using it leaves no trace on it or its class: two threads may use it at once."""
        require_no_state(component, lambda: use(component, *case))


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collect this thread's files, sockets and processes as lines; imports do not count."""
    seen: list[str] = []

    def note(event: str, args: tuple[Any, ...]) -> None:
        if _counts(event, args):
            seen.append(f"{event}({', '.join(repr(arg) for arg in args[:2])})")

    with _noting(note):
        yield seen


@contextmanager
def changed_files() -> Iterator[list[Path]]:
    """Collect the absolute path of every file and folder that this thread writes, makes, renames
    or removes; devices do not count, nor does what imports leave behind."""
    changed: list[Path] = []

    def note(event: str, args: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(args[2], int) and args[2] & _WRITING
        path = args[0 if writes else _CHANGED[event]] if writes or event in _CHANGED else None
        if path is not None and not isinstance(path, int):  # a number is an open file's
            whole = Path(os.fsdecode(path)).resolve()
            if whole.parts[1:2] != ("dev",) and "__pycache__" not in whole.parts:
                changed.append(whole)

    with _noting(note):
        yield changed


@contextmanager
def _noting(note: Callable[[str, tuple[Any, ...]], None]) -> Iterator[None]:
    _install()
    _here.note = note
    try:
        yield
    finally:
        _here.note = None


@cache  # an audit hook can never be removed, so one is enough
def _install() -> None:
    sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    note: Callable[[str, tuple[Any, ...]], None] | None = getattr(_here, "note", None)
    if note is not None:
        note(event, args)


def _counts(event: str, args: tuple[Any, ...]) -> bool:
    if event == "open":
        return not str(args[0]).endswith(_CODE)
    return event.startswith(_OUTSIDE) and event not in _IMPORTING


def require_no_state(component: Component, use: Callable[[], None]) -> None:
    """Demand that a second use leaves everything on the component as the first one left it."""
    use()
    before = _state(component)
    use()
    changed = [name for name, value in _state(component).items() if before.get(name) != value]
    require(
        not changed,
        f"state is kept in {', '.join(changed)}",
        expected="an unchanged component",
        got=f"another value of {changed[0]}" if changed else "",
        fix="keep what backward needs in local variables: its closure dies with it",
    )


def _state(component: Component) -> dict[str, object]:
    """Name everything that hangs on the component, on those inside it and on their classes."""
    state: dict[str, object] = {}
    for number, (_, part) in enumerate(walk(component)):
        private = part.__pydantic_private__ or {}
        for name, value in {**vars(part), **private}.items():
            # A cached_property sees the options only, so it may be kept.
            if not isinstance(getattr(type(part), name, None), cached_property):
                state[f"{part.type}.{name} ({number})"] = _Fingerprint(value)
        for cls in type(part).__mro__:
            if issubclass(cls, Component) and cls is not Component:
                state |= {f"{cls.__name__}.{n}": _Fingerprint(v) for n, v in _plain(cls).items()}
    return state


def _plain(cls: type) -> dict[str, Any]:
    """Return the class attributes that are not Python's or pydantic's own."""
    own = ("__", "_abc", "model_")
    return {name: value for name, value in vars(cls).items() if not name.startswith(own)}


class _Fingerprint:
    """Compares a value and the members of a container by identity; holding on to them, since a
    freed object's id may be given to the next one."""

    def __init__(self, value: Any) -> None:
        members = list(value) if isinstance(value, list | tuple | set | dict) else []
        self._held = [value, *members]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Fingerprint) and self._ids() == other._ids()

    def __hash__(self) -> int:
        return hash(self._ids())

    def _ids(self) -> tuple[int, ...]:
        return tuple(map(id, self._held))
