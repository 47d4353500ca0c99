"""The spec language: what variables, blocks, defaults and included files are written out to.

The texts of its errors stand in tests/diagnostics, in the specs whose names begin with expand.
"""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import tomli

import cnnkit
from cnnkit.arrays import flatten
from cnnkit.base import Initializer, Layer, Layers
from cnnkit.base.component import PathText
from cnnkit.cli import main
from cnnkit.model import Model
from cnnkit.provenance import plain

SPECS = Path(__file__).parent / "specs"
REST = """
[data]
type = "digits"
only = [0, 1]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 0.1
[train]
epochs = 1
"""
UNIT = '[blocks.unit]\nlayers = [{ type = "dense", units = "${width}" }, "relu"]\n'


@pytest.fixture
def write(tmp_path):
    """Write a spec of these layers, with the rest of what it needs."""

    def write_(layers: str, head: str = "", tail: str = "", file: str = "spec.toml") -> Path:
        path = tmp_path / file
        model = f'[model]\nlayers = [{layers}, {{ type = "softmax", units = 2 }}]\n'
        path.write_text(f'format = 1\nname = "s"\n{head}\n{model}\n{tail}\n{REST}')
        return path

    return write_


@pytest.fixture
def layers(write):
    """Return the plain tables of the layers that a spec is written out to, less the last."""

    def layers_(*args, set=(), **kwargs):
        spec = cnnkit.load_spec(write(*args, **kwargs), set)
        return [shorter(plain(layer, spec.registry)) for layer in spec.model.layers[:-1]]

    return layers_


def shorter(value):
    """Leave out what nobody wrote: defaults of the layers used here."""
    if isinstance(value, list):
        return [shorter(item) for item in value]
    if not isinstance(value, dict):
        return value
    left = {"init", "bias_init", "bias", "label"}
    found = {k: shorter(v) for k, v in value.items() if k not in left}
    return found["type"] if list(found) == ["type"] else found


def dense(units):
    return {"type": "dense", "units": units}


def weights(spec):
    return flatten(Model.build(spec.model.layers, (1, 8, 8), seed=spec.seed).weights)


def count(spec):
    return sum(array.size for array in weights(spec).values())


def convs(*channels, kernel=3):
    return sum(a * b * kernel**2 for a, b in pairwise(channels))


def test_a_vgg_of_20_layers_takes_30_lines():
    """18 convolutions without bias, each with four numbers a channel for its norm; 64 maps of one
    pixel are left for a dense layer of 64."""
    path = SPECS / "vgg20.toml"
    assert len(path.read_text().splitlines()) <= 30
    spec = cnnkit.load_spec(path)
    wide = convs(1, *[16] * 6, *[32] * 6, *[64] * 6)
    assert count(spec) == wide + 4 * 6 * (16 + 32 + 64) + (64 * 64 + 64) + (64 * 10 + 10)
    assert count(spec) == 272_602
    kernels = [name for name, array in weights(spec).items() if array.ndim > 1]
    assert len(kernels) == 20
    assert kernels[5:7] == ["fine/unit_6/0_conv/W", "middle/unit_1/0_conv/W"]


def test_a_resnet_of_20_layers_takes_40_lines():
    """19 convolutions and a dense layer, and a projection where the maps become smaller."""
    path = SPECS / "resnet20.toml"
    assert len(path.read_text().splitlines()) <= 40
    spec = cnnkit.load_spec(path)
    ways = 16 * 32 + 32 * 64
    norms = 4 * (16 * 7 + 32 * 6 + 64 * 6)
    assert count(spec) == convs(1, *[16] * 7, *[32] * 6, *[64] * 6) + norms + ways + 64 * 10 + 10
    assert count(spec) == 273_370
    kernels = [name for name, array in weights(spec).items() if array.ndim == 4]
    assert len(kernels) == 19 + 2
    assert {"stem/0_conv/W", "unit_4/0_residual/conv_1/0_conv/W",
            "unit_4/0_residual/shortcut/0_conv/W", "unit_9/0_residual/conv_2/0_conv/W",
            } <= {*kernels}  # fmt: skip


