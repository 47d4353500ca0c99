"""What is printed: plugins keep off stdout, which may be JSON, and text moves no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from threading import RLock
from typing import TextIO
from unicodedata import category

_LOCK = RLock()


@contextmanager
def stdout_to(stream: TextIO) -> Iterator[None]:
    """Send what is printed in the block to `stream`, for one thread at a time.

    `sys.stdout` is the process's. Of two threads at once, the second would put back what the
    first had put there, and the real one would be lost for good.
    """
    with _LOCK, redirect_stdout(stream):
        yield


def visible(text: str, keep: str = "") -> str:
    r"""Return text in which every character shows: controls and marks of direction as escapes.

    Args:
        keep: characters to leave as they are.

    >>> print(visible("a\x1b[2Jb\u202ec"))
    a\u001B[2Jb\u202Ec
    """
    if text.isprintable():
        return text
    return "".join(char if char in keep else visible_character(char) for char in text)


def visible_character(char: str) -> str:
    """Return a character, or the escape of one that does not show."""
    if category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"
    return char
