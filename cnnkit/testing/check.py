"""Checks: named demands on a component, how they say no, and the kit that runs a family's."""

from __future__ import annotations

import inspect
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache, wraps
from itertools import zip_longest
from typing import Any, TypeVar

from cnnkit.base import Component

Body = Callable[..., None]
Test = TypeVar("Test", bound=Body)


class Fault(Exception):  # noqa: N818 - a finding, caught by Check
    """What one check found, with another `fix` than the check's own where there is one."""

    def __init__(self, what: str, *, expected: str, got: str, fix: str = "") -> None:
        super().__init__(what)
        self.what, self.expected, self.got, self.fix = what, expected, got, fix


class CheckFailure(AssertionError):  # noqa: N818 - test runners call these failures
    """A component broke the contract of its family.

    `check` is the check's name, `subject` the component with its case; `what`, `expected`, `got`
    and `fix` are the lines of the text, and `skipped` counts the checks not run because of it.
    """

    def __init__(self, check: str, subject: str, fault: Fault) -> None:
        super().__init__(check, subject, fault.what)
        self.check, self.subject, self.skipped = check, subject, 0
        self.what, self.expected = fault.what, fault.expected
        self.got, self.fix = fault.got, fault.fix

    def __str__(self) -> str:
        skipped = f"\n  skipped:  the {self.skipped} checks that need it" if self.skipped else ""
        return (
            f"check {self.check}: {self.what}\n"
            f"  for:      {self.subject}\n"
            f"  expected: {self.expected}\n"
            f"  got:      {self.got}\n"
            f"  fix:      {self.fix}{skipped}"
        )


def require(ok: bool, what: str, *, expected: str, got: str, fix: str = "") -> None:
    """Raise a Fault with these lines unless `ok`."""
    __tracebackhide__ = True
    if not ok:
        raise Fault(what, expected=expected, got=got, fix=fix)


def require_equal(wanted: object, got: object, what: str, *, fix: str = "") -> None:
    """Demand that `got` equals `wanted`, and show both."""
    __tracebackhide__ = True
    require(wanted == got, what, expected=str(wanted), got=str(got), fix=fix)


@dataclass(frozen=True, slots=True)
class Check:
    """One named demand; call it with a component and the rest of its case.

    Args:
        purpose: what is demanded, and why.
        fix: how to mend a component that does not meet it.
        needed: whether the checks after it mean nothing where it fails.

    Raises:
        CheckFailure: where the component does not meet it, or raises an error on the way.
    """

    name: str
    purpose: str
    run: Body
    fix: str = ""
    needed: bool = False

    def __call__(self, component: Component, *case: Any) -> None:
        __tracebackhide__ = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # warnings have a check of their own
                self.run(component, *case)
        except Fault as fault:
            fault.fix = fault.fix or self.fix
            raise CheckFailure(self.name, self._where(component, case), fault) from fault.__cause__
        except Exception as error:
            raise CheckFailure(
                self.name, self._where(component, case), _crash(component, error)
            ) from error

    def fails(self, component: Component, *case: Any) -> CheckFailure | None:
        """Return how the component fails, or None where it passes."""
        try:
            self(component, *case)
        except CheckFailure as failure:
            return failure
        return None

    def _where(self, component: Component, case: tuple[Any, ...]) -> str:
        """Return the component and its case: "conv(filters=2), shape (1, 8, 8), seed 0"."""
        named = list(inspect.signature(self.run).parameters.values())[1:]
        names = [f"{p.name} " for p in named if p.kind is p.POSITIONAL_OR_KEYWORD]
        facts = zip_longest(names[: len(case)], case, fillvalue="")
        plain = [f"{name}{value}" for name, value in facts if isinstance(value, int | tuple)]
        return ", ".join([describe(component), *plain])


