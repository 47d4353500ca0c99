"""Plugin files: what the command line names by `--plugin`, in every verb, and what goes wrong."""

from __future__ import annotations

import json
import os
import sys
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import cnnkit
from cnnkit import plugins
from cnnkit.cli import main
from cnnkit.commands import VERBS
from cnnkit.engine import step
from cnnkit.errors import RunError
from cnnkit.plugins import load_plugins
from cnnkit.runs.checkpoint import Checkpoint
from cnnkit.workers import can_fork

CODE = '''
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Layer

class Double(Layer):
    """Twice the input."""
    type: Literal["double"] = "double"

    def forward(self, x, w, ctx):
        return 2 * x, lambda dy: (2 * dy, {})

@hookimpl
def cnnkit_layers():
    return [Double]
'''
SUM = sha256(CODE.encode()).hexdigest()
OWNER = f"my_layers.py sha256:{SUM[:12]}"
OTHER = CODE.replace("2 *", "3 *")
OTHER_OWNER = f"my_layers.py sha256:{sha256(OTHER.encode()).hexdigest()[:12]}"


@pytest.fixture
def folder(tmp_path, monkeypatch, write_spec):
    """The working directory: my_layers.py, and s.toml with its layer; nothing is installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    monkeypatch.setenv("COLUMNS", "200")
    before = {*sys.modules}
    Path("my_layers.py").write_text(CODE, encoding="utf-8")
    write_spec('"double",').rename("s.toml")
    Path("specs/small.npz").rename("small.npz")
    yield tmp_path
    for name in {*sys.modules} - before:
        if "@" in name:
            del sys.modules[name]


@pytest.fixture
def ran(folder, capsys):
    """The run `r`, and images to predict."""
    assert main(["run", "s.toml", "--out", "r", "--quiet", "--plugin", "my_layers.py"]) == 0
    capsys.readouterr()
    np.save("x.npy", np.zeros((2, 1, 6, 6), np.uint8))


def said(capsys, *arguments):
    """Return the exit code of a command and what it printed on stderr; nothing on stdout."""
    code = main([*arguments])
    out, err = capsys.readouterr()
    assert out == ""
    return code, err


OF_RUNS = {
    "resume": ["r", "--epochs", "3"],
    "verify": ["r"],
    "show": ["r"],
    "evaluate": ["r"],
    "report": ["r"],
    "why": ["r"],
    "trace": ["r"],
    "predict": ["r", "x.npy"],
}
ELSE = {
    "run": ["s.toml", "--seeds", "0,1"],
    "lr": ["s.toml"],
    "check": ["s.toml"],
    "show": ["s.toml"],
    "look": ["s.toml"],
    "trace": ["s.toml"],
    "diff": ["s.toml", "r"],
    "schema": [],
    "layers": ["double"],
    "plugins": [],
    "doctor": [],
    "runs": ["."],
}


def test_every_verb_is_here():
    assert {*OF_RUNS, *ELSE, "init"} == {*VERBS}


@pytest.mark.parametrize("verb", OF_RUNS)
def test_verbs_ask_for_the_file_that_a_run_needs(verb, ran, capsys):
    command = [verb, *OF_RUNS[verb]]
    assert said(capsys, *command) == (
        2,
        f"error: r was made with the plugin file my_layers.py (sha256 {SUM}): name it again with "
        "--plugin\n"
        "   = note: the run keeps r/plugins/my_layers.py\n"
        "   = note: a plugin file is code that will be run: read what you did not write\n"
        f"   = help: cnnkit {' '.join(command)} --plugin r/plugins/my_layers.py\n",
    )
    again = [*command, "--plugin", "r/plugins/my_layers.py"]
    assert main(again) == 0, capsys.readouterr().err
    assert "differ" not in capsys.readouterr().err


@pytest.mark.parametrize("verb", ELSE)
def test_verbs_that_need_no_run(verb, ran, capsys):
    assert main(["--plugin=my_layers.py", verb, *ELSE[verb]]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    if verb in ("schema", "layers", "plugins", "doctor"):
        assert "double" in out or OWNER in out
    if verb == "plugins":
        assert "layers: double" in out
        assert OWNER in out


def test_it_is_gone_with_the_command(ran):
    assert "double" not in load_plugins().types("layers")
    assert plugins.GIVEN_FILES.get() == ()


def test_what_a_run_records(ran):
    env = json.loads(Path("r/env.json").read_text())
    assert env["plugin_files"] == {"my_layers.py": {"path": "my_layers.py", "sha256": SUM}}
    assert env["plugins"]["layers/my_layers.py:double"] == OWNER
    assert Path("r/plugins/my_layers.py").read_bytes() == CODE.encode()
    point = Checkpoint.load(Path("r/checkpoints/last.safetensors"))
    assert point.versions["plugin_files"] == env["plugin_files"]
    assert 'type = "my_layers.py:double"' in Path("r/resolved.toml").read_text()


def test_a_file_that_no_type_came_from_is_not_recorded(ran, capsys):
    text = Path("s.toml").read_text().replace('"double"', '"relu"')
    Path("relu.toml").write_text(text)
    assert main(["run", "relu.toml", "--out", "q", "--plugin", "my_layers.py"]) == 0
    assert "plugin_files" not in json.loads(Path("q/env.json").read_text())
    assert not Path("q/plugins").exists()
    assert main(["evaluate", "q"]) == 0


def test_a_path_with_blanks_in_another_folder(folder, capsys):
    path = folder / "my own" / "my layers 2.py"
    path.parent.mkdir()
    path.write_text(CODE)
    assert main(["run", "s.toml", "--out", "r", "--plugin", str(path)]) == 0
    files = json.loads(Path("r/env.json").read_text())["plugin_files"]
    assert files == {"my_layers_2.py": {"path": str(path), "sha256": SUM}}
    capsys.readouterr()
    Path("r/plugins/my_layers_2.py").write_text("print('not what was run')")
    assert said(capsys, "evaluate", "r") == (
        2,
        f"error: r was made with the plugin file {path} (sha256 {SUM}): name it again with "
        "--plugin\n"
        "   = note: a plugin file is code that will be run: read what you did not write\n"
        f"   = help: cnnkit evaluate r --plugin '{path}'\n",
    )


def test_a_spec_cannot_name_a_file(folder, capsys):
    Path("my_layers.py").write_text(f"open('ran', 'w').close()\n{CODE}")
    for name in ("my_layers.py:double", "./my_layers.py:double", "my_layers:double", "double"):
        text = Path("s.toml").read_text().replace('"double"', f'"{name}"')
        Path("named.toml").write_text(f'plugins = {{ require = ["my_layers.py"] }}\n{text}')
        code, err = said(capsys, "check", "named.toml")
        assert code == 2
        assert 'unknown layer type "' in err
    assert not Path("ran").exists()
    text = Path("s.toml").read_text().replace('"double"', '"my_layers.py:double"')
    Path("named.toml").write_text(text)
    assert said(capsys, "check", "named.toml")[1].endswith(
        "   = help: provided by the plugin file my_layers.py: name it with --plugin\n\n"
    )
    assert main(["check", "named.toml", "--plugin", "my_layers.py"]) == 0
    assert Path("ran").exists()


def test_who_forgets_the_flag_is_told(folder, capsys):
    _, err = said(capsys, "check", "s.toml")
    assert err.endswith(", tanh; a file of your own is named with --plugin\n\n")


def test_who_misspells_the_flag_is_told(folder, capsys):
    code, err = said(capsys, "check", "s.toml", "--plugins", "my_layers.py")
    assert (code, err) == (2, "error: unknown option --plugins\n   = help: write --plugin FILE\n")


def test_check_tells_where_a_layer_raises(folder, capsys):
    Path("bad.py").write_text(CODE.replace("return 2 * x", "return x[:, :9] + w"))
    code, err = said(capsys, "check", "s.toml", "--plugin", "bad.py")
    assert code == 2
    assert err.splitlines()[0].startswith("error: check a_step_runs: raised ")
    assert err.splitlines()[-2] == f"  fix:      mend {folder / 'bad.py'}:11, which raised it"


# what is wrong with a file

NO_HOOK = CODE.partition("@hookimpl")[0]
BAD = {
    "syntax": ("class Mine(Layer:\n    pass\n",
               "plugin file bad.py is no Python: invalid syntax\n"
               "  --> bad.py:1\n   |\n 1 | class Mine(Layer:"),
    "deep": ("\n" * 99 + "x = ]",
             "plugin file bad.py is no Python: unmatched ']'\n"
             "  --> bad.py:100\n     |\n 100 | x = ]"),
    "import": ("import numpy\nimport nowhere_at_all\n",
               "plugin file bad.py failed to load: ModuleNotFoundError: No module named "
               "'nowhere_at_all'\n  --> bad.py:2\n   |\n 2 | import nowhere_at_all\n"
               "   = help: install what it imports; a plugin file cannot import the files beside "
               "it"),
    "sibling": ("from my_layers import Double\n",
                "plugin file bad.py failed to load: ModuleNotFoundError: No module named "
                "'my_layers'\n  --> bad.py:1\n   |\n 1 | from my_layers import Double\n"
                "   = help: install what it imports; a plugin file cannot import the files beside "
                "it"),
    "name": ("def deep():\n    return Lyer\n\nclass Mine(deep()):\n    pass\n",
             "plugin file bad.py failed to load: NameError: name 'Lyer' is not defined\n"
             "  --> bad.py:2\n   |\n 2 |     return Lyer"),
    "exit": ("import sys\nsys.exit('no')\n",
             "plugin file bad.py failed to load: SystemExit: no\n"
             "  --> bad.py:2\n   |\n 2 | sys.exit('no')\n"
             "   = help: take out what ends the program: a plugin file is imported, not run"),
    "hook raises": ("from cnnkit import hookimpl\n\n@hookimpl\ndef cnnkit_layers():\n"
                    "    return [1 / 0]\n",
                    "plugin file bad.py failed to load: ZeroDivisionError: division by zero\n"
                    "  --> bad.py:5\n   |\n 5 |     return [1 / 0]"),
    "hook returns None": (CODE.replace("return [Double]", "[Double]"),
                          "plugin file bad.py: cnnkit_layers returned None; expected a list of "
                          "subclasses of Layer: is its return missing?"),
    "not marked": (CODE.replace("@hookimpl", ""),
                   "plugin file bad.py: cnnkit_layers is not marked with @cnnkit.hookimpl, so it "
                   "has no effect"),
    "misspelt": (CODE.replace("cnnkit_layers", "cnnkit_layer"),
                 "plugin file bad.py: unknown hook cnnkit_layer; did you mean cnnkit_layers?"),
    "twice": (CODE.replace("[Double]", "[Double, Double]"),
              "plugin file bad.py: cnnkit_layers returned two classes with the type 'double'"),
    "arguments": (CODE.replace("self, x, w, ctx", "self, x"),
                  "plugin file bad.py: cnnkit_layers: Double.forward takes (self, x); expected "
                  "def forward(self, x, w, ctx)"),
    "type": (CODE.replace(': Literal["double"]', ""),
             "plugin file bad.py failed to load: PydanticUserError: Field 'type' defined on a base "
             "class was overridden by a non-annotated attribute. All field definitions, including "
             "overrides, require a type annotation. For further information visit "
             "https://errors.pydantic.dev/2.14/u/model-field-overridden\n"
             "  --> bad.py:6\n   |\n 6 | class Double(Layer):\n"
             '   = help: write type: Literal["NAME"] = "NAME", behind: from typing import Literal'),
    "nothing": ("x = 1\n",
                "plugin file bad.py: it has no hook, and no layer or the like; expected such a "
                "class, and a function marked with @cnnkit.hookimpl that returns it, such as "
                "cnnkit_layers"),
    "no hook": (NO_HOOK,
                "plugin file bad.py: it has no hook, so specs cannot name its Double\n"
                "   = help: add these lines at its end:\n\n"
                "from cnnkit import hookimpl\n\n@hookimpl\ndef cnnkit_layers():\n"
                "    return [Double]"),
    "latin": ("x = '\xff'\n".encode("latin-1"),
              "plugin file bad.py failed to load: SyntaxError: invalid or missing encoding "
              "declaration"),
    "large": ("#" * (2**20 + 1),
              "cannot read bad.py: it is larger than 1 MiB\n"
              "   = help: --plugin takes the path of a Python file; an installed plugin needs "
              "none"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_loaded(name, folder, capsys):
    content, text = BAD[name]
    Path("bad.py").write_bytes(content.encode() if isinstance(content, str) else content)
    assert said(capsys, "check", "s.toml", "--plugin", "bad.py") == (2, f"error: {text}\n")
    assert main(["plugins"]) == 0  # which it has not broken


def _kept(beginning):
    return (name for name in sys.modules if name.startswith(beginning))


def test_the_lines_that_are_shown_mend_it(folder, capsys):
    flat = """
