"""Every way a plugin is known to be broken: contained, named with distribution and version, and
specs that do not use it train to the same bits.

`pytest tests/plugins/test_isolation.py -s` prints the table.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

import numpy as np
import pytest

import cnnkit
from cnnkit.errors import SpecError, TrainingError
from cnnkit.plugins import load_plugins

pytestmark = pytest.mark.reliability

HEAD = """
from typing import Literal
import numpy as np
from cnnkit import hookimpl
from cnnkit.base import Layer, Weight
"""
HOOK = """
@hookimpl
def cnnkit_layers():
    return [Bad]
"""


def bad(body: str, head: str = "") -> str:
    """Return a plugin with the layer `bad`, whose methods are `body` (indented)."""
    cls = f'\n{head}\nclass Bad(Layer):\n    type: Literal["bad"] = "bad"\n{body}\n'
    return HEAD + cls + HOOK


FORWARD = "    def forward(self, x, w, ctx):\n        return x, lambda dy: (dy, {})\n"


@dataclass(frozen=True)
class Case:
    """A broken plugin "cnnkit-bad 1.0".

    Args:
        name: what is wrong.
        source: of the module cnnkit_bad.
        error: what loading it must say; "" where it loads.
        training: what a run of a spec with the layer `bad` must say; "" where it must not start.
        layer: the line of the spec that uses it.
    """

    name: str
    source: str
    error: str = ""
    training: str = ""
    layer: str = '"bad",'


AT_LOAD = [
    Case(
        "import error",
        "import cnnkit_no_such_module",
        "ModuleNotFoundError: No module named 'cnnkit_no_such_module'",
    ),
    Case(
        "syntax error",
        "def cnnkit_layers(:\n    pass",
        "SyntaxError: invalid syntax (cnnkit_bad.py, line 1)",
    ),
    Case("SystemExit at import", "raise SystemExit(3)", "SystemExit: 3"),
    Case("error at import", "1 / 0", "ZeroDivisionError: division by zero"),
    Case(
        "error that cannot be shown",
        "class E(Exception):\n    def __str__(self): return 1 / 0\nraise E()",
        "E: (its text cannot be had)",
    ),
    Case(
        "endless recursion at import",
        "def f(): f()\nf()",
        "RecursionError: maximum recursion depth exceeded",
    ),
    Case(
        "hook with arguments",
        HEAD + "@hookimpl\ndef cnnkit_layers(registry, config): return []",
        "cnnkit_layers(registry, config) asks for arguments; hooks are called with none",
    ),
    Case(
        "misspelt hook",
        HEAD + "@hookimpl\ndef cnnkit_layer(): return []",
        "unknown hook cnnkit_layer; did you mean cnnkit_layers?",
    ),
    Case(
        "hook of another name",
        HEAD + "@hookimpl\ndef register(): return []",
        "unknown hook register; known hooks are cnnkit_backends, cnnkit_callbacks, "
        "cnnkit_commands, cnnkit_datasets, cnnkit_initializers, cnnkit_layers, cnnkit_losses, "
        "cnnkit_metrics, cnnkit_observers, cnnkit_optimizers, cnnkit_schedules, cnnkit_transforms",
    ),
    Case(
        "unmarked hook",
        "def cnnkit_layers(): return []",
        "cnnkit_layers is not marked with @cnnkit.hookimpl, so it has no effect",
    ),
    Case(
        "no hook",
        "",
        "cnnkit_bad has no hook; expected a function marked with @cnnkit.hookimpl, such as "
        "cnnkit_layers",
    ),
    Case(
        "hook that raises",
        HEAD + "@hookimpl\ndef cnnkit_layers(): raise KeyError('prelu')",
        "KeyError: 'prelu'",
    ),
    Case(
        "hook that returns None",
        HEAD + "@hookimpl\ndef cnnkit_layers(): [Layer]",
        "cnnkit_layers returned None; expected a list of subclasses of Layer: is its return "
        "missing?",
    ),
    Case(
        "hook that returns a class",
        HEAD + "@hookimpl\ndef cnnkit_layers(): return Layer",
        "cnnkit_layers returned <class 'cnnkit.base.layer.Layer'>; expected a list of subclasses "
        "of Layer",
    ),
    Case(
        "hook that returns names",
        HEAD + "@hookimpl\ndef cnnkit_layers(): return ['prelu']",
        "cnnkit_layers returned 'prelu'; expected subclasses of Layer",
    ),
    Case(
        "hook that returns instances",
        bad(FORWARD).replace("[Bad]", "[Bad()]"),
        "cnnkit_layers returned Bad(type='bad'); expected subclasses of Layer",
    ),
    Case(
        "class of another family",
        HEAD + "@hookimpl\ndef cnnkit_losses(): return [Layer]",
        "cnnkit_losses returned <class 'cnnkit.base.layer.Layer'>; expected subclasses of Loss",
    ),
    Case(
        "abstract class",
        bad("    pass"),
        "cnnkit_layers: Bad does not define forward",
    ),
    Case(
        "generator that raises midway",
        bad(FORWARD).replace("return [Bad]", "yield Bad; raise OSError('gone')"),
        "OSError: gone",
    ),
    Case(
        "illegal type name",
        bad(FORWARD).replace('"bad"', '"Bad-Layer"'),
        "cnnkit_layers: Bad has the type 'Bad-Layer'; expected a field such as "
        'type: Literal["my_layer"] = "my_layer", in lower-case letters, digits and _',
    ),
    Case(
        "no type name",
        HEAD + "class Bad(Layer):\n" + FORWARD + HOOK,
        "cnnkit_layers: Bad has the type ''; expected a field such as "
        'type: Literal["my_layer"] = "my_layer", in lower-case letters, digits and _',
    ),
    Case(
        "one type twice",
        bad(FORWARD).replace("[Bad]", "[Bad, Bad]"),
        "cnnkit_layers returned two classes with the type 'bad'",
    ),
    Case(
        "option that hides a method",
        bad(f"    lower: int = 1\n{FORWARD}"),
        "TypeError: Bad: option 'lower' would hide the method Layer.lower(); choose another name",
    ),
    Case(
        "commands without a name",
        HEAD + "@hookimpl\ndef cnnkit_commands(): return [lambda: 1]",
        "cnnkit_commands returned <lambda>; expected functions with a name",
    ),
]
"""Those that loading finds."""

NAMED = "layer 2 (bad of cnnkit-bad 1.0)"
LAYERS_FAULT = "This is a fault of the layer, not of the spec"
PLUGINS_FAULT = "This is a fault of the plugin, not of the spec"


def forward(*lines: str) -> str:
    """Return a layer's source with this forward pass."""
    return bad("    def forward(self, x, w, ctx):\n" + "".join(f"        {n}\n" for n in lines))


