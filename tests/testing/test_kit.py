"""The kit's own words: failure texts, the order of checks, and the pytest decorator."""

from __future__ import annotations

import pytest
from planted import Gain
from planted_arrays import InPlace
from planted_numbers import Transposed, WrongFactor

from cnnkit.testing import (
    CheckFailure,
    check_layer,
    failures,
    layer_checks,
    parametrize_layer_checks,
)


def check_named(name):
    return next(check for check in layer_checks() if check.name == name)


def test_a_failure_says_what_where_expected_got_and_fix():
    with pytest.raises(CheckFailure) as caught:
        check_named("input_unmodified")(InPlace(), (1, 1, 2))
    assert str(caught.value) == (
        "check input_unmodified: forward changes its input\n"
        "  for:      in_place(), shape (1, 1, 2)\n"
        "  expected: the same values, bit for bit\n"
        "  got:      [0, 0, 0, 0] 0.102968 became 0.100454 (6 of 6 differ)\n"
        "  fix:      compute into a new array or ctx.scratch.empty(...), "
        "never `x *= ...` or out=x"
    )


def test_a_wrong_factor_is_named():
    with pytest.raises(CheckFailure) as caught:
        check_named("input_gradient")(WrongFactor(start=2.0), (2, 3), 5)
    assert caught.value.what == "dx is not the derivative of forward (in training)"
    assert caught.value.got.endswith(", 2 times the slope")
    assert caught.value.subject == "wrong_factor(start=2.0), shape (2, 3), seed 5"


def test_a_crash_is_a_failure_of_the_check_that_met_it():
    class Broken(Gain):
        """Raises."""

        def forward(self, x, w, ctx):
            raise RuntimeError("no such kernel")

    with pytest.raises(CheckFailure) as caught:
        check_named("silent")(Broken(), (2,))
    assert str(caught.value) == (
        "check silent: raised RuntimeError\n"
        "  for:      gain(), (2,)\n"
        "  expected: no error\n"
        "  got:      no such kernel\n"
        "  fix:      see the traceback above for the line that raised it"
    )
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_nothing_goes_unchecked():
    names = [check.name for check in layer_checks()]
    assert len(names) == len(set(names)) >= 24
    assert all(check.purpose.endswith(".") for check in layer_checks())


def test_failures_lists_all():
    assert [failure.check for failure in failures(Transposed(), (2, 3, 3))] == ["input_gradient"]
    assert failures(Gain(), (2, 3)) == []


def test_the_checks_do_not_depend_on_the_class_alone():
    with pytest.raises(CheckFailure, match="input_gradient"):
        check_layer(Transposed, (2, 3, 3))


@parametrize_layer_checks([(Gain(), (2, 3)), (Gain(start=0.5), (4,))])
def test_layers(layer, shape, check):
    check(layer, shape)


@parametrize_layer_checks(
    [(WrongFactor(), (2, 3))], expected_failures={"input_gradient": "a planted bug"}
)
def test_expected_failures(layer, shape, check):
    check(layer, shape)


def test_the_decorator_makes_one_case_of_each_check():
    @parametrize_layer_checks([(Gain(), (2,))], {"input_gradient": "why"})
    def marked(layer, shape, check):
        raise NotImplementedError

    (mark,) = marked.pytestmark
    assert mark.args[0] == ("layer", "shape", "check")
    assert [cell.id for cell in mark.args[1]] == [f"gain-0-{c.name}" for c in layer_checks()]
    (xfail,) = [m for cell in mark.args[1] for m in cell.marks]
    assert xfail.kwargs == {"strict": True, "raises": CheckFailure, "reason": "why"}


def test_an_unknown_expected_failure_is_refused():
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole text follows
        parametrize_layer_checks([], {"input_gradeint": "typo"})
    assert str(refused.value) == (
        "no layer check is called 'input_gradeint'; did you mean 'input_gradient'?"
    )
