"""Observers of plugins: who is blamed, and what is remembered of them."""

from __future__ import annotations

import json

import pytest

import cnnkit
from cnnkit.errors import SpecError

CODE = '''
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Observer

class Mail(Observer):
    """Writes to somebody after an epoch."""
    type: Literal["mail"] = "mail"
    to: str = "me"
    """Whom to write to."""

    def epoch(self, run, record):
        raise ConnectionError(f"{self.to} cannot be reached")

@hookimpl
def cnnkit_observers():
    return [Mail]
'''


def test_a_failing_observer_is_named_with_its_distribution(site, write_spec, tmp_path):
    site.install("cnnkit-mail", CODE, version="2.1")
    spec = cnnkit.load_spec(write_spec(), set=['observers=[{ type = "mail", to = "you" }, "csv"]'])
    with pytest.warns(UserWarning, match="mail") as caught:
        run = cnnkit.train(spec, out=tmp_path / "run")
    what = (
        "observer mail of cnnkit-mail 2.1 raised ConnectionError after epoch 1: "
        "you cannot be reached"
    )
    warning = f"warning: {what}; the run goes on without it"
    assert [str(one.message) for one in caught] == [warning]
    assert (run.path / "log.txt").read_text().startswith(f"{what}\nTraceback")
    assert len((run.path / "metrics.csv").read_text().splitlines()) == 1 + 2
    made_with = json.loads((run.path / "env.json").read_text())["plugins"]
    assert made_with["observers/cnnkit-mail:mail"] == "cnnkit-mail 2.1"
    assert made_with["observers/csv"] == "cnnkit 0.1.0"
    with pytest.warns(UserWarning, match="you cannot be reached"):
        again = cnnkit.train(cnnkit.load_spec(run.path / "resolved.toml"), out=tmp_path / "again")
    assert again.summary["weights_sha256"] == run.summary["weights_sha256"]


def test_a_missing_observer_is_named(site, write_spec):
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(write_spec(), set=["observers=['tensorboard']"])
    assert [problem.help for problem in caught.value.problems] == [
        "provided by cnnkit-tensorboard, which is not installed: pip install cnnkit-tensorboard"
    ]


def test_a_plugin_whose_observer_observes_nothing(site):
    """It is refused while it is imported, before any run."""
    from cnnkit.plugins import load_plugins

    site.install("cnnkit-mail", CODE.replace("def epoch", "def on_epoch"))
    (broken,) = load_plugins().broken()
    assert broken.error == "TypeError: Mail observes nothing: define start, epoch or end"