AT_TRAINING = [
    Case(
        "forward that raises",
        forward("return x + np.zeros(7), None"),
        training=f"the forward pass of {NAMED} raised ValueError at the trial step: operands could "
        f"not be broadcast together with shapes (3,2,4,4) (7,) . {PLUGINS_FAULT}",
    ),
    Case(
        "forward that returns y alone",
        forward("return x"),
        training=f"{NAMED}: forward returned an array of shape (3, 2, 4, 4) and dtype float32 at "
        f"the trial step; expected (y, backward). {LAYERS_FAULT}",
    ),
    Case(
        "backward that returns dx alone",
        forward("return x, lambda dy: dy"),
        training=f"{NAMED}: backward returned an array of shape (3, 2, 4, 4) and dtype float32 at "
        f"the trial step; expected (dx, gradients). {LAYERS_FAULT}",
    ),
    Case(
        "backward that raises",
        forward("return x, lambda dy: {}['dx']"),
        training=f"the backward pass of {NAMED} raised KeyError at the trial step: 'dx'. "
        f"{PLUGINS_FAULT}",
    ),
    Case(
        "wrong shape",
        forward("return x[:, :1], lambda dy: (dy, {})"),
        training=f"{NAMED}: forward returned y: an array of shape (3, 1, 4, 4) and dtype float32 at"
        f" the trial step; expected shape (3, 2, 4, 4) and dtype float32, or output_shape(self, "
        f"shape) that returns (1, 4, 4) for (2, 4, 4). {LAYERS_FAULT}",
    ),
    Case(
        "wrong dtype",
        forward("return x.astype(np.float64), lambda dy: (dy, {})"),
        training=f"{NAMED}: forward returned y: an array of shape (3, 2, 4, 4) and dtype float64 at"
        f" the trial step; expected shape (3, 2, 4, 4) and dtype float32. {LAYERS_FAULT}",
    ),
    Case(
        "wrong gradient of the input",
        forward("return x, lambda dy: (dy[:, :1], {})"),
        training=f"{NAMED}: backward returned dx: an array of shape (3, 1, 4, 4) and dtype float32 "
        f"at the trial step; expected shape (3, 2, 4, 4) and dtype float32. {LAYERS_FAULT}",
    ),
    Case(
        "wrong gradient of a weight",
        bad(
            "    def weights(self, shape):\n        return {'a': Weight(shape[:1], 1)}\n"
            "    def forward(self, x, w, ctx):\n"
            "        return x, lambda dy: (dy, {'a': dy.sum(axis=0)})\n"
        ),
        training=f"{NAMED}: backward returned the gradient of a: an array of shape (2, 4, 4) and "
        f"dtype float32 at the trial step; expected shape (2,) and dtype float32. "
        f"{LAYERS_FAULT}",
    ),
    Case(
        "gradient of no weight",
        forward("return x, lambda dy: (dy, {'slope': dy})"),
        training=f"{NAMED}: backward returned a gradient for slope at the trial step; expected "
        f"none, as it has no weights. {LAYERS_FAULT}",
    ),
    Case(
        "no gradient of a weight",
        bad(
            "    def weights(self, shape):\n"
            "        return {'a': Weight(shape[:1], 1), 'c': Weight((), 0)}\n"
            "    def forward(self, x, w, ctx):\n"
            "        return x, lambda dy: (dy, {'a': dy.sum(axis=(0, 2, 3))})\n"
        ),
        training=f"{NAMED}: backward returned no gradient for c at the trial step; expected one for"
        f" every weight that learns, or learns=False where it is declared. {LAYERS_FAULT}",
    ),
    Case(
        "gradient of a weight that does not learn",
        bad(
            "    def weights(self, shape):\n"
            "        return {'a': Weight(shape[:1], 1, learns=False)}\n"
            "    def forward(self, x, w, ctx):\n"
            "        return x, lambda dy: (dy, {'a': dy.sum(axis=(0, 2, 3))})\n"
        ),
        training=f"{NAMED}: backward returned a gradient for a, which is declared not to learn at "
        f"the trial step; expected none for it, or learns=True. {LAYERS_FAULT}",
    ),
    Case(
        "mutates its input",
        forward("np.maximum(x, 0, out=x)", "return x, lambda dy: (dy, {})"),
        training=f"{NAMED}: forward changed x at the trial step; expected x left as it was. "
        f"{LAYERS_FAULT}",
    ),
    Case(
        "mutates dy",
        forward("y = x * 2", "def back(dy):", "    dy *= 2", "    return dy, {}", "return y, back"),
        training=f"{NAMED}: backward changed dy at the trial step; expected dy left as it was. "
        f"{LAYERS_FAULT}",
    ),
    Case(
        "global randomness",
        forward("y = x * np.float32(np.random.rand())", "return y, lambda dy: (dy, {})"),
        training=f"{NAMED}: forward returned two results for one input and one random key at the "
        f"trial step; expected every random number from ctx.rng(), and no state on the "
        f"layer. {LAYERS_FAULT}",
    ),
    Case(
        "raises at step 15",
        bad(
            "    def forward(self, x, w, ctx):\n"
            "        if ctx.key[1:3] == (1, 5): raise RuntimeError('overheated')\n"
            "        return x, lambda dy: (dy, {})\n"
        ),
        training=f"the forward pass of {NAMED} raised RuntimeError at step 15: overheated. "
        f"{PLUGINS_FAULT}",
    ),
    Case(
        "raises at step 15, inside a residual block",
        bad(
            "    def forward(self, x, w, ctx):\n"
            "        if ctx.key[1:3] == (1, 5): raise RuntimeError('overheated')\n"
            "        return x, lambda dy: (dy, {})\n"
        ),
        training="the forward pass of layer 2.1 (bad of cnnkit-bad 1.0) raised "
        f"RuntimeError at step 15: overheated. {PLUGINS_FAULT}",
        layer='{ type = "residual", body = ["bad"] },',
    ),
]
"""Those that only a run can find."""


