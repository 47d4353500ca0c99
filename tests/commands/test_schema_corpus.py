"""The schema against the corpus: it refuses every mistake that a schema can see, in editors too.

`pytest tests/commands/test_schema_corpus.py -s` prints how many each tool refuses.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomli

from cnnkit.plugins import load_plugins
from cnnkit.specfile.schema import spec_schema

CORPUS = Path(__file__).parents[1] / "diagnostics"
STRUCTURE = ("kind", "layer", "option", "plugin", "range", "section", "several", "type", "word")
"""How the names of specs begin that are wrong in form; the others are wrong in what they mean."""
UNSEEN = {
    "kind-float-for-whole": "in JSON Schema, 3.0 is an integer",
    "plugin-require-missing": "what is installed here",
    "plugin-require-nonsense": "how a requirement is spelt",
    "plugin-require-version": "what is installed here",
    "range-float-overflow": "JSON has no inf",
    "layer-same-name": "it sees one layer at a time",
    "range-inf": "JSON has no inf",
    "range-nan": "JSON has no nan",
    "range-seed-2-to-the-63": "no editor counts that far",
    "section-everything-in-one-line": "not TOML",
}
SPECS = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted(CORPUS.glob("*.toml"))
    if path.stem.split("-")[0] in STRUCTURE
}
SEEN = [name for name in SPECS if name not in UNSEEN]


@pytest.fixture(scope="module")
def validator():
    jsonschema = pytest.importorskip("jsonschema")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNKIT_PLUGINS", "")  # prelu must be missing
        return jsonschema.Draft202012Validator(spec_schema(load_plugins()))


@pytest.mark.parametrize("name", SEEN)
def test_jsonschema_refuses(validator, name):
    assert not validator.is_valid(tomli.loads(SPECS[name]))


@pytest.mark.parametrize("name", UNSEEN)
def test_nothing_is_called_unseen_that_is_seen(validator, name):
    try:
        spec = tomli.loads(SPECS[name])
    except tomli.TOMLDecodeError:
        assert UNSEEN[name] == "not TOML"
    else:
        assert validator.is_valid(spec)


def test_an_editor_refuses(call, lint, request):
    call("schema", "--out", "cnnkit.schema.json")
    taken = [name for name in SEEN if lint(as_toml_1_0(SPECS[name])) == ""]
    tool = request.node.callspec.id
    print(f"\n{tool} refuses {len(SEEN) - len(taken)} of {len(SEEN)} specs of wrong structure")
    assert taken == []
    assert len(SEEN) >= 100


def as_toml_1_0(text: str) -> str:
    """Put inline tables on one line: Taplo must refuse them for what they hold."""
    return re.sub(r",\n\s+(shortcut|body) =", r", \1 =", text)