@pytest.mark.parametrize("name", ["vgg20", "resnet20"])
def test_the_resolved_spec_trains_to_the_same_weights(name, tmp_path, capsys):
    few = ["data.only=[0, 1]", "train.epochs=1", "train.batch=128", "vars.width=4"]
    last = {"vgg20": 5, "resnet20": 8}[name]
    sets = [word for one in (*few, f"model.layers.{last}.units=2") for word in ("--set", one)]
    written = SPECS / f"{name}.toml"
    assert main(["check", "--resolved", str(written), *sets]) == 0
    resolved = tmp_path / "plain.toml"
    resolved.write_text(capsys.readouterr().out)
    assert "format" not in tomli.loads(resolved.read_text())
    first = cnnkit.train(cnnkit.load_spec(written, sets[1::2]), out=tmp_path / "a")
    second = cnnkit.train(cnnkit.load_spec(resolved), out=tmp_path / "b")
    assert first.summary["weights_sha256"] == second.summary["weights_sha256"]
    assert [*flatten(first.model.weights)] == [*flatten(second.model.weights)]
    assert (tmp_path / "a/resolved.toml").read_text() == resolved.read_text()
    assert (tmp_path / "b/resolved.toml").read_text() == resolved.read_text()
    assert (tmp_path / "a/spec.toml").read_bytes() == written.read_bytes()


def test_the_page_shows_a_spec_that_works(write, tmp_path):
    page = (Path(__file__).parents[2] / ".github/docs/spec.md").read_text(encoding="utf-8")
    write('"relu"', file="base.toml")
    top = tmp_path / "top.toml"
    top.write_text(page.partition("```toml\n")[2].partition("```")[0])
    spec = cnnkit.load_spec(top, ["data.only=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"])
    names = [name for name, array in weights(spec).items() if array.ndim == 4]
    assert names == [f"unit_{n}/0_conv/W" for n in (1, 2, 3, 4)]
    assert [weights(spec)[name].shape[0] for name in names] == [16, 16, 32, 32]


def test_a_variable_is_of_its_own_type(layers):
    head = """[vars]
side = [1, 2]
init = { type = "normal", std = 0.5 }
padding = "same"
rate = 0.25
filters = 4
more = "${filters * 3}"
kind = "relu"
"""
    found = layers(
        '{ type = "conv", filters = "${more // 5}", kernel = "${side}", padding = "${padding}" }, '
        '{ type = "dropout", rate = "${ rate }" }, "${kind}", '
        '{ type = "dense", units = "${filters*2}", init = "${init}" }',
        head,
    )
    assert [found[0][key] for key in ("filters", "kernel", "padding")] == [2, [1, 2], "same"]
    assert (found[1]["rate"], found[2], found[3]["units"]) == (0.25, "relu", 8)


def test_copies_are_counted_by_name_in_their_chain(layers):
    repeat = '{ type = "repeat", block = "unit", times = 2 }'
    found = layers(
        f'{repeat}, "relu", {{ type = "repeat", block = "unit", with = {{ width = 3 }} }}, '
        '{ type = "repeat", block = "unit", name = "one" }, '
        '{ type = "repeat", block = "unit", name = "two", times = 2, trainable = false }, '
        f'{{ type = "sequential", layers = [{repeat}] }}',
        f"[vars]\nwidth = 5\n{UNIT}",
    )
    assert [layer if isinstance(layer, str) else layer.get("name") for layer in found] == [
        "unit_1", "unit_2", "relu", "unit_3", "one", "two_1", "two_2", None
    ]  # fmt: skip
    assert found[3] == {"type": "sequential", "name": "unit_3", "layers": [dense(3), "relu"]}
    assert [layer.get("trainable") for layer in found if layer != "relu"] == (
        [None] * 4 + [False] * 2 + [None]
    )
    assert [layer["name"] for layer in found[7]["layers"]] == ["unit_1", "unit_2"]


def test_blocks_in_blocks_see_the_variables_around_them(layers):
    head = """[vars]
width = 2
[blocks.unit]
layers = [{ type = "dense", units = "${width}" }]
[blocks.stage]
layers = [
  { type = "repeat", block = "unit" },
  { type = "repeat", times = "${deep}", block = "unit", with = { width = "${width * 10}" } },
]
"""
    found = layers(
        '{ type = "repeat", block = "stage", with = { deep = 1 } }, '
        '{ type = "repeat", block = "stage", with = { deep = 2, width = 3 } }',
        head,
    )
    units = [[inner["layers"][0]["units"] for inner in stage["layers"]] for stage in found]
    assert units == [[2, 20], [3, 30, 30]]