@pytest.fixture(scope="module")
def rows():
    """Collect a row per case, and print them at the end."""
    found: list[tuple[str, str, str]] = []
    yield found
    print(f"\n\n{'broken plugin':42} {'named at':9} others   what is said")
    for name, stage, text in found:
        print(f"{name:42} {stage:9} same     {text[:90]}")
    print(f"{len(found)} ways of being broken: {len(found)} contained and named")


@pytest.fixture(scope="module")
def sha256():
    """What a spec that uses no plugin trains to, by the first case that ran it."""
    return {}


def same_bits(write_spec, tmp_path, sha256, registry=None):
    """Train a spec that uses no plugin; the weights must be those of every other time."""
    spec = cnnkit.load_spec(write_spec(name="healthy.toml"), registry=registry)
    digest = cnnkit.train(spec, out=tmp_path / "run").summary["weights_sha256"]
    assert digest == sha256.setdefault("digest", digest)


QUIET = bad(FORWARD)
UNDONE = [
    ("prints at import", "print('hello', {'json': 1})\n" + QUIET),
    ("prints in a hook", QUIET.replace("    return [Bad]", "    print('hi'); return [Bad]")),
    ("sets NumPy's error state", QUIET + "\nnp.seterr(all='raise')"),
    ("turns warnings off", QUIET + "\nimport warnings; warnings.simplefilter('ignore')"),
    ("seeds the global generator", QUIET + "\nnp.random.seed(0); np.random.rand(3)"),
    ("has the type of a built-in", QUIET.replace('"bad"', '"relu"')),
    ("passes on a built-in", HEAD + "from cnnkit.layers import cnnkit_layers"),
]
"""Those that load; nothing of what they do may be felt by others: source."""


