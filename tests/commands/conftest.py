"""The command line, called in this process, and a run to look at."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cnnkit.cli import main
from cnnkit.layers import cnnkit_layers

TINY = """\
name = "tiny"
[data]
type = "digits"
[model]
layers = [
  { type = "conv", filters = 4, kernel = 3, padding = "same" },
  "relu",
  { type = "pool", size = 2 },
  { type = "softmax", units = 10 },
]
[loss]
type = "cross_entropy"
[optimizer]
type = "adam"
lr = 0.01
[train]
epochs = 2
"""


@dataclass(frozen=True)
class Outcome:
    """What a call of the command line gave."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    """An empty working folder, 80 columns, no third-party plugins and no data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    monkeypatch.delenv("CNNKIT_DATA_DIR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def call(capsys):
    """Call the command line: `call("check", "a.toml")`."""

    def call_(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(list(arguments))
        return Outcome(code, *capsys.readouterr())

    return call_


@pytest.fixture(scope="session")
def layer_names() -> str:
    """The built-in layers as messages list them; more may come."""
    return ", ".join(sorted(layer.type_name() for layer in cnnkit_layers()))


@pytest.fixture
def tiny(tmp_path) -> Path:
    """A spec that trains in a quarter of a second."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The directory of a finished run of that spec."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.toml").write_text(TINY)
    assert main(["run", str(folder / "tiny.toml"), "--out", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


@dataclass
class Site:
    """A folder on `sys.path` to install into."""

    path: Path

    def install(self, distribution: str, source: str, requires: str = "") -> None:
        """Leave what pip leaves: a module and a dist-info folder, here of version 1.0."""
        module = distribution.replace("-", "_")
        (self.path / f"{module}.py").write_text(source)
        folder = self.path / f"{module}-1.0.dist-info"
        folder.mkdir()
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n{needs}"
        )
        (folder / "entry_points.txt").write_text(f"[cnnkit]\n{module} = {module}\n")
        importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty site folder; what is imported from it is forgotten afterwards."""
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(str(path))
    before = set(sys.modules)

    def install(distribution: str, source: str, requires: str = "") -> None:
        Site(path).install(distribution, source, requires)
        installed.append(distribution)
        monkeypatch.setenv("CNNKIT_PLUGINS", ",".join(installed))

    installed: list[str] = []
    yield install
    for name in set(sys.modules) - before:
        if (path / f"{name.partition('.')[0]}.py").exists():
            del sys.modules[name]


TOOLS = {"tombi": ["lint", "--offline"], "taplo": ["lint"]}


@pytest.fixture(params=TOOLS)
def lint(request, tmp_path):
    """A linter that editors use: `lint(text)` says what is wrong by the schema beside it, or ""."""
    binary = shutil.which(request.param)
    if binary is None:
        pytest.skip(f"{request.param} is not installed: pip install {request.param}")

    def lint_(text: str) -> str:
        (tmp_path / "a.toml").write_text(f"#:schema ./cnnkit.schema.json\n{text}")
        command = [binary, *TOOLS[request.param], "a.toml"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        return (done.stdout + done.stderr or "refused") if done.returncode else ""

    return lint_
