"""Finding and loading plugins: order, copies, choice, and names offered twice."""

from __future__ import annotations

import importlib.util
import textwrap

import pytest

import cnnkit
from cnnkit.errors import SpecError
from cnnkit.plugins import find_plugins, load_plugins

CODE = '''
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Layer

class Mine(Layer):
    """A layer that does nothing."""
    type: Literal["{type}"] = "{type}"

    def forward(self, x, w, ctx):
        return x.copy(), lambda dy: (dy.copy(), {{}})

@hookimpl
def cnnkit_layers():
    return [Mine]
'''


def code(type):
    return CODE.format(type=type)


def third_party():
    return load_plugins().third_party()


def test_a_healthy_plugin(site):
    site.install("cnnkit-mine", code("mine"), requires=("numpy>=2", "cnnkit (>=0.1,<0.2)"))
    (plugin,) = third_party()
    assert (plugin.name, plugin.owner, plugin.module) == (
        "cnnkit_mine",
        "cnnkit-mine 1.0",
        "cnnkit_mine",
    )
    assert plugin.requires == ">=0.1,<0.2"
    assert plugin.hooks == ("cnnkit_layers",)
    assert [(e.family, e.type, e.owner) for e in plugin.entries] == [
        ("layers", "mine", "cnnkit-mine 1.0")
    ]
    assert (plugin.error, plugin.traceback, plugin.printed) == ("", "", "")
    assert 0 < plugin.seconds < 60


def test_synonyms_that_are_none(site):
    line = '    type: Literal["mine"] = "mine"\n'
    site.install("cnnkit-mine", code("mine").replace(line, f'{line}    synonyms = ["my"]\n'))
    (plugin,) = third_party()
    assert plugin.error == (
        "cnnkit_layers: the synonyms of Mine are ['my']; expected such as "
        '{"my_layer": "itsname othername"}'
    )


@pytest.mark.parametrize(
    ("line", "range_"),
    [
        ("cnnkit", ""),
        ("cnnkit>=0.1", ">=0.1"),
        ("cnnkit ~= 0.1 ; python_version > '3'", "~= 0.1"),
        ("cnnkit-prelu>=9", ""),
        ("cnnkit[images] >=0.1", ">=0.1"),
    ],
)
def test_the_range_of_cnnkit_versions(site, line, range_):
    site.install("cnnkit-mine", code("mine"), requires=(line,))
    assert [plugin.requires for plugin in third_party()] == [range_]


def test_one_entry_point_name_in_two_distributions(site):
    site.install("cnnkit-a", code("one"), entry="layers")
    site.install("cnnkit-b", code("two"), entry="layers")
    assert [(p.owner, p.entries[0].type) for p in third_party()] == [
        ("cnnkit-a 1.0", "one"),
        ("cnnkit-b 1.0", "two"),
    ]
    assert {"one", "two", "relu"} <= set(load_plugins().types("layers"))


def test_of_two_copies_the_first_on_the_path_counts(site, tmp_path, monkeypatch):
    site.install("cnnkit-mine", code("mine"), version="2.0")
    older = type(site)(tmp_path / "older")
    older.path.mkdir()
    older.install("cnnkit-mine", code("mine"), version="1.0")
    monkeypatch.syspath_prepend(str(site.path))
    import sys

    sys.path.append(str(older.path))
    assert [plugin.owner for plugin in third_party()] == ["cnnkit-mine 2.0"]
    sys.path.remove(str(older.path))


@pytest.mark.parametrize(
    ("chosen", "loaded"),
    [
        (None, ["a", "b"]),
        ("", []),
        ("cnnkit-a", ["a"]),
        ("Cnnkit_B, cnnkit-a", ["a", "b"]),
        ("cnnkit_b", ["b"]),
        ("nobody", []),
    ],
)
def test_choosing_plugins(site, monkeypatch, chosen, loaded):
    site.install("cnnkit-a", code("a"))
    site.install("cnnkit-b", code("b"))
    if chosen is not None:
        monkeypatch.setenv("CNNKIT_PLUGINS", chosen)
    registry = load_plugins()
    assert [p.entries[0].type for p in registry.third_party() if not p.blocked] == loaded
    blocked = [p for p in registry.third_party() if p.blocked]
    assert [p.owner for p in blocked] == [
        f"cnnkit-{name} 1.0" for name in "ab" if name not in loaded
    ]
    assert all(p.entries == () and not p.error for p in blocked)
    assert "relu" in registry.types("layers")


def test_a_plugin_left_out_is_not_imported(site, monkeypatch):
    site.install("cnnkit-a", "raise SystemExit")
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    assert [p.error for p in third_party()] == [""]


def test_one_distribution_with_one_type_twice(site):
    folder = site.install("cnnkit-a", code("mine"))
    (site.path / "other.py").write_text(code("mine"))
    points = "[cnnkit]\nfirst = cnnkit_a\nsecond = other\n"
    (folder / "entry_points.txt").write_text(points)
    assert [(p.name, p.error) for p in third_party()] == [
        ("first", "cnnkit-a 1.0 offers two classes with the type 'mine'"),
        ("second", "cnnkit-a 1.0 offers two classes with the type 'mine'"),
    ]


def test_one_module_behind_two_entry_points(site):
    folder = site.install("cnnkit-a", code("mine"))
    (folder / "entry_points.txt").write_text("[cnnkit]\na = cnnkit_a\nb = cnnkit_a\n")
    registry = load_plugins()
    assert [p.error for p in registry.third_party()] == ["", ""]
    assert registry.find("layers", "mine").__name__ == "Mine"


def test_finding_imports_nothing(site):
    site.install("cnnkit-a", "raise SystemExit")
    assert [p.owner for p in find_plugins() if p.distribution == "cnnkit-a"] == ["cnnkit-a 1.0"]
    assert importlib.util.find_spec("cnnkit_a") is not None


def test_ctrl_c_is_not_contained(site):
    site.install("cnnkit-a", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_plugins()


def test_a_clash_in_a_spec_and_its_way_out(site, write_spec):
    site.install("cnnkit-a", code("mine"))
    site.install("cnnkit-b", code("mine"), version="2.1")
    path = write_spec('"mine",')
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(path)
    assert str(caught.value) == textwrap.dedent(f"""\
        error: layer 2 (mine): type 'mine' is offered by cnnkit-a 1.0 and cnnkit-b 2.1; write type = "cnnkit-a:mine" or type = "cnnkit-b:mine"
          --> {path}:11:3
           |
        11 |   "mine",
           |   ^^^^^^""")  # fmt: skip  # noqa: E501
    spec = cnnkit.load_spec(write_spec('"cnnkit-b:mine",'))
    assert type(spec.model.layers[1]).__module__ == "cnnkit_b"
    assert spec.model.layers[1].type == "mine"


def test_a_built_in_is_not_displaced(site, write_spec):
    site.install("aa-shiny", code("relu"))
    assert type(cnnkit.load_spec(write_spec()).model.layers[1]).__module__ == "cnnkit.layers.relu"
    other = cnnkit.load_spec(write_spec('{ type = "aa-shiny:relu" },'))
    assert type(other.model.layers[1]).__module__ == "aa_shiny"


def test_did_you_mean_reads_the_options_of_the_class_in_use(site, write_spec):
    """A plugin that comes first by name must not lend its options to a built-in's message."""
    site.install("aa-shiny", code("conv").replace("    def f", "    kernal: int = 1\n    def f"))
    with pytest.raises(SpecError, match='did you mean "kernel"'):
        cnnkit.load_spec(write_spec('{ type = "conv", filters = 1, kernal = 1 },'))
