"""Check: one named demand on a component."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from cnnkit.base import Component
from cnnkit.testing.failure import CheckFailure, Fault


@dataclass(frozen=True, slots=True)
class Check:
    """One named demand; call it with a component and the rest of its case.

    Raises:
        CheckFailure: where the component does not meet it, or raises an error on the way.
    """

    name: str
    purpose: str
    run: Callable[..., None]

    def __call__(self, component: Component, *case: Any) -> None:
        __tracebackhide__ = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # warnings have a check of their own
                self.run(component, *case)
        except Fault as fault:
            raise CheckFailure(self.name, self._where(component, case), fault) from fault.__cause__
        except Exception as error:
            raise CheckFailure(self.name, self._where(component, case), _crash(error)) from error

    def _where(self, component: Component, case: tuple[Any, ...]) -> str:
        """Return the component and its case: "conv(filters=2), shape (1, 8, 8), seed 0"."""
        named = list(inspect.signature(self.run).parameters.values())[1:]
        names = [f"{p.name} " for p in named if p.kind is p.POSITIONAL_OR_KEYWORD]
        facts = zip_longest(names[: len(case)], case, fillvalue="")
        plain = [f"{name}{value}" for name, value in facts if isinstance(value, int | tuple)]
        return ", ".join([describe(component), *plain])


def check(run: Callable[..., None]) -> Check:
    """Turn a function into the check of its name; its docstring says what is demanded."""
    return Check(run.__name__, inspect.getdoc(run) or "", run)


def describe(component: Component) -> str:
    """Return a component with the options it was given: "conv(filters=2, kernel=(3, 3))"."""
    given = [name for name in type(component).model_fields if name in component.model_fields_set]
    options = [f"{n}={_short(getattr(component, n))}" for n in given if n != "type"]
    return f"{component.type}({', '.join(options)})"


def _short(value: Any) -> str:
    if isinstance(value, Component):
        return describe(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return repr(value)


def _crash(error: Exception) -> Fault:
    return Fault(
        f"raised {type(error).__name__}",
        expected="no error",
        got=str(error) or "no message",
        fix="see the traceback above for the line that raised it",
    )
