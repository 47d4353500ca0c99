"""`cnnkit report`, and the page that `cnnkit run` leaves."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnnkit.base import Data, Split
from cnnkit.layers import Conv, Softmax
from cnnkit.model import Model
from cnnkit.plugins import load_plugins
from cnnkit.report import page
from cnnkit.report.single import run_page
from cnnkit.report.subject import asked, subject_of
from cnnkit.runs.directory import StoredRun

SPEC = Path(__file__).with_name("small.toml")


def text_of(path: str | Path) -> str:
    return Path(path).read_text(encoding="utf-8")


def test_a_run_leaves_its_report(trained):
    text = text_of(trained / "report.html")
    summary = json.loads(text_of(trained / "summary.json"))
    assert f"small names {summary['test']['accuracy']:.1%} of 355 test images right" in text
    assert f"{summary['test']['loss']:.4f}" in text
    for section in ("asked", "learning", "confusion", "classes", "extremes", "sure", "inside",
                    "layers", "again"):  # fmt: skip
        assert f'<section id="{section}">' in text, section


def test_what_was_asked_leaves_defaults_out(trained):
    spec = StoredRun(trained).spec(load_plugins(), [
        "optimizer={ type = 'sgd', lr = 0.01, momentum = 0.9, nesterov = true, accumulate = 1 }",
        "model.layers.0.name=Stem",
    ])  # fmt: skip
    told = asked(subject_of(StoredRun(trained), spec, None, None))
    assert told["Optimizer"] == "sgd, lr 0.01, momentum 0.9, nesterov"
    assert told["Layers"] == "Stem 4 → relu → pool → softmax 10"


def test_the_same_report_once_more(trained, call, tmp_path):
    shutil.copytree(trained, "run")
    (tmp_path / "run/report.html").unlink()
    assert call("report", "run") == (0, "run/report.html\n", "")
    timed = re.compile(r'(?s)<section id="layers">.*?</section>')
    timeless = [timed.sub("", text_of(run / "report.html")) for run in (trained, tmp_path / "run")]
    assert timeless[0].replace(str(trained), "run") == timeless[1]


def test_the_confusion_matrix_is_that_of_the_summary(trained):
    matrix = json.loads(text_of(trained / "summary.json"))["test"]["confusion"]
    table = re.search(r'(?s)<table class="confusion">.*?</table>', text_of(trained / "report.html"))
    cells = re.findall(r"<td class=[^>]*>([\d,]+|·)</td>", table[0])
    shown = [0 if cell == "·" else int(cell.replace(",", "")) for cell in cells]
    assert np.array(shown).reshape(10, 10).tolist() == matrix


@pytest.mark.parametrize(
    ("name", "counts", "told"),
    [
        ("skipped", (0, 1), "1 step in 1 epoch gave no update"),
        ("skipped", (3, 1200), "1,203 steps in 2 epochs gave no update"),
        ("rollbacks", (0, 1), "1 epoch began again with half the learning rate, 1 time in all"),
        ("rollbacks", (3, 2), "2 epochs began again with half the learning rate, 5 times in all"),
        ("skipped", (0, 0), ""),
    ],
)
def test_steps_whose_numbers_were_not_finite_are_told(name, counts, told, trained, call):
    shutil.copytree(trained, "run")
    records = [json.loads(line) for line in text_of("run/metrics.jsonl").splitlines()][:2]
    lines = (json.dumps(one | {name: count}) for one, count in zip(records, counts, strict=True))
    Path("run/metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    assert call("report", "run")[0] == 0
    found = re.findall(r'<p class="note">(.*)</p>', text_of("run/report.html"))
    assert [note for note in found if "finite" in note] == (
        [f"{told}, as numbers were not finite; log.txt says where"] if told else []
    )


def test_a_run_that_went_on_has_a_new_report(trained, call):
    shutil.copytree(trained, "run")
    code, out, err = call("resume", "run", "--epochs", "3")
    assert (code, out.splitlines()[-1]) == (0, "run/report.html"), err
    assert "3 epochs, 32 images a step" in text_of("run/report.html")


def test_no_report(call, tmp_path):
    code, out, _ = call("run", SPEC, "--out", "here", "--no-report")
    assert (code, out.splitlines()[-1]) == (0, "here")
    assert not Path("here/report.html").exists()


def test_a_report_that_cannot_be_written_is_a_warning(call, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page, "write_durably", full)
    code, out, err = call("run", SPEC, "--out", "here")
    assert (code, out.splitlines()[-1]) == (0, "here")
    assert err.splitlines()[-2 if err.endswith("\n\n") else -1] == (
        "warning: the run has no report: [Errno 28] No space left on device; "
        "`cnnkit report here` tries again"
    )
    assert json.loads(text_of("here/status.json"))["status"] == "done"


def test_nothing_but_a_page_is_replaced(trained, call, tmp_path):
    (tmp_path / "notes.html").write_text("<!doctype html><p>mine")
    code, out, err = call("report", trained, "--out", "notes.html")
    assert (code, out) == (2, "")
    assert err == (
        "error: notes.html exists already and is no page of cnnkit's; choose another --out, or "
        "remove it first\n"
    )
    assert text_of("notes.html") == "<!doctype html><p>mine"
    assert call("report", trained, "--out", "mine.html")[0] == 0
    assert call("report", trained, "--out", "mine.html")[0] == 0


def test_data_that_is_gone(trained, call, tmp_path):
    shutil.copytree(trained, "run")
    resolved = tmp_path / "run/resolved.toml"
    resolved.write_text(resolved.read_text().replace('type = "digits"', 'type = "npz"\npath = "x"'))
    summary = tmp_path / "run/summary.json"
    summary.write_text(summary.read_text().replace('"digits"', '"npz"'))
    code, out, err = call("report", "run")
    assert (code, out) == (0, "run/report.html\n")
    assert err.startswith("warning: the report has no pictures, as the data cannot be had: there")
    text = text_of("run/report.html")
    assert "The pictures are left out" in text
    assert '<section id="confusion">' in text
    assert '<section id="extremes">' not in text


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_run_that_did_not_finish(epochs, trained, call, tmp_path):
    shutil.copytree(trained, "run")
    for name in ("summary.json", "report.html"):
        (tmp_path / "run" / name).unlink()
    lines = text_of("run/metrics.jsonl").splitlines(keepends=True)
    (tmp_path / "run/metrics.jsonl").write_text("".join(lines[:epochs]))
    Path("run/status.json").write_text('{"status": "running", "epoch": 0}')
    if not epochs:
        shutil.rmtree(tmp_path / "run/checkpoints")
    code, out, err = call("report", "run")
    assert (code, out) == (0, "run/report.html\n"), err
    text = text_of("run/report.html")
    assert "small did not finish" in text
    assert "it ended without a word" in text
    assert ('<section id="confusion">' in text) == bool(epochs)


def test_several_runs(trained, call, tmp_path):
    for number in range(2):
        lr = f"optimizer.lr=0.0{number + 2}"
        assert call("run", SPEC, "--out", f"run{number}", "--set", lr)[0] == 0
    assert call("report", trained, "run0", "run1") == (0, "report.html\n", "")
    text = text_of("report.html")
    assert "<h1>Of 3 runs, " in text
    assert "optimizer.lr" in text
    assert all(f">{rate}<" in text for rate in ("0.01", "0.02", "0.03"))
    assert "1 option differs" in text


def test_runs_of_other_data_are_told_apart(trained, call, tmp_path):
    for name in "ab":
        shutil.copytree(trained, name)
    assert call("report", "a", "b")[2] == ""
    assert 'class="note"' not in text_of("report.html")
    env = json.loads(text_of("b/env.json"))
    env["data"]["sha256"] = "0" * 64
    Path("b/env.json").write_text(json.dumps(env))
    note = (
        "he runs saw different images, so their figures cannot be held together: "
        "A (digits); B (digits)"
    )
    assert call("report", "a", "b")[2] == f"warning: t{note}\n"
    assert f'<p class="note">T{note}.</p>' in text_of("report.html")


@pytest.mark.parametrize(("width", "dark"), [(400, True), (900, False), (1600, True)])
def test_several_runs_in_a_browser(width, dark, trained, call, look, tmp_path):
    env = json.loads(text_of(trained / "env.json")) | {"data": {"sha256": "other"}}
    shutil.copytree(trained, "other")
    Path("other/env.json").write_text(json.dumps(env))
    assert call("report", trained, "other", trained, "--out", "compare.html")[0] == 0
    look(tmp_path / "compare.html", width, dark)


def test_eight_runs_of_a_thousand_epochs_are_a_small_page(trained, call):
    record = json.loads(text_of(trained / "metrics.jsonl").splitlines()[0])
    rng = np.random.default_rng(0)
    for number in range(8):
        shutil.copytree(trained, f"run{number}")
        records = (record | {"epoch": n + 1, "train_loss": rng.random()} for n in range(1000))
        lines = "".join(f"{json.dumps(one)}\n" for one in records)
        Path(f"run{number}/metrics.jsonl").write_text(lines)
    assert call("report", *(f"run{number}" for number in range(8))) == (0, "report.html\n", "")
    assert Path("report.html").stat().st_size < 600_000


def test_a_page_of_large_noise_is_small_all_the_same(trained, tmp_path):
    """40 layers, 30 classes, and images of which nothing can be compressed."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 3, 96, 96), np.uint8)
    split = Split(images, np.arange(200) % 30)
    data = Data("noise", split, split, tuple(f"class {k}" for k in range(30)))
    stack = [Conv(filters=4, kernel=3, padding="same"), "sigmoid"] * 20
    model = Model.build([*stack, "pool", Softmax(units=30)], (3, 96, 96), classes=data.classes)
    stored = StoredRun(trained)
    subject = subject_of(stored, stored.spec(load_plugins()), model, data)
    assert 500_000 < len(run_page(replace(subject, summary={}))) < 2_000_000


def test_what_is_no_run(call):
    code, out, err = call("report", "nix")
    assert (code, out) == (2, "")
    assert err.startswith("error: nix is not a run directory: ")


def test_pages_are_files_that_need_nothing_else(trained):
    text = text_of(trained / "report.html")
    assert re.findall(r'(?:src|href|action)="(?!data:|#)[^"]*"', text) == []
    assert "url(" not in text
    assert "@import" not in text
    assert "<script" not in text
    assert len(text) < 200_000


@pytest.mark.parametrize(("width", "dark"), [(400, False), (900, True), (1600, False)])
def test_in_a_browser(width, dark, trained, look):
    assert look(trained / "report.html", width, dark)["images"] > 40
