"""`cnnkit runs`: all runs in a folder, in one table that fits."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from cnnkit.runs.lock import Lock


@pytest.fixture
def folder(trained, tmp_path) -> Path:
    """Four copies of a run: as it is, of another rate, interrupted, and damaged."""
    root = tmp_path / "runs"
    for name in ("a/1", "a/2", "b/1", "b/2"):
        shutil.copytree(trained, root / name)
    change(root / "a/2", "resolved.toml", "lr = 0.01", "lr = 0.02")
    change(root / "a/2", "summary.json", '"accuracy": 0.', '"accuracy": 0.0')
    (root / "b/1/summary.json").unlink()
    (root / "b/1/status.json").write_text('{"status": "interrupted", "epoch": 1, "message": "x"}')
    keep_first_line(root / "b/1/metrics.jsonl")
    (root / "b/2/metrics.jsonl").write_text("{\n")
    (root / "b/2/spec.toml").write_text("")
    return root


def change(run: Path, file: str, old: str, new: str) -> None:
    text = (run / file).read_text()
    assert old in text
    (run / file).write_text(text.replace(old, new))


def keep_first_line(path: Path) -> None:
    path.write_text(path.read_text().splitlines(keepends=True)[0])


def rows(out: str) -> list[list[str]]:
    """Return the cells of the table, the heading first."""
    lines = out.partition("\n\n")[0].splitlines()
    return [re.split(r" {2,}", line.strip()) for line in lines if not line.startswith("─")]


def test_a_line_for_each(call, folder):
    outcome = call("runs", "runs")
    assert (outcome.code, outcome.err) == (0, "")
    heading, *lines = rows(outcome.out)
    assert heading == ["run", "status", "epochs", "accuracy", "time", "lr"]
    assert [line[:3] for line in lines] == [
        ["a/1", "done", "2/2"],
        ["a/2", "done", "2/2"],
        ["b/1", "interrupted", "1/2"],
        ["b/2", "broken", "-"],
    ]
    assert [line[-1] for line in lines] == ["0.01", "0.02", "0.01", "-"]
    first = json.loads((folder / "a/1/summary.json").read_text())["test"]["accuracy"]
    assert lines[0][3] == f"{first:.4f}"
    record = json.loads((folder / "b/1/metrics.jsonl").read_text())
    assert lines[2][3] == f"{record['validation']['accuracy']:.4f} valid"
    assert outcome.out.splitlines()[-1] == (
        "broken: b/2: runs/b/2/metrics.jsonl:1 is damaged: expected a JSON object: Expecting "
        "property name enclosed in double quotes: line 1 column 2 (char 1)"
    )


def test_the_usual_folder_and_one_run(call, folder):
    assert call("runs").out == call("runs", "runs").out
    [_, line] = rows(call("runs", "runs/a/1").out)
    assert line[:2] == [".", "done"]


def test_sorted(call, folder):
    def order(*arguments: str) -> list[str]:
        outcome = call("runs", "runs", "--sort", *arguments)
        assert outcome.code == 0, outcome.err
        return [line[0] for line in rows(outcome.out)[1:]]

    assert order("test.accuracy") == ["a/1", "a/2", "b/1", "b/2"]
    change(folder / "a/1", "summary.json", '"accuracy": 0.', '"accuracy": 0.00')
    assert order("test.accuracy") == ["a/2", "a/1", "b/1", "b/2"]  # the best first
    assert order("validation.loss") == ["a/1", "a/2", "b/1", "b/2"]  # the smallest first
    assert order("epoch") == ["b/1", "a/1", "a/2", "b/2"]
    assert order("optimizer.lr") == order("lr") == ["a/1", "b/1", "a/2", "b/2"]
    assert rows(call("runs", "--sort", "train.loss").out)[0][3] == "train.loss"


def test_no_such_figure(call, folder):
    outcome = call("runs", "--sort", "test.acuracy")
    assert outcome.code == 2
    assert outcome.err == (
        'error: no run has "test.acuracy" to sort by; did you mean "test.accuracy"?\n'
        "   = help: what they have are options such as optimizer.lr, and seconds, epoch, "
        "test.accuracy, test.loss, test.macro_f1, train.loss, validation.accuracy, "
        "validation.loss, validation.macro_f1\n"
    )


def test_json(call, folder):
    document = json.loads(call("runs", "--json").out)
    assert (document["folder"], document["differs"]) == ("runs", ["optimizer.lr"])
    first, second, third, fourth = document["runs"]
    assert (first["path"], first["status"], first["epoch"]) == ("a/1", "done", 2)
    assert first["options"] == {"optimizer.lr": 0.01}
    assert second["options"] == {"optimizer.lr": 0.02}
    assert set(first["test"]) == {"loss", "accuracy", "macro_f1"}
    assert ("test" in third, third["message"]) == (False, "x")
    assert fourth["status"] == "broken"
    lines = (folder / "a/1/metrics.jsonl").read_text().splitlines()
    assert first["seconds"] == sum(json.loads(line)["seconds"] for line in lines)


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits(call, folder, monkeypatch, width):
    """With options that differ by the dozen."""
    change(folder / "a/2", "resolved.toml", 'type = "relu"', 'type = "leaky_relu"\nslope = 0.25')
    long = 'filters = 5\nnames = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"'
    change(folder / "a/2", "resolved.toml", "filters = 4", long)
    (folder / "a/2").rename(folder / "a/20261126T014754Z-3dde")
    monkeypatch.setenv("COLUMNS", str(width))
    out = call("runs").out
    table, more, *_ = out.split("\n\n")
    assert max(map(len, table.splitlines())) <= width
    assert "type" in rows(out)[0] or width == 80
    assert "lr" in rows(out)[0]
    assert all(len(line) == len(rows(out)[0]) for line in rows(out)[1:3])
    if width == 80:
        assert "more options differ; a wider terminal" in more


def test_a_run_that_is_going_on(call, folder):
    (folder / "b/1/status.json").write_text('{"status": "running", "epoch": 1}')
    assert [line[1] for line in rows(call("runs").out)[1:3]] == ["done", "done"]
    assert rows(call("runs").out)[3][1] == "interrupted"  # nobody holds it
    lock = Lock(folder / "b/1")
    try:
        assert rows(call("runs").out)[3][1] == "running"
    finally:
        lock.release()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("status.json", "[]"),
        ("status.json", '{"status": "done"}'),
        ("metrics.jsonl", '{"seconds": "long", "train_loss": {}, "validation": 3}\n'),
        ("resolved.toml", "train = 2026-01-01"),
        ("resolved.toml", "\0"),
        ("summary.json", "{}"),
        ("spec.toml", None),
    ],
)
def test_whatever_a_folder_holds(call, folder, file, content):
    path = folder / "a/1" / file
    if content is None:
        path.unlink()
        path.mkdir()
    else:
        path.write_text(content)
    outcome = call("runs")
    assert (outcome.code, outcome.err) == (0, "")
    assert len(rows(outcome.out)) == 5


def test_nothing_there(call, tmp_path):
    outcome = call("runs", "nowhere")
    assert outcome.code == 2
    assert outcome.err == "error: there is no folder nowhere; expected one that holds runs\n"
    Path("empty").mkdir()
    assert call("runs", "empty").out == "no runs in empty\n"
    assert json.loads(call("runs", "empty", "--json").out)["runs"] == []