class Kit:
    """The checks of one family, in order: causes come before what they would also break.

    Args:
        family: what its components are called, such as "layer".
        parts: kits whose checks come first.
        case: makes the one argument of each check out of a component and the rest of its case;
            by default a check takes these as they are.
    """

    def __init__(self, family: str, *parts: Kit, case: Callable[..., Any] | None = None) -> None:
        self.family = family
        self.checks: list[Check] = [check for part in parts for check in part.checks]
        self._case = case

    def check(self, fix: str = "", *, needed: bool = False) -> Callable[[Body], Check]:
        """Register the decorated function as the next check.

        Its docstring says what is demanded. Where a needed check fails, those after it are skipped.
        """

        def register(body: Body) -> Check:
            run = _of_case(self._case, body) if self._case else body
            one = Check(body.__name__, inspect.getdoc(body) or "", run, fix, needed)
            self.checks.append(one)
            return one

        return register

    def run(self, component: Component, *case: Any) -> None:
        """Run every check; raise CheckFailure for the first that fails."""
        __tracebackhide__ = True
        for one in self.checks:
            one(component, *case)

    def failures(self, component: Component, *case: Any) -> list[CheckFailure]:
        """Run every check and return all that fail, in order."""
        found = []
        for number, one in enumerate(self.checks, start=1):
            if failure := one.fails(component, *case):
                found.append(failure)
                if one.needed:
                    failure.skipped = len(self.checks) - number
                    break
        return found

    def parametrize(
        self, names: tuple[str, ...], cases: Iterable[tuple[Any, ...]], expected: Mapping[str, str]
    ) -> Callable[[Test], Test]:
        """Make one pytest case of each (*names, check); needs pytest.

        Raises:
            ValueError: an expected failure that names no check.
        """
        self._require_known(expected)

        def decorate(test: Test) -> Test:
            import pytest

            cells = []
            for number, case in enumerate(cases):
                name = f"{case[0].type}-{number}"
                for one in self._guarded(name, case):
                    why = expected.get(one.name, "")
                    fails = pytest.mark.xfail(strict=True, raises=CheckFailure, reason=why)
                    marks = [fails] if one.name in expected else []
                    cells.append(pytest.param(*case, one, marks=marks, id=f"{name}-{one.name}"))
            marked: Test = pytest.mark.parametrize((*names, "check"), cells)(test)
            return marked

        return decorate

    def _guarded(self, name: str, case: tuple[Any, ...]) -> Iterator[Check]:
        """Yield the checks for one case; those after a needed one skip their test if it fails."""
        guard: Callable[[Check], Check] | None = None
        for one in self.checks:
            yield guard(one) if guard else one
            guard = _skipping_after(one, name, case) if one.needed else guard

    def _require_known(self, names: Iterable[str]) -> None:
        known = [one.name for one in self.checks]
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, 1)
                see = f"see cnnkit.testing.{self.family}_checks()"
                hint = f"did you mean {near[0]!r}?" if near else see
                raise ValueError(f"no {self.family} check is called {name!r}; {hint}")


def _of_case(case: Callable[..., Any], body: Body) -> Body:
    @wraps(case, updated=())
    def run(*args: Any) -> None:
        __tracebackhide__ = True
        body(case(*args))

    return run


def _skipping_after(needed: Check, name: str, case: tuple[Any, ...]) -> Callable[[Check], Check]:
    """Return what makes a check skip its test where `needed` fails; that is tried once."""
    failed = cache(lambda: needed.fails(*case))

    def guard(one: Check) -> Check:
        @wraps(one.run)
        def run(*args: Any) -> None:
            __tracebackhide__ = True
            if failed():
                import pytest

                pytest.skip(f"{needed.name} failed for {name}")
            one.run(*args)

        return replace(one, run=run)

    return guard


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


def _crash(component: Component, error: Exception) -> Fault:
    home = getattr(sys.modules.get(type(component).__module__), "__file__", None)
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == home]
    at = f"mend {home}:{own[-1].lineno}, which" if own else "see the traceback above for what"
    return Fault(
        f"raised {type(error).__name__}",
        expected="no error",
        got=str(error) or "no message",
        fix=f"{at} raised it",
    )
