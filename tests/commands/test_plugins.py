"""`cnnkit plugins`, and the verbs that plugins add."""

from __future__ import annotations

import json
import re

import pytest

from cnnkit.cli import VERBS as BUILT_IN
from cnnkit.plugins import load_plugins

VERBS = '''
from cnnkit import hookimpl

def hello(name: str = "you", /, *, times: int = 1) -> None:
    """Greet.

    Args:
        name: whom.
        times: how often.
    """
    print("hello " + name + "!" * times)

def big_bug() -> None:
    raise ZeroDivisionError("oops")

def check() -> None:
    print("not the real one")

def four() -> int:
    return 4

@hookimpl
def cnnkit_commands():
    return [hello, big_bug, check, four]
'''
BAD_VERB = """
from cnnkit import hookimpl

def bad_one(x: "Nope") -> None:
    pass

@hookimpl
def cnnkit_commands():
    return [bad_one]
"""
BROKEN = "print('on my way')\nraise SystemExit('stop')\n"
LAYER = """
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Layer

class Same(Layer):
    type: Literal["{type}"] = "{type}"

    def forward(self, x, w, ctx):
        return x.copy(), lambda dy: (dy.copy(), {{}})

@hookimpl
def cnnkit_layers():
    return [Same]
"""


def test_every_plugin_has_a_row(call, site, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    site("cnnkit-same", LAYER.format(type="same"), requires="cnnkit>=0.1,<9")
    site("cnnkit-broken", BROKEN)
    site("cnnkit-verbs", VERBS)
    outcome = call("plugins")
    assert (outcome.code, outcome.err) == (0, "")
    rows = {line.split()[0]: line for line in outcome.out.splitlines() if line}
    assert "cnnkit-same 1.0" in rows["cnnkit_same"]
    assert "layers: same" in rows["cnnkit_same"]
    assert "<9,>=0.1" in rows["cnnkit_same"] or ">=0.1,<9" in rows["cnnkit_same"]
    assert "FAILED: SystemExit: stop" in rows["cnnkit_broken"]
    assert "verbs: hello, big-bug, check, four" in rows["cnnkit_verbs"]
    assert "schedules: constant, step, multistep, linear, cosine, one_cycle" in rows["schedules"]
    assert outcome.out.endswith(
        "\nnote: the verb check of cnnkit-verbs 1.0 is not used: it is a built-in one; its "
        "author can give it another name\n"
        "\nnote: `cnnkit plugins --verbose` shows the traceback of what failed\n"
    )
    assert "on my way" not in outcome.out


def test_verbose(call, site):
    site("cnnkit-broken", BROKEN)
    out = call("plugins", "--verbose").out
    assert "\ncnnkit_broken of cnnkit-broken 1.0 printed:\non my way\n" in out
    assert "\ncnnkit_broken of cnnkit-broken 1.0 failed:\nTraceback (most recent call last):" in out
    assert out.endswith("SystemExit: stop\n")


def test_json(call, site):
    site("cnnkit-broken", BROKEN)
    site("cnnkit-verbs", VERBS)
    facts = {plugin["name"]: plugin for plugin in json.loads(call("plugins", "--json").out)}
    assert facts["losses"]["types"]["losses"] == load_plugins_types("losses")
    assert facts["losses"]["hooks"] == ["cnnkit_losses"]
    assert facts["cnnkit_verbs"]["verbs"] == ["hello", "big-bug", "check", "four"]
    assert facts["cnnkit_broken"]["error"] == "SystemExit: stop"
    assert "SystemExit" in facts["cnnkit_broken"]["traceback"]
    assert facts["cnnkit_broken"]["printed"] == "on my way\n"


def load_plugins_types(family: str) -> list[str]:
    """Return the types of a family in the order of their hook."""
    return [entry.type for entry in load_plugins().entries(family)]


@pytest.mark.parametrize("width", ["80", "120"])
def test_no_word_is_broken(width, call, site, monkeypatch):
    site("cnnkit-depthwise-attention", LAYER.format(type="some_depthwise_attention"))
    site("cnnkit-broken", BROKEN)
    monkeypatch.setenv("COLUMNS", width)
    lines, plugins = call("plugins").out.splitlines(), json.loads(call("plugins", "--json").out)
    assert max(map(len, lines)) <= int(width)
    words = {word.strip(",") for line in lines for word in line.split()}
    assert {type_ for one in plugins for types in one["types"].values() for type_ in types} <= words
    assert {one[key] for one in plugins for key in ("name", "distribution", "version")} <= words
    assert "SystemExit:" in words


def test_types_offered_twice_are_explained(call, site):
    site("cnnkit-one", LAYER.format(type="same"))
    site("cnnkit-two", LAYER.format(type="same"))
    site("cnnkit-rival", LAYER.format(type="relu"))
    out = call("plugins").out
    assert (
        'note: several offer "relu" in layers, so the bare name means the built-in one; '
        'write "cnnkit:relu" or "cnnkit-rival:relu"\n'
    ) in out
    assert (
        'note: several offer "same" in layers, so the bare name is refused; '
        'write "cnnkit-one:same" or "cnnkit-two:same"\n'
    ) in out


def test_plugins_that_are_left_out(call, site, monkeypatch):
    site("cnnkit-broken", BROKEN)
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    monkeypatch.setenv("COLUMNS", "200")
    outcome = call("plugins")
    assert "left out by CNNKIT_PLUGINS" in outcome.out
    assert "FAILED" not in outcome.out


def test_a_verb_of_a_plugin(call, site):
    site("cnnkit-verbs", VERBS)
    assert call("hello").out == "hello you!\n"
    assert call("hello", "me", "--times", "3").out == "hello me!!!\n"
    assert "--times INT  how often." in call("hello", "--help").out
    assert call("four").code == 4
    assert (
        call("hello", "--tims", "3").err == "error: Unknown option: --tims. Did you mean --times?\n"
    )


def test_a_built_in_verb_never_gives_way(call, site, tiny):
    site("cnnkit-verbs", VERBS)
    assert call("check", "tiny.toml").out == "tiny.toml: ok, 4 layers, (1,8,8) -> (10)\n"


def test_a_bug_in_a_verb_names_its_plugin(call, site):
    site("cnnkit-verbs", VERBS)
    outcome = call("big-bug")
    assert (outcome.code, outcome.out) == (2, "")
    said, place, help_ = outcome.err.splitlines()
    assert said == "error: plugin cnnkit-verbs 1.0 raised ZeroDivisionError: oops"
    assert re.fullmatch(
        r"   = note: raised at .*cnnkit_verbs\.py:\d+; --traceback shows the way there", place
    )
    assert help_ == "   = help: this is a fault of the plugin: report it to its authors"
    whole = call("big-bug", "--traceback")
    assert whole.err.startswith("Traceback (most recent call last):\n")
    assert whole.err.endswith(outcome.err)


def test_a_verb_that_two_plugins_offer(call, site):
    site("cnnkit-verbs", VERBS)
    site("cnnkit-verbs2", VERBS)
    outcome = call("hello")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        'error: the verb "hello" is offered by cnnkit-verbs 1.0 and cnnkit-verbs2 1.0, so '
        "neither is used; uninstall one, or name the plugins to load in CNNKIT_PLUGINS\n"
    )


