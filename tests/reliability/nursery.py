"""Nursery: children of a process that has imported cnnkit, each in a folder of its own.

A fresh interpreter takes most of a second to import it, a fork none. The process that forks is not
the one that tests run in, so what a child does to itself (limits, signals, global settings) stays
there. Run as a script, this is that process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn


@dataclass(frozen=True)
class Outcome:
    """How a child ended, and what it wrote; a code below 0 is the signal that killed it."""

    code: int
    out: str
    err: str
    pid: int


class Nursery:
    """Asks the other process for children."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate(timeout=60)

    def run(
        self,
        folder: Path,
        *arguments: str | Path,
        before: str = "",
        count: int = 1,
        kill: Sequence[tuple[float, int, int]] = (),
        seconds: float = 60,
    ) -> list[Outcome]:
        """Run the command in `count` children at once; return how each ended.

        Args:
            folder: to work in.
            arguments: the command line; none to run no more than `before`.
            before: Python that each child runs first; `number` tells them apart.
            kill: (seconds from the start, number of the child, signal) for each to be sent.
            seconds: after which they are killed, which fails the test.
        """
        request = {
            "folder": str(folder), "arguments": [str(one) for one in arguments],
            "before": before, "count": count, "kill": list(kill), "seconds": seconds,
        }  # fmt: skip
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert not answer["late"], f"children {answer['late']} did not end in {seconds} s"
        return [Outcome(*one) for one in answer["ended"]]


def _serve() -> None:
    import cnnkit.cli
    import cnnkit.commands.evaluate
    import cnnkit.commands.predict
    import cnnkit.commands.run
    import cnnkit.plugins

    cnnkit.plugins.load_plugins()
    with open(os.dup(1), "w") as answers:  # noqa: PTH123  # stdout is the children's
        os.dup2(2, 1)
        for line in sys.stdin:
            answers.write(json.dumps(_answer(json.loads(line))) + "\n")
            answers.flush()


@dataclass
class _Child:
    """A child that runs, its two pipes, and what has come through them."""

    pid: int
    pipes: list[int]
    text: list[bytes]
    code: int | None = None

    def look(self) -> None:
        """Take what has been written, and see if it has ended."""
        if self.code is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if found else None
        for i, pipe in enumerate(self.pipes):
            with contextlib.suppress(BlockingIOError):
                while more := os.read(pipe, 1 << 16):
                    self.text[i] += more


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    gate, opener = os.pipe()
    children = [_child(request, number, gate, opener) for number in range(request["count"])]
    os.close(gate)
    os.close(opener)  # all start now
    late = _await(children, sorted(request["kill"]), request["seconds"])
    for pipe in (pipe for child in children for pipe in child.pipes):
        os.close(pipe)
    texts = [[text.decode(errors="backslashreplace") for text in c.text] for c in children]
    return {"ended": [[c.code, *t, c.pid] for c, t in zip(children, texts, strict=True)],
            "late": late}  # fmt: skip


def _await(children: list[_Child], kill: list[Any], seconds: float) -> list[int]:
    """Return the numbers of those that had to be killed at the end."""
    start, late = time.monotonic(), list[int]()
    while running := [n for n, child in enumerate(children) if child.code is None]:
        now = time.monotonic() - start
        while kill and kill[0][0] <= now:
            _, number, which = kill.pop(0)
            if number in running:
                os.kill(children[number].pid, which)
        if now > seconds and not late:
            late = running
            kill = [(0, number, signal.SIGKILL) for number in running]
        time.sleep(0.002)
        for child in children:
            child.look()
    return late


def _child(request: dict[str, Any], number: int, gate: int, opener: int) -> _Child:
    pipes = [os.pipe() for _ in ("out", "err")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside BLAS's threads
        pid = os.fork()
    if pid == 0:
        os.close(opener)
        _live(request, number, gate, [write for _, write in pipes])
    for read, write in pipes:
        os.close(write)
        os.set_blocking(read, False)
    return _Child(pid, [read for read, _ in pipes], [b"", b""])


def _live(request: dict[str, Any], number: int, gate: int, outputs: list[int]) -> NoReturn:
    code = 99
    try:
        os.read(gate, 1)  # until all are there
        nowhere = os.open(os.devnull, os.O_RDONLY)
        for target, file in enumerate((nowhere, *outputs)):
            os.dup2(file, target)
        sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115
        os.chdir(request["folder"])
        names = {"number": number, "__name__": "child"}
        exec(compile(request["before"], "before", "exec"), names)  # noqa: S102  # the test's own
        code = _command(request["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def obey_permissions() -> None:
    """Take from this process what lets root pass over the permissions of files."""
    if os.geteuid():
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # the version of the call; this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, twice
    if libc.capget(header, sets) == 0:
        sets[0] &= ~0b1110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
        libc.capset(header, sets)


def _command(arguments: list[str]) -> int:
    from cnnkit.cli import main

    return main(arguments) if arguments else 0


if __name__ == "__main__":
    _serve()
