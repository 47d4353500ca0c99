"""`[train] subset`: as many images as it says, each class its share, the same for the same seed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnkit.cli import main
from cnnkit.split import stratified_sample

TEXT = """name = "small"
data = "digits"
loss = "cross_entropy"
optimizer = "adam"
model.layers = [{ type = "softmax", units = 10 }]
train = { epochs = 1, threads = 1 }
"""


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 70), st.integers(0, 9))
def test_each_class_has_its_share(labels, count, seed):
    labels = np.array(labels)
    rows = stratified_sample(labels, count, seed)
    taken = min(count, len(labels))
    assert len(rows) == len(set(rows.tolist())) == taken
    assert (np.diff(rows) > 0).all()
    for one in np.unique(labels):
        part = (labels == one).mean()
        bound = 1.5 + 0.5 * len(np.unique(labels)) * part
        assert abs((labels[rows] == one).sum() - taken * part) <= bound
    fewer = stratified_sample(labels, max(1, count // 2), seed)
    assert set(fewer.tolist()) <= set(rows.tolist())


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(TEXT)
    return str(path)


def test_on_the_command_line(tmp_path, spec, capsys):
    out = tmp_path / "run"
    assert main(["run", spec, "--out", str(out), "--subset", "100"]) == 0
    assert "small: 100 images of digits to train on, 145 to validate" in capsys.readouterr().err
    assert "subset = 100\n" in (out / "resolved.toml").read_text()
    shas = [json.loads((out / "summary.json").read_text())["weights_sha256"]]
    for name, options in (("same", []), ("other", ["--set", "seed=1"])):
        main(["run", spec, "--out", str(tmp_path / name), "--subset", "100", *options])
        shas.append(json.loads((tmp_path / name / "summary.json").read_text())["weights_sha256"])
    assert shas[0] == shas[1] != shas[2]


def test_more_than_there_are_is_all_of_them(tmp_path, spec, capsys):
    assert main(["run", spec, "--out", str(tmp_path / "run"), "--subset", "99999"]) == 0
    assert "small: 1,297 images of digits to train on" in capsys.readouterr().err


def test_none_at_all_is_refused(spec, capsys):
    assert main(["run", spec, "--subset", "0"]) == 2
    assert "[train]: subset must be > 0, got 0" in capsys.readouterr().err
