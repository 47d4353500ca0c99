"""`cnnkit init`: a spec that checks and trains as it is, and never one in place of another."""

from __future__ import annotations

import json

import pytest

from cnnkit.datasets import cnnkit_datasets


def test_a_spec_that_trains(call, tmp_path):
    outcome = call("init", "first")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == (
        "wrote first.toml: train it with `cnnkit run first.toml`\n"
        "wrote cnnkit.schema.json: editors with Tombi or Taplo complete and check specs by it\n"
    )
    text = (tmp_path / "first.toml").read_text()
    assert text.startswith("#:schema ./cnnkit.schema.json\n")
    assert call("check", "first.toml").out == "first.toml: ok, 6 layers, (1,8,8) -> (10)\n"
    ran = json.loads(call("run", "first.toml", "--quiet", "--json", "--out", "run").out)
    assert ran["test"]["accuracy"] > 0.9


@pytest.mark.parametrize("data", ["mnist", "fashion_mnist"])
def test_other_data(call, data):
    assert call("init", "other", "--data", data).code == 0
    assert call("check", "other.toml").out == "other.toml: ok, 6 layers, (1,28,28) -> (10)\n"


def test_data_that_needs_options(call, tmp_path):
    outcome = call("init", "own", "--data", "npz")
    assert (outcome.code, outcome.err.splitlines()[0]) == (
        0, "wrote own.toml: fill in path of [data], then train it with `cnnkit run own.toml`"
    )  # fmt: skip
    assert call("init", "own", "--data", "idx").code == 2
    (tmp_path / "own.toml").unlink()
    assert call("init", "own", "--data", "idx").code == 0
    assert (
        '\ntrain_images = "train_images"   # yours goes here\n'
        in (tmp_path / "own.toml").read_text()
    )
    assert call("check", "own.toml").code == 0


def test_nothing_is_overwritten(call, tmp_path):
    (tmp_path / "mine.toml").write_text("mine")
    (tmp_path / "cnnkit.schema.json").write_text("{}")
    outcome = call("init", "mine.toml")
    assert (outcome.code, outcome.err) == (
        2,
        "error: mine.toml exists already and is left as it is; choose another name, or remove it "
        "first\n",
    )
    assert (tmp_path / "mine.toml").read_text() == "mine"
    assert call("init", "yours").code == 0
    assert (tmp_path / "cnnkit.schema.json").read_text() == "{}"


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b", "a" * 65, "two words"])
def test_names_that_would_make_no_spec(call, name, tmp_path):
    outcome = call("init", name)
    assert outcome.code == 2
    assert outcome.err == (
        f"error: {name!r} is no name for a spec; expected letters, digits, dot, dash and "
        "underscore, at most 64, a letter or digit first\n"
    )
    assert not list(tmp_path.rglob("*.toml"))


def test_an_unknown_dataset(call, tmp_path):
    outcome = call("init", "x", "--data", "digit")
    assert outcome.code == 2
    names = ", ".join(sorted(dataset.type_name() for dataset in cnnkit_datasets()))
    assert outcome.err == (
        "error: unknown dataset type 'digit'; did you mean \"digits\"?; installed datasets: "
        f"{names}\n"
    )
    assert not list(tmp_path.iterdir())
