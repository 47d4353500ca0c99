"""`cnnkit check`: a line for a good spec, every problem of a bad one."""

from __future__ import annotations

import json

RIVAL = """
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Layer

class Relu(Layer):
    type: Literal["relu"] = "relu"

    def forward(self, x, w, ctx):
        return x.copy(), lambda dy: (dy.copy(), {})

@hookimpl
def cnnkit_layers():
    return [Relu]
"""

BAD = """\
name = "bad"
[data]
type = "digits"
[model]
layers = [
  { type = "conv", filtres = 4, kernel = 3 },
  { type = "softmaks", units = 10 },
]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 0.1
"""
PROBLEMS = """\
error: layer 1 (conv): unknown option "filtres"
 --> bad.toml:6:20
  |
6 |   { type = "conv", filtres = 4, kernel = 3 },
  |                    ^^^^^^^ did you mean "filters"?
  = help: conv takes filters, kernel, stride, padding, dilation, groups, bias, init, bias_init

error: layer 2 (softmaks): unknown layer type "softmaks"
 --> bad.toml:7:12
  |
7 |   { type = "softmaks", units = 10 },
  |            ^^^^^^^^^^ did you mean "softmax"?
  = help: installed layers: LAYERS

"""


def test_good_specs(call, tiny):
    assert call("check", "tiny.toml", "tiny.toml").out == (
        "tiny.toml: ok, 4 layers, (1,8,8) -> (10)\n" * 2
    )


def test_every_problem_of_a_bad_spec_beside_a_good_one(call, tiny, tmp_path, layer_names):
    (tmp_path / "bad.toml").write_text(BAD)
    outcome = call("check", "bad.toml", "tiny.toml")
    assert outcome.code == 2
    assert outcome.out == "tiny.toml: ok, 4 layers, (1,8,8) -> (10)\n"
    assert outcome.err == PROBLEMS.replace("LAYERS", layer_names)


def test_json_holds_the_same_facts(call, tiny, tmp_path, layer_names):
    (tmp_path / "bad.toml").write_text(BAD)
    outcome = call("check", "tiny.toml", "bad.toml", "nix.toml", "--json")
    good, bad, missing = json.loads(outcome.out)
    assert good == {"spec": "tiny.toml", "ok": True, "warnings": [], "problems": []}
    assert [(p["line"], p["column"]) for p in bad["problems"]] == [(6, 20), (7, 12)]
    assert bad["problems"][0]["message"] == 'layer 1 (conv): unknown option "filtres"'
    text = "error: cannot read the spec nix.toml: No such file or directory"
    assert missing["problems"] == [{"message": text}]
    assert (outcome.code, bad["ok"], missing["ok"]) == (2, False, False)
    assert outcome.err == PROBLEMS.replace("LAYERS", layer_names) + f"{text}\n"


def test_what_only_the_data_can_tell_is_a_warning(call, tiny):
    text = tiny.read_text().replace('"digits"', '"npz"\npath = "later.npz"')
    tiny.write_text(text)
    unknown = call("check", "tiny.toml")
    assert (unknown.code, unknown.out) == (0, "tiny.toml: ok, 4 layers\n")
    assert unknown.err == (
        "warning: tiny.toml: shapes, memory and loss are not checked, since npz is known only "
        "once it is loaded; give the shape of an image as [model] input = [C, H, W]\n"
    )
    given = call("check", "tiny.toml", "--set", "model.input=[3, 10, 10]")
    assert (given.code, given.out) == (0, "tiny.toml: ok, 4 layers, (3,10,10) -> (10)\n")
    assert given.err == (
        "warning: tiny.toml: the loss is not checked against the classes, since npz is known "
        "only once it is loaded\n"
    )


def test_quiet_prints_only_what_is_wrong(call, tiny):
    assert call("check", "tiny.toml", "--quiet").out == ""
    assert call("check", "tiny.toml", "--quiet", "--set", "train.epochs=0").err != ""


def test_a_built_in_type_that_a_plugin_offers_too(call, tiny, site):
    site("cnnkit-rival", RIVAL)
    outcome = call("check", "tiny.toml")
    assert outcome.code == 0
    assert outcome.err == (
        'warning: layer type "relu" is the built-in one; cnnkit-rival 1.0 offers one too: '
        'write type = "cnnkit-rival:relu" to use it\n'
    )
    explicit = call("check", "tiny.toml", "--set", 'model.layers.1.type="cnnkit-rival:relu"')
    assert (explicit.code, explicit.err) == (0, "")


def test_a_broken_plugin_is_named_and_changes_nothing(call, tiny, site):
    site("cnnkit-bad", "import nothing_there\n")
    outcome = call("check", "tiny.toml")
    assert (outcome.code, outcome.out) == (0, "tiny.toml: ok, 4 layers, (1,8,8) -> (10)\n")
    assert outcome.err == (
        "warning: plugin cnnkit-bad 1.0 failed to load: ModuleNotFoundError: No module named "
        "'nothing_there'; see `cnnkit plugins`\n"
    )


def test_what_can_hardly_be_meant_is_a_warning(call, tiny):
    tiny.write_text(tiny.read_text().replace("lr = 0.01", "lr = 0.0"))
    outcome = call("check", "tiny.toml")
    assert (outcome.code, outcome.out) == (0, "tiny.toml: ok, 4 layers, (1,8,8) -> (10)\n")
    assert outcome.err == (
        "warning: [optimizer]: lr = 0, so nothing will be learned\n"
        "  --> tiny.toml:15:6\n"
        "   |\n"
        "15 | lr = 0.0\n"
        "   |      ^^^\n"
    )
    [report] = json.loads(call("check", "tiny.toml", "--json").out)
    assert report["warnings"] == ["tiny.toml:15:6: [optimizer]: lr = 0, so nothing will be learned"]
