"""How a check says no: what happened, what was expected, what came, and how to mend it."""

from __future__ import annotations


class Fault(Exception):  # noqa: N818 - a finding, caught by Check
    """What one check found. `Check` turns it into a `CheckFailure` that names the check."""

    def __init__(self, what: str, *, expected: str, got: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.got = got
        self.fix = fix


class CheckFailure(AssertionError):  # noqa: N818 - test runners call these failures
    """A component broke the contract of its family.

    `check` is the check's name, `subject` the component with its case; `what`, `expected`, `got`
    and `fix` are the lines of the text.
    """

    def __init__(self, check: str, subject: str, fault: Fault) -> None:
        self.check = check
        self.subject = subject
        self.what = fault.what
        self.expected = fault.expected
        self.got = fault.got
        self.fix = fault.fix
        super().__init__(
            f"check {check}: {fault.what}\n"
            f"  for:      {subject}\n"
            f"  expected: {fault.expected}\n"
            f"  got:      {fault.got}\n"
            f"  fix:      {fault.fix}"
        )


def require(ok: bool, what: str, *, expected: str, got: str, fix: str) -> None:
    """Raise a Fault with these lines unless `ok`."""
    __tracebackhide__ = True
    if not ok:
        raise Fault(what, expected=expected, got=got, fix=fix)
