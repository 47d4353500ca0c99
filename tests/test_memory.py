"""The memory that a network takes is told before it is allocated, wherever in it that is."""

import re
import subprocess
import sys

import numpy as np
import pytest

from cnnkit import Model, RunError, SpecError, load_spec
from cnnkit.arrays import flatten
from cnnkit.base.weight import draw
from cnnkit.cli import main
from cnnkit.files.tensors import load_tensors, save_tensors
from cnnkit.layers.sequential import Sequential
from cnnkit.memory import needs, training_bytes
from cnnkit.optimizers import Adam, Sgd

SPEC = """
name = "n"
[data]
type = "digits"
[model]
layers = [
  "relu",
  {layer},
  {{ type = "softmax", units = 10 }},
]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 0.1
[train]
epochs = 1
memory = 1
"""
HUGE = {
    "filters in a residual": (
        '{ type = "residual", body = ["relu", { type = "conv", filters = 1000000, kernel = 1 }, '
        '{ type = "conv", filters = 1, kernel = 1 }] }',
        "layer 2 (residual) > layer 2 (conv) takes about",
    ),
    "filters in a shortcut": (
        '{ type = "residual", body = ["relu"], shortcut = '
        '[{ type = "conv", filters = 1000000, kernel = 1 }, '
        '{ type = "conv", filters = 1, kernel = 1 }] }',
        "layer 2 (residual) > shortcut layer 1 (conv) takes about",
    ),
    "padding and stride": (
        '{ type = "conv", filters = 2, kernel = 3, padding = 60000, stride = 60000 }',
        "layer 2 (conv) takes about",
    ),
    "kernel": (
        '{ type = "conv", filters = 2, kernel = 1500, padding = "same" }',
        "layer 2 (conv) takes about",
    ),
    "dilation": (
        '{ type = "conv", filters = 2, kernel = 2, padding = "same", dilation = 40000 }',
        "layer 2 (conv) takes about",
    ),
    "a chain in a chain in a residual": (
        '{ type = "residual", body = [{ type = "sequential", layers = ['
        '{ type = "dense", units = 40000000 }, { type = "dense", units = 64 }] }], '
        'shortcut = ["flatten"] }',
        "layer 2 (residual) > layer 1 (sequential) > layer ",
    ),
    "softmax": ('{ type = "softmax", units = 900000000 }', "layer 2 (softmax) takes about"),
}


@pytest.mark.parametrize("case", HUGE)
def test_what_takes_too_much_is_named_with_its_line(case, tmp_path):
    layer, place = HUGE[case]
    path = tmp_path / "spec.toml"
    path.write_text(SPEC.format(layer=layer))
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert len(caught.value.problems) == 1
    problem = caught.value.problems[0]
    assert place in problem.message
    assert problem.line == 8
    assert "GiB of memory that training needs" in problem.message


CRAFTED = [
    [
        {"type": "residual", "body": [
            {"type": "conv", "filters": 1_000_000, "kernel": [1, 1], "bias": "none"},
            {"type": "conv", "filters": 1, "kernel": [1, 1]}]},
    ],
    [{"type": "conv", "filters": 1, "kernel": [1, 1], "padding": [[60000] * 2] * 2,
      "stride": [60000, 60000]}],
    [{"type": "conv", "filters": 1, "kernel": [1500, 1500], "padding": "same"}],
]  # fmt: skip


@pytest.mark.parametrize("layers", CRAFTED)
def test_a_crafted_model_is_refused_before_it_runs(layers, tmp_path, monkeypatch, capsys):
    model = Model.build([{"type": "conv", "filters": 1, "kernel": 1}], (1, 28, 28))
    path = tmp_path / "model.safetensors"
    model.save(path)
    facts = load_tensors(path)[1]
    declared = Sequential(layers=layers).weights((1, 28, 28))
    drawn = draw(declared, np.random.default_rng(0), "float32")
    facts["model"]["layers"] = layers
    facts["plugins"] |= {"layers/residual": facts["plugins"]["layers/conv"]}
    save_tensors(path, {f"weights/{name}": w for name, w in flatten(drawn).items()}, facts)
    monkeypatch.setattr("cnnkit.memory.physical_memory", lambda: 2**31)
    with pytest.raises(RunError, match=r"\(conv\) takes about .* GiB of memory"):
        Model.load(path)
    images = tmp_path / "x.npy"
    np.save(images, np.zeros((1, 1, 28, 28), "float32"))
    assert main(["predict", str(path), str(images)]) == 2
    assert "takes about" in capsys.readouterr().err


