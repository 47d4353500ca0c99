"""The csv observer: what stands in the file, and what a spreadsheet's reader makes of it."""

from __future__ import annotations

import csv

import pytest

from cnnkit.base import Epoch, RunInfo
from cnnkit.errors import RunError
from cnnkit.observers import Csv


@pytest.fixture
def run(tmp_path):
    return RunInfo("small", tmp_path, "digits", ("cat", "dog"), samples=40, epochs=3)


def record(epoch, validation):
    return Epoch(epoch, 1 / epoch, validation, 0.5, 80.0, 0.1)


def test_a_row_per_epoch(run):
    confusion = [[3, 1], [0, 4]]
    Csv().epoch(run, record(1, {"loss": 0.75, "accuracy": 0.5, "confusion": confusion}))
    Csv().epoch(run, record(2, {"loss": 0.25, "accuracy": 0.875, "confusion": confusion}))
    assert (run.path / "metrics.csv").read_text() == (
        "epoch,train_loss,seconds,samples_per_second,lr,validation_loss,validation_accuracy\n"
        "1,1.0,0.5,80.0,0.1,0.75,0.5\n"
        "2,0.5,0.5,80.0,0.1,0.25,0.875\n"
    )


def test_without_validation(run):
    Csv().epoch(run, record(1, None))
    assert (run.path / "metrics.csv").read_text() == (
        "epoch,train_loss,seconds,samples_per_second,lr\n1,1.0,0.5,80.0,0.1\n"
    )


def test_columns_stay_what_the_first_epoch_made_them(run):
    Csv().epoch(run, record(1, {"a": 1, "b": 0.5}))
    Csv().epoch(run, record(2, {"b": 0.25, "a": None, "c": 3}))
    with (run.path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["validation_a"], row["validation_b"]) for row in rows] == [
        ("1", "0.5"),
        ("", "0.25"),
    ]
    assert None not in rows[1]


def test_floats_come_back_to_the_bit(run):
    Csv().epoch(run, record(3, {"loss": 0.1 + 0.2}))
    with (run.path / "metrics.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (float(row["train_loss"]), float(row["validation_loss"])) == (1 / 3, 0.1 + 0.2)


def test_a_file_that_cannot_be_written(run):
    (run.path / "metrics.csv").mkdir()
    with pytest.raises(RunError) as caught:
        Csv().epoch(run, record(1, None))
    assert str(caught.value) == f"cannot read {run.path / 'metrics.csv'}: not a regular file"
