"""Help texts as two aligned columns: plain characters, and less to import than boxes take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions


class Columns:
    """Prints what cyclopts has put together; the methods are its protocol of a help formatter."""

    def __init__(self) -> None:
        self._gap = ""  # an empty line between panels; before the first one there is one already

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one panel: verbs, arguments or options."""
        from rich.table import Table

        if not panel.entries:
            return
        grid = Table.grid(padding=(0, 0, 0, 2), pad_edge=True)
        grid.add_column(no_wrap=True, style="bold")
        grid.add_column(overflow="fold")
        for entry in panel.entries:
            grid.add_row(", ".join(entry.display_labels_with_metavar), entry.description)
        console.print(f"{self._gap}{panel.title}:", style="bold")
        self._gap = "\n"
        console.print(grid)

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print the line that shows how the verb is called."""
        self._gap = ""
        console.print(f"Usage: {str(usage).strip()}\n", style="bold")

    def render_description(self, console: Console, options: ConsoleOptions, text: Any) -> None:
        """Print what the verb does."""
        console.print(text)
