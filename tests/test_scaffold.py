"""`cnnkit plugins new`: what it writes works as it is, for every family."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest
import tomli

import cnnkit
from cnnkit.cli import main
from cnnkit.errors import CnnkitError
from cnnkit.hookspecs import FAMILIES as COMPONENTS
from cnnkit.scaffold import FAMILIES, Names, make_plugin

ROOT = Path(cnnkit.__file__).parents[1]
KINDS = sorted(FAMILIES)
FILES = [
    ".github/workflows/ci.yml",
    ".gitignore",
    "README.md",
    "cnnkit_my_{0}/__init__.py",
    "cnnkit_my_{0}/py.typed",
    "pyproject.toml",
    "specs/my_{0}.toml",
    "tests/test_my_{0}.py",
]
"""What a package holds."""


def run(*arguments: str, **how) -> subprocess.CompletedProcess[str]:
    how = {"capture_output": True, "text": True, "check": False, "timeout": 300} | how
    return subprocess.run([sys.executable, *arguments], **how)


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Path:
    """A folder with a plugin "cnnkit-my-FAMILY" of every family."""
    folder = tmp_path_factory.mktemp("generated")
    for family in KINDS:
        name = f"cnnkit-my-{family}"
        assert main(["plugins", "new", name, "--family", family, "--out", str(folder / name)]) == 0
    return folder


@pytest.fixture(scope="module")
def environment(generated) -> dict[str, str]:
    """Variables under which all of them are installed: as pip leaves them, on the path."""
    site = generated / "site"
    for family in KINDS:
        folder = site / f"cnnkit_my_{family}-0.1.0.dist-info"
        folder.mkdir(parents=True)
        facts = f"Metadata-Version: 2.1\nName: cnnkit-my-{family}\nVersion: 0.1.0\n"
        (folder / "METADATA").write_text(facts)
        project = generated / f"cnnkit-my-{family}" / "pyproject.toml"
        points = tomli.loads(project.read_text())["project"]["entry-points"]["cnnkit"].items()
        lines = [f"{name} = {module}" for name, module in points]
        (folder / "entry_points.txt").write_text("\n".join(["[cnnkit]", *lines]) + "\n")
    places = [site, *(generated / f"cnnkit-my-{family}" for family in KINDS)]
    kept = {name: value for name, value in os.environ.items() if name != "CNNKIT_PLUGINS"}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, places))}


@pytest.fixture(scope="module")
def results(generated, environment) -> dict[str, list[ET.Element]]:
    """The test cases of every package, all run by one pytest with the settings they share."""
    report = generated / "report.xml"
    settings = generated / "cnnkit-my-layer" / "pyproject.toml"
    folders = [str(generated / f"cnnkit-my-{family}" / "tests") for family in KINDS]
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
                 "-c", str(settings), f"--rootdir={generated}", *folders]  # fmt: skip
    process = run(*arguments, env=environment, cwd=generated)
    assert process.returncode in (0, 1), process.stdout + process.stderr
    found: dict[str, list[ET.Element]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314  # written by pytest just now
        family = case.get("classname", "").split(".")[0].removeprefix("cnnkit-my-")
        found.setdefault(family, []).append(case)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("family", KINDS)
def test_the_tests_pass_unchanged(family, results):
    failed = [case.get("name") for case in results[family] if len(case)]
    assert failed == []
    assert len(results[family]) >= 4


@pytest.mark.parametrize("family", KINDS)
def test_the_files(family, generated):
    folder = generated / f"cnnkit-my-{family}"
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert {n for n in names if "__pycache__" not in n} == {n.format(family) for n in FILES}
    for name in sorted(name for name in names if "__pycache__" not in name):
        text = (folder / name).read_text(encoding="utf-8")
        assert text.endswith("\n") or name.endswith("py.typed")
        assert "$" not in text.replace("${{ matrix.python }}", ""), name
        assert name.endswith(".md") or all(len(line) <= 100 for line in text.splitlines()), name


def test_a_family_for_every_hook():
    words = {cls.__name__.lower() for cls in COMPONENTS.values()} | {"command"}
    assert words == set(FAMILIES)


def test_a_layer_is_about_thirty_lines(generated):
    text = (generated / "cnnkit-my-layer" / "cnnkit_my_layer" / "__init__.py").read_text()
    code = [line for line in text.splitlines() if line.strip()]
    assert len(code) <= 35


def test_specs_are_found_and_checked_by_the_command(generated, environment):
    specs = [str(generated / f"cnnkit-my-{f}" / "specs" / f"my_{f}.toml") for f in KINDS]
    process = run("-m", "cnnkit", "check", *specs, env=environment)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.count(": ok, ") == len(KINDS)


@pytest.mark.slow
@pytest.mark.reliability
def test_types_and_style(generated, environment):
    packages = [word for family in KINDS for word in ("-p", f"cnnkit_my_{family}")]
    process = run("-m", "mypy", "--strict", *packages, env=environment, cwd=generated)
    assert process.returncode == 0, process.stdout
    folders = [str(generated / f"cnnkit-my-{family}") for family in KINDS]
    for verb in (["check"], ["format", "--check"]):
        process = run("-m", "ruff", *verb, "--no-cache", *folders)
        assert process.returncode == 0, process.stdout


def test_pyproject_names_what_it_needs(generated):
    project = tomli.loads((generated / "cnnkit-my-loss" / "pyproject.toml").read_text())["project"]
    assert project["name"] == "cnnkit-my-loss"
    assert project["entry-points"]["cnnkit"] == {"my_loss": "cnnkit_my_loss"}
    major, minor = cnnkit.__version__.split(".")[:2]
    assert (major, project["dependencies"][0]) == ("0", f"cnnkit>=0.{minor},<0.{int(minor) + 1}")


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Return a function that calls `cnnkit plugins new` and returns what it refuses with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNNKIT_PLUGINS", "")

    def refused_(*arguments: str) -> str:
        assert main(["plugins", "new", *arguments]) == 2
        assert list(tmp_path.iterdir()) == []
        return capsys.readouterr().err

    return refused_


HELP = (
    "\n   = help: expected cnnkit- and lower-case words, such as cnnkit-soft-plus; at most 40 "
    "characters\n"
)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("soft-plus", "cnnkit-soft-plus"),
        ("cnnkit_soft_plus", "cnnkit-soft-plus"),
        ("Cnnkit-Soft-Plus", "cnnkit-soft-plus"),
        ("cnnkit-3d", ""),
        ("cnnkit-", ""),
        ("cnnkit-a--b", ""),
        ("../cnnkit-x", ""),
        ("", ""),
        (f"cnnkit-{'x' * 40}", f"cnnkit-{'x' * 40}"),
    ],
)
def test_names_that_are_none(name, meant, refused):
    hint = f'; did you mean "{meant}"?' if meant and meant != name else ""
    assert refused(name) == f"error: {name!r} is no name for a plugin{hint}{HELP}"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["cnnkit-relu"],
            f"error: layer type 'relu' is offered by cnnkit {cnnkit.__version__} already; choose "
            "another name\n",
        ),
        (
            ["cnnkit-check", "--family", "command"],
            "error: the verb check is a built-in one; choose another name\n",
        ),
        (
            ["cnnkit-shape"],
            "error: 'Shape' means something else in Python code; choose another name\n",
        ),
        (
            ["cnnkit-none", "--family", "loss"],
            "error: 'None' means something else in Python code; choose another name\n",
        ),
        (
            ["cnnkit-print", "--family", "command"],
            "error: 'print' means something else in Python code; choose another name\n",
        ),
        *(
            (
                [f"cnnkit-{name}", *family],
                f"error: pytest takes {word!r} for a test; choose another name\n",
            )
            for name, family, word in (
                ("test", [], "Test"),
                ("testing", ["--family", "metric"], "Testing"),
                ("test-time", [], "TestTime"),
                ("tests", ["--family", "command"], "tests"),
            )
        ),
        (
            ["cnnkit-swish", "--family", "lair"],
            'error: Invalid value "lair" for --family. Choose from: "layer", "loss", "optimizer", '
            '"schedule", "initializer", "dataset", "transform", "metric", "observer", "callback", '
            '"backend", "command". Did you mean "layer"?\n',
        ),
    ],
)
def test_what_would_clash(arguments, text, refused):
    assert refused(*arguments) == text


def test_nothing_is_overwritten(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "cnnkit-swish"]) == 0
    capsys.readouterr()
    module = tmp_path / "cnnkit-swish" / "cnnkit_swish" / "__init__.py"
    module.write_text("# mine\n")
    assert main(["plugins", "new", "cnnkit-swish"]) == 2
    assert capsys.readouterr().err == (
        "error: cnnkit-swish exists already and is left as it is; name another folder with --out\n"
    )
    assert module.read_text() == "# mine\n"


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "deep"
    assert main(["plugins", "new", "cnnkit-swish", "--out", str(target)]) == 2
    assert capsys.readouterr().err == f"error: cannot write {target}: Not a directory\n"


def test_what_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "cnnkit-soft-plus", "--family", "metric", "--out", "a/b"]) == 0
    assert capsys.readouterr() == (
        "",
        f"wrote {Path('a/b')}: cnnkit_soft_plus/__init__.py is the plugin\n"
        f'next: cd {Path("a/b")} && pip install -e ".[dev]" && pytest\n',
    )
    assert "class SoftPlus(Metric):" in Path("a/b/cnnkit_soft_plus/__init__.py").read_text()


def test_names():
    names = Names("cnnkit-soft-plus")
    assert (names.module, names.type) == ("cnnkit_soft_plus", "soft_plus")
    assert (names.verb, names.cls) == ("soft-plus", "SoftPlus")
    with pytest.raises(CnnkitError):
        Names("numpy")


def test_a_later_version_asks_for_itself():
    text = make_plugin(Names("cnnkit-x"), "layer", "1.4.2")["pyproject.toml"]
    assert '"cnnkit>=1.4,<2"' in text


@pytest.mark.slow
@pytest.mark.reliability
def test_a_wheel_holds_the_templates_and_the_licence(tmp_path):
    pytest.importorskip("hatchling")
    process = run("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path), cwd=ROOT)
    assert process.returncode == 0, process.stderr
    (wheel,) = tmp_path.glob("*.whl")
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "cnnkit").rglob("*.tmpl")}
    assert len(templates) == 4 * (len(FAMILIES) + 1)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert templates <= names
    assert f"{wheel.stem.split('-py3')[0]}.dist-info/licenses/cnnkit/LICENSE" in names


def test_help_lists_the_families(capsys):
    assert main(["plugins", "new", "--help"]) == 0
    words = re.findall(r"\w+", capsys.readouterr().out)
    assert set(FAMILIES) <= set(words)


def test_help_knows_nothing_of_templates():
    code = (
        "import sys; from cnnkit.cli import main; main(['--help']); "
        "print('cnnkit.scaffold' in sys.modules, 'numpy' in sys.modules, file=sys.stderr)"
    )
    assert run("-c", code).stderr == "False False\n"
