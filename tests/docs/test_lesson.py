"""The lesson of one file, as the page tells it; and the layer of the README as such a file."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from cnnkit.cli import main
from cnnkit.testing import layer_checks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / ".github" / "docs" / "plugins.md").read_text(encoding="utf-8")
LESSON = PAGE.partition("\n## One file\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", LESSON, re.DOTALL)


def test_the_lesson(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (python, toml), shell = (text for _, text in BLOCKS[:2]), [text for _, text in BLOCKS[2:]]
    assert [language for language, _ in BLOCKS] == ["python", "toml", "sh"]
    Path("my_layers.py").write_text(python, encoding="utf-8")
    Path("lesson.toml").write_text(toml, encoding="utf-8")
    for line in "".join(shell).splitlines():
        word, *arguments = shlex.split(line)
        code = main(arguments) if word == "cnnkit" else subprocess.run(
            [sys.executable, *arguments], check=False).returncode  # fmt: skip
        assert (line, code) == (line, 0), capfd.readouterr().err
    page = Path("runs/lesson/trace.html").read_text(encoding="utf-8")
    assert "softsign" in page
    assert "cnnkit trace runs/lesson 3 --plugin my_layers.py" in page
    report = Path("runs/lesson/report.html").read_text(encoding="utf-8")
    assert "cnnkit evaluate runs/lesson --plugin runs/lesson/plugins/my_layers.py" in report
    assert json.loads(Path("runs/lesson/env.json").read_text())["plugin_files"] == {
        "my_layers.py": {"path": "my_layers.py", "sha256": sha256(python.encode()).hexdigest()}
    }
    accuracy = json.loads(Path("runs/lesson/summary.json").read_text())["test"]["accuracy"]
    assert accuracy > 0.9


def test_the_derivative_of_the_lesson_can_be_wrong(tmp_path, monkeypatch, capsys):
    """`check` says so of the derivative that a class forgets to square."""
    monkeypatch.chdir(tmp_path)
    Path("my_layers.py").write_text(BLOCKS[0][1])
    Path("wrong.py").write_text(BLOCKS[0][1].replace("size**2", "size"))
    Path("lesson.toml").write_text(BLOCKS[1][1])
    assert main(["check", "lesson.toml", "--plugin", "my_layers.py"]) == 0
    out, err = capsys.readouterr()
    assert out == "lesson.toml: ok, 4 layers, (1,8,8) -> (10)\n"
    checks = len(layer_checks())
    assert err == f"softsign of my_layers.py for (8,6,6): {checks} checks of the kit passed\n"
    assert main(["check", "lesson.toml", "--plugin", "wrong.py"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[:2] == [
        "error: check input_gradient: dx is not the derivative of forward (in training)",
        "  for:      softsign(), shape (8, 6, 6), seed 0",
    ]
    assert main(["check", "lesson.toml", "--plugin", "wrong.py", "--json"]) == 2
    (report,) = json.loads(capsys.readouterr().out)
    assert report["problems"][0]["message"].startswith("check input_gradient: dx is not")


def test_the_layer_of_the_readme_is_such_a_file(tmp_path, monkeypatch, capsys):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(from typing import.*?)```", readme, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    Path("slopes.py").write_text(block, encoding="utf-8")
    Path("s.toml").write_text(BLOCKS[1][1].replace('"softsign"', '{ type = "prelu", init = 0.1 }'))
    assert main(["check", "s.toml", "--plugin", "slopes.py"]) == 0
    assert capsys.readouterr().out == "s.toml: ok, 4 layers, (1,8,8) -> (10)\n"
