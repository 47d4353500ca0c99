"""What is said about a type that nobody offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnkit.diagnosis.names import ELSEWHERE, help_for_unknown_type
from cnnkit.plugins import load_plugins

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
LAYERS = "conv, dense, dropout, flatten, mine, pool, relu, residual, sequential, sigmoid, softmax"


@pytest.mark.parametrize(
    ("name", "note", "help_"),
    [
        ("prelu", "", "provided by cnnkit-prelu, which is not installed: pip install cnnkit-prelu"),
        ("rellu", 'did you mean "relu"?', f"installed layers: {LAYERS}"),
        ("gizmo", "", f"installed layers: {LAYERS}"),
        ("x-y:gizmo", "", "provided by x-y, which is not installed: pip install x-y"),
        ("x-y:relu", "", "provided by x-y, which is not installed: pip install x-y"),
        ("cnnkit-mine:nine", "", "cnnkit-mine 1.0 offers mine"),
    ],
)
def test_help(site, name, note, help_):
    site.install("cnnkit-mine", CODE)
    registry = load_plugins()
    known = ", ".join(registry.types("layers"))  # more built-ins may come
    expected = help_.replace(LAYERS, known)
    assert help_for_unknown_type(name, "layers", registry) == (note, expected)


def test_a_family_that_a_plugin_offers_nothing_in(site):
    site.install("cnnkit-mine", CODE)
    assert help_for_unknown_type("cnnkit-mine:mine", "losses", load_plugins()) == (
        "",
        "cnnkit-mine 1.0 offers no losses",
    )


@pytest.mark.parametrize("name", ["prelu", "cnnkit-prelu:prelu", "Cnnkit_PReLU:prelu"])
def test_installed_but_broken(site, name):
    site.install("cnnkit-prelu", "import nowhere_at_all", version="0.2")
    assert help_for_unknown_type(name, "layers", load_plugins()) == (
        "",
        "provided by cnnkit-prelu 0.2, which failed to load: "
        "ModuleNotFoundError: No module named 'nowhere_at_all'",
    )


def test_broken_plugins_are_mentioned_where_one_may_be_the_owner(site):
    site.install("cnnkit-zoo", "1 / 0")
    note, help_ = help_for_unknown_type("tiger", "layers", load_plugins())
    assert note == ""
    assert help_.endswith("; failed to load, see `cnnkit plugins`: cnnkit-zoo 1.0")


def test_left_out_by_choice(site, monkeypatch):
    site.install("cnnkit-mine", CODE)
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    assert help_for_unknown_type("mine", "layers", load_plugins()) == (
        "",
        "provided by cnnkit-mine 1.0, which CNNKIT_PLUGINS leaves out",
    )


@pytest.mark.parametrize(("family", "name"), ELSEWHERE)
def test_the_projects_own_plugins_offer_what_is_said_of_them(family, name):
    folder = Path(__file__).parents[2] / "plugins" / ELSEWHERE[family, name]
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is no part of this checkout")
    files = [*folder.glob("*.py"), *folder.glob("cnnkit_*/*.py")]
    sources = "".join(path.read_text(encoding="utf-8") for path in files)
    assert f'type: Literal["{name}"] = "{name}"' in sources
    assert f"def cnnkit_{family}()" in sources
