"""What a practitioner would change in a spec that is valid: said by `check` and `show` alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnnkit.cli import main
from cnnkit.plugins import load_plugins
from cnnkit.specfile.advice import advice
from cnnkit.specfile.load import load_spec, warned

ROOT = Path(__file__).parents[2]
SPEC = """\
name = "advised"
data = "digits"
[loss]
type = "cross_entropy"
[optimizer]
type = "adam"
lr = 0.01
[model]
layers = [
  LAYERS
  { type = "softmax", units = 10 },
]
"""


def write(tmp_path, layers: str, more: str = "") -> Path:
    path = tmp_path / "a.toml"
    path.write_text(SPEC.replace("LAYERS", f"{layers}\n") + more)
    return path


CONV = 'type = "conv", filters = 2'
SAME = 'kernel = 3, padding = "same"'
ADVICE = [
    (
        f'{{ {CONV}, {SAME} }}, "batch_norm", "relu",', "",
        '{ type = "conv"',
        "layer 1 (conv) has a bias, which the batch_norm behind it takes away",
        'give it bias = "none": batch_norm has a beta of its own',
    ),
    (
        '{ type = "residual", body = [{ type = "dense", units = 10, bias = "tied" }, "batch_norm"]'
        ', shortcut = [{ type = "dense", units = 10 }] },', "",
        '"tied"',
        "layer 1 (residual) > layer 1 (dense) has a bias, which the batch_norm behind it takes "
        "away",
        'give it bias = "none": batch_norm has a beta of its own',
    ),
    (  # across the ends of chains
        f'{{ type = "sequential", layers = ["relu", {{ {CONV}, {SAME} }}] }}, '
        '{ type = "sequential", layers = [{ type = "sequential", layers = ["batch_norm"] }] },', "",
        '{ type = "conv"',
        "layer 1 (sequential) > layer 2 (conv) has a bias, which the batch_norm behind it takes "
        "away",
        'give it bias = "none": batch_norm has a beta of its own',
    ),
    (
        f'"pool", "pool", {{ {CONV}, kernel = 5, padding = "same" }},', "",
        '5, padding',
        "layer 3 (conv) has a kernel of 5x5, larger than its 2x2 map: most of what it sees is "
        "padding",
        "use kernel = 2, or drop a pool before it",
    ),
    (
        f'{{ {CONV}, kernel = [3, 5], dilation = [1, 4], padding = "same" }},', "",
        '[3, 5]',
        "layer 1 (conv) has a kernel of 3x5, larger than its 8x8 map: most of what it sees is "
        "padding",
        "use kernel = [3, 2], or drop a pool before it",
    ),
    (
        f'{{ {CONV}, kernel = 2, stride = 3 }},', "",
        '3 }',
        "layer 1 (conv) has a stride of 3x3, larger than its kernel of 2x2: it never sees the "
        "pixels between",
        "use a kernel at least as large as the stride",
    ),
    (
        '{ type = "parallel", branches = [["relu"], [{ type = "pool", size = 1, stride = 2 }, '
        f'{{ {CONV}, kernel = 1, padding = 2 }}]] }},', "",
        '2 }',
        "layer 1 (parallel) > branch 2 layer 1 (pool) has a stride of 2x2, larger than its size of "
        "1x1: it never sees the pixels between",
        "use a size at least as large as the stride",
    ),
    (
        '{ type = "dense", units = 2000 }, "relu",', "",
        '2000 }',  # 64 * 2000 + 2000 and 2000 * 10 + 10; 1,442 images, less a tenth
        "the dense layers hold 150,010 weights, 115 for each of the 1,298 images to train on, "
        "130,000 of them in layer 1 (dense)",
        "put a global_pool or another pool before it, or use fewer units",
    ),
    (
        '{ type = "dense", units = 200 },', "[train]\nsubset = 100\n",
        '200 }',  # 64 * 200 + 200 + 2010
        "the dense layers hold 15,010 weights, 150 for each of the 100 images to train on, 13,000 "
        "of them in layer 1 (dense)",
        "put a global_pool or another pool before it, or use fewer units",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("layers", "more", "place", "message", "help_"), ADVICE)
def test_what_is_advised(layers, more, place, message, help_, tmp_path):
    spec = load_spec(write(tmp_path, layers, more))
    [(problem, text)] = warned(advice(spec), spec.source)
    assert (problem.message, problem.help) == (message, help_)
    assert problem.source_line[problem.column - 1 :].startswith(place)
    assert text.startswith(f"warning: {message}\n")
    assert spec.warnings == []  # training says nothing of it


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("loss", "what"),
    [
        ("mean_squared_error", "hardly learns from an image that is told wrong with certainty"),
        (
            "binary_cross_entropy",
            "judges each probability by itself, though they add up to 1",
        ),
    ],
)
def test_softmax_without_cross_entropy(loss, what, inside, tmp_path):
    path = write(tmp_path, "")
    if inside:
        head = '{ type = "softmax", units = 10 }'
        chain = f'{{ type = "sequential", layers = ["relu", {head}] }}'
        path.write_text(path.read_text().replace(head, chain))
    spec = load_spec(path, [f'loss="{loss}"'])
    [(problem, _)] = warned(advice(spec), spec.source)
    assert (problem.argument, problem.message, problem.help) == (
        f'--set loss="{loss}"',
        f"[loss]: {loss} behind a softmax {what}",
        'use loss type "cross_entropy"',
    )


@pytest.mark.parametrize(
    "layers",
    [
        f'{{ {CONV}, {SAME}, bias = "none" }}, "batch_norm",',
        f'{{ {CONV}, {SAME} }}, "relu", "batch_norm",',
        f'{{ {CONV}, {SAME}, bias = "untied" }}, "batch_norm",',  # one a pixel: it stays
        '{ type = "residual", body = [{ type = "conv", filters = 1, kernel = 1 }] }, "batch_norm",',
        f'{{ {CONV}, {SAME} }}, {{ type = "residual", body = ["batch_norm"] }},',
        f"{{ {CONV}, kernel = 8, stride = 8 }},",  # patches
        '{ type = "pool", size = 3, stride = 3 },',
        '{ type = "residual", body = [{ type = "conv", filters = 2, kernel = 3, stride = 2, '
        'padding = 1 }], shortcut = [{ type = "conv", filters = 2, kernel = 1, stride = 2 }] },',
        '{ type = "dense", units = 1000 },',  # 75,010: 57 an image
    ],
)
def test_what_is_well(layers, tmp_path):
    assert advice(load_spec(write(tmp_path, layers))) == []


def test_nothing_is_said_where_shapes_are_not_known(tmp_path):
    layers = f'{{ {CONV}, {SAME} }}, "batch_norm",'
    assert advice(load_spec(write(tmp_path, layers), ["data={type='npz', path='later.npz'}"])) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("specs/*.toml")), ids=lambda path: path.name)
def test_shipped_specs_are_as_they_should_be(path):
    assert advice(load_spec(path, registry=load_plugins())) == []


@pytest.mark.parametrize("only", ["fashion_mnist", "mnist", "cifar10"])
def test_how_many_images_there_are(only, tmp_path):
    shape = "[3, 32, 32]" if only == "cifar10" else "[1, 28, 28]"
    units = 60_000 * 9
    path = write(tmp_path, f'{{ type = "dense", units = {units} }}, ')
    spec = load_spec(path, [f"data={only}", f"model.input={shape}", "train.memory=1e9"])
    [finding] = advice(spec)
    images = 45_000 if only == "cifar10" else 54_000
    assert f"each of the {images:,} images" in finding.message
    few = load_spec(path, ["data={type='mnist', only=[1,2]}", "train.memory=1e9",
                           "model.layers.1.units=2"])  # fmt: skip
    assert "each of the 10,800 images" in advice(few)[0].message


def test_check_and_show_say_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, ADVICE[0][0])
    said = f"warning: {ADVICE[0][3]}\n  --> a.toml:10:3\n"
    for verb in ("check", "show"):
        assert main([verb, "a.toml"]) == 0
        assert capsys.readouterr().err.startswith(said)
    assert main(["check", "--json", "a.toml"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["warnings"] == [f"a.toml:10:3: {ADVICE[0][3]}"]
    assert main(["show", "--json", "a.toml"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == [ADVICE[0][3]]