def test_an_optimizers_slots_and_every_shards_gradient_count():
    layers = Sequential(layers=[{"type": "dense", "units": 1000}]).layers
    found = list(needs(layers, (1000,)))
    weights = 1_001_000
    one, many = (
        [sum(training_bytes(found, layers, opt, batch=batch, threads=1)) for opt in
         (Sgd(lr=0.1), Sgd(lr=0.1, momentum=0.9), Adam())] for batch in (8, 320)
    )  # fmt: skip
    assert np.diff(one).tolist() == [3 * 4 * weights] * 2
    assert np.subtract(many, one).min() > 10 * 4 * weights


def test_what_may_be_gone_back_to_counts():
    """Weights and state once more, and in the two copies of a checkpoint that is being saved."""
    layers = Sequential(layers=[{"type": "dense", "units": 1000}]).layers
    found = list(needs(layers, (1000,)))
    for slots, optimizer in enumerate((Sgd(lr=0.1), Sgd(lr=0.1, momentum=0.9), Adam())):
        without, with_it = (
            sum(training_bytes(found, layers, optimizer, batch=8, threads=1, rollback=rollback))
            for rollback in (False, True)
        )
        assert with_it - without == 3 * 4 * 1_001_000 * (1 + slots)


@pytest.mark.parametrize(
    ("callback", "copies"),
    [
        ('"ema"', 2),
        ('{ type = "swa", start = 1 }', 2),
        ('"early_stopping"', 1),
        ('{ type = "early_stopping", restore = false }', 0),
        ('"plateau"', 0),
    ],
)
def test_copies_that_callbacks_keep_count(callback, copies, tmp_path):
    """Each by itself, and twice while a checkpoint is saved."""
    path, asked = tmp_path / "spec.toml", []
    spec = SPEC.format(layer='{ type = "dense", units = 1000 }').replace("= 1\n", "= 0.0001\n")
    spec = spec.replace("epochs = 0.0001", "epochs = 1")
    for more in ("", f"callbacks = [{callback}]\n"):
        path.write_text(spec + more)
        with pytest.raises(SpecError) as caught:
            load_spec(path)
        [problem] = caught.value.problems
        asked.append(float(re.search(r"of the ([\d.]+) MiB of memory", problem.message)[1]))
    weights = 64 * 1000 + 1000 + 1000 * 10 + 10
    assert asked[1] - asked[0] == pytest.approx(copies * 3 * 4 * weights / 2**20, abs=0.11)


