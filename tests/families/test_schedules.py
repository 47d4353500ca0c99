"""Schedules against values worked out by hand."""

from __future__ import annotations

import pytest

from cnnkit.errors import OptionError
from cnnkit.schedules import Constant, Cosine, Linear, Multistep, OneCycle, Step


@pytest.mark.parametrize("epoch", [0, 0.01, 3, 10])
def test_constant(epoch):
    assert Constant().multiplier(epoch, 10) == 1


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [
        (0, 1),
        (0.5, 1),
        (2, 1),  # the step that ends epoch 2 is still before the drop
        (2.001, 0.5),
        (4, 0.5),
        (4.5, 0.25),
        (6, 0.25),
        (9.9, 0.0625),
    ],
)
def test_step(epoch, factor):
    assert Step(every=2, scale=0.5).multiplier(epoch, 10) == factor


def test_step_of_ten_steps_per_epoch_drops_after_exactly_ten():
    factors = [Step(every=1, scale=0.1).factor((step + 1) / 10, 3) for step in range(30)]
    assert factors == [1] * 10 + [0.1] * 10 + [0.1**2] * 10


@pytest.mark.parametrize(
    ("epoch", "factor"),
    # cos(pi/3) = 1/2 and cos(2 pi/3) = -1/2 give 3/4 and 1/4 of the way down
    [(0, 1), (3, 0.75), (4.5, 0.5), (6, 0.25), (9, 0), (12, 0)],
)
def test_cosine(epoch, factor):
    assert Cosine().multiplier(epoch, 9) == pytest.approx(factor, abs=1e-15)


@pytest.mark.parametrize(("epoch", "factor"), [(0, 1), (3, 0.8), (4.5, 0.6), (9, 0.2)])
def test_cosine_ends_at_its_floor(epoch, factor):
    assert Cosine(floor=0.2).multiplier(epoch, 9) == pytest.approx(factor, abs=1e-15)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Constant(warmup=2), [0, 0.25, 0.5, 1, 1]),
        (Step(every=1, scale=0.5, warmup=2), [0, 0.25, 0.5, 0.5, 0.25]),
        (Cosine(warmup=2), [0, 0.25 * (1 + 3**0.5 / 2) / 2, 0.5 * 0.75, 0.25, 0]),
    ],
    ids=lambda value: getattr(value, "type", ""),
)
def test_warm_up_scales_the_factor(schedule, values):
    got = [schedule.multiplier(epoch, 3) for epoch in (0, 0.5, 1, 2, 3)]
    assert got == pytest.approx(values, abs=1e-15)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (Step, {}),
        (Step, {"every": 0}),
        (Step, {"every": 1.5}),
        (Step, {"every": 1, "scale": 0}),
        (Step, {"every": 1, "scale": 1.5}),
        (Cosine, {"floor": -0.1}),
        (Cosine, {"floor": 1.1}),
        (Multistep, {"milestones": []}),
        (Multistep, {"milestones": [2, 1]}),
        (Multistep, {"milestones": [1, 1]}),
        (Linear, {"floor": 1.1}),
        (OneCycle, {"rise": 1}),
        (OneCycle, {"start": 0}),
        (Constant, {"warmup": -1}),
        (Constant, {"warmup": float("inf")}),
    ],
)
def test_options_out_of_range(cls, options):
    with pytest.raises(OptionError):
        cls(**options)


@pytest.mark.parametrize(
    ("epoch", "factor"), [(1, 1), (2, 1), (2.1, 0.5), (3, 0.5), (3.1, 0.25), (9, 0.25)]
)
def test_multistep(epoch, factor):
    assert Multistep(milestones=[2, 3], scale=0.5).multiplier(epoch, 9) == factor


@pytest.mark.parametrize(("epoch", "factor"), [(0, 1), (2, 0.8), (5, 0.5), (10, 0.0), (11, 0.0)])
def test_linear(epoch, factor):
    assert Linear().multiplier(epoch, 10) == pytest.approx(factor, abs=1e-15)
    assert Linear(floor=0.5).multiplier(epoch, 10) == pytest.approx(0.5 + factor / 2, abs=1e-15)


@pytest.mark.parametrize(
    ("epoch", "factor"),  # half a wave up over 2 of 8 epochs, half a wave down over 6
    [(0, 0.2), (1, 0.6), (2, 1), (4, 0.75 + 0.25 * 0.1), (5, 0.55), (8, 0.1), (9, 0.1)],
)
def test_one_cycle(epoch, factor):
    one = OneCycle(rise=0.25, start=0.2, floor=0.1)
    assert one.multiplier(epoch, 8) == pytest.approx(factor, abs=1e-15)
