"""The screen: what rich makes of stdout and stderr."""

from __future__ import annotations

from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from cnnkit.commands._console import shown_text, writing


class Screen(Console):
    """Stdout or stderr, for plain text: nothing in it is taken for markup."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, highlight=False, emoji=False)

    def render_str(self, text: str, **how: Any) -> Text:
        """Return text as it is shown: what comes from files does nothing to the terminal."""
        return super().render_str(shown_text(text), **how)

    def print(self, *things: Any, **how: Any) -> None:
        """Print.

        Raises:
            CnnkitError: where stdout cannot be written.
        """
        with writing(self.stderr):
            super().print(*things, **how)

    def print_trimmed(self, thing: RenderableType) -> None:
        """Print without the blanks that fill up the last column of a table."""
        with writing(self.stderr):
            with self.capture() as captured:
                super().print(thing)
            lines = captured.get().split("\n")
            self.file.write("\n".join(line.rstrip() for line in lines))
            self.file.flush()

    def on_broken_pipe(self) -> None:
        """Let whoever printed know, instead of ending the process."""
        raise BrokenPipeError
