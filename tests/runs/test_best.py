"""`[train] best`: by which figure the best checkpoint is chosen."""

from __future__ import annotations

import json
from typing import ClassVar, Literal

import pytest

from cnnkit import train
from cnnkit.base import Metric
from cnnkit.errors import SpecError
from cnnkit.runs.checkpoint import Checkpoint
from cnnkit.specfile.load import load_spec

SPEC = """
name = "best"
metrics = ["accuracy", "macro_f1", "saw"]
[data]
type = "digits"
[model]
layers = [{ type = "softmax", units = 10 }]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 3.0
[train]
epochs = 5
batch = 50
"""
COUNT = [0]


class Saw(Metric):
    """Falls and rises from call to call, the second one the lowest."""

    type: Literal["saw"] = "saw"
    better: ClassVar[Literal["higher", "lower"] | None] = "lower"

    def evaluate(self, y, labels, classes):
        COUNT[0] += 1
        return [5.0, 1.0, 4.0, 2.0, 3.0][(COUNT[0] - 1) % 5]


@pytest.mark.parametrize(
    ("best", "pick", "figure"),
    [("loss", min, "loss"), ("macro_f1", max, "macro_f1"), ("saw", min, "saw"),
     (None, max, "accuracy")],
)  # fmt: skip
def test_the_best_epoch_is_the_one_with_the_best_figure(tmp_path, best, pick, figure):
    COUNT[0] = 0
    (tmp_path / "spec.toml").write_text(SPEC, encoding="utf-8")
    sets = [f"train.best={best}"] if best else []
    run = train(load_spec(tmp_path / "spec.toml", sets, types=[Saw]), out=tmp_path / "run")
    lines = (run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    figures = [json.loads(line)["validation"][figure] for line in lines]
    kept = Checkpoint.load(run.path / "checkpoints" / "best.safetensors")
    assert kept.position.epoch == figures.index(pick(figures)) + 1
    assert kept.best[figure] == pick(figures)


def test_without_validation_images_the_training_loss_decides(tmp_path):
    (tmp_path / "spec.toml").write_text(SPEC, encoding="utf-8")
    sets = ["train.best=macro_f1", "data.validation=0.0", "train.epochs=2", "optimizer.lr=0.01"]
    run = train(load_spec(tmp_path / "spec.toml", sets, types=[Saw]), out=tmp_path / "run")
    assert Checkpoint.load(run.path / "checkpoints" / "best.safetensors").position.epoch == 2


@pytest.mark.parametrize("best", ["confusion", "acuracy"])
def test_what_cannot_be_compared_is_refused(tmp_path, best):
    (tmp_path / "spec.toml").write_text(SPEC.replace('"saw"', '"confusion"'), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path / "spec.toml", [f"train.best={best}"])
    assert f'[train]: "{best}" is no figure by which a checkpoint can be the best' in str(
        caught.value
    )
    assert "expected loss or accuracy or macro_f1" in str(caught.value)
