"""The one form of every data error: what, where, expected, got, how to mend it."""

from __future__ import annotations

from pathlib import Path

from cnnkit.errors import DataError

ANEW = "get the file anew from where it came"


def problem(
    where: Path | str,
    what: str,
    *,
    expected: str = "",
    got: str = "",
    help: str = "",
    kind: type[DataError] = DataError,
) -> DataError:
    """Return a DataError about the file (or array in a file) `where`.

    >>> print(problem("a.gz", "a.gz is empty", expected="an IDX file", help="download it again"))
    a.gz is empty
      --> a.gz
       = expected: an IDX file
       = help: download it again
    """
    details = {"expected": expected, "got": got, "help": help}
    notes = [f"   = {name}: {text}" for name, text in details.items() if text]
    text = "\n".join([what, f"  --> {where}", *notes])
    return kind(text.encode(errors="backslashreplace").decode())  # file names may be any bytes
