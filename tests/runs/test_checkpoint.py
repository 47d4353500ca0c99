"""Checkpoint: everything in one file, and nothing else taken for one."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnkit.engine.progress import Position
from cnnkit.errors import RunError
from cnnkit.files.tensors import load_tensors, save_tensors
from cnnkit.runs.checkpoint import Checkpoint

PATHS = ["0_conv/W", "2_residual/body/0_conv/b", "über/W"]


def checkpoint(**changes: Any) -> Checkpoint:
    rng = np.random.default_rng(0)
    weights = {path: rng.standard_normal((2, 3)).astype(np.float32) for path in PATHS}
    facts: dict[str, Any] = {
        "weights": weights,
        "optimizer": {
            "m": {p: w * 2 for p, w in weights.items()},
            "v": {PATHS[1]: weights[PATHS[0]]},
        },
        "position": Position(2, 3, 1234, 96, 0.1 + 0.2, 1.5),
        "best": {"epoch": 1, "accuracy": 0.1 + 0.2},
        "spec_text": 'name = "größe"\r\n',
        "resolved": "name = 'größe'\n",
        "model": {"input": [1, 8, 8]},
        "plugins": {"layers/prelu": "cnnkit-prelu 0.1"},
        "versions": {"numpy": "2.4"},
    }
    return Checkpoint(**{**facts, **changes})


def assert_same_tree(left: Any, right: Any) -> None:
    assert list(left) == list(right)
    for name, value in left.items():
        if isinstance(value, dict):
            assert_same_tree(value, right[name])
        else:
            np.testing.assert_array_equal(value, right[name], strict=True)


@pytest.mark.parametrize("changes", [{}, {"best": None, "optimizer": {}}, {"weights": {}}])
def test_round_trip(tmp_path: Path, changes: dict[str, Any]) -> None:
    saved = checkpoint(**changes)
    saved.save(tmp_path / "last")
    loaded = Checkpoint.load(tmp_path / "last")
    assert_same_tree(loaded.weights, saved.weights)
    assert_same_tree(loaded.optimizer, saved.optimizer)
    for name in ("position", "best", "spec_text", "resolved", "model", "plugins", "versions"):
        assert getattr(loaded, name) == getattr(saved, name)


def test_one_of_0_1_stands_at_the_end_of_an_epoch(tmp_path: Path) -> None:
    checkpoint().save(tmp_path / "last")
    tensors, facts = load_tensors(tmp_path / "last")
    del facts["position"]
    save_tensors(tmp_path / "old", tensors, {**facts, "epoch": 2, "step": 1234})
    assert Checkpoint.load(tmp_path / "old").position == Position(epoch=2, step=1234)
    save_tensors(tmp_path / "odd", tensors, {**facts, "position": {"epoch": 2, "hour": 3}})
    with pytest.raises(RunError, match=r"is not a checkpoint of a run: its position: .*'hour'"):
        Checkpoint.load(tmp_path / "odd")


def test_names_on_disk(tmp_path: Path) -> None:
    checkpoint(optimizer={"v": {"0_conv/W": np.ones(1)}}).save(tmp_path / "last")
    assert list(load_tensors(tmp_path / "last")[0]) == [
        "weights/0_conv/W",
        "weights/2_residual/body/0_conv/b",
        "weights/über/W",
        "optimizer/v/0_conv/W",
    ]


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "x"
    save_tensors(path, {"weights/W": np.ones(1)}, {"epoch": 1, "step": 9})
    with pytest.raises(RunError) as caught:
        Checkpoint.load(path)
    assert str(caught.value) == f"{path} is not a checkpoint of a run: it does not say its best"
    checkpoint(weights={}).save(path)
    facts = load_tensors(path)[1]
    for missing in facts:  # "best" may be null, but not left out
        save_tensors(path, {}, {name: value for name, value in facts.items() if name != missing})
        with pytest.raises(RunError, match=f"it does not say its {missing}$"):
            Checkpoint.load(path)
    for name in ("W", "weights", "optimizer/v", "other/a/b"):
        save_tensors(path, {name: np.ones(1)}, facts)
        with pytest.raises(RunError) as caught:
            Checkpoint.load(path)
        assert str(caught.value) == f"{path} is not a checkpoint of a run: it holds {name!r}"
    for name in facts:
        save_tensors(path, {}, {**facts, name: 1.5})
        with pytest.raises(RunError, match=f"it does not say its {name}$"):
            Checkpoint.load(path)


@pytest.mark.reliability
@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [28, 5, 13])
def test_a_failing_save_leaves_the_older_checkpoint(tmp_path, monkeypatch, call, code) -> None:
    path = tmp_path / "last.safetensors"
    checkpoint().save(path)

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(RunError, match=rf"cannot write .* \(\d+ bytes\): {os.strerror(code)}"):
            checkpoint(position=Position()).save(path)
    assert Checkpoint.load(path).position.step == 1234
    assert list(tmp_path.iterdir()) == [path]
