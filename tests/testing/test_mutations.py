"""Every planted bug is caught, by the check that names it; every check can fail."""

from __future__ import annotations

import mutation_table
import numpy as np
import pytest
from healthy import (
    BatchCentre,
    Contrast,
    DropPath,
    Literals,
    Noisy,
    NumPyFactor,
    Recalls,
    Scalar,
    Spread,
)
from planted import PLANTED, Gain
from planted_backends import Pair
from planted_callbacks import Shaken
from planted_data import Cube, Planted
from planted_losses import Brier
from planted_metrics import Hits
from planted_observers import Tally
from planted_shapes import Thin
from planted_transforms import Flip, Pairs

from cnnkit.arrays import Scratch
from cnnkit.testing import (
    CheckFailure,
    check_backend,
    check_callback,
    check_dataset,
    check_initializer,
    check_layer,
    check_loss,
    check_metric,
    check_observer,
    check_optimizer,
    check_schedule,
    check_transform,
)

CHECK = {
    "layers": check_layer,
    "losses": check_loss,
    "optimizers": check_optimizer,
    "schedules": check_schedule,
    "initializers": check_initializer,
    "transforms": check_transform,
    "metrics": check_metric,
    "datasets": check_dataset,
    "observers": check_observer,
    "callbacks": check_callback,
    "backends": check_backend,
}


@pytest.mark.parametrize("bug", PLANTED.values(), ids=PLANTED)
def test_the_first_failure_names_the_bug(bug, capfd):
    with pytest.raises(CheckFailure) as caught:
        CHECK[bug.component.family](bug.component, *bug.case)
    assert caught.value.check == bug.check
    assert caught.value.fix


def test_what_memory_held_before_does_not_change_the_name(monkeypatch):
    def dirty(self, shape, dtype=np.float32):
        return np.full(shape, 0x7FA00000, np.uint32).view(np.float32)  # NaN that warns when added

    monkeypatch.setattr(Scratch, "empty", dirty)
    with pytest.raises(CheckFailure) as caught:
        check_transform(PLANTED["trusts_scratch"].component)
    assert caught.value.check == "transform_scratch"


def test_every_check_is_shown_to_fail(promises):
    assert mutation_table.unproved() == []
    assert f"\n{len(PLANTED)} planted bugs, {len(PLANTED)} named" in promises


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Gain, (2, 3, 4)),
        (Gain(start=3.0), (1,)),
        (Thin, (1, 2, 5)),
        (Spread(), (40,)),
        (Literals(), (3, 2)),
        (Noisy(), (3, 2)),
        (Scalar(), (2, 3, 3)),
        (Scalar(), (5,)),
        (DropPath(), (2, 3, 3)),
        (BatchCentre(), (2, 3)),
    ],
)
def test_healthy_layers_pass(layer, shape, seed):
    check_layer(layer, shape, seed=seed)


def test_healthy_components_pass():
    check_loss(Brier())
    check_initializer(Cube())
    check_transform(Flip(), (2, 3, 4))
    check_transform(Contrast())
    check_transform(Pairs(), (2, 3, 4))
    check_metric(Hits())
    check_dataset(Planted())
    check_observer(Tally())
    check_backend(Pair())
    check_callback(Shaken())
    check_schedule(NumPyFactor())
    for seed in range(5):
        check_metric(Recalls(), seed=seed)


def test_the_table_counts(capsys, monkeypatch):
    few = {name: PLANTED[name] for name in ("chatty", "grows")}
    monkeypatch.setattr(mutation_table, "PLANTED", few)
    assert mutation_table.main() == 1  # most checks have no bug left that proves them
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ok", "layers", "A", "forgotten", "print.", "silent"]
    assert lines[1].startswith("ok  transforms   A border that output_shape does not know of. ")
    assert lines[2].startswith("2 planted bugs, 2 named by the right check first; ")
