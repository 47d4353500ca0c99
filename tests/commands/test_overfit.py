"""`run --overfit`: one batch by heart, or the layer that does not learn."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cnnkit.runs.overfit import one_batch
from cnnkit.specfile.load import load_spec

SPECS = Path(__file__).parents[2] / "specs"


@pytest.mark.parametrize("name", ["tiny", "simple", "binary", "residual"])
def test_shipped_specs_learn_one_batch(call, name, tmp_path):
    outcome = call("run", str(SPECS / f"{name}.toml"), "--overfit")
    assert outcome.code == 0, outcome.out
    assert re.match(r"learns one batch: loss 0\.00\d+ after \d+ steps\n", outcome.out)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_of_one_says_little(call, tiny):
    outcome = call("run", "tiny.toml", "--overfit", "--set", "train.batch=1")
    assert outcome.code == 0
    assert outcome.out.splitlines()[1:] == ["that is one image; --set train.batch=32 asks for more"]


def test_what_is_switched_off_is_said(call, tiny):
    tiny.write_text(tiny.read_text().replace(
        '"relu",', '"relu", { type = "dropout" }, { type = "residual", drop = 0.5, body = ['
        '{ type = "conv", filters = 4, kernel = 3, padding = "same", weight_decay = 0.5 }, '
        '{ type = "dropout", rate = 0.5 }] },',
    ))  # fmt: skip
    more = ["loss.label_smoothing=0.2", 'data.transforms=["scale", "flip", "mixup"]',
            "optimizer.weight_decay=0.1", 'train.callbacks=["ema"]', "optimizer.accumulate=2",
            'optimizer.schedule={type="cosine"}']  # fmt: skip
    outcome = call("run", "tiny.toml", "--overfit", *(x for one in more for x in ("--set", one)))
    assert outcome.code == 0
    assert outcome.err == (
        "switched off: dropout, stochastic depth, weight decay, label smoothing, accumulate, "
        "schedule, callbacks, flip, mixup\n"
    )
    easy, _ = one_batch(load_spec(tiny, more))
    body = easy.model.layers[3]
    assert (easy.model.layers[2].rate, body.drop, body.body[0].weight_decay) == (0, 0, None)
    assert body.body[1].rate == 0
    assert [one.type for one in easy.data.transforms] == ["scale"]


def test_what_stays_random_is_said_and_is_the_first_cause(call, tiny):
    given = ["run", "tiny.toml", "--overfit", "--set"]
    outcome = call(*given, 'data.transforms=["scale", "flip", { type = "crop", padding = 2 }]')
    assert (outcome.code, outcome.err) == (
        1,
        "switched off: flip\nleft on, as the shape of images may depend on it: crop\n",
    )
    last = outcome.out.splitlines()[-1]
    assert last == "all layers learn: the batch changes at every step; leave out crop"
    assert call(*given, 'data.transforms=["scale", "flip"]').code == 0


def test_nothing_is_switched_off_that_is_not_there(tiny):
    spec = load_spec(tiny)
    easy, off = one_batch(spec)
    assert off == []
    assert (easy.model, easy.loss, easy.optimizer) == (spec.model, spec.loss, spec.optimizer)


def test_the_layer_that_does_not_learn(call, tiny):
    outcome = call("run", "tiny.toml", "--overfit", "--set", "model.layers.0.init=zeros")
    assert outcome.code == 1  # relu gives 0 alone, and lets no gradient through
    assert re.fullmatch(
        r"does not learn one batch: loss \d\.\d+ after 500 steps\n"
        r"layer 1 \(conv\) does not learn: hardly any gradient reaches its weights\n",
        outcome.out,
    )


def test_a_rate_that_is_too_low(call, tiny):
    outcome = call("run", "tiny.toml", "--overfit", "--set", "optimizer.lr=1e-8")
    assert outcome.code == 1
    assert outcome.out.splitlines()[1:] == [
        "no layer learns: lr = 1e-08 hardly moves a weight, or no gradient comes through"
    ]


def test_a_network_that_learns_too_little(call, tiny):
    outcome = call("run", "tiny.toml", "--overfit", "--set", "model.layers.2.size=8", "--json",
                   "--set", "model.layers.0.filters=1")  # fmt: skip  # one number for ten classes
    found = json.loads(outcome.out)
    assert (outcome.code, found["learned"], found["still"], found["steps"]) == (1, False, [], 500)
    assert found["loss"] > 0.1
    assert found["moved"].keys() == {"0_conv", "3_softmax/0_dense"}


def test_out_leaves_a_run(call, tiny):
    outcome = call("run", "tiny.toml", "--overfit", "--out", "one")
    steps = int(outcome.out.split()[-2])
    lines = Path("one/metrics.jsonl").read_text().splitlines()
    assert (outcome.code, len(lines)) == (0, steps)
    without = call("run", "tiny.toml", "--overfit")
    assert without.out == outcome.out  # the same batch, the same steps


def test_flags_that_mean_nothing_beside_it(call, tiny):
    outcome = call("run", "tiny.toml", "--overfit", "--seeds", "0..2", "--subset", "8")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: --overfit trains on one batch and stops: leave out --seeds, --subset\n"
    )
