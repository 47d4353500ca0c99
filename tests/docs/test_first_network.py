"""The notebook for a first lesson runs: without Jupyter, and in it where it is installed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / ".github" / "docs" / "first-network.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
EPOCH = r"epoch \d+/10: loss \d\.\d{4}, validation loss \d\.\d{4}, accuracy \d\.\d{4} .*\n"


def shown_by(source: str, names: dict[str, object]) -> Any:
    """Run a cell; return what its last line gives, as a notebook shows it."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, NOTEBOOK.name, "exec"), names)  # noqa: S102  # the test's subject
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)  # noqa: S307


def test_the_cells_run_in_order_and_say_what_the_text_says(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    found = {source: shown_by(source, names) for source in CODE}
    assert found[CODE[0]] == ((1442, 1, 8, 8), (1442,))
    (run,) = (value for source, value in found.items() if source == "run")
    assert run._repr_html_().count("<svg") == 2
    (figures,) = (value for source, value in found.items() if "data.test.labels)" in source)
    assert figures["accuracy"] > 0.95
    (guess, label) = next(value for source, value in found.items() if "argmax" in source)
    assert guess == label
    out, err = capsys.readouterr()
    assert len(re.findall(EPOCH, err)) == 10
    before, after = map(float, re.findall(r"loss (\d\.\d+) before the step, (\S+) after", out)[0])
    assert 2 < after < before
    assert list(tmp_path.iterdir()) == []


def test_it_runs_in_jupyter(tmp_path, monkeypatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    for folder in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(folder, str(tmp_path / folder))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))
    outputs = {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    lines = outputs[next(source for source in outputs if "cnnkit.fit" in source)]
    assert {part.name for part in lines} == {"stdout"}
    assert len(re.findall(EPOCH, "".join(part.text for part in lines))) == 10
    (run,) = outputs["run"]
    assert run.data["text/html"].count("<svg") == 2
    assert run.data["text/plain"].startswith("run                  fit\n")
    table = outputs[next(source for source in outputs if "summary()" in source)][-1]
    assert "<th>weights</th>" in table.data["text/html"]


def test_it_is_stored_without_outputs() -> None:
    """They would change with every machine and every version."""
    assert [cell for cell in CELLS if cell.get("outputs") or cell.get("execution_count")] == []
