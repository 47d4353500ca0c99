"""`[train] on_nonfinite`: what a run says and records of steps whose numbers are not finite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

LAYER = '''
"""Gives NaN at some step of the second epoch, or the first time it comes there."""
from typing import Literal
import numpy as np
from cnnkit import hookimpl
from cnnkit.base import Layer
left = [2]  # the step, and the look at who is to blame
class Spoils(Layer):
    """The identity, but for a step."""
    type: Literal["spoils"] = "spoils"
    times: Literal["always", "once"] = "always"
    def forward(self, x, w, ctx):
        y = x.copy()
        if ctx.training and ctx.key[1:3] == (1, 5) and (self.times == "always" or left[0] > 0):
            left[0] -= 1
            y[...] = np.nan
        return y, lambda dy: (dy.copy(), {})
@hookimpl
def cnnkit_layers():
    return [Spoils]
'''


@pytest.fixture
def spec(site, tiny):
    site("cnnkit-spoils", LAYER)

    def write(policy: str, times: str) -> Path:
        layer = f'{{ type = "spoils", times = "{times}" }}'
        text = tiny.read_text().replace('"relu"', layer)
        tiny.write_text(f'{text}on_nonfinite = "{policy}"\nshard = 32\nthreads = 1\n')
        return tiny

    return write


def records(run: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()]


def test_skipped_steps_are_told_and_recorded(call, spec):
    outcome = call("run", str(spec("skip", "always")), "--out", "here", "--no-report")
    assert outcome.code == 0, outcome.err
    assert outcome.err.splitlines()[4] == (
        "warning: epoch 2: 1 step was skipped, as numbers were not finite; log.txt says where"
    )
    assert [(one["skipped"], one["rollbacks"]) for one in records("here")] == [(0, 0), (1, 0)]
    log = "skipped a step, as its numbers are not finite: the loss is not finite at epoch 2"
    assert Path("here/log.txt").read_text().startswith(log)


def test_a_rollback_is_told_and_recorded(call, spec):
    outcome = call("run", str(spec("rollback", "once")), "--out", "here", "--no-report")
    assert outcome.code == 0, outcome.err
    assert outcome.err.splitlines()[4] == (
        "warning: epoch 2: it was begun again once, with half the learning rate, as numbers were "
        "not finite; log.txt says where"
    )
    told = [(one["skipped"], one["rollbacks"], one["lr"]) for one in records("here")]
    assert told == [(0, 0, 0.01), (0, 1, 0.005)]
    assert "back to the start of epoch 2, with 0.5 of the learning rate: the loss is not" in (
        Path("here/log.txt").read_text()
    )


def test_by_default_the_run_ends(call, spec):
    outcome = call("run", str(spec("stop", "always")), "--out", "here")
    assert outcome.code == 1
    assert "error: the loss is not finite at epoch 2, step 47: layer 2 (spoils of " in outcome.err


def test_another_word_is_refused(call, spec):
    outcome = call("check", str(spec("ignore", "always")))
    assert outcome.code == 2
    assert 'got "ignore"' in outcome.err
