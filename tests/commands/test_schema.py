"""`cnnkit schema`: it takes every good spec, and sees of a bad one what a schema can see."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import tomli

from cnnkit.layers import cnnkit_layers

ROOT = Path(__file__).parents[2]
SHIPPED = sorted([*ROOT.glob("specs/*.toml"), *ROOT.glob("plugins/*/deep*.toml")])
PLUGINS = sorted(
    path.parent
    for path in ROOT.glob("plugins/*/specs")
    if not (path.parent / "CMakeLists.txt").exists()  # what is compiled is tried in its own tests
)

HOLE = r"^\$\{[^}]+\}$"
"""What stands for the value of a variable."""
RIVAL = """
from typing import Any, Literal
from cnnkit import hookimpl
from cnnkit.base import Layer

class Relu(Layer):
    type: Literal["relu"] = "relu"
    slope: float = 0.0
    '''How steep.'''

    def forward(self, x, w, ctx):
        return x.copy(), lambda dy: (dy.copy(), {})

class Thing:
    pass

class Odd(Layer):
    type: Literal["odd"] = "odd"
    model_config = {"arbitrary_types_allowed": True}
    thing: Thing = Thing()

    def forward(self, x, w, ctx):
        return x.copy(), lambda dy: (dy.copy(), {})

@hookimpl
def cnnkit_layers():
    return [Relu, Odd]
"""


@pytest.fixture
def schema(call):
    """The schema of what comes with cnnkit."""
    return json.loads(call("schema").out)


def test_a_layer_in_the_schema(schema):
    dropout = schema["$defs"]["layers.dropout"]
    assert dropout == {
        "title": "dropout",
        "type": "object",
        "description": dropout["description"],
        "additionalProperties": False,
        "required": ["type"],
        "properties": {
            "type": {"type": "string", "const": "dropout",
                     "description": dropout["properties"]["type"]["description"]},
            "rate": {"type": ["number", "string"], "pattern": HOLE, "default": 0.5,
                     "minimum": 0, "exclusiveMaximum": 1,
                     "description": "Fraction of the values, or of the channels, that is dropped."},
            "name": {"type": "string", "pattern": r"^[A-Za-z]\w{0,39}$",
                     "description": dropout["properties"]["name"]["description"]},
            "trainable": {"type": ["boolean", "string"], "pattern": HOLE, "default": True,
                          "description": dropout["properties"]["trainable"]["description"]},
            "lr_scale": {"type": ["number", "string"], "pattern": HOLE, "default": 1.0,
                         "minimum": 0,
                         "description": dropout["properties"]["lr_scale"]["description"]},
            "weight_decay": {"type": ["number", "string"], "pattern": HOLE, "minimum": 0,
                             "description": dropout["properties"]["weight_decay"]["description"]},
            "of": {"anyOf": [{"type": "string", "enum": ["values", "channels"]},
                             {"$ref": "#/$defs/variable"}], "default": "values",
                   "description": "What is dropped: single values, or whole channels of a map."},
        },
    }  # fmt: skip
    assert dropout["description"].startswith("Inverted dropout: shape -> shape;")
    assert schema["properties"]["train"] == {
        "$ref": "#/$defs/spec.TrainSpec",
        "description": "How long, in which portions, in which order.",
    }


def test_only_types_that_need_no_options_have_a_short_form(schema):
    short = schema["$defs"]["layers"]["anyOf"][0]["enum"]
    fields = {cls.type_name(): cls.model_fields.values() for cls in cnnkit_layers()}
    assert short == sorted(
        n for n, found in fields.items() if not any(f.is_required() for f in found)
    )
    assert {"dropout", "relu"} <= set(short)
    assert not {"conv", "residual"} & set(short)


def test_every_reference_leads_somewhere(schema):
    def references(value):
        if isinstance(value, dict):
            yield from (v for k, v in value.items() if k == "$ref")
        inner = value.values() if isinstance(value, dict) else value
        for item in inner if isinstance(value, dict | list) else ():
            yield from references(item)

    found = set(references(schema))
    assert len(found) > 20
    assert found <= {f"#/$defs/{name}" for name in schema["$defs"]}


def test_a_file_and_nothing_on_stdout(call, tmp_path):
    outcome = call("schema", "--out", "s.json")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "wrote s.json\n")
    assert (tmp_path / "s.json").read_text() == call("schema").out


def test_a_folder_that_is_not_there(call):
    outcome = call("schema", "--out", "nowhere/s.json")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: cannot write nowhere/s.json")


def test_types_of_plugins(call, site):
    site("cnnkit-rival", RIVAL)
    outcome = call("schema")
    defs = json.loads(outcome.out)["$defs"]
    assert defs["layers.relu"]["properties"]["type"]["enum"] == ["relu", "cnnkit:relu"]
    assert defs["layers.conv"]["properties"]["type"]["const"] == "conv"
    rival = defs["layers.cnnkit-rival:relu"]["properties"]  # the bare name is the built-in one's
    assert rival["type"]["const"] == "cnnkit-rival:relu"
    assert rival["slope"] == {
        "type": ["number", "string"], "pattern": HOLE, "default": 0.0, "description": "How steep."
    }  # fmt: skip
    odd = defs["layers.odd"]
    assert odd["properties"]["type"]["enum"] == ["odd", "cnnkit-rival:odd"]
    assert "additionalProperties" not in odd  # its options are not known, so any may be written
    short = defs["layers"]["anyOf"][0]["enum"]
    assert {"relu", "cnnkit:relu", "cnnkit-rival:relu", "odd", "cnnkit-rival:odd"} <= {*short}
    assert outcome.err.startswith(
        "warning: the options of odd of cnnkit-rival 1.0 are not in the schema: "
    )


def errors(schema, text: str) -> list[str]:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema)
    return [
        e.message for e in jsonschema.Draft202012Validator(schema).iter_errors(tomli.loads(text))
    ]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_jsonschema_takes_every_shipped_spec(schema, path):
    assert errors(schema, path.read_text()) == []


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The specs of the plugins in this repository, all of them installed."""
    before = set(sys.modules)
    for folder in PLUGINS:
        project = tomli.loads((folder / "pyproject.toml").read_text())["project"]
        facts = {key: project[key] for key in ("name", "version")}
        info = tmp_path / "site" / "{name}-{version}.dist-info".format(**facts)
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Name: {name}\nVersion: {version}\n".format(**facts))
        points = (f"{k} = {v}\n" for k, v in project["entry-points"]["cnnkit"].items())
        (info / "entry_points.txt").write_text("".join(["[cnnkit]\n", *points]))
        monkeypatch.syspath_prepend(str(folder))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("CNNKIT_PLUGINS", ",".join(folder.name for folder in PLUGINS))
    yield [path for folder in PLUGINS for path in sorted(folder.glob("specs/*.toml"))]
    for name in set(sys.modules) - before:
        if name.startswith("cnnkit_"):
            del sys.modules[name]


