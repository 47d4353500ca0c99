"""The author's road, walked in a fresh environment; and a plugin beside a broken one.

`pytest tests/docs/test_road.py` needs a package index, since pip builds what it installs.
"""

from __future__ import annotations

import re
import shlex
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROAD = (ROOT / ".github" / "docs" / "author.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", ROAD, re.DOTALL)
NOT_RUN = "Publish; this is the one block that no test runs.\n\n```sh\n"

BROKEN = {
    "cnnkit_broken.py": "import no_such_module\n",
    "cnnkit_broken-0.3.1.dist-info/METADATA": (
        "Metadata-Version: 2.1\nName: cnnkit-broken\nVersion: 0.3.1\n"
    ),
    "cnnkit_broken-0.3.1.dist-info/WHEEL": (
        "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    ),
    "cnnkit_broken-0.3.1.dist-info/entry_points.txt": "[cnnkit]\nbroken = cnnkit_broken\n",
}


@pytest.mark.slow
@pytest.mark.reliability
def test_every_block_runs_in_order(fresh, tmp_path):
    folder, said = tmp_path, ""
    for language, block in BLOCKS[:-1]:
        if language == "python":
            comment, _, text = block.partition("\n")
            file = folder / comment.removeprefix("# ")
            assert file.parent.is_dir(), f"{file} would stand alone"
            file.write_text(text, encoding="utf-8")
            continue
        done = fresh.run(f"{block}\npwd > {shlex.quote(str(tmp_path / 'pwd'))}", folder)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        folder = Path((tmp_path / "pwd").read_text(encoding="utf-8").strip())
        said += done.stdout
    assert folder == tmp_path / "cnnkit-swish"
    assert 'swish = "cnnkit_swish"' in said
    assert "swish (cnnkit-swish 0.1.0)" in said
    assert re.search(r"\b1\d\d passed, 1 xfailed", said)
    assert {path.suffix for path in (folder / "dist").iterdir()} == {".whl", ".gz"}


def test_the_road_is_whole():
    assert [language for language, _ in BLOCKS] == (
        ["sh", "sh", "python", "python", "sh", "sh", "python", "sh", "sh", "sh"]
    )
    assert NOT_RUN + BLOCKS[-1][1] in ROAD
    assert "twine upload" in BLOCKS[-1][1]


@pytest.mark.slow
@pytest.mark.reliability
def test_a_good_plugin_beside_a_broken_one(fresh, tmp_path):
    wheel = tmp_path / "cnnkit_broken-0.3.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        record = "cnnkit_broken-0.3.1.dist-info/RECORD"
        for name, text in {**BROKEN, record: "".join(f"{n},,\n" for n in BROKEN)}.items():
            archive.writestr(name, text)
    made = fresh.run(
        f"cnnkit plugins new cnnkit-good && pip install --quiet ./cnnkit-good {wheel}", tmp_path
    )
    assert made.returncode == 0, made.stderr
    run = fresh.run("cnnkit run cnnkit-good/specs/good.toml --out run", tmp_path)
    fresh.run("pip uninstall --quiet --yes cnnkit-good cnnkit-broken", tmp_path)
    assert run.returncode == 0, run.stderr
    assert "cnnkit-broken 0.3.1" in run.stderr
    assert "No module named 'no_such_module'" in run.stderr
    assert "cnnkit-good" not in run.stderr
    assert '"done"' in (tmp_path / "run" / "summary.json").read_text(encoding="utf-8")
