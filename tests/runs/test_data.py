"""Loading the dataset a spec names, or its fallback."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.base import Data, DataPaths, Split
from cnnkit.datasets import Digits, Idx
from cnnkit.errors import DataError, DataUnavailable
from cnnkit.runs.data import choose_classes, load_data, parts_of

FILES = {
    "train_images": "a",
    "train_labels": "b",
    "test_images": "c",
    "test_labels": "d",
}


def test_data_that_is_there(tmp_path):
    said: list[str] = []
    data, used = load_data(Digits(fallback="digits"), DataPaths(say=said.append), True)
    assert data.name == "digits"
    assert used.fallback is not None
    assert said == []


def test_fallback_is_used_aloud(tmp_path):
    said: list[str] = []
    dataset = Idx(**FILES, fallback={"type": "digits", "validation": 0.25})
    data, used = load_data(dataset, DataPaths(spec_dir=tmp_path, say=said.append), True)
    assert data.name == "digits"
    assert used == Digits(validation=0.25)
    assert said == [
        "WARNING: idx cannot be had, so this run uses digits instead: there is no file a"
    ]


def test_fallback_of_a_fallback(tmp_path):
    said: list[str] = []
    dataset = Idx(**FILES, fallback=Idx(**FILES, fallback=Digits()))
    _, used = load_data(dataset, DataPaths(spec_dir=tmp_path, say=said.append), True)
    assert used == Digits()
    assert [line.split(":")[1] for line in said] == [
        " idx cannot be had, so this run uses idx instead",
        " idx cannot be had, so this run uses digits instead",
    ]


def test_no_fallback_wanted(tmp_path):
    dataset = Idx(**FILES, fallback="digits")
    with pytest.raises(DataUnavailable) as caught:
        load_data(dataset, DataPaths(spec_dir=tmp_path), False)
    assert str(caught.value) == (
        f"there is no file a\n  --> {tmp_path}/a\n"
        "   = note: --no-fallback forbids training on digits instead"
    )


def test_no_fallback_named(tmp_path):
    for allowed in (True, False):
        with pytest.raises(DataUnavailable) as caught:
            load_data(Idx(**FILES), DataPaths(spec_dir=tmp_path), allowed)
        assert str(caught.value) == f"there is no file a\n  --> {tmp_path}/a"


def test_damage_is_never_replaced(tmp_path):
    (tmp_path / "a").write_bytes(b"<html>")
    said: list[str] = []
    with pytest.raises(DataError, match="a is a web page, not data"):
        load_data(
            Idx(**FILES, fallback="digits"), DataPaths(spec_dir=tmp_path, say=said.append), True
        )
    assert said == []


def lone(train, test):
    """Return data of three classes with these labels."""
    splits = (Split(np.zeros((len(labels), 1, 2, 2)), np.array(labels)) for labels in (train, test))
    return Data("npz", *splits, ("a", "b", "c"))


@pytest.mark.parametrize(
    ("train", "test", "missing"),
    [
        ([1, 1], [0, 1, 2], "images to train on of class 2"),
        ([1, 1], [0, 2], "images to train on of class 2"),
        ([0, 1, 2], [1, 1], "test images"),
    ],
)
def test_classes_of_which_there_is_nothing(train, test, missing):
    with pytest.raises(DataError) as caught:
        choose_classes(lone(train, test), [2, 0])
    assert str(caught.value) == f"npz: only = [2, 0] leaves no {missing}"


def test_classes_by_name():
    data = lone([0, 1, 2, 2], [0, 1, 2])
    names = Data("npz", data.train, data.test, ("cat", "dog", "3"), data.test)
    chosen = choose_classes(names, ["3", "cat"])
    assert chosen.classes == ("3", "cat")
    assert chosen.train.labels.tolist() == [1, 0, 0]
    assert chosen.validation.labels.tolist() == [1, 0]
    assert choose_classes(names, [2, "cat"]).classes == ("3", "cat")
    for only in (["cat", 0], ["cat", "cow"], ["cat", 3]):
        with pytest.raises(DataError) as caught:
            choose_classes(names, only)
        assert str(caught.value) == (
            f"npz: only = {only} does not name different classes; "
            "expected labels from 0 to 2, or names, each once"
        )


def test_a_validation_part_of_its_own():
    data = lone([0, 1, 2] * 10, [0, 1, 2])
    parted = parts_of(data, Digits(validation=0.2), 0)
    assert (len(parted.train), len(parted.validation)) == (24, 6)
    own = Data("npz", data.train, data.test, data.classes, data.test)
    assert parts_of(own, Digits(validation=0.2), 0) is own
    assert parts_of(data, Digits(validation=0.0), 0) is data
