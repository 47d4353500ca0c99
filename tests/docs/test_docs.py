"""The README and the pages are true: their tables come from the code, and their blocks run."""

from __future__ import annotations

import doctest
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomli

from cnnkit import hookspecs, load_spec
from cnnkit.base import Layer
from cnnkit.cli import VERBS, main
from cnnkit.errors import SpecError
from cnnkit.plugins import load_plugins
from cnnkit.testing import check_layer

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / ".github" / "docs").glob("*.md"))
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / ".github").glob("*.md")), *DOCS)
}
README, ALL = PAGES["README.md"], "\n".join(PAGES.values())


def _blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _block(language: str, beginning: str) -> str:
    (found,) = (block for block in _blocks(language) if block.startswith(beginning))
    return found


def test_the_tables_are_what_the_code_says() -> None:
    script = ROOT / "tests" / "docs" / "tables.py"
    done = subprocess.run([sys.executable, script, "--check"])
    assert done.returncode == 0, "run `python tests/docs/tables.py` and commit what it changed"


def test_every_table_has_its_place() -> None:
    made = (ROOT / "tests" / "docs" / "tables.py").read_text(encoding="utf-8")
    names = re.findall(r'^    "(\w+)": ', made.partition("\nTABLES = ")[2], re.MULTILINE)
    assert len(names) >= 8
    assert sorted(re.findall(r"<!-- table: (\w+) -->", ALL)) == sorted(names)


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    assert len(README.splitlines()) <= 250
    assert [page for page in PAGES if page.startswith(".github/docs") and page not in README] == []


def test_the_speed_said_is_the_speed_measured() -> None:
    rows = re.findall(r"training, batch (\d+) \| \d+ \| ([\d.]+) ", PAGES[".github/docs/speed.md"])
    batches, times = ("{}, {} and {}".format(*column) for column in zip(*rows, strict=True))
    said = f"at batches of {batches}, PyTorch takes {times} times as long"
    assert said in " ".join(README.split())


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]*)\)", PAGES[page]):
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        heads = re.findall(r"^#+ (.*)", target.read_text("utf-8"), re.MULTILINE) if anchor else []
        assert anchor in ["", *(re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads)]


def test_the_files_and_folders_named_exist() -> None:
    named = re.findall(r"`((?:cnnkit|plugins|specs|tests)/[\w./-]+)`", ALL)
    made_up = [path for path in named if "NAME" in path or "softplus" in path]
    assert [p for p in {*named} - {*made_up} if not (ROOT / p).exists()] == []
    assert [path for path in made_up if not (ROOT / path).parent.is_dir()] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_prompts_of_a_page_say_what_is_said(page: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = "".join(block for block in _blocks("python", PAGES[page]) if block.startswith(">>>"))
    test = doctest.DocTestParser().get_doctest(shown, {}, page, page, 0)
    assert doctest.DocTestRunner().run(test).failed == 0


def test_every_hook_is_documented() -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("cnnkit_")]
    assert [name for name in hooks if f"`{name}(" not in ALL] == []


@pytest.mark.parametrize("layer", load_plugins().types("layers"))
def test_every_layer_has_a_doctest_that_help_leaves_out(layer: str, capsys) -> None:
    entry = load_plugins().entry("layers", layer)
    assert entry is not None
    if entry.built_in:
        assert doctest.DocTestParser().get_examples(entry.cls.__doc__ or "")
    assert main(["layers", layer]) == 0
    assert ">>>" not in capsys.readouterr().out


def test_the_spec_shown_is_the_spec_shipped() -> None:
    shown = _block("toml", 'name = "simple"')
    shipped = (ROOT / "specs" / "simple.toml").read_text(encoding="utf-8")
    assert tomli.loads(shown) == tomli.loads(shipped)


PLUGIN = "from typing import"
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
    shown = _block("text", "error: layer 5")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "small.toml").write_text(SMALL, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_spec("specs/small.toml")
    assert str(caught.value).strip() == shown.strip()


def test_the_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api, plugin = _block("python", "import cnnkit"), _block("python", PLUGIN)
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
    missing = [line for line in code(_block("python", PLUGIN)) if line not in code(shipped)]
    assert [line for line in missing if "dslope" not in line] == []


def test_the_entry_point_shown_is_the_one_shipped() -> None:
    shown = _block("toml", "[project.entry-points")
    shipped = (ROOT / "plugins" / "cnnkit-prelu" / "pyproject.toml").read_text(encoding="utf-8")
    points = tomli.loads(shown)["project"]["entry-points"]
    assert points == tomli.loads(shipped)["project"]["entry-points"]


def test_the_kit_block_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "plugins" / "cnnkit-prelu")  # installed or not
    exec(_block("python", "from cnnkit.testing"), {"check_layer": check_layer})  # noqa: S102


def test_every_verb_and_flag_named_exists() -> None:
    folder = ROOT / "plugins" / "cnnkit-bench" / "cnnkit_bench"
    bench = (folder / "command.py").read_text(encoding="utf-8")
    verbs = {*VERBS, *re.findall(r"^def (\w+)\(", bench, re.MULTILINE)}
    listed = re.findall(r"`(--[\w-]+)", PAGES[".github/docs/commands.md"])
    flags = {"--help", *listed, *(f"--{name}" for name in re.findall(r"^    (\w+):", bench, re.M))}
    for verb, rest in re.findall(r"\bcnnkit ([a-z]+)\b([^`\n#&|]*)", "\n".join(_shell())):
        assert verb in verbs
        assert set(re.findall(r"--[\w-]+", rest)) <= flags, rest


def _shell() -> list[str]:
    """Return every command that stands in a block or between backticks."""
    return [*re.findall(r"`([^`\n]+)`", ALL), *_blocks("sh", ALL)]


def test_every_system_runs_the_command_of_the_readme() -> None:
    command = _blocks("sh")[1].partition("&& ")[2].strip()
    workflow = ROOT / ".github" / "workflows" / "ci.yml"
    for file in (ROOT / ".ci" / "run", workflow):
        assert command in file.read_text(encoding="utf-8")
