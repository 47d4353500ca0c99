"""`cnnkit diff`: only what differs, by key path."""

from __future__ import annotations

import json
import shutil

import pytest


def test_two_specs(call, tiny, tmp_path):
    text = tiny.read_text().replace("filters = 4", "filters = 8").replace("lr = 0.01\n", "")
    (tmp_path / "other.toml").write_text(text.replace('"adam"', '"sgd"\nlr = 0.01\nmomentum = 0.9'))
    outcome = call("diff", "tiny.toml", "other.toml")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (
        "options                  tiny.toml      other.toml\n"
        "──────────────────────────────────────────────────\n"
        "model.layers.0.filters   4              8\n"
        'optimizer.type           "adam"         "sgd"\n'
        "optimizer.betas          [0.9, 0.999]   -\n"
        "optimizer.eps            1e-08          -\n"
        "optimizer.momentum       -              0.9\n"
        "optimizer.nesterov       -              false\n"
        "\n"
    )


def test_no_difference_but_in_writing(call, tiny, tmp_path):
    text = tiny.read_text().replace('"relu"', '{ type = "relu" }').replace("= 2\n", "= 2 # two\n")
    (tmp_path / "other.toml").write_text(text)
    assert call("diff", "tiny.toml", "other.toml").out == "no difference\n"


def test_runs(call, trained, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    assert call("diff", str(trained), "other").out == "no difference\n"
    for name, old, new in (
        ("resolved.toml", "epochs = 2", "epochs = 7"),
        ("summary.json", '"accuracy": ', '"accuracy": 1'),
        ("env.json", '"cnnkit": "', '"cnnkit": "9.'),
    ):
        text = (other / name).read_text()
        assert old in text
        (other / name).write_text(text.replace(old, new, 1))
    found = json.loads(call("diff", str(trained), "other", "--json").out)
    assert (found["first"], found["second"]) == (str(trained), "other")
    assert found["options"] == [{"key": "train.epochs", "first": 2, "second": 7}]
    assert [row["key"] for row in found["figures"]] == ["test.accuracy"]
    assert found["environment"] == [{"key": "cnnkit", "first": "0.1.0", "second": "9.0.1.0"}]


def test_a_run_and_a_spec(call, trained, tiny):
    assert call("diff", str(trained), "tiny.toml").out == "no difference\n"
    tiny.write_text(tiny.read_text() + "batch = 8\n")
    found = json.loads(call("diff", "tiny.toml", str(trained), "--json").out)
    assert found["options"] == [{"key": "train.batch", "first": 8, "second": 32}]
    assert "figures" not in found


def test_a_run_that_did_not_finish_has_no_figures_yet(call, trained, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    (other / "summary.json").unlink()
    found = json.loads(call("diff", str(trained), "other", "--json").out)
    assert found["options"] == []
    assert {"key": "test.loss"}.items() <= next(
        row for row in found["figures"] if row["key"] == "test.loss"
    ).items()
    assert all("second" not in row for row in found["figures"] if row["key"].startswith("test."))


def test_what_cannot_be_compared(call, tiny, tmp_path):
    tiny.write_text(tiny.read_text().replace("epochs = 2", "epochs = 0"))
    outcome = call("diff", "tiny.toml", "tiny.toml")
    assert (outcome.code, outcome.out) == (2, "")
    assert "error: [train]: epochs must be > 0, got 0\n" in outcome.err
    (tmp_path / "empty").mkdir()
    assert call("diff", "empty", "empty").err.startswith("error: empty is not a run directory")


@pytest.mark.parametrize(
    "text",
    [
        "name = ",
        "a = " + "[" * 500,
        f"a = {'9' * 5000}",
        "a = 2020-01-02",
        "a = nan\nb = [07:00:00]",
    ],
    ids=["half a line", "nested too deeply", "a huge number", "a date", "a time"],
)
def test_a_damaged_run(text, trained, call, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "resolved.toml").write_text(text)
    outcome = call("diff", str(run), str(trained))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {run / 'resolved.toml'} is damaged: ")
