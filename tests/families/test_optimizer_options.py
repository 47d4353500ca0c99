"""What the optimizers accept as options."""

from __future__ import annotations

import pytest

from cnnkit.errors import OptionError
from cnnkit.optimizers import Adam, Sgd


def test_nesterov_without_momentum():
    with pytest.raises(OptionError) as caught:
        Sgd(lr=0.1, nesterov=True)
    assert str(caught.value) == (
        "error: sgd: nesterov = true has no effect without momentum; set momentum = 0.9"
    )


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (Sgd, {}),
        (Sgd, {"lr": -1}),
        (Sgd, {"lr": 0.1, "momentum": 1}),
        (Sgd, {"lr": 0.1, "momentum": -0.1}),
        (Sgd, {"lr": 0.1, "weight_decay": -1}),
        (Sgd, {"lr": True}),
        (Adam, {"betas": [0.9]}),
        (Adam, {"betas": [0.9, 1]}),
        (Adam, {"betas": 0.9}),
        (Adam, {"eps": 0}),
        (Adam, {"lr": float("inf")}),
    ],
)
def test_options_out_of_range(cls, options):
    with pytest.raises(OptionError):
        cls(**options)


def test_options_come_from_lists_and_tables():
    adam = Adam.model_validate(
        {"type": "adam", "betas": [0.5, 0.6], "schedule": {"type": "step", "every": 2}}
    )
    assert adam.betas == (0.5, 0.6)
    assert adam.schedule.type == "step"
