"""What verbs print with: results on stdout, news on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Any, TextIO

from cnnkit.errors import CnnkitError
from cnnkit.stdout import visible

if TYPE_CHECKING:  # imported where there is something to colour or to align
    from rich.console import RenderableType
    from rich.table import Table

    from cnnkit.commands._screen import Screen


@contextmanager
def writing(stderr: bool = False) -> Iterator[None]:
    """Do what is right where stdout or stderr cannot be written.

    Raises:
        CnnkitError: for stdout, unless its reader has had enough (`| head -1`). News that cannot
            be told are no reason to lose a run.
    """
    try:
        yield
    except OSError as error:
        silence(sys.stderr if stderr else sys.stdout)
        if not stderr and not isinstance(error, BrokenPipeError):
            raise CnnkitError(f"cannot write the output: {error.strerror}") from error


class News:
    """Lines about what happens, on stderr. When nobody can read them, work goes on."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        """Whether only warnings are printed."""

    @cached_property
    def screen(self) -> Screen:
        """Stderr."""
        from cnnkit.commands._screen import Screen

        return Screen(stderr=True)

    def say(self, line: str) -> None:
        """Print a line, which is a warning where it starts with that word."""
        warns = line.lower().startswith("warning")
        if warns or not self.quiet:
            if self.screen.is_terminal:  # it would break lines within words; paths stay whole
                width = self.screen.width
                wide = TextWrapper(width, break_long_words=False, break_on_hyphens=False)
                line = "\n".join(wide.fill(one) for one in line.split("\n"))
            self.screen.print(line, style="bold yellow" if warns else None, soft_wrap=True)

    def warn(self, line: str) -> None:
        """Print a warning."""
        self.say(f"warning: {line}")

    def error(self, text: str) -> None:
        """Print an error's text as it is; on a terminal the words to look for are coloured."""
        from rich.text import Text

        shown = Text(shown_text(text))
        shown.highlight_regex(r"(?m)^error:", "bold red")
        shown.highlight_regex(r"(?m)^warning:", "bold yellow")
        shown.highlight_regex(r"(?m)^ *\| +\^+.*", "bold red")
        shown.highlight_regex(r"(?m)^ +(-->|[|=]|= \w+:)", "cyan")
        self.screen.print(shown, soft_wrap=True)


def shown_text(text: str) -> str:
    """Return text as it is shown: what comes from files does nothing to the terminal."""
    return visible(text, keep="\n\t")


def emit(*things: RenderableType) -> None:
    """Print results on stdout, each from a line of its own.

    Raises:
        CnnkitError: where it cannot be written.
    """
    for thing in things:
        if isinstance(thing, str):  # a program may read it, so it is never wrapped
            with writing():
                print("\n".join(map(str.rstrip, shown_text(thing).split("\n"))), flush=True)
        else:
            from cnnkit.commands._screen import Screen

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
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, header_style="bold")
    made.show_footer = bool(total)
    for column, footer in zip(columns, total or [""] * len(columns), strict=True):
        justify = "right" if column in right else "left"
        made.add_column(column, footer, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return made


def facts() -> Table:
    """Return an empty table of names and values, without lines or headings."""
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    return made