@pytest.mark.parametrize(("name", "source"), UNDONE, ids=[name for name, _ in UNDONE])
def test_felt_by_nobody(name, source, site, write_spec, tmp_path, sha256, rows, capsys):
    site.install("aa-bad", source)  # comes before cnnkit in every order
    before = np.geterr(), list(warnings.filters)
    registry = load_plugins()
    assert [plugin.error for plugin in registry.third_party()] == [""]
    assert (np.geterr(), list(warnings.filters)) == before
    assert capsys.readouterr() == ("", "")
    same_bits(write_spec, tmp_path, sha256, registry)
    resolved = tmp_path / "run" / "resolved.toml"
    assert "aa-bad" not in resolved.read_text() + (tmp_path / "run" / "env.json").read_text()
    printed = "".join(plugin.printed for plugin in registry.third_party())
    rows.append((name, "nothing", f"kept: {printed!r}" if printed else "undone, or of no effect"))


DAMAGED = {
    "no METADATA": ("METADATA", None, ""),
    "METADATA that is not UTF-8": (
        "METADATA",
        b"Name: cnnkit-bad\xff",
        "its metadata is damaged (UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in "
        "position 16: invalid start byte); install it anew",
    ),
    "METADATA without name and version": ("METADATA", b"Metadata-Version: 2.1\n", ""),
    "entry points that are not UTF-8": (
        "entry_points.txt",
        b"[cnnkit]\nbad = \xff",
        "its metadata is damaged (UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in "
        "position 15: invalid start byte); install it anew",
    ),
    "an entry point that names no module": (
        "entry_points.txt",
        b"[cnnkit]\nbad = not a module\n",
        "its entry point bad = 'not a module' names no module",
    ),
    "an entry point of a missing attribute": (
        "entry_points.txt",
        b"[cnnkit]\nbad = cnnkit_bad:hooks\n",
        "AttributeError: module 'cnnkit_bad' has no attribute 'hooks'",
    ),
}
"""What is done to a healthy distribution's files, and what is said: (file, content, error)."""


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_metadata(name, site, write_spec, tmp_path, sha256, rows):
    file, content, error = DAMAGED[name]
    folder = site.install("cnnkit-bad", bad(FORWARD))
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    registry = load_plugins()
    assert [(p.owner, p.error) for p in registry.third_party()] == [("cnnkit-bad 1.0", error)]
    same_bits(write_spec, tmp_path, sha256, registry)
    rows.append((name, "load", error or "name and version read from the folder"))


def test_broken_annotation(site, write_spec, tmp_path, sha256, rows):
    source = "from __future__ import annotations\n" + bad(f"    size: Nonsense = 1\n{FORWARD}")
    site.install("cnnkit-bad", source)
    same_bits(write_spec, tmp_path, sha256)
    path = write_spec('"bad",')
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(path)
    said = (
        "bad of cnnkit-bad 1.0 cannot be used: PydanticUndefinedAnnotation: "
        "name 'Nonsense' is not defined"
    )
    assert f"error: layer 2 (bad): {said}\n  --> {path}:11:3\n" in str(caught.value)
    rows.append(("option of an unknown type", "check", said))


