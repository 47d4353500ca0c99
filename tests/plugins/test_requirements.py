"""`[plugins] require`: said with a place, before anything else goes wrong for want of a plugin."""

from __future__ import annotations

import textwrap

import pytest

import cnnkit
from cnnkit.errors import SpecError

CODE = '''
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Layer

class Mine(Layer):
    """A layer that does nothing."""
    type: Literal["mine"] = "mine"

    def forward(self, x, w, ctx):
        return x.copy(), lambda dy: (dy.copy(), {})

@hookimpl
def cnnkit_layers():
    return [Mine]
'''

REFUSED = {
    "cnnkit-gone>=0.1": (
        "cnnkit-gone is not installed, or is no plugin of cnnkit",
        "expected cnnkit-gone>=0.1",
        'pip install "cnnkit-gone>=0.1"',
    ),
    "numpy": (
        "numpy is not installed, or is no plugin of cnnkit",
        "expected numpy",
        'pip install "numpy"',
    ),
    "cnnkit-mine>=2,<3": (
        "cnnkit-mine 1.5 is installed, not the version asked for",
        "expected cnnkit-mine<3,>=2",
        'pip install "cnnkit-mine<3,>=2"',
    ),
    "Cnnkit.Mine==1.4": (
        "cnnkit-mine 1.5 is installed, not the version asked for",
        "expected Cnnkit.Mine==1.4",
        'pip install "Cnnkit.Mine==1.4"',
    ),
    "cnnkit>=90": (
        "cnnkit 0.1.0 is installed, not the version asked for",
        "expected cnnkit>=90",
        'pip install "cnnkit>=90"',
    ),
    "cnnkit-broken": (
        "cnnkit-broken 0.3 failed to load: ZeroDivisionError: division by zero",
        "",
        "see `cnnkit plugins --verbose`",
    ),
    "cnnkit-mine >= ": (
        "'cnnkit-mine >= ' is no requirement",
        'expected such as "cnnkit-prelu>=0.1"',
        "",
    ),
    "cnnkit-mine @ https://example.org/x.whl": (
        "cnnkit-mine is asked for by its URL",
        "expected a name and versions",
        "a spec downloads nothing: install it first",
    ),
    'cnnkit-gone @ https://example.org/x.whl ; python_version > "3"': (
        "cnnkit-gone is asked for by its URL",
        "expected a name and versions",
        "a spec downloads nothing: install it first",
    ),
}
MET = [
    "cnnkit-mine",
    "cnnkit-mine>=1,<2",
    "Cnnkit_Mine==1.5",
    "cnnkit>=0.1",
    'cnnkit-gone; python_version < "3"',
    'cnnkit-gone @ https://example.org/x.whl ; python_version < "3"',
    'cnnkit-mine>=1; python_version > "3"',
]


@pytest.fixture
def installed(site):
    """A healthy plugin in version 1.5 and a broken one."""
    site.install("cnnkit-mine", CODE, version="1.5")
    site.install("cnnkit-broken", "1 / 0", version="0.3")
    return site


def require(*lines: str) -> str:
    return f"[plugins]\nrequire = [{', '.join(repr(line) for line in lines)}]"


@pytest.mark.parametrize("line", MET)
def test_met(installed, write_spec, line):
    spec = cnnkit.load_spec(write_spec(more=require(line)))
    assert spec.plugins.require == [line]


@pytest.mark.parametrize("line", REFUSED)
def test_refused(installed, write_spec, line):
    message, note, help_ = REFUSED[line]
    path = write_spec(more=require(line))
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(path)
    (problem,) = caught.value.problems
    assert (problem.message, problem.note, problem.help) == (f"[plugins]: {message}", note, help_)
    assert (problem.line, problem.column, problem.width) == (24, 12, len(line) + 2)


def test_the_whole_text_and_what_is_missing_for_want_of_it(site, write_spec):
    path = write_spec('"prelu",', require("cnnkit-prelu>=0.1"))
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(path)
    assert str(caught.value) == textwrap.dedent(f"""\
        error: layer 2 (prelu): unknown layer type "prelu"
          --> {path}:11:3
           |
        11 |   "prelu",
           |   ^^^^^^^
           = help: provided by cnnkit-prelu, which is not installed: pip install cnnkit-prelu

        error: [plugins]: cnnkit-prelu is not installed, or is no plugin of cnnkit
          --> {path}:24:12
           |
        24 | require = ['cnnkit-prelu>=0.1']
           |            ^^^^^^^^^^^^^^^^^^^ expected cnnkit-prelu>=0.1
           = help: pip install "cnnkit-prelu>=0.1\"""")


def test_a_plugin_left_out_by_choice(installed, write_spec, monkeypatch):
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(write_spec('"mine",', require("cnnkit-mine>=1")))
    missing, left_out = caught.value.problems
    assert missing.help == "provided by cnnkit-mine 1.5, which CNNKIT_PLUGINS leaves out"
    assert left_out.message == "[plugins]: cnnkit-mine 1.5 is left out by CNNKIT_PLUGINS"
    assert left_out.help == "add cnnkit-mine to it, or unset it"


@pytest.mark.parametrize("more", ["[plugins]\nrequire = 3", "[plugins]\nrequire = [3]"])
def test_what_is_no_list_of_strings(site, write_spec, more):
    with pytest.raises(SpecError, match=r"require must be (an array|a string), got"):
        cnnkit.load_spec(write_spec(more=more))


def test_unknown_keys(site, write_spec):
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(write_spec(more='[plugins]\nrequires = ["cnnkit"]'))
    (problem,) = caught.value.problems
    assert problem.message == '[plugins]: unknown option "requires"'
    assert problem.note == 'did you mean "require"?'


def test_set_points_at_the_argument(site, write_spec):
    argument = 'plugins.require=["cnnkit-gone"]'
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(write_spec(), [argument])
    (problem,) = caught.value.problems
    assert problem.argument == f"--set {argument}"