_PEAK = """
import sys, numpy as np
from cnnkit import Model, Trainer
from cnnkit.memory import needs, training_bytes
from cnnkit.layers.sequential import Sequential
from cnnkit.losses import CrossEntropy
from cnnkit.optimizers import Sgd
from cnnkit.workers import Threads
layers, shape, batch = eval(sys.argv[1])
chain = Sequential(layers=layers).layers
said = sum(training_bytes(list(needs(chain, shape)), chain, Sgd(lr=0.1), batch=batch, threads=1))
x, y = np.zeros((batch, *shape), "float32"), np.arange(batch) % 10
def fit(layers):
    model = Model.build(layers, shape)
    trainer = Trainer(model, CrossEntropy(), Sgd(lr=0.01), batch=batch, threads=Threads(1))
    trainer.fit(x, y)
    status = open("/proc/self/status").read()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
before = fit([{"type": "softmax", "units": 10}])
print(said / (fit(layers) - before))
"""
_CONV = {"type": "conv", "filters": 16, "kernel": 3, "padding": "same"}
_HEAD = {"type": "softmax", "units": 10}
MEASURED = {
    "maps": ([_CONV, "relu", {**_CONV, "filters": 64}, "relu", "pool", _HEAD], (3, 64, 64), 64),
    "kernel": ([{**_CONV, "filters": 4, "kernel": 21}, "relu", _HEAD], (1, 64, 64), 32),
    "padding": ([{**_CONV, "padding": 60, "stride": 2}, "relu", _HEAD], (3, 48, 48), 32),
    "activations": ([{**_CONV, "filters": 32}, "gelu", "silu", "layer_norm",
                     {"type": "pool", "size": 3, "stride": 1, "padding": 1}, "tanh", _HEAD],
                    (3, 40, 40), 32),
    "norms": ([{**_CONV, "bias": "none"}, "batch_norm", "relu", {**_CONV, "bias": "none"},
               "batch_norm", "relu", "pool", "batch_norm", _HEAD], (3, 48, 48), 64),
    "branches": ([{"type": "parallel", "branches": [[_CONV, "relu"], [], ["tanh"]]},
                  {"type": "depthwise_separable", "filters": 48}, "squeeze_excite",
                  {"type": "residual", "body": [_CONV, "relu"], "project": True}, "global_pool",
                  _HEAD], (16, 40, 40), 32),
    "inside": ([{"type": "residual", "body": [{**_CONV, "filters": 4000, "kernel": 1}, "relu",
                {**_CONV, "filters": 1, "kernel": 1}]}, _HEAD], (1, 28, 28), 16),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only it tells the highest mark")
@pytest.mark.parametrize("case", MEASURED)
def test_the_estimate_is_within_a_factor_of_two_of_what_is_measured(case):
    command = [sys.executable, "-c", _PEAK, repr(MEASURED[case])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ratio = float(done.stdout)
    assert 0.5 < ratio < 2, ratio


@pytest.mark.parametrize("where", ["step", "build"])
def test_memory_that_runs_out_is_an_error_of_the_spec(where, tmp_path, monkeypatch, capsys):
    path = tmp_path / "spec.toml"
    path.write_text(SPEC.format(layer='{ type = "dense", units = 20 }'))

    def fail(*_, **__):
        raise MemoryError("cannot allocate 1 GiB")

    target = {"step": "cnnkit.layers.dense.dense", "build": "cnnkit.model.draw"}[where]
    monkeypatch.setattr(target, fail)
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "error: not enough memory" in told
    assert "bug" not in told
    if where == "step":
        assert "in layer 2 (dense): cannot allocate 1 GiB" in told
        assert f"--> {path}:8:3" in told


def test_memory_that_runs_out_in_prediction_is_no_bug(tmp_path, monkeypatch, capsys):
    model = Model.build([{"type": "dense", "units": 2}], (1, 4, 4))
    model.save(tmp_path / "m.safetensors")
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 4, 4), "float32"))

    def fail(*_, **__):
        raise MemoryError("cannot allocate 1 GiB")

    monkeypatch.setattr("cnnkit.layers.dense.dense", fail)
    assert main(["predict", str(tmp_path / "m.safetensors"), str(tmp_path / "x.npy")]) == 2
    assert "not enough memory in layer 1 (dense)" in capsys.readouterr().err


@pytest.mark.parametrize("depth", [65, 150, 450])
def test_layers_nested_too_deep_are_refused_with_the_line(depth, tmp_path):
    head, _, tail = SPEC.partition("[model]\n")
    tables, chain = "", "model.layers"
    for _ in range(depth):
        tables += f'[[{chain}]]\ntype = "residual"\n'
        chain += ".body"
    tables += f'[[{chain}]]\ntype = "relu"\n'
    path = tmp_path / "spec.toml"
    path.write_text(head + tail[tail.index("[loss]") :] + tables)
    with pytest.raises(SpecError, match="tables are nested more than 64 deep") as caught:
        load_spec(path)
    assert caught.value.problems[0].line > 10


@pytest.mark.parametrize("depth", [70, 190])
def test_a_crafted_model_nested_too_deep_is_refused(depth, tmp_path):
    layer = "relu"
    for _ in range(depth):
        layer = {"type": "residual", "body": [layer]}
    path = tmp_path / "m.safetensors"
    Model.build(["relu"], (1, 4, 4)).save(path)
    tensors, facts = load_tensors(path)
    facts["model"]["layers"] = [layer]
    facts["plugins"] |= {"layers/residual": facts["plugins"]["layers/relu"]}
    save_tensors(path, tensors, facts)
    with pytest.raises(RunError, match=r"nested|recursion"):
        Model.load(path)
