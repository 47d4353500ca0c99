"""Tables: rows of words as text, for a prompt, and as HTML, for a notebook."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape

from cnnkit.stdout import visible

Lines = Sequence[Sequence[str]]


def text_table(head: Sequence[str], rows: Lines, right: Collection[int] = ()) -> str:
    """Return aligned columns; those numbered in `right` hold numbers.

    >>> print(text_table(("layer", "weights"), [("conv", "40"), ("dense", "1,450")], right={1}))
    layer  weights
    conv        40
    dense    1,450
    """
    lines = [[visible(cell) for cell in line] for line in (*([head] if head else []), *rows)]
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    placed = (
        [cell.rjust(w) if n in right else cell.ljust(w)
         for n, (cell, w) in enumerate(zip(line, wide, strict=True))] for line in lines
    )  # fmt: skip
    return "\n".join("  ".join(line).rstrip() for line in placed)


def html_table(head: Sequence[str], rows: Lines, right: Collection[int] = ()) -> str:
    """Return the same as HTML; without a head, the first column names what the others say."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{_cells(row, right, heads=not head)}</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{top}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def _cells(row: Sequence[str], right: Collection[int], heads: bool) -> str:
    names = ["th" if heads and not n else "td" for n in range(len(row))]
    sides = ["right" if n in right else "left" for n in range(len(row))]
    return "".join(f'<{name} style="text-align:{side}">{escape(visible(cell))}</{name}>'
                   for name, side, cell in zip(names, sides, row, strict=True))  # fmt: skip