def test_jsonschema_takes_every_plugin_s_spec(call, installed):
    schema = json.loads(call("schema").out)
    assert len(installed) >= len(PLUGINS) > 0
    for path in installed:
        assert errors(schema, path.read_text()) == [], path
        qualified = path.read_text().replace(
            f'type = "{path.stem}"', f'type = "{path.parents[1].name}:{path.stem}"'
        )
        assert errors(schema, qualified) == [], path


GOOD = (ROOT / "specs" / "tiny.toml").read_text()
WRONG = {
    "epoch = 6": "epochs = 6",
    "epochs = 0": "epochs = 6",
    "epochs = 6.5": "epochs = 6",
    'epochs = "6"': "epochs = 6",
    'type = "adan"': 'type = "adam"',
    '"rellu"': '"relu"',
    '{ typ = "relu" }': '"relu"',
    '"conv"': '"relu"',
    'units = "ten"': "units = 10",
    "units = 10, unit = 3": "units = 10",
    "kernel = [3, 3, 3]": "kernel = 3",
    "kernel = 2147483649": "kernel = 3",
    "kernel = [3, 2147483649]": "kernel = 3",
    'padding = "some"': 'padding = "same"',
    "lr = true": "lr = 0.003",
    "[modle]": "[model]",
    'name = "a b"': 'name = "tiny"',
}


@pytest.mark.parametrize("wrong", WRONG)
def test_jsonschema_refuses(schema, wrong):
    assert WRONG[wrong] in GOOD
    assert errors(schema, GOOD.replace(WRONG[wrong], wrong, 1)) != []


def test_editors_take_every_good_spec_and_refuse_every_wrong_one(call, installed, lint):
    call("schema", "--out", "cnnkit.schema.json")
    for path in [*SHIPPED, *installed]:
        assert lint(path.read_text()) == "", path
    for wrong, right in WRONG.items():
        assert lint(GOOD.replace(right, wrong, 1)) != "", wrong


LANGUAGE = sorted((ROOT / "tests" / "specfile" / "specs").glob("*.toml"))
OVER = 'format = 1\ninclude = "base.toml"\n[vars]\nwidth = 8\n[train]\nepochs = 9\n'
MISWRITTEN = {
    'block = "stage", nmae': 'block = "stage", name',
    "times = 0": "times = 6",
    'filters = "width"': 'filters = "${width}"',
    "format = 2": "format = 1",
    "[model.defaults.cnov]": "[model.defaults.conv]",
    "layer = [{": "layers = [{",
}


def test_the_spec_language_in_editors(call, schema, lint):
    (tall, *_), good = reversed(LANGUAGE), [path.read_text() for path in LANGUAGE]
    call("schema", "--out", "cnnkit.schema.json")
    for text in [*good, OVER]:
        assert (errors(schema, text), lint(text)) == ([], "")
    for wrong, right in MISWRITTEN.items():
        text = tall.read_text()
        assert right in text
        assert errors(schema, text.replace(right, wrong, 1)) != [], wrong
        assert lint(text.replace(right, wrong, 1)) != "", wrong
