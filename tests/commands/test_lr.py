"""`cnnkit lr`: the range test, its curve, and whether what it suggests trains well."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cnnkit.commands._bar import chart
from cnnkit.commands._screen import Screen
from cnnkit.commands.lr import _curve
from cnnkit.engine.nonfinite import NonFiniteError
from cnnkit.engine.trainer import Trainer
from cnnkit.errors import TrainingError
from cnnkit.plugins import find_component
from cnnkit.runs.data import data_paths
from cnnkit.runs.prepare import prepare
from cnnkit.runs.rates import RangeTest, range_test
from cnnkit.runs.session import trainer_of
from cnnkit.specfile.load import load_spec
from cnnkit.workers import Threads

SPECS = Path(__file__).parents[2] / "specs"
RATES = np.geomspace(1e-6, 10, 200).tolist()


def ready(path, *set):
    """Prepare a spec on the digits that come with cnnkit."""
    spec = load_spec(path, set)
    spec = spec.model_copy(update={"data": spec.data.fallback or spec.data})
    return prepare(spec, data_paths(spec, None, lambda line: None))


def accuracy(path, lr: float) -> float:
    """Return the accuracy after one epoch at a constant rate; 0 where the loss is not finite."""
    made = ready(path)
    constant = find_component("schedules", "constant")
    optimizer = made.spec.optimizer.model_copy(update={"lr": lr, "schedule": constant})
    train = made.spec.train.model_copy(update={"epochs": 1})
    spec = made.spec.model_copy(update={"optimizer": optimizer, "train": train})
    with Threads(2) as threads:
        trainer = trainer_of(spec, made.model, threads)
        try:
            list(trainer.run(made.train, None))
        except TrainingError:
            return 0.0
        return trainer.evaluate(made.data.test)["accuracy"]


@pytest.mark.parametrize("name", ["tiny", "simple", "binary", "residual"])
def test_what_is_suggested_trains_better_than_far_lower_or_higher_rates(name):
    path = SPECS / f"{name}.toml"
    best = range_test(ready(path)).suggestion()
    here, lower, higher = (accuracy(path, lr) for lr in (best, best / 30, best * 30))
    assert here > 0.75
    assert here > lower + 0.2
    assert here > higher + 0.2


def test_rates_grow_by_one_factor_and_the_optimizer_gets_them(tiny, monkeypatch):
    seen = []
    step = Trainer._step

    def told(self, batch, lr, *others):
        seen.append(lr)
        return step(self, batch, lr, *others)

    monkeypatch.setattr(Trainer, "_step", told)
    schedule = 'optimizer.schedule={type="cosine", warmup=1}'
    found = range_test(ready(tiny, schedule, 'train.callbacks=["ema"]'))
    np.testing.assert_allclose(found.rates, RATES[: len(found.rates)], rtol=1e-12)
    assert seen == found.rates
    assert found.ended == "the loss is 4 times its lowest"


def test_small_batches_share_a_rate(tiny, monkeypatch):
    seen = []
    step = Trainer._step
    monkeypatch.setattr(
        Trainer, "_step", lambda self, batch, lr, *o: seen.append(lr) or step(self, batch, lr, *o)
    )
    found = range_test(ready(tiny, "train.batch=6"))
    assert seen == np.repeat(found.rates, 3).tolist()  # 18 images, the first count beyond 16


def test_the_losses_are_those_of_the_batches(tiny, monkeypatch):
    """Over the end of an epoch, too: 180 images at a batch of 50 are four steps."""
    losses = []
    step = Trainer._step

    def told(self, batch, *others):
        loss = step(self, batch, *others)
        losses.append(loss / len(batch.rows))
        return loss

    monkeypatch.setattr(Trainer, "_step", told)
    found = range_test(ready(tiny, "train.subset=180", "train.batch=50"))
    np.testing.assert_allclose(found.losses, losses, rtol=1e-9)
    assert len(losses) > 100


def made(losses) -> RangeTest:
    return RangeTest(RATES[: len(losses)], list(losses))


def test_the_steepest_fall_of_a_curve_that_is_known():
    at = np.log10(RATES)
    noise = np.random.default_rng(0).normal(0, 0.1, len(at))
    losses = 2.3 - 2 / (1 + np.exp(-(at + 3) * 4)) + 3 / (1 + np.exp(-at * 8))  # steepest at 1e-3
    assert 0.0006 < made(losses + noise).suggestion() < 0.0016
    assert made(2.3 + noise).suggestion() is None
    assert made(2.3 + (at + 6) ** 2).suggestion() is None


def test_a_loss_that_is_not_finite_ends_it(tiny, monkeypatch):
    step = Trainer._step

    def failing(self, *given):
        if self.step == last:
            raise NonFiniteError("not finite")
        return step(self, *given)

    monkeypatch.setattr(Trainer, "_step", failing)
    last = 60
    found = range_test(ready(tiny))
    assert (len(found.rates), found.ended) == (60, "the loss is not finite any more")
    last = 1  # nothing to do with rates
    with pytest.raises(NonFiniteError):
        range_test(ready(tiny))


def test_what_it_prints_and_that_nothing_is_written(call, tiny, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    outcome = call("lr", "tiny.toml")
    lines = outcome.out.splitlines()
    assert (outcome.code, outcome.err) == (0, "")
    assert lines[0] == "tiny: loss at growing rates of adam, batches of 32 of digits"
    assert lines[-2] == "ended where the loss is 4 times its lowest"
    lr = float(lines[-1].split()[3])
    assert lines[-1] == f"suggestion: lr = {lr:g} in [optimizer], or --set optimizer.lr={lr:g}"
    assert "rate 1e-06" in lines[-4]
    assert lines[-5].strip() == "^"
    assert max(map(len, lines)) <= 80
    assert sorted(tmp_path.rglob("*")) == before


def test_json_and_set(call, tiny):
    plain = json.loads(call("lr", "tiny.toml", "--json").out)
    other = json.loads(call("lr", "tiny.toml", "--set", "seed=1", "--json").out)
    assert plain.keys() == {
        "spec", "dataset", "rates", "losses", "smoothed", "ended", "suggestion"
    }  # fmt: skip
    assert plain == json.loads(call("lr", "tiny.toml", "--json").out)
    assert plain["losses"] != other["losses"]
    assert call("lr", "tiny.toml", "--backend", "fpga").code == 2


def test_where_the_loss_never_falls(call, tiny):
    outcome = call("lr", "tiny.toml", "--set", "model.layers.3.trainable=false",
                   "--set", "model.layers.0.lr_scale=0")  # fmt: skip
    assert outcome.code == 1
    assert outcome.out.splitlines()[-2:] == [
        "no suggestion: within so few steps the loss falls at no rate",
        "`cnnkit run SPEC --overfit` says whether the network learns at all",
    ]


@pytest.mark.parametrize("width", [20, 80, 120, 300])
def test_the_curve_fits_the_screen_and_the_mark_its_rate(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    losses = [2.0] * 100 + [1.0] * 60 + [1e6] * 40
    *rows, mark, axis = _curve(made(losses), RATES[100], Screen())
    assert max(map(len, [*rows, mark, axis])) <= min(width, 108)
    assert len(rows) == 8
    if width >= 80:
        assert mark.index("^") == pytest.approx(7 + (len(rows[-1]) - 7) / 2, abs=1)
        assert axis.split()[:4] == ["rate", "1e-06", "1e-05", "0.0001"]
        assert axis.index("0.001") == pytest.approx(7 + (len(rows[-1]) - 7) * 3 / 7, abs=1)


def test_the_chart_in_blocks_and_in_ascii():
    assert chart([0.0, 2.0, 1.0], 3, 2) == [" █ ", "▁██"]
    assert chart([0.0, 2.0, 1.0], 3, 2, ascii_only=True) == [" # ", "_##"]
    assert chart([1.0, 1.0], 5, 1) == ["▁▁"]