def test_an_unknown_verb_names_the_plugins_that_failed(call, site):
    site("cnnkit-broken", BROKEN)
    outcome = call("hello")
    assert outcome.code == 2
    assert outcome.err == (
        "warning: plugin cnnkit-broken 1.0 failed to load: SystemExit: stop; see `cnnkit "
        f'plugins`\nerror: unknown verb "hello"\n   = help: verbs are {", ".join(BUILT_IN)}\n'
    )


def test_a_verb_of_a_plugin_is_meant(call, site):
    site("cnnkit-verbs", VERBS)
    assert call("helo").err == (
        'error: unknown verb "helo"; did you mean "hello"?\n'
        f"   = help: verbs are {', '.join(BUILT_IN)}, hello, big-bug, four\n"
    )


def test_a_verb_that_cannot_be_called_spoils_no_other(call, site):
    site("cnnkit-verbs", VERBS)
    site("cnnkit-bad", BAD_VERB)
    assert call("hello").out == "hello you!\n"
    outcome = call("bad-one")
    assert outcome.code == 2
    assert outcome.err == (
        "error: the verb bad-one of cnnkit-bad 1.0 cannot be used: NameError: name 'Nope' is not "
        "defined\n"
    )


def test_help_never_loads_a_plugin(call, site):
    site("cnnkit-broken", "raise AssertionError('loaded')\n")
    assert call("--help").err == ""
    assert call("--version").err == ""
