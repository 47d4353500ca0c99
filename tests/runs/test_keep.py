"""`[train] checkpoint = { keep = K }`: the checkpoints of the last epochs stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnnkit import Model
from cnnkit.base import DataPaths
from cnnkit.runs.checkpoint import Checkpoint
from cnnkit.runs.directory import RunDirectory, StoredRun
from cnnkit.runs.session import Session
from cnnkit.specfile.load import load_spec

SPEC = """
name = "small"
data = "digits"
model = { layers = ["relu", { type = "softmax", units = 10 }] }
loss = "cross_entropy"
optimizer = { type = "sgd", lr = 0.1 }
train = { epochs = 4, batch = 64, threads = 1, checkpoint = { steps = 7KEEP } }
"""


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Train a run in tmp_path/run; stop after some epoch."""
    monkeypatch.setenv("CNNKIT_PLUGINS", "")

    def train_(keep: str, stop: int = 0, stored: StoredRun | None = None) -> Path:
        (tmp_path / "small.toml").write_text(SPEC.replace("KEEP", keep))
        spec = load_spec(tmp_path / "small.toml")
        with Session(spec, DataPaths(), out=tmp_path / "run", stored=stored) as session:
            for epoch in session.epochs():
                if epoch.epoch == stop:
                    return tmp_path / "run"
            session.finish()
        return tmp_path / "run"

    return train_


def names(run: Path) -> list[str]:
    return sorted(path.stem for path in (run / "checkpoints").iterdir())


def test_by_default_none_stays(train):
    assert names(train("")) == ["before", "best", "last"]


@pytest.mark.parametrize("links", [True, False])
def test_the_last_ones_stay(train, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    run = train(", keep = 2")
    assert names(run) == ["before", "best", "epoch-0003", "epoch-0004", "last"]
    for epoch in (3, 4):
        kept = Checkpoint.load(run / f"checkpoints/epoch-{epoch:04d}.safetensors")
        assert (kept.position.epoch, kept.position.index) == (epoch, 0)
    last = (run / "checkpoints/last.safetensors").read_bytes()
    assert (run / "checkpoints/epoch-0004.safetensors").read_bytes() == last
    assert Model.load(run / "checkpoints/epoch-0003.safetensors").classes == tuple("0123456789")


def test_more_than_there_are(train):
    assert [name for name in names(train(", keep = 9")) if name.startswith("epoch")] == [
        f"epoch-000{n}" for n in (1, 2, 3, 4)
    ]


def test_killed_between_a_save_and_its_second_name(train, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(RunDirectory, "keep_epoch", lambda *_: None)
        run = train(", keep = 2", stop=2)
    assert names(run) == ["before", "best", "last"]
    run = train(", keep = 3", stored=StoredRun(run))
    assert [n for n in names(run) if n[0] == "e"] == ["epoch-0002", "epoch-0003", "epoch-0004"]


def test_what_the_user_has_put_there_stays(train):
    run = train(", keep = 1", stop=1)
    (run / "checkpoints/epoch-good.safetensors").write_bytes(b"mine")
    train(", keep = 1", stored=StoredRun(run))
    assert [n for n in names(run) if n[0] == "e"] == ["epoch-0004", "epoch-good"]
