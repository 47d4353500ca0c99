"""The kit for learning-rate schedules."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from cnnkit.base import Schedule
from cnnkit.testing import options
from cnnkit.testing.check import Kit, require
from cnnkit.testing.manners import manners


def _use(schedule: Schedule) -> None:
    for moment in _moments():
        schedule.factor(*moment)


kit = Kit("schedule", options.kit, manners(_use))


@kit.check("return float(...), and mind the first and the last step")
def factor_is_a_number(schedule: Schedule) -> None:
    """factor gives a finite float >= 0 anywhere in training, its end included."""
    for epoch, epochs in _moments():
        factor = schedule.factor(epoch, epochs)
        require(
            isinstance(factor, float) and isfinite(factor) and factor >= 0,
            f"factor({epoch}, {epochs}) is not a learning rate's factor",
            expected="a finite float >= 0",
            got=repr(factor),
        )


@kit.check("compute it from epoch and epochs; count nothing")
def factor_is_pure(schedule: Schedule) -> None:
    """factor depends on its arguments alone: a resumed run asks in the middle."""
    forwards = [schedule.factor(*moment) for moment in _moments()]
    backwards = [schedule.factor(*moment) for moment in reversed(list(_moments()))][::-1]
    what, expected = "factor depends on what was asked before", "equal answers to equal questions"
    require(forwards == backwards, what, expected=expected, got="two answers")


@kit.check("leave multiplier as Schedule has it, and write factor without warm-up")
def warm_up_starts_low(schedule: Schedule) -> None:
    """multiplier climbs to factor over the warm-up and equals it afterwards."""
    for epoch, epochs in _moments():
        factor, got = schedule.factor(epoch, epochs), schedule.multiplier(epoch, epochs)
        climb = min(1.0, epoch / schedule.warmup) if schedule.warmup else 1.0
        require(
            abs(got - climb * factor) <= 1e-12 * max(1.0, factor),
            f"multiplier({epoch}, {epochs}) is not factor with its warm-up",
            expected=f"{climb * factor}",
            got=f"{got}",
        )


def check_schedule(schedule: Schedule) -> None:
    """Run every check on a schedule; raise CheckFailure for the first that fails."""
    __tracebackhide__ = True
    kit.run(schedule)


def _moments() -> Iterator[tuple[float, int]]:
    """Yield (epoch, epochs): just after the start, in the middle, and at the very end."""
    for epochs in (1, 3, 50):
        yield from ((epochs * i / 16, epochs) for i in range(1, 17))
        yield 1e-6, epochs