from cnnkit.base import Schedule

class Flat(Schedule):
    type: Literal["flat"] = "flat"

    def factor(self, epoch, epochs):
        return 1.0
"""
    more = NO_HOOK.replace("from cnnkit import hookimpl\n", "") + flat
    Path("my_layers.py").write_text(more)
    code, err = said(capsys, "check", "s.toml", "--plugin", "my_layers.py")
    assert (code, err.splitlines()[0]) == (
        2,
        "error: plugin file my_layers.py: it has no hook, so specs cannot name its Double, Flat",
    )
    Path("my_layers.py").write_text(more + err.partition("at its end:\n")[2])
    assert main(["check", "s.toml", "--plugin", "my_layers.py"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "why"),
    [("absent.py", "No such file or directory"), ("cnnkit-prelu", "No such file or directory"),
     (".", None), ("pipe.py", None)],
)  # fmt: skip
def test_a_path_that_is_no_file(path, why, folder, capsys):
    if path == "pipe.py":
        getattr(os, "mkfifo", lambda _: pytest.skip("no pipes here"))(path)
    text = f"cannot read {path}: {why or 'not a regular file'}"
    assert said(capsys, "check", "s.toml", "--plugin", path) == (
        2,
        f"error: {text}\n   = help: --plugin takes the path of a Python file; an installed plugin "
        "needs none\n",
    )


@pytest.mark.parametrize("end", [["--plugin"], ["--plugin="], ["--plugin", "--quiet"]])
def test_the_flag_without_a_path(end, folder, capsys):
    assert said(capsys, "check", "s.toml", *end) == (
        2,
        "error: --plugin has no value\n"
        "   = help: write a Python file behind it: --plugin my_layers.py\n",
    )


def test_traceback(folder, capsys):
    Path("bad.py").write_text("1 / 0")
    _, err = said(capsys, "check", "s.toml", "--plugin", "bad.py", "--traceback")
    assert f'File "{folder / "bad.py"}", line 1, in <module>' in err
    assert err.endswith(" 1 | 1 / 0\n")


# names


def test_two_files_with_one_type(folder, capsys):
    Path("other.py").write_text(OTHER)
    both = ["--plugin", "my_layers.py", "--plugin", "other.py"]
    owners = f"{OWNER} and {OTHER_OWNER.replace('my_layers', 'other')}"
    assert said(capsys, "check", "s.toml", *both)[1].splitlines()[0] == (
        f"error: layer 2 (double): type 'double' is offered by {owners}; write "
        'type = "my_layers.py:double" or type = "other.py:double"'
    )
    text = Path("s.toml").read_text().replace('"double"', '"other.py:double"')
    Path("s.toml").write_text(text)
    assert main(["run", "s.toml", "--out", "r", *both]) == 0
    files = json.loads(Path("r/env.json").read_text())["plugin_files"]
    assert [*files] == ["other.py"]


def test_a_built_in_is_not_displaced(folder, capsys):
    Path("relu.py").write_text(CODE.replace('"double"', '"relu"'))
    text = Path("s.toml").read_text().replace('"double"', '"relu"')
    Path("s.toml").write_text(text)
    assert main(["check", "s.toml", "--plugin", "relu.py"]) == 0
    assert 'layer type "relu" is the built-in one; relu.py sha256:' in capsys.readouterr().err


def test_two_files_with_one_name(folder, capsys):
    Path("sub").mkdir()
    Path("sub/my-layers.py").write_text(OTHER)
    code, err = said(capsys, "check", "s.toml", "--plugin", "my_layers.py",
                     "--plugin", "sub/my-layers.py")  # fmt: skip
    assert (code, err) == (
        2,
        "error: my_layers.py and sub/my-layers.py are two plugin files, and both go by the name "
        "my-layers.py\n   = help: give one of them another name\n",
    )
    twice = ["--plugin", "my_layers.py", "--plugin", str(folder / "my_layers.py")]
    assert main(["check", "s.toml", *twice]) == 0


@pytest.mark.parametrize("name", ["json.py", "numpy.py", "fractions.py", "cnnkit.py"])
def test_its_name_takes_no_other_modules(name, folder, capsys):
    Path(name).write_text(f"import json, numpy, fractions, cnnkit\n{CODE}")
    sys.modules.pop("fractions", None)
    path = [*sys.path]
    assert main(["check", "s.toml", "--plugin", name]) == 0, capsys.readouterr().err
    import fractions

    assert all(Path(m.__file__).parent != folder for m in (json, np, fractions, cnnkit))
    assert (sys.path, [*Path().rglob("*.pyc")]) == (path, [])


def test_its_docstrings_and_late_annotations(folder, capsys):
    lines = '    slope: Slope = 0.5\n    """How steep it is."""\n    def forward'
    code = f"from __future__ import annotations\n{CODE}".replace("    def forward", lines)
    Path("my_layers.py").write_text(code.replace("class Double", "Slope = float\n\nclass Double"))
    assert main(["layers", "double", "--plugin", "my_layers.py"]) == 0, capsys.readouterr().err
    assert "How steep it is." in capsys.readouterr().out


# stdout


def test_it_keeps_off_stdout(folder, capsys):
    Path("my_layers.py").write_text(f"print('at import')\n{CODE}")
    command = ["run", "s.toml", "--json", "--out", "r", "--plugin", "my_layers.py"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["run"] == "r"
    for name in [*_kept("my_layers@")]:
        sys.modules.pop(name)
    assert main(["plugins", "--verbose", "--plugin", "my_layers.py"]) == 0
    assert " printed:\nat import\n" in capsys.readouterr().out


# another file of the name


@pytest.mark.filterwarnings("always:.*results may differ")
def test_another_sha256_warns_as_another_version_does(ran, capsys):
    Path("my_layers.py").write_text(OTHER)
    assert main(["evaluate", "r", "--plugin", "my_layers.py"]) == 0
    assert capsys.readouterr().err.splitlines()[0] == (
        f"warning: r/checkpoints/last.safetensors: layer type 'double' came from {OWNER}, but "
        f"{OTHER_OWNER} supplies it now: results may differ"
    )
    assert main(["verify", "r", "--plugin", "my_layers.py"]) == 1
    out = capsys.readouterr().out
    assert "parted at epoch 1" in out
    row = next(line for line in out.splitlines() if "plugin_files.my_layers.py.sha256" in line)
    assert f'"{SUM[:20]}' in row
    assert f'"{sha256(OTHER.encode()).hexdigest()[:20]}' in row
    assert main(["resume", "r", "--epochs", "3", "--plugin", "my_layers.py"]) == 0
    key = "layers/my_layers.py:double"
    assert (
        f'WARNING: plugins was {{"{key}": "{OWNER}"}}, and is {{"{key}": "{OTHER_OWNER}"}}: the '
        "run goes on, but its bits will not be those of one that never stopped\n"
    ) in capsys.readouterr().err


def test_another_file_that_does_not_offer_it(ran, capsys):
    Path("my_layers.py").write_text(OTHER.replace('"double"', '"triple"'))
    code, err = said(capsys, "predict", "r", "x.npy", "--plugin", "my_layers.py")
    assert code == 2
    assert f"layer type 'double' came from {OWNER}, but my_layers.py sha256:" in err
    assert err.endswith(", which is here now, does not offer it\n")


def test_a_file_with_an_observer_alone(folder, capsys):
    Path("watch.py").write_text(
        "from typing import Literal\nfrom cnnkit import hookimpl\n"
        "from cnnkit.base import Observer\n"
        'class Watch(Observer):\n    type: Literal["watch"] = "watch"\n'
        "    def epoch(self, run, record):\n        print('seen')\n"
        "@hookimpl\ndef cnnkit_observers():\n    return [Watch]\n"
    )
    text = Path("s.toml").read_text().replace('"double"', '"relu"')
    Path("s.toml").write_text(f'observers = ["watch"]\n{text}')
    assert main(["run", "s.toml", "--out", "r", "--plugin", "watch.py"]) == 0
    assert main(["evaluate", "r"]) == 0  # where it is not needed
    assert main(["verify", "r"]) == 0
    capsys.readouterr()
    code, err = said(capsys, "resume", "r", "--epochs", "3")
    assert code == 2
    assert err.endswith("= help: cnnkit resume r --epochs 3 --plugin r/plugins/watch.py\n")


# faults


def test_a_fault_names_the_file(folder, capsys):
    bad = CODE.replace("return 2 * x", "return 1 / 0 * x")
    Path("my_layers.py").write_text(bad)
    owner = f"my_layers.py sha256:{sha256(bad.encode()).hexdigest()[:12]}"
    command = ["run", "s.toml", "--out", "r", "--quiet", "--plugin", "my_layers.py"]
    assert main(command) == 1
    assert capsys.readouterr().err == (
        f"error: the forward pass of layer 2 (double of {owner}) raised ZeroDivisionError at the "
        "trial step: division by zero. This is a fault of the plugin, not of the spec\n"
        f"   = note: raised at {folder / 'my_layers.py'}:11\n  --> s.toml:11:3\n"
    )


def test_a_fault_of_its_verb(folder, capsys):
    more = "\ndef greet():\n    raise KeyError('who')\n\n@hookimpl\ndef cnnkit_commands():\n"
    code = f"{CODE}{more}    return [greet]\n"
    Path("my_layers.py").write_text(code)
    owner = f"my_layers.py sha256:{sha256(code.encode()).hexdigest()[:12]}"
    assert said(capsys, "greet", "--plugin", "my_layers.py") == (
        2,
        f"error: plugin {owner} raised KeyError: 'who'\n   = note: raised at "
        f"{folder / 'my_layers.py'}:18; --traceback shows the way there\n"
        "   = help: this is a fault of the plugin: report it to its authors\n",
    )


# workers


@pytest.mark.skipif(not can_fork(), reason="workers are forked on Linux only")
def test_forked_processes_and_threads_give_the_same_bits(folder, monkeypatch):
    hired = []
    real = step.Processes
    monkeypatch.setattr(step, "Processes", lambda *a, **k: hired.append(real(*a, **k)) or hired[-1])
    sums = set()
    for threads, batch in ((1, 8), (2, 8)):
        out = f"r{threads}"
        how = ["--set", f"train.threads={threads}", "--set", f"train.batch={batch}",
               "--set", "train.shard=4"]  # fmt: skip
        assert main(["run", "s.toml", "--out", out, *how, "--plugin", "my_layers.py"]) == 0
        sums.add(json.loads(Path(out, "summary.json").read_text())["weights_sha256"])
    assert len(sums) == 1
    assert hired


# Python


@pytest.mark.filterwarnings("always:.*results may differ")
def test_classes_and_files_stand_in_for_each_other(ran, folder, monkeypatch, capsys):
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "my_layers", raising=False)
    own = import_module("my_layers").Double
    x = np.ones((2, 1, 6, 6), np.uint8)
    last = "r/checkpoints/last.safetensors"
    with pytest.raises(RunError) as caught:
        cnnkit.Model.load(last)
    assert str(caught.value) == (
        f"{last}: cannot rebuild the model: layer type 'double' came from {OWNER}, a plugin file: "
        "name it with --plugin, or pass its classes in types=[...]"
    )
    with pytest.warns(UserWarning, match="given in Python supplies it now: results may differ"):
        model = cnnkit.Model.load(last, types=[own])
    model.save("m.safetensors", types=[own])
    assert main(["predict", "m.safetensors", "x.npy", "--plugin", "my_layers.py"]) == 0
    assert model.predict(x).shape == (2, 3)
    capsys.readouterr()
    assert said(capsys, "predict", "m.safetensors", "x.npy") == (
        2,
        "error: m.safetensors: cannot rebuild the model: layer type 'double' came from given in "
        "Python, as a class of your own: pass it in types=[...], or name its file with --plugin\n",
    )
