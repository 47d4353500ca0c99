"""What verbs print with: results on stdout, news on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cnnkit.errors import CnnkitError
from cnnkit.stdout import visible


class Screen(Console):
    """Stdout or stderr, for plain text: nothing in it is taken for markup."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, highlight=False, emoji=False)

    def render_str(self, text: str, **how: Any) -> Text:
        """Return text as it is shown: what comes from files does nothing to the terminal."""
        return super().render_str(_shown(text), **how)

    def print(self, *things: Any, **how: Any) -> None:
        """Print.

        Raises:
            CnnkitError: where stdout cannot be written.
        """
        with self._writing():
            super().print(*things, **how)

    def print_trimmed(self, thing: RenderableType) -> None:
        """Print without the blanks that fill up the last column of a table."""
        with self._writing():
            with self.capture() as captured:
                super().print(thing, soft_wrap=isinstance(thing, str))
            lines = captured.get().split("\n")
            self.file.write("\n".join(line.rstrip() for line in lines))
            self.file.flush()

    def on_broken_pipe(self) -> None:
        """Let whoever printed know, instead of ending the process."""
        raise BrokenPipeError

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            silence(sys.stderr if self.stderr else sys.stdout)
            # news that cannot be told are no reason to lose a run, nor is a reader that has had
            # enough (`| head -1`)
            if not self.stderr and not isinstance(error, BrokenPipeError):
                raise CnnkitError(f"cannot write the output: {error.strerror}") from error


class News:
    """Lines about what happens, on stderr. When nobody can read them, work goes on."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        """Whether only warnings are printed."""
        self.screen = Screen(stderr=True)

    def say(self, line: str) -> None:
        """Print a line, which is a warning where it starts with that word."""
        warns = line.lower().startswith("warning")
        if warns or not self.quiet:
            self.screen.print(Text(_shown(line), "bold yellow" if warns else ""), soft_wrap=True)

    def warn(self, line: str) -> None:
        """Print a warning."""
        self.say(f"warning: {line}")

    def error(self, text: str) -> None:
        """Print an error's text as it is; on a terminal the words to look for are coloured."""
        shown = Text(_shown(text))
        shown.highlight_regex(r"(?m)^error:", "bold red")
        shown.highlight_regex(r"(?m)^ *\| +\^+.*", "bold red")
        shown.highlight_regex(r"(?m)^ +(-->|[|=]|= \w+:)", "cyan")
        self.screen.print(shown, soft_wrap=True)


def _shown(text: str) -> str:
    return visible(text, keep="\n\t")


def emit(*things: RenderableType) -> None:
    """Print results on stdout, each from a line of its own.

    Raises:
        CnnkitError: where it cannot be written.
    """
    for thing in things:
        Screen().print_trimmed(thing)


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout, on one line, in ASCII: right in any locale."""
    from cnnkit.runs.directory import to_json

    emit(json.dumps(json.loads(to_json(value))))


def silence(stream: TextIO) -> None:
    """Send what is still to come on `stream` nowhere, the interpreter's last flush included."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def table(*columns: str, right: Collection[str] = (), total: Collection[str] = ()) -> Table:
    """Return an empty table; the columns named in `right` hold numbers, the last line `total`."""
    made = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, header_style="bold")
    made.show_footer = bool(total)
    for column, footer in zip(columns, total or [""] * len(columns), strict=True):
        justify = "right" if column in right else "left"
        made.add_column(column, footer, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return made


def facts() -> Table:
    """Return an empty table of names and values, without lines or headings."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    return made
