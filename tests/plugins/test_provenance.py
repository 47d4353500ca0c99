"""What a run, a model and a checkpoint remember of the plugins behind them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import cnnkit
from cnnkit.cli import main
from cnnkit.errors import RunError, SpecError
from cnnkit.files.tensors import load_tensors, save_tensors
from cnnkit.plugins import load_plugins
from cnnkit.provenance import missing_suppliers, other_versions
from cnnkit.runs.checkpoint import Checkpoint
from cnnkit.runs.directory import StoredRun

CODE = '''
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Layer

class Double(Layer):
    """Twice the input."""
    type: Literal["double"] = "double"

    def forward(self, x, w, ctx):
        return 2 * x, lambda dy: (2 * dy, {})

@hookimpl
def cnnkit_layers():
    return [Double]
'''
LAYER = '{ type = "residual", body = ["relu", "double"] },'


@pytest.fixture
def trained(site, write_spec, tmp_path):
    """A run with a layer of cnnkit-double 1.0 inside a residual block, and its site."""
    site.install("cnnkit-double", CODE)
    run = cnnkit.train(cnnkit.load_spec(write_spec(LAYER)), out=tmp_path / "run")
    return run, site


def reinstall(site, source=CODE, version="1.0"):
    """Put another cnnkit-double in place of the one that is there."""
    for folder in site.path.glob("*.dist-info"):
        shutil.rmtree(folder)
    shutil.rmtree(site.path / "__pycache__", ignore_errors=True)
    import sys

    sys.modules.pop("cnnkit_double", None)
    site.install("cnnkit-double", source, version=version)


def remove(site):
    for folder in site.path.glob("*.dist-info"):
        shutil.rmtree(folder)


def last(run):
    return run.path / "checkpoints" / "last.safetensors"


def test_a_run_records_who_supplied_each_type(trained):
    run, _ = trained
    environment = json.loads((run.path / "env.json").read_text())
    assert environment["plugins"] == {
        "backends/numpy": "cnnkit 0.1.0",
        "datasets/npz": "cnnkit 0.1.0",
        "initializers/glorot": "cnnkit 0.1.0",
        "initializers/he": "cnnkit 0.1.0",
        "initializers/zeros": "cnnkit 0.1.0",
        "layers/cnnkit-double:double": "cnnkit-double 1.0",
        "layers/conv": "cnnkit 0.1.0",
        "layers/relu": "cnnkit 0.1.0",
        "layers/residual": "cnnkit 0.1.0",
        "layers/softmax": "cnnkit 0.1.0",
        "losses/cross_entropy": "cnnkit 0.1.0",
        "metrics/accuracy": "cnnkit 0.1.0",
        "metrics/confusion": "cnnkit 0.1.0",
        "metrics/macro_f1": "cnnkit 0.1.0",
        "optimizers/sgd": "cnnkit 0.1.0",
        "schedules/constant": "cnnkit 0.1.0",
        "transforms/scale": "cnnkit 0.1.0",
    }
    assert Checkpoint.load(last(run)).plugins == environment["plugins"]
    assert 'type = "cnnkit-double:double"' in StoredRun(run.path).resolved


def test_the_resolved_spec_means_the_same_beside_a_rival(trained, tmp_path):
    run, site = trained
    site.install("cnnkit-also", CODE.replace("2 *", "3 *"))
    again = cnnkit.load_spec(run.path / "resolved.toml")
    assert type(again.model.layers[1].body[1]).__module__ == "cnnkit_double"
    replay = cnnkit.train(again, out=tmp_path / "replay")
    assert replay.summary["weights_sha256"] == run.summary["weights_sha256"]


def test_a_model_finds_its_plugin_again_beside_a_rival(trained, tmp_path):
    run, site = trained
    site.install("cnnkit-also", CODE.replace("2 *", "3 *"))
    images = np.random.default_rng(1).integers(0, 256, (5, 1, 6, 6), np.uint8)
    run.model.save(tmp_path / "model")
    for path in (last(run), tmp_path / "model"):
        model = cnnkit.Model.load(path)
        np.testing.assert_array_equal(model.predict(images), run.model.predict(images))


def test_a_missing_plugin_is_named(trained):
    run, site = trained
    remove(site)
    with pytest.raises(RunError) as caught:
        cnnkit.Model.load(last(run))
    assert str(caught.value) == (
        f"{last(run)}: cannot rebuild the model: layer type 'double' came from cnnkit-double 1.0, "
        'which is not installed: pip install "cnnkit-double==1.0"'
    )
    with pytest.raises(SpecError, match="provided by cnnkit-double, which is not installed"):
        cnnkit.load_spec(run.path / "resolved.toml")


@pytest.mark.parametrize(
    ("source", "version", "state"),
    [
        ("1 / 0", "1.0", "which failed to load: ZeroDivisionError: division by zero"),
        (
            CODE.replace('"double"', '"twice"'),
            "2.0",
            "but cnnkit-double 2.0, which is here now, does not offer it",
        ),
    ],
)
def test_a_plugin_that_cannot_supply_it(trained, source, version, state):
    run, site = trained
    reinstall(site, source, version)
    with pytest.raises(RunError) as caught:
        cnnkit.Model.load(last(run))
    assert str(caught.value) == (
        f"{last(run)}: cannot rebuild the model: "
        f"layer type 'double' came from cnnkit-double 1.0, {state}"
    )


def test_a_plugin_left_out_by_choice(trained, monkeypatch):
    run, _ = trained
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    with pytest.raises(RunError, match=r"cnnkit-double 1\.0, which CNNKIT_PLUGINS leaves out$"):
        cnnkit.Model.load(last(run))


def test_another_version_is_a_warning(trained):
    run, site = trained
    reinstall(site, version="1.1")
    with pytest.warns(UserWarning, match="results may differ") as caught:
        model = cnnkit.Model.load(last(run))
    assert [str(warning.message) for warning in caught] == [
        f"{last(run)}: layer type 'double' came from cnnkit-double 1.0, but cnnkit-double 1.1 "
        "supplies it now: results may differ"
    ]
    assert [layer.type for layer in model.layers] == ["conv", "residual", "softmax"]


def test_a_run_that_goes_on_under_another_version_says_so(trained, capsys):
    run, site = trained
    reinstall(site, version="1.1")
    assert main(["resume", str(run.path), "--epochs", "3", "--quiet"]) == 0
    key = "layers/cnnkit-double:double"
    assert capsys.readouterr().err == (
        f'WARNING: plugins was {{"{key}": "cnnkit-double 1.0"}}, and is {{"{key}": "cnnkit-double '
        '1.1"}: the run goes on, but its bits will not be those of one that never stopped\n'
    )


def test_what_matters_to_whom(trained):
    """A model needs its layers; whoever goes on with a run needs the optimizer too."""
    made_with = {
        "layers/relu": "cnnkit 0.0.1",
        "optimizers/cnnkit-lion:lion": "cnnkit-lion 3",
        "layers/double": "cnnkit-double 1.0",  # not qualified, as somebody might write it
        "gizmos/x": "y 1",
        "layers/odd": 7,
    }
    registry = load_plugins()
    assert missing_suppliers(made_with, registry, ("layers",)) == []
    assert missing_suppliers(made_with, registry) == [
        "optimizer type 'lion' came from cnnkit-lion 3, which is not installed: "
        'pip install "cnnkit-lion==3"'
    ]
    assert other_versions(made_with, registry) == []


@pytest.mark.parametrize("plugins", [7, "cnnkit", [1]])
def test_a_file_that_says_nonsense(trained, plugins):
    run, _ = trained
    tensors, facts = load_tensors(last(run))
    save_tensors(last(run), tensors, {**facts, "plugins": plugins})
    with pytest.raises(RunError) as caught:
        cnnkit.Model.load(last(run))
    assert str(caught.value) == (
        f"{last(run)}: cannot rebuild the model: it does not say its plugins"
    )
