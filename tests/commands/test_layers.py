"""`cnnkit layers`: every type and every option, in words."""

from __future__ import annotations

import json

import pytest

from cnnkit.commands.layers import in_words, option_rows
from cnnkit.hookspecs import FAMILIES
from cnnkit.plugins import load_plugins

POOL = """\
pool (cnnkit 0.1.0)

The largest, smallest or mean value of each window: (C, H, W) -> (C, H', W').
"""


@pytest.mark.parametrize("family", FAMILIES)
def test_every_type_of_a_family_is_listed_with_its_owner(family, call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    lines = call("layers", "--family", family).out.splitlines()
    assert lines[0].split() == ["type", "what", "it", "does", "from"]
    assert lines[-2] == ""
    assert lines[-1].startswith("`cnnkit layers TYPE")
    assert f"--family {family}`" in lines[-1] or family == "layers"
    rows = {line.split()[0]: line for line in lines[2:-2]}
    assert sorted(rows) == load_plugins().types(family)
    assert all(line.endswith("cnnkit 0.1.0") for line in rows.values())


def test_a_family_in_the_singular_as_plugins_new_has_it(call):
    assert call("layers", "--family", "loss") == call("layers", "--family", "losses")


def test_a_list_as_json(call):
    listed = json.loads(call("layers", "--json").out)
    assert {"type": "relu", "family": "layers", "distribution": "cnnkit", "version": "0.1.0",
            "summary": "Rectified linear unit: shape -> shape."} in listed  # fmt: skip


def test_a_summary_is_a_whole_sentence(call):
    listed = json.loads(call("layers", "--json", "--family", "callbacks").out)
    assert all(one["summary"].endswith(".") for one in listed)
    assert "judged as far as it got." in next(
        one["summary"] for one in listed if one["type"] == "stop_after"
    )


def test_one_type(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    outcome = call("layers", "pool")
    assert outcome.out.startswith(POOL)
    rows = [line.split("   ") for line in outcome.out.splitlines() if line.startswith("kind ")]
    cells = [cell.strip() for cell in rows[0] if cell.strip()]
    assert cells[:3] == ["kind", '"max" | "min" | "mean"', '"max"']


def test_one_type_as_json(call):
    document = json.loads(call("layers", "dropout", "--json").out)
    assert document["doc"].startswith("Inverted dropout")
    *own, name, trainable, lr_scale, weight_decay = document["options"]
    assert (name["name"], trainable["default"], lr_scale["default"]) == ("name", "true", "1.0")
    assert weight_decay["default"] == ""
    assert own == [
        {"name": "rate", "type": "0 <= float < 1", "default": "0.5",
         "description": document["options"][0]["description"]},
        {"name": "of", "type": '"values" | "channels"', "default": '"values"',
         "description": document["options"][1]["description"]},
    ]  # fmt: skip


def test_a_type_without_options(call):
    assert call("layers", "relu").out.endswith(
        "It has no options.\n\nEvery layer also takes name, trainable, lr_scale, weight_decay.\n"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_option_of_every_type_has_words_and_a_description(family):
    for entry in load_plugins().entries(family):
        for row in option_rows(entry.cls):
            assert row.description, (entry.type, row)
            assert row.type not in ("", "anything", "object"), (entry.type, row)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["convolution"],
            'unknown layer type "convolution"; did you mean "conv"?\n'
            "   = help: installed layers: LAYERS",
        ),
        (
            ["adam"],
            '"adam" is no layer but one of the optimizers\n'
            "   = help: cnnkit layers adam --family optimizers",
        ),
        (
            ["some-dist:thing"],
            'unknown layer type "some-dist:thing"\n   = help: provided by some-dist, which is not '
            "installed: pip install some-dist",
        ),
        (
            ["--family", "loses"],
            'unknown family "loses"; did you mean "losses"?\n   = help: families are layers, '
            "losses, optimizers, schedules, initializers, datasets, transforms, metrics, "
            "observers, callbacks, backends",
        ),
    ],
)
def test_wrong_names(arguments, text, call, layer_names):
    outcome = call("layers", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"error: {text.replace('LAYERS', layer_names)}\n"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "exclusiveMinimum": 0, "maximum": 2**31}, "int >= 1"),
        ({"type": "integer"}, "int"),
        ({"type": "number", "exclusiveMinimum": 0}, "float > 0"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "0 < float <= 1"),
        ({"type": "number", "maximum": 2.5}, "float <= 2.5"),
        ({"type": "boolean"}, "true | false"),
        ({"type": "string"}, "string"),
        ({"const": "a"}, '"a"'),
        ({"enum": ["a", 1]}, '"a" | 1'),
        ({"$ref": "#/$defs/Schedule"}, "schedule"),
        ({"anyOf": [{"type": "integer", "minimum": 2}, {"type": "null"}]}, "int >= 2"),
        ({"type": "array", "items": {"$ref": "#/$defs/Layer"}, "minItems": 1}, "[layer, ...]"),
        ({"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2,
          "maxItems": 2}, "[int, int]"),
        ({"type": "array", "prefixItems": [{"type": "number"}, {"type": "integer"}]},
         "[float, int]"),
        ({}, "anything"),
    ],
)  # fmt: skip
def test_words(schema, words):
    assert in_words(schema) == words


ODD = """
from typing import Literal
from pydantic import Field
from cnnkit import hookimpl
from cnnkit.base import Dataset, Layer

class Odd(Layer):
    type: Literal["odd"] = "odd"
    way: {option}

    def forward(self, x, w, ctx):
        return x, lambda dy: (dy, {{}})

class Images(Dataset):
    type: Literal["images"] = "images"
    way: {option}

    def info(self, paths):
        raise RuntimeError("no")

    def load(self, paths):
        raise RuntimeError("no")

@hookimpl
def cnnkit_layers():
    return [Odd]

@hookimpl
def cnnkit_datasets():
    return [Images]
"""


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ('"Nope" = 1', "PydanticUndefinedAnnotation: name 'Nope' is not defined"),
        (
            "object = lambda: 3",
            "PydanticSerializationError: Unable to serialize unknown type: <class 'function'>",
        ),
        ("int = Field(default_factory=lambda: 1 / 0)", "ZeroDivisionError: division by zero"),
    ],
)
def test_options_that_a_plugin_got_wrong(option, text, call, site):
    site("cnnkit-odd", ODD.format(option=option))
    outcome = call("layers", "odd")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"error: odd of cnnkit-odd 1.0 cannot be used: {text}\n"


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ('"Nope" = 1', "PydanticUndefinedAnnotation: name 'Nope' is not defined"),
        ("int = 1", "RuntimeError: no"),
    ],
)
def test_a_first_spec_for_a_dataset_that_a_plugin_got_wrong(option, text, call, site):
    site("cnnkit-odd", ODD.format(option=option))
    outcome = call("init", "first", "--data", "images")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"error: images of cnnkit-odd 1.0 cannot be used: {text}\n"
