"""What the distributions say about themselves: one version, one licence."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
import tomli

import cnnkit
from cnnkit.runs.environment import environment

ROOT = Path(cnnkit.__file__).parents[1]
PROJECTS = sorted([ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")])


def test_the_version_stands_in_one_place() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project
    assert version("cnnkit") == cnnkit.__version__, 'it was raised: pip install -e ".[dev]"'
    assert environment({})["cnnkit"] == cnnkit.__version__


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
def test_every_distribution_brings_its_licence(project: Path) -> None:
    said = tomli.loads(project.read_text(encoding="utf-8"))["project"]
    files = said.get("license-files", ["LICENSE"])  # what hatchling takes by itself
    ours = (ROOT / "cnnkit" / "LICENSE").read_text(encoding="utf-8")
    assert said["license"] == "MIT"
    assert [(project.parent / file).read_text(encoding="utf-8") for file in files] == [ours]


def test_the_changelog_has_this_version() -> None:
    text = (ROOT / ".github" / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert cnnkit.__version__ in heads
