"""The README is true: its tables come from the code, and its blocks run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomli

from cnnkit import hookspecs, load_spec
from cnnkit.base import Layer
from cnnkit.errors import SpecError
from cnnkit.testing import check_layer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_tables_are_what_the_code_says(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "docs", tmp_path / "tests" / "docs")
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    script = tmp_path / "tests" / "docs" / "tables.py"
    subprocess.run([sys.executable, script], check=True, env={**os.environ, "COLUMNS": "200"})
    made = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert made == README, "run `python tests/docs/tables.py` and commit the README"


def test_every_hook_is_documented() -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("cnnkit_")]
    assert [name for name in hooks if f"`{name}(" not in README] == []


def test_the_spec_shown_is_the_spec_shipped() -> None:
    shown = next(block for block in _blocks("toml") if 'name = "simple"' in block)
    shipped = (ROOT / "specs" / "simple.toml").read_text(encoding="utf-8")
    assert tomli.loads(shown) == tomli.loads(shipped)


SMALL = """\
name = "small"
data = { type = "npz", path = "absent.npz" }
loss = "cross_entropy"
optimizer = { type = "sgd", lr = 0.1 }

[model]
input = [1, 12, 12]

layers = [
  { type = "conv", filters = 6, kernel = 1 },
  "relu",
  "pool",
  "pool",
  { type = "conv", filters = 8, kernel = 5 },
  { type = "softmax", units = 10 },
]
"""


def test_the_error_shown_is_the_error_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = next(block for block in _blocks("text") if block.startswith("error: layer 5"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "small.toml").write_text(SMALL, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_spec("specs/small.toml")
    assert str(caught.value).strip() == shown.strip()


def test_the_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api, plugin = _blocks("python")[:2]
    shutil.copytree(ROOT / "specs", tmp_path / "specs")
    monkeypatch.chdir(tmp_path)
    exec(compile(api, "README.md", "exec"), {})  # noqa: S102  # the block is the test's subject
    names: dict[str, object] = {"__name__": "cnnkit_prelu"}
    exec(compile(plugin, "README.md", "exec"), names)  # noqa: S102
    layer = names["PRelu"]
    assert isinstance(layer, type)
    assert issubclass(layer, Layer)


def test_the_plugin_shown_is_the_plugin_shipped() -> None:
    def code(text: str) -> list[str]:
        return [line for line in text.splitlines() if "return" in line or "def " in line]

    shipped = (ROOT / "plugins" / "cnnkit-prelu" / "cnnkit_prelu.py").read_text(encoding="utf-8")
    missing = [line for line in code(_blocks("python")[1]) if line not in code(shipped)]
    assert [line for line in missing if "dslope" not in line] == []


def test_the_entry_point_shown_is_the_one_shipped() -> None:
    shown = next(block for block in _blocks("toml") if "entry-points" in block)
    shipped = (ROOT / "plugins" / "cnnkit-prelu" / "pyproject.toml").read_text(encoding="utf-8")
    points = tomli.loads(shown)["project"]["entry-points"]
    assert points == tomli.loads(shipped)["project"]["entry-points"]


def test_the_kit_block_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "plugins" / "cnnkit-prelu")  # installed or not
    exec(_blocks("python")[2], {"check_layer": check_layer})  # noqa: S102


def test_every_verb_and_flag_named_exists() -> None:
    named = set(re.findall(r"`cnnkit (\w+)", README))
    from cnnkit.cli import VERBS

    bench = ROOT / "plugins" / "cnnkit-bench" / "cnnkit_bench" / "command.py"
    assert "def bench(" in bench.read_text(encoding="utf-8")
    assert named <= {*VERBS, "bench"}