def test_a_variable_that_every_repeat_sets_is_in_use(layers):
    found = layers(
        '{ type = "repeat", block = "unit", with = { width = 3 } }', f"[vars]\nwidth = 5\n{UNIT}"
    )
    assert found[0]["layers"][0] == dense(3)


def test_set_reaches_variables_blocks_repeats_and_copies(layers):
    head = f"[vars]\nwidth = 5\n{UNIT}"
    args = '{ type = "repeat", block = "unit", times = 2 }', head
    assert [one["layers"][0] for one in layers(*args)] == [dense(5)] * 2
    sets = ["vars.width=6", "model.layers.unit_3.layers.0.units=7", "model.layers.0.times=3"]
    assert [one["layers"][0] for one in layers(*args, set=sets)] == [dense(6), dense(6), dense(7)]
    found = layers(*args, set=["blocks.unit.layers.1=tanh", "model.layers.unit_1.layers.1=silu"])
    assert [one["layers"][1] for one in found] == ["silu", "tanh"]


def test_defaults_are_for_every_layer_of_a_type(layers):
    conv = '{ type = "conv", filters = 4 }'
    found = layers(
        f'{conv}, {{ type = "conv", filters = 4, padding = 1 }}, "pool", '
        f'{{ type = "parallel", branches = [[{conv}], ["pool", "pool"]], join = "concat" }}, '
        f'{{ type = "repeat", block = "unit" }}',
        f'[vars]\nside = 3\n[blocks.unit]\nlayers = [{conv}]\n',
        '[model.defaults]\nconv = { padding = "same", kernel = "${side}" }\n'
        'pool = { size = 3, stride = 1, padding = 1 }',
    )  # fmt: skip
    assert [found[i]["padding"] for i in (0, 1)] == ["same", [[1, 1], [1, 1]]]
    assert found[0]["kernel"] == [3, 3]
    assert found[2]["size"] == [3, 3]
    (first,), pools = found[3]["branches"]
    assert (first["padding"], [pool["size"] for pool in pools]) == ("same", [[3, 3]] * 2)
    assert found[4]["layers"][0]["kernel"] == [3, 3]


class Twofold(Layer):
    """A container of somebody else."""

    type: Literal["twofold"] = "twofold"
    left: Layers

    def forward(self, x, w, ctx):
        return x, lambda dy: (dy, {})


class FileScale(Layer):
    """A layer that reads a file."""

    type: Literal["file_scale"] = "file_scale"
    path: PathText

    def forward(self, x, w, ctx):
        return x, lambda dy: (dy, {})


class Dense(Initializer):
    """Called as a layer is."""

    type: Literal["dense"] = "dense"
    units: int = 1

    def draw(self, shape, fans, rng):
        return np.ones(shape)


def test_defaults_reach_into_anybodys_containers_and_leave_other_families_alone(write):
    path = write(
        '{ type = "twofold", left = [{ type = "dense", init = "dense" }] }',
        tail="[model.defaults.dense]\nunits = 7",
    )
    left = cnnkit.load_spec(path, types=[Twofold, Dense]).model.layers[0].left
    assert (left[0].units, left[0].init.units) == (7, 1)


def test_a_spec_is_laid_over_those_it_includes(write, tmp_path):
    (tmp_path / "deep").mkdir()
    write('{ type = "dense", units = "${width}" }', '[vars]\nwidth = 3\nspare = 9\n'
          '[blocks.spare]\nlayers = ["relu"]', file="deep/lowest.toml")  # fmt: skip
    (tmp_path / "deep" / "middle.toml").write_text(
        'include = "lowest.toml"\n[optimizer]\nmomentum = 0.5\n[train]\nbatch = 16\n'
    )
    top = tmp_path / "top.toml"
    top.write_text('format = 1\ninclude = "deep/middle.toml"\nseed = 3\n[vars]\nwidth = 4\n')
    spec = cnnkit.load_spec(top, ["train.epochs=2"])
    assert (spec.name, spec.seed, spec.train.batch, spec.train.epochs) == ("s", 3, 16, 2)
    assert (spec.optimizer.lr, spec.optimizer.momentum) == (0.1, 0.5)
    assert spec.model.layers[0].units == 4
    assert [Path(file.file).name for file in spec.source.includes] == ["middle.toml", "lowest.toml"]
    top.write_text(top.read_text() + '[optimizer]\ntype = "adam"\n')  # takes the place of all of it
    assert "lr = 0.1" not in str(cnnkit.load_spec(top).optimizer)


