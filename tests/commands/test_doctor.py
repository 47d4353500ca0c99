"""`cnnkit doctor`: facts, ailments with their remedies, and the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from cnnkit import __version__
from cnnkit.commands import doctor
from cnnkit.commands.doctor import Section, examine
from cnnkit.datasets.mnist import FashionMnist
from cnnkit.registry import Plugin, Registry

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
PLACES = ["python", "cnnkit", "dependencies", "extras", "machine", "blas", "backends", "caches",
          "data", "plugins"]  # fmt: skip

NAMES = [file.name for file in FashionMnist.files]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def problems(call):
    """Return the exit code and all (severity, what, fix) of `cnnkit doctor --json`."""

    def problems_():
        outcome = call("doctor", "--json")
        assert outcome.err == ""
        found = json.loads(outcome.out)
        assert found["ok"] is (outcome.code == 0)
        return outcome.code, [(p["severity"], p["what"], p["fix"]) for p in found["problems"]]

    return problems_


def test_a_healthy_machine(call, tmp_path):
    outcome = call("doctor", "--json")
    found = json.loads(outcome.out)
    assert (outcome.code, found["ok"], found["problems"]) == (0, True, [])
    assert list(found) == ["ok", *PLACES, "problems"]
    assert found["python"]["executable"] == sys.executable
    assert found["cnnkit"]["version"] == __version__
    packages = {package["name"]: package for package in found["dependencies"]}
    assert packages["numpy"]["error"] == ""
    assert packages["numpy"]["needs"] == ">=2.1"
    assert found["extras"]["images"]["works"]
    assert found["machine"]["threads"] >= 1
    assert found["machine"]["memory"] > 2**28
    assert found["blas"][0]["kernel"]
    downloads = {"what": "downloads", "path": str(tmp_path / "cache" / "cnnkit"), "bytes": 0}
    assert found["caches"] == [{**downloads, "writable": True}]
    assert found["data"]["CNNKIT_DATA_DIR"] is None
    assert found["data"]["fashion_mnist"]["state"] == "not found"


def test_for_people(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    out = call("doctor").out
    rows = [line.split()[0] for line in out.splitlines() if line[:1].strip()]
    assert rows[: len(PLACES)] == PLACES
    assert out.endswith("\n\nnothing is wrong\n")
    assert "\n              Fashion-MNIST: not found\n" in out


BROKEN = {
    "raise SystemExit('stop')": "SystemExit: stop",
    "import nowhere_at_all": "ModuleNotFoundError: No module named 'nowhere_at_all'",
    "def f(": "SyntaxError: '(' was never closed (cnnkit_broken.py, line 1)",
    "print('{')": "cnnkit_broken has no hook; expected a function marked with @cnnkit.hookimpl, "
    "such as cnnkit_layers",
}


@pytest.mark.parametrize("source", BROKEN)
def test_a_broken_plugin_is_named_and_stops_nothing(problems, site, source):
    site("cnnkit-broken", source)
    site("cnnkit-same", LAYER.format(type="same"))
    assert problems() == (0, [(
        "warning",
        f"plugin cnnkit-broken 1.0 failed to load: {BROKEN[source]}",
        "pip install --upgrade cnnkit-broken, or pip uninstall cnnkit-broken; "
        "`cnnkit plugins --verbose` shows where it failed",
    )])  # fmt: skip


def test_the_text_about_an_ailment(call, site):
    site("cnnkit-broken", "raise SystemExit('stop')")
    site("cnnkit-rival", LAYER.format(type="relu"))
    outcome = call("doctor")
    assert outcome.code == 0
    assert outcome.out.endswith(
        "\n"
        "warning: plugin cnnkit-broken 1.0 failed to load: SystemExit: stop\n"
        "   = fix: pip install --upgrade cnnkit-broken, or pip uninstall cnnkit-broken; "
        "`cnnkit plugins --verbose` shows where it failed\n"
        "\n"
        'warning: several offer "relu" in layers, so the bare name means the built-in one\n'
        '   = fix: write "cnnkit:relu" or "cnnkit-rival:relu"\n'
        "\n"
        "2 warnings\n"
    )
    assert "cnnkit-broken 1.0: FAILED\n" in outcome.out
    assert "cnnkit-rival 1.0: works\n" in outcome.out


def test_a_plugin_for_another_cnnkit(problems, site):
    site("cnnkit-old", LAYER.format(type="same"), requires="cnnkit<0.1")
    site("cnnkit-new", LAYER.format(type="other"), requires="cnnkit>=0.1,<9")
    assert problems() == (0, [(
        "warning",
        f"plugin cnnkit-old 1.0 asks for cnnkit<0.1, and {__version__} is installed",
        'pip install --upgrade cnnkit-old, or pip install "cnnkit<0.1"',
    )])  # fmt: skip


def test_clashing_types_and_verbs(problems, site):
    verbs = "from cnnkit import hookimpl\ndef {0}(): ...\n@hookimpl\ndef cnnkit_commands():\n"
    for name in ("one", "two"):
        site(f"cnnkit-{name}", LAYER.format(type="same"))
        site(f"cnnkit-verb-{name}", verbs.format("hello") + "    return [hello]\n")
    site("cnnkit-verb-run", verbs.format("run") + "    return [run]\n")
    code, found = problems()
    assert code == 0
    assert [(what, fix) for _, what, fix in found] == [
        (
            'several offer "same" in layers, so the bare name is refused',
            'write "cnnkit-one:same" or "cnnkit-two:same"',
        ),
        (
            "the verb hello is offered by cnnkit-verb-one 1.0 and cnnkit-verb-two 1.0, so neither "
            "is used",
            "uninstall one, or name the plugins to load in CNNKIT_PLUGINS",
        ),
        (
            "the verb run of cnnkit-verb-run 1.0 is not used: it is a built-in one",
            "its author can give it another name",
        ),
    ]


def test_a_choice_of_plugins_that_are_not_there(problems, monkeypatch):
    monkeypatch.setenv("CNNKIT_PLUGINS", "cnnkit-gone, layers")
    assert problems() == (0, [(
        "warning",
        "CNNKIT_PLUGINS names cnnkit-gone, which is no installed plugin",
        "pip install cnnkit-gone, or take it out of CNNKIT_PLUGINS",
    )])  # fmt: skip


def test_a_cnnkit_whose_own_types_are_broken_or_missing(problems, monkeypatch):
    layers = Plugin("layers", "cnnkit", "0.1.0", "cnnkit.layers", error="ImportError: no kernels")
    monkeypatch.setattr("cnnkit.plugins.load_plugins", lambda: Registry([layers]))
    code, found = problems()
    assert code == 2
    again = "pip install --force-reinstall cnnkit"
    assert found == [
        (
            "error",
            "cnnkit's own layers, losses, optimizers, schedules, initializers, datasets, "
            "transforms, metrics, observers, callbacks, backends are not registered",
            again,
        ),
        ("error", "plugin cnnkit 0.1.0 failed to load: ImportError: no kernels", again),
    ]


def test_dependencies_and_extras(problems, call, monkeypatch):
    asked = [
        "numpy>=99",
        "cnnkit-no-such>=1",
        "cnnkit[images]>=0",
        'pillow>=99; extra == "images"',
        'cnnkit-no-such-either>=2; extra == "test"',
        'cnnkit-windows>=1; sys_platform == "win95"',
    ]
    monkeypatch.setattr(doctor, "requires", lambda name: asked)
    numpy, pillow = (doctor.version(name) for name in ("numpy", "pillow"))
    assert problems() == (2, [
        ("error", f"numpy {numpy} is installed, but cnnkit needs numpy>=99",
         'pip install --force-reinstall "numpy>=99"'),
        ("error", "cnnkit-no-such is not installed", 'pip install "cnnkit-no-such>=1"'),
        ("warning", f"pillow {pillow} is installed, but cnnkit needs pillow>=99",
         'pip install --force-reinstall "pillow>=99"'),
    ])  # fmt: skip
    monkeypatch.setenv("COLUMNS", "200")
    out = call("doctor").out
    no_images = f'images: no, pillow {pillow}; pip install "cnnkit[images]"\n'
    no_test = 'test: no, cnnkit-no-such-either (missing); pip install "cnnkit[test]"\n'
    assert no_images in out
    assert no_test in out
    assert out.endswith("\n2 errors, 1 warning\n")


@pytest.mark.parametrize("source", ["raise OSError('no\\nBLAS')", "raise SystemExit('no BLAS')"])
def test_without_a_working_numpy(source, tmp_path):
    (tmp_path / "numpy.py").write_text(source)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    arguments = [sys.executable, "-m", "cnnkit", "doctor", "--json"]
    process = subprocess.run(
        arguments, capture_output=True, text=True, env=environment, check=False
    )
    assert (process.returncode, process.stderr) == (2, "")
    found = json.loads(process.stdout)
    kind = source.partition(" ")[2].partition("(")[0]
    numpy = f"numpy {doctor.version('numpy')}"
    assert {problem["what"]: problem["fix"] for problem in found["problems"]} == {
        f"{numpy} cannot be imported: {kind}: no BLAS": (
            'pip install --force-reinstall "numpy>=2.1"'
        ),
    }
    assert found["machine"] is None


def test_a_place_that_cannot_be_looked_at():
    def fail() -> Section:
        raise PermissionError("not\nallowed")

    section = examine("caches", fail)
    assert section.lines == ["unknown"]
    (ailment,) = section.ailments
    assert ailment.what == "caches cannot be examined: PermissionError: not allowed"
    assert ailment.fatal


@pytest.mark.parametrize("installed", ["0.0.9", None])
def test_an_installation_that_is_not_what_runs(installed, monkeypatch):
    def version(name: str) -> str:
        if installed is None:
            raise doctor.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(doctor, "version", version)
    (ailment,) = doctor.look_at_cnnkit().ailments
    assert ailment.fatal is (installed is None)
    assert ailment.what == (
        "cnnkit is not installed, so its own types cannot be found" if installed is None
        else f"cnnkit {__version__} runs, but 0.0.9 is what pip installed"
    )  # fmt: skip


def test_no_blas(monkeypatch):
    monkeypatch.setattr(sys.modules["cnnkit.runs.environment"], "threadpool_info", list)
    section = doctor.look_at_blas()
    assert section.lines == ["none that is known"]
    assert [ailment.fatal for ailment in section.ailments] == [False]


def test_a_cache_that_cannot_be_written(problems, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert problems() == (0, [(
        "warning",
        f"downloads cannot be kept in {tmp_path}/file/cnnkit: {tmp_path}/file is not a folder to "
        "write to",
        "mend its permissions, or get the data by hand and set CNNKIT_DATA_DIR",
    )])  # fmt: skip


def test_a_data_folder_that_is_not_there(problems, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNKIT_DATA_DIR", str(tmp_path / "gone"))
    assert problems() == (0, [(
        "warning",
        f"CNNKIT_DATA_DIR names {tmp_path}/gone, which is no folder",
        "make it, or name the folder that holds the data",
    )])  # fmt: skip


@pytest.mark.parametrize(("count", "state"), [(4, "damaged"), (1, "damaged"), (0, "not found")])
def test_fashion_mnist(count, state, call, problems, tmp_path, monkeypatch):
    folder = tmp_path / "data" / "fashion-mnist"
    folder.mkdir(parents=True)
    for name in NAMES[:count]:
        (folder / name).write_bytes(b"not this")
    monkeypatch.setenv("CNNKIT_DATA_DIR", str(tmp_path / "data"))
    found = json.loads(call("doctor", "--json").out)["data"]
    assert found["CNNKIT_DATA_DIR"] == str(tmp_path / "data")
    assert found["fashion_mnist"]["state"] == state
    assert [what for _, what, _ in problems()[1]] == [
        f"{folder / name} is not the file that was published as Fashion-MNIST"
        for name in NAMES[:count]
    ]


@pytest.mark.parametrize(("count", "state"), [(4, "found"), (3, "incomplete")])
def test_fashion_mnist_as_published(count, state, call, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNKIT_DATA_DIR", str(tmp_path))
    right = {file.name: file.sha256 for file in FashionMnist.files}
    monkeypatch.setattr("cnnkit.datasets.files.digest", lambda path: right[path.name])
    for name in NAMES[:count]:
        (tmp_path / name).touch()
    found = json.loads(call("doctor", "--json").out)
    assert found["data"]["fashion_mnist"]["state"] == state
    assert found["problems"] == []


def test_every_place_is_looked_at():
    assert list(doctor._PLACES) == PLACES


def test_one_damaged_distribution_stops_no_verb_and_is_named(tmp_path, tiny):
    folder = tmp_path / "site" / "foo-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[console_scripts]\nfoo\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cnnkit", *arguments], capture_output=True, text=True,
            check=False, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        )  # fmt: skip

    for arguments in (["check", str(tiny)], ["plugins"], ["layers"]):
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
    done = run("doctor", "--json")
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem["what"].startswith(
        "the entry points of foo 1.0 cannot be read, which stops other packages: TypeError: "
    )
    assert problem["fix"] == "pip install --force-reinstall foo"