NO_WEIGHTS = {
    "weights as arrays": (
        "return {'a': np.ones(2)}",
        "weight a is declared as array([1., 1.]); expected a Weight, or a mapping of them",
    ),
    "weights that are none": (
        "return None",
        "weight tree is declared as None; expected a Weight, or a mapping of them",
    ),
    "a weight's name with a slash": (
        "return {'a/b': Weight((2,), 1)}",
        "weight tree holds the name 'a/b'; expected letters, digits and _",
    ),
    "a shape of floats": (
        "return {'a': Weight((shape[0] / 2,), 1)}",
        "weight a has the shape (1.0,); expected a tuple of ints >= 0",
    ),
    "an initializer by its name": (
        "return {'a': Weight((2,), 'he')}",
        "weight a starts from 'he'; expected an initializer or a finite number",
    ),
}
"""What a layer may return for its weights, and what is said."""


@pytest.mark.parametrize("name", NO_WEIGHTS)
@pytest.mark.parametrize("inside", [False, True])
def test_weights_that_are_none(name, inside, site, write_spec, tmp_path, sha256, rows):
    line, said = NO_WEIGHTS[name]
    site.install("cnnkit-bad", bad(f"    def weights(self, shape):\n        {line}\n{FORWARD}"))
    same_bits(write_spec, tmp_path, sha256)
    path = write_spec('{ type = "residual", body = ["bad"] },' if inside else '"bad",')
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(path)
    if inside:
        said = said.replace("weight tree", "weight 0_bad").replace("weight a ", "weight 0_bad/a ")
    kind = "residual" if inside else "bad"
    text = f"layer 2 ({kind}) declares what are no weights: {said}"
    assert f"error: {text}\n  --> {path}:11:3\n" in str(caught.value)
    assert "help: this is a fault of cnnkit-bad 1.0, not of the spec" in str(caught.value)
    if not inside:
        rows.append((name, "check", text))


def test_without_any_plugin(site, write_spec, tmp_path, sha256):
    same_bits(write_spec, tmp_path, sha256)


@pytest.mark.parametrize("case", AT_LOAD, ids=lambda case: case.name)
def test_broken_at_load(case, site, write_spec, tmp_path, sha256, rows, capsys):
    site.install("cnnkit-bad", case.source)
    site.install("cnnkit-zgood", bad(FORWARD).replace('"bad"', '"good"'))
    registry = load_plugins()
    assert [(plugin.owner, plugin.error) for plugin in registry.broken()] == [
        ("cnnkit-bad 1.0", case.error)
    ]
    assert registry.broken()[0].traceback.startswith("Traceback (most recent call last):\n")
    assert registry.broken()[0].entries == ()
    assert "good" in registry.types("layers")
    same_bits(write_spec, tmp_path, sha256, registry)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(write_spec(case.layer), registry=registry)
    assert 'layer 2 (bad): unknown layer type "bad"' in str(caught.value)
    help_ = f"help: provided by cnnkit-bad 1.0, which failed to load: {case.error}"
    assert help_ in str(caught.value)
    rows.append((case.name, "load", case.error))


@pytest.mark.parametrize("case", AT_TRAINING, ids=lambda case: case.name)
def test_broken_at_training(case, site, write_spec, tmp_path, sha256, rows):
    site.install("cnnkit-bad", case.source)
    same_bits(write_spec, tmp_path, sha256)
    spec = cnnkit.load_spec(write_spec(case.layer))
    with pytest.raises(TrainingError) as caught:
        cnnkit.train(spec, out=tmp_path / "bad")
    assert str(caught.value) == case.training
    notes = " ".join(getattr(caught.value, "__notes__", []))
    assert bool(re.search(r"note: raised at \S+cnnkit_bad\S*\.py:\d+\b", notes)) == (
        " raised " in case.training
    )
    assert (tmp_path / "bad").exists() == ("step 15" in case.training)  # else nothing had begun
    rows.append((case.name, "training", case.training))


def test_the_counts(promises):
    cases = len([*UNDONE, *DAMAGED, *AT_LOAD, *NO_WEIGHTS, *AT_TRAINING])
    cases += 1  # the broken annotation
    assert f"\n{cases} ways of being broken: {cases} contained" in promises
