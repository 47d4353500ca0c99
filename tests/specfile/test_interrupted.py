"""A signal that falls into the reading of a spec: compiled code may swallow what it raises."""

from __future__ import annotations

import signal
from typing import ClassVar, Literal

import pytest
from pydantic import field_validator

from cnnkit import load_spec
from cnnkit.base import Observer
from cnnkit.cli import signals_raise
from cnnkit.errors import Terminated
from cnnkit.runs.directory import StoredRun

SPEC = """\
name = "interrupted"
observers = [{{ type = "interrupting", signal = {number} }}]
[data]
type = "digits"
[model]
layers = [{{ type = "softmax", {option} = 10 }}]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 0.1
"""
CASES = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]


class Dropped:
    """Raises a signal where what it raises is lost: when it is deleted."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)


class Interrupting(Observer):
    """Is interrupted while its options are validated: once, as a second signal does not wait."""

    type: Literal["interrupting"] = "interrupting"
    signal: int
    fresh: ClassVar[bool] = True

    @field_validator("signal")
    @classmethod
    def _interrupted(cls, value: int) -> int:
        if cls.fresh:
            cls.fresh = False
            Dropped(value)
        return value

    def epoch(self, run, record):
        pass


@pytest.fixture
def armed():
    """A process that is started in a shell's background ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with signals_raise():
        yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("armed")
@pytest.mark.parametrize("option", ["units", "unit"])
@pytest.mark.parametrize(("number", "error"), CASES)
def test_it_is_raised_at_the_end(number, error, option, tmp_path, monkeypatch):
    monkeypatch.setattr(Interrupting, "fresh", True)
    spec = tmp_path / "spec.toml"
    spec.write_text(SPEC.format(number=int(number), option=option))
    handlers = [signal.getsignal(one) for one, _ in CASES]
    with pytest.raises(error):
        load_spec(spec, types=[Interrupting])
    assert [signal.getsignal(one) for one, _ in CASES] == handlers


@pytest.mark.usefixtures("armed")
@pytest.mark.parametrize(("number", "error"), CASES)
def test_so_it_is_where_the_spec_is_that_of_a_run(number, error, tmp_path, monkeypatch):
    def validate(*args, **kwargs):
        Dropped(number)
        raise ValueError("what pydantic makes of it")

    for name in ("spec.toml", "resolved.toml"):
        (tmp_path / name).write_text("[train]\n")
    monkeypatch.setattr("cnnkit.runs.directory.RunSpec.model_validate", validate)
    monkeypatch.setattr("cnnkit.runs.directory.load_spec", lambda *args, **kwargs: None)
    with pytest.raises(error):
        StoredRun(tmp_path).spec(type("None_", (), {"claims": lambda *args: True}))