def test_a_bare_type_below_gets_the_options_above(write, tmp_path):
    base = write('"relu"', file="base.toml")
    base.write_text(base.read_text().replace('[optimizer]\ntype = "sgd"\nlr = 0.1\n', "").replace(
        'name = "s"', 'name = "s"\noptimizer = "adam"'))  # fmt: skip
    top = tmp_path / "top.toml"
    top.write_text('format = 1\ninclude = "base.toml"\n[optimizer]\nlr = 0.25\n')
    found = cnnkit.load_spec(top).optimizer
    assert (found.type, found.lr) == ("adam", 0.25)


def test_paths_start_from_the_folder_of_the_file_that_has_them(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    images = np.zeros((20, 4, 4), np.uint8)
    np.savez(folder / "d.npz", x_train=images, y_train=np.arange(20) % 2,
             x_test=images, y_test=np.arange(20) % 2)  # fmt: skip
    (folder / "base.toml").write_text(
        'name = "s"\n[data]\ntype = "npz"\npath = "d.npz"\n[model]\nlayers = [{ type = "softmax", '
        'units = 2 }]\n[loss]\ntype = "cross_entropy"\n[optimizer]\ntype = "sgd"\nlr = 0.1\n'
    )
    top = tmp_path / "top.toml"
    top.write_text('format = 1\ninclude = "data/base.toml"\n')
    assert cnnkit.load_spec(top).data.path == str(folder / "d.npz")
    assert cnnkit.load_spec(top, ["data.path=e.npz"]).data.path == "e.npz"  # from top's folder
    top.write_text('format = 1\ninclude = "data/base.toml"\n[data]\npath = "data/d.npz"\n')
    assert cnnkit.load_spec(top).data.path == "data/d.npz"
    (folder / "base.toml").write_text(
        (folder / "base.toml").read_text().replace('"d.npz"', '"~/d.npz"')
    )
    top.write_text('format = 1\ninclude = "data/base.toml"\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cnnkit.load_spec(top).data.path == str(tmp_path / "d.npz")


def test_paths_that_may_be_left_out_do_so_too(tmp_path, write):
    (tmp_path / "data").mkdir()
    base = write('"relu"', file="data/base.toml")
    base.write_text(base.read_text().replace("[model]\n", '[model]\nweights = "w.safetensors"\n'))
    top = tmp_path / "top.toml"
    top.write_text('format = 1\ninclude = "data/base.toml"\n')
    assert cnnkit.load_spec(top).model.weights == str(tmp_path / "data" / "w.safetensors")


def test_a_run_needs_its_included_files_no_more(write, tmp_path, capsys):
    base = write('{ type = "repeat", block = "unit" }', f"[vars]\nwidth = 5\n{UNIT}", file="b.toml")
    kept = base.read_bytes()
    top = tmp_path / "top.toml"
    top.write_text('format = 1\ninclude = "b.toml"\nseed = 4\n')
    run = tmp_path / "run"
    assert main(["run", str(top), "--out", str(run), "--quiet"]) == 0
    base.unlink()
    top.unlink()
    assert (run / "spec.toml").read_text() == 'format = 1\ninclude = "b.toml"\nseed = 4\n'
    assert (run / "included-1.toml").read_bytes() == kept
    for words in (["show"], ["evaluate"], ["report"], ["resume", "--epochs", "2"], ["evaluate"]):
        capsys.readouterr()
        assert main([words[0], str(run), *words[1:]]) == 0, capsys.readouterr().err
    assert "unit_1" in (run / "resolved.toml").read_text()
    assert kept.decode().splitlines()[0] in (run / "report.html").read_text()
    capsys.readouterr()
    assert main(["check", str(run / "spec.toml")]) == 2
    whole = run / "resolved.toml"
    said = f"  = help: this is a run's copy of what it was given; {whole} holds the whole spec\n"
    assert said in capsys.readouterr().err
    assert main(["check", str(whole)]) == 0


def test_without_a_format_everything_reads_as_before(write):
    path = write('"relu"')
    text = path.read_text().replace("format = 1\n", "").replace("only = [0, 1]\n", "")
    path.write_text(text.replace('"digits"', '"npz"\npath = "${data}.npz"'))
    assert cnnkit.load_spec(path).data.path == "${data}.npz"


def test_one_spec_is_printed_resolved_and_as_toml(write, capsys):
    path = write('"relu"')
    for words in ([str(path), str(path)], [str(path), "--json"]):
        assert main(["check", "--resolved", *words]) == 2
        assert capsys.readouterr().err == (
            "error: --resolved prints one spec as TOML; leave out the others, and --json\n"
        )


def test_what_is_nested_too_deep(write):
    def nested(depth):
        head = "".join(
            f'[blocks.b{i}]\nlayers = [{{ type = "repeat", block = "b{i + 1}" }}]\n'
            for i in range(depth)
        )
        return write(
            '{ type = "repeat", block = "b0" }', f'{head}[blocks.b{depth}]\nlayers = ["relu"]'
        )

    cnnkit.load_spec(nested(20))
    with pytest.raises(cnnkit.SpecError, match="nested"):
        cnnkit.load_spec(nested(90))
    with pytest.raises(cnnkit.SpecError, match="nested too deep"):
        cnnkit.load_spec(nested(900))


def test_a_chain_of_includes_has_an_end(tmp_path):
    for i in range(20):
        (tmp_path / f"{i}.toml").write_text(f'format = 1\ninclude = "{i + 1}.toml"\n')
    with pytest.raises(cnnkit.SpecError, match="more than 16 files include one another"):
        cnnkit.load_spec(tmp_path / "0.toml")


def test_a_layer_that_fails_in_training_is_found_in_the_file(write, tmp_path):
    path = write('"relu", { type = "repeat", block = "unit", with = { width = 8 } }', UNIT)
    spec = cnnkit.load_spec(path, ["optimizer.lr=1e30"])
    with pytest.raises(cnnkit.TrainingError) as caught:
        cnnkit.train(spec, out=tmp_path / "run")
    notes = "\n".join(caught.value.__notes__)
    assert f"  --> {path}:" in notes


def test_a_valid_spec_needs_no_diagnosis():
    code = (
        "import sys, cnnkit; cnnkit.load_spec(sys.argv[1]); "
        "print([m for m in sys.modules if m.startswith('cnnkit.diagnosis')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(SPECS / "resnet20.toml")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"


def test_a_format_alone_is_a_spec_that_lacks_the_rest(tmp_path):
    path = tmp_path / "bare.toml"
    path.write_text("format = 1\n")
    with pytest.raises(cnnkit.SpecError) as caught:
        cnnkit.load_spec(path)
    assert str(caught.value).startswith(
        "error: the spec has no name, [data], [model], [loss] and [optimizer]\n"
    )


RESIDUAL = '{ type = "residual", project = true, body = [{ type = "repeat", block = "unit" }] }'


def test_a_number_before_a_name_counts_what_the_file_has(layers):
    repeat = '{ type = "repeat", block = "unit", times = 2 }'
    deep = f'{{ type = "parallel", branches = [[{repeat}], [{repeat}]] }}'
    args = f"{repeat}, {RESIDUAL}, {RESIDUAL}, {deep}", f"[vars]\nwidth = 5\n{UNIT}"
    sets = ["model.layers.2.drop=0.5", "model.layers.2.body.unit_1.layers.1=tanh",
            "model.layers.3.branches.1.unit_2.layers.1=silu"]  # fmt: skip
    *copies, first, second, last = layers(*args, set=sets)
    assert [one["layers"][1] for one in copies] == ["relu"] * 2
    drops = [(one["drop"], one["body"][0]["layers"][1]) for one in (first, second)]
    assert drops == [(0.0, "relu"), (0.5, "tanh")]
    kinds = [[one["layers"][1] for one in branch] for branch in last["branches"]]
    assert kinds == [["relu", "relu"], ["relu", "silu"]]


def test_a_number_within_a_copy_counts_what_the_block_has(layers):
    head = f"""[vars]
width = 5
{UNIT}
[blocks.stage]
layers = [{{ type = "repeat", block = "unit", times = 2 }}, "relu", {{ type = "dense", units = 4 }}]
"""
    args = '{ type = "repeat", block = "stage", times = 2 }', head
    sets = ["model.layers.stage_2.layers.2.units=9",
            "model.layers.stage_2.layers.unit_2.layers.0.units=8",
            "model.layers.stage_1.layers.0.times=1", "model.layers.stage_1.lr_scale=0.5",
            "blocks.stage.layers.unit_1.layers.1=tanh"]  # fmt: skip
    first, second = layers(*args, set=sets)
    unit = {"type": "sequential", "layers": [dense(5), "tanh"]}
    assert first["layers"] == [unit | {"name": "unit_1"}, "relu", dense(4)]
    assert second["layers"][1]["layers"] == [dense(8), "relu"]
    assert second["layers"][2:] == ["relu", dense(9)]
    assert (first["lr_scale"], second.get("lr_scale")) == (0.5, None)


def test_what_a_set_puts_into_a_copy_is_written_out_as_well(layers):
    head = f'[vars]\nwidth = 5\n{UNIT}\n[blocks.two]\nlayers = ["relu", "tanh"]\n'
    args = (
        '{ type = "repeat", block = "unit", times = 2, with = { width = 6 } }, '
        '{ type = "repeat", block = "two" }', head, '[model.defaults.dropout]\nrate = 0.25',
    )  # fmt: skip
    sets = ["model.layers.unit_1.layers.0.units=${width * 99}",
            'model.layers.unit_1.layers.1={ type = "repeat", block = "two" }',
            "model.layers.unit_2.layers.1=dropout",
            "model.layers.two_1=dropout"]  # fmt: skip
    first, second, third = layers(*args, set=sets)
    two = {"type": "sequential", "name": "two_1", "layers": ["relu", "tanh"]}
    assert first["layers"] == [dense(594), two]
    assert second["layers"][1] == third == {"type": "dropout", "rate": 0.25, "of": "values"}


def test_what_names_a_copy_comes_after_its_block_and_in_order(layers):
    args = '{ type = "repeat", block = "unit", times = 2 }', f"[vars]\nwidth = 5\n{UNIT}"
    sets = ["model.layers.unit_1.layers.1=silu", "blocks.unit.layers.1=tanh"]
    assert [one["layers"][1] for one in layers(*args, set=sets)] == ["silu", "tanh"]
    sets += ["model.layers.unit_1.layers.1=leaky_relu", "model.layers.unit_1.layers.1.slope=0.5"]
    leaky = {"type": "leaky_relu", "slope": 0.5}
    assert [one["layers"][1] for one in layers(*args, set=sets)] == [leaky, "tanh"]


def test_a_repeat_with_a_name_is_set_as_its_only_copy(layers):
    args = (
        '{ type = "repeat", block = "unit", name = "stem", with = { width = 4 } }, '
        '{ type = "dense", units = 2, name = "${word}" }', f'[vars]\nword = "last"\n{UNIT}',
    )  # fmt: skip
    sets = ["model.layers.stem.layers.0.units=3", "model.layers.stem.lr_scale=0.5",
            "model.layers.last.units=6"]  # fmt: skip
    stem, last = layers(*args, set=sets)
    assert stem == {"type": "sequential", "name": "stem", "layers": [dense(3), "relu"],
                    "lr_scale": 0.5}  # fmt: skip
    assert last == dense(6) | {"name": "last"}
    many, again, _ = layers(*args, set=["model.layers.stem.times=2"])
    assert (many["name"], again["name"]) == ("stem_1", "stem_2")


def test_a_path_that_a_set_puts_into_an_included_copy_is_the_users(write, tmp_path):
    (tmp_path / "below").mkdir()
    unit = '[blocks.unit]\nlayers = [{ type = "file_scale", path = "a.npy" }]\n'
    write('{ type = "repeat", block = "unit", times = 2 }', unit, file="below/base.toml")
    top = tmp_path / "top.toml"
    top.write_text('format = 1\ninclude = "below/base.toml"\n')
    sets = ["model.layers.unit_2.layers.0.path=b.npy"]
    first, second, _ = cnnkit.load_spec(top, sets, types=[FileScale]).model.layers
    assert first.layers[0].path == str(tmp_path / "below" / "a.npy")
    assert second.layers[0].path == "b.npy"
