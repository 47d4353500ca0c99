"""Checks of manners, for any family: what a component does besides computing."""

from __future__ import annotations

import io
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache, cached_property
from operator import is_
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.base import Component
from cnnkit.base.component import walk
from cnnkit.testing.check import Fault, Kit, require
from cnnkit.testing.tools import global_seed, global_state

Note = Callable[[str, tuple[Any, ...]], None]
Use = Callable[..., None]
"""Calls every method of a component once: `use(component, *case)`."""
_OUTSIDE = ("socket.", "subprocess.", "shutil.", "tempfile.", "urllib.", "http.", "ftplib.", "os.")
_IMPORTING = {"os.listdir", "os.scandir"}  # a first import lists folders
_CODE = (".py", ".pyc", ".so", ".pyd")
_CHANGED = {"os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.truncate": 0, "os.rename": 1,
            "os.link": 1, "os.symlink": 1}  # fmt: skip
"""Events that change a file or folder, and which of their arguments is its path."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_NOT_OWN = ("__", "_abc", "model_")
"""How attributes of a class begin that are Python's or pydantic's."""
BLAS_NOISE = r"invalid value encountered in (matmul|dot)"
"""OpenBLAS multiplies what lies on the stack beside a short vector and drops the product: a warning
now and then, with the right result. A result that is not finite is found by other checks."""
_here = threading.local()


def manners(use: Use, *, reads_files: bool = False) -> Kit:
    """Return the checks of manners, for a family whose methods `use` calls."""
    kit = Kit("manners")
    effects = Kit("effects") if reads_files else kit

    @kit.check("drop the print; raise an error where something is wrong")
    def silent(component: Component, *case: Any) -> None:
        """Nothing is printed: stdout belongs to the command, and --json is parsed."""
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            use(component, *case)
        what, expected = f"the {component.type} component prints", "nothing on stdout or stderr"
        require(not out.getvalue(), what, expected=expected, got=repr(out.getvalue()[:80]))

    @effects.check("put what it reads into its options or its weights; load data in a dataset")
    def no_side_effects(component: Component, *case: Any) -> None:
        """No file, network connection or process is opened: a spec is data, and runs replay."""
        with watched() as seen:
            use(component, *case)
        what = f"the {component.type} component reaches outside its arrays"
        require(not seen, what, expected="no file, network or process", got="; ".join(seen[:3]))

    @kit.check("replace np.random.x(...) by rng.x(...) or ctx.rng().x(...); never seed")
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
        )

    @kit.check("compute without the overflow or division; do not silence it")
    def no_warnings(component: Component, *case: Any) -> None:
        """It works with warnings as errors, on ordinary values and on zeros."""
        with warnings.catch_warnings(), np.errstate(divide="warn", over="warn", invalid="warn"):
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", BLAS_NOISE)
            try:
                use(component, *case)
            except Warning as warning:
                kind = type(warning).__name__
                raise Fault(f"{kind}: {warning}", expected="no warning", got=kind) from warning

    @kit.check("keep what backward needs in local variables: its closure dies with it")
    def keeps_no_state(component: Component, *case: Any) -> None:
        """Using it leaves no trace on it or its class: two threads may use it at once."""
        use(component, *case)
        before = _state(component)
        use(component, *case)  # leaves everything as the first use left it
        after = _state(component)
        changed = [name for name, held in after.items() if not _identical(before.get(name), held)]
        what = f"state is kept in {', '.join(changed)}"
        got = f"another value of {changed[0]}" if changed else ""
        require(not changed, what, expected="an unchanged component", got=got)

    return kit


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collect this thread's files, sockets and processes as lines; imports do not count."""
    seen: list[str] = []

    def note(event: str, args: tuple[Any, ...]) -> None:
        opens = event == "open" and not str(args[0]).endswith(_CODE)
        if opens or (event.startswith(_OUTSIDE) and event not in _IMPORTING):
            seen.append(f"{event}({', '.join(map(repr, args[:2]))})")

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
def _noting(note: Note) -> Iterator[None]:
    """Call `note` for everything that Python reports of this thread."""
    _listen()
    _here.note = note
    try:
        yield
    finally:
        del _here.note


@cache  # an audit hook can never be removed, so one is enough
def _listen() -> None:
    def hook(event: str, args: tuple[Any, ...]) -> None:
        if note := getattr(_here, "note", None):
            note(event, args)

    sys.addaudithook(hook)


def _state(component: Component) -> dict[str, list[Any]]:
    """Name everything that hangs on the component, on those inside it and on their classes; with
    the members of containers, as a list holds on to them: a freed object's id is given again."""
    state: dict[str, Any] = {}
    for number, (_, part) in enumerate(walk(component)):
        for name, value in {**vars(part), **(part.__pydantic_private__ or {})}.items():
            # A cached_property sees the options only, so it may be kept.
            if not isinstance(getattr(type(part), name, None), cached_property):
                state[f"{part.type}.{name} ({number})"] = value
        for cls in type(part).__mro__:
            if issubclass(cls, Component) and cls is not Component:
                own = {n: v for n, v in vars(cls).items() if not n.startswith(_NOT_OWN)}
                state |= {f"{cls.__name__}.{name}": value for name, value in own.items()}
    return {
        name: [value, *(value if isinstance(value, list | tuple | set | dict) else ())]
        for name, value in state.items()
    }


def _identical(one: list[Any] | None, two: list[Any]) -> bool:
    return one is not None and len(one) == len(two) and all(map(is_, one, two))
