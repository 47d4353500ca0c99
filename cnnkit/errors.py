"""Every error cnnkit raises on purpose. Anything else is a bug."""

from __future__ import annotations

from collections.abc import Sequence
from signal import Signals
from typing import Any

__all__ = [
    "CnnkitError",
    "ContractError",
    "DataError",
    "DataUnavailable",
    "OptionError",
    "PluginError",
    "RunError",
    "ShapeError",
    "SpecError",
    "TrainingError",
]


class CnnkitError(Exception):
    """Base of all: the text says what happened, where, what was expected and how to mend it."""

    exit_code = 2
    layer_path = ""
    """Of the layer it is about, as in the weights; mostly none."""


class SpecError(CnnkitError):
    """A spec that cannot be used; the text shows, and `problems` carries, every problem found."""

    def __init__(self, text: str, problems: Sequence[Any] = ()) -> None:
        super().__init__(text)
        self.problems = tuple(problems)


class OptionError(CnnkitError, ValueError):
    """Options given in Python that cannot be used; text and `problems` as of a SpecError."""

    def __init__(self, text: str, problems: Sequence[Any] = ()) -> None:
        super().__init__(text)
        self.problems = tuple(problems)


class ShapeError(CnnkitError, ValueError):
    """A layer that cannot take the shape it is given.

    Args:
        message: what is wrong, as a predicate: "cannot cover its input: kernel 5 does not ...".
        option: the option to point at; "" points at the layer.
        expected: what would have been right; stands beside the caret.
        help: how to mend it.

    The containers and the spec reader add where it happened: `path` (such as ("body", 0)), the
    shape `trail` and the layer's place.
    """

    def __init__(
        self, message: str, *, option: str = "", expected: str = "", help: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.option = option
        self.expected = expected
        self.help = help
        self.path: tuple[int | str, ...] = ()
        self.place = ""
        self.trail = ""

    def __str__(self) -> str:
        sentence = f"{self.place} {self.message}" if self.place else self.message
        expected = f"expected {self.expected}" if self.expected else ""
        notes = [expected, f"shapes: {self.trail}" if self.trail else "", self.help]
        return "; ".join([sentence, *(note for note in notes if note)])


class PluginError(CnnkitError):
    """A plugin that is missing, broken, or clashes with another."""

    lacks: tuple[str, ...] = ()
    """Plugin files that the command line is to name."""


class ContractError(PluginError):
    """A method that does not do what its family promises; `attribute` adds whose it is.

    Args:
        component: whose method it is.
        method: its name.
        did, expected: what it did, such as "returned None", and what it should have done.
    """

    def __init__(self, component: Any, method: str, did: str, expected: str) -> None:
        super().__init__(f"{component.type}: {method} {did}; expected {expected}")
        self.component, self.method, self.did, self.expected = component, method, did, expected


class DataError(CnnkitError):
    """Data that cannot be had, or is not what it says it is."""


class DataUnavailable(DataError):  # noqa: N818  # says what it is; every other DataError is damage
    """Data that cannot be had at all; the one kind of error that a `fallback` answers."""


class TrainingError(CnnkitError):
    """Training went wrong: a loss or gradient that is not finite. Names layer and step."""

    exit_code = 1


class RunError(CnnkitError):
    """A run directory or checkpoint that cannot be written or read."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP came: like Ctrl-C, it passes through every `with` block on its way out."""

    def __init__(self, number: int) -> None:
        super().__init__(f"terminated by {Signals(number).name}")
        self.exit_code = 128 + number
