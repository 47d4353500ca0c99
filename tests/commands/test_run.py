"""`cnnkit run`: what it says, where it says it, and how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cnnkit.errors import RunError
from cnnkit.runs.checkpoint import Checkpoint

FALLBACK = '"npz"\npath = "later.npz"\nfallback = { type = "digits" }'
NUMBER = r"[\d,]+\.?\d*"


def facts(out: str) -> dict[str, str]:
    """Return the rows of the closing table."""
    rows = re.findall(r"^(\w[\w -]*?)  +(.+)$", out, flags=re.M)
    return dict(rows)


def test_news_on_stderr_and_results_on_stdout(call, tiny):
    outcome = call("run", "tiny.toml", "--out", "here")
    assert outcome.code == 0
    news = outcome.err.splitlines()
    assert news[:2] == [
        "tiny: 1,297 images of digits to train on, 145 to validate, 355 to test",
        "writing to here",
    ]
    for line, epoch in zip(news[2:4], (1, 2), strict=True):
        assert re.fullmatch(
            rf"epoch {epoch}/2: loss {NUMBER}, validation loss {NUMBER}, accuracy {NUMBER} "
            rf"\({NUMBER} s, {NUMBER} images/s\)",
            line,
        )
    assert news[4:] == [""]
    summary = json.loads(Path("here/summary.json").read_text())
    table = facts(outcome.out)
    assert table["dataset"] == "digits (355 test images)"
    assert table["test accuracy"] == f"{summary['test']['accuracy']:.4f}"
    assert table["macro-F1"] == f"{summary['test']['macro_f1']:.4f}"
    assert table["test loss"] == f"{summary['test']['loss']:.4f}"
    assert re.fullmatch(rf"{NUMBER} s, {NUMBER} images/s", table["training"])
    assert re.fullmatch(r"\d taken for \d: \d+ of 3\d", table["confused"])
    assert outcome.out.endswith("\n\nhere/report.html\n")
    assert "next:" not in outcome.err  # which is for a terminal


def test_the_usual_place(call, tiny):
    path = call("run", "tiny.toml").out.splitlines()[-1]
    assert re.fullmatch(r"runs/tiny/\d{8}T\d{6}Z-[0-9a-f]{4}/report\.html", path)
    assert Path(path).with_name("summary.json").exists()


def test_json_is_the_only_thing_on_stdout(call, tiny):
    outcome = call("run", "tiny.toml", "--out", "here", "--json")
    document = json.loads(outcome.out)
    assert outcome.out.count("\n") == 1
    assert (document.pop("run"), document.pop("report")) == ("here", "here/report.html")
    assert document == json.loads(Path("here/summary.json").read_text())
    assert outcome.err.startswith("tiny: ")


def test_quiet(call, tiny):
    outcome = call("run", "tiny.toml", "--out", "here", "--quiet")
    assert (outcome.code, outcome.out, outcome.err) == (0, "here\n", "")
    assert Path("here/summary.json").exists()


def test_set(call, tiny):
    outcome = call("run", "tiny.toml", "--set", "train.epochs=1", "--set", "name=other", "--json")
    assert json.loads(outcome.out)["epochs"] == 1
    assert json.loads(outcome.out)["run"].startswith("runs/other/")


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_a_fallback_is_loud_at_the_start_and_at_the_end(quiet, call, tiny):
    tiny.write_text(tiny.read_text().replace('"digits"', FALLBACK))
    outcome = call("run", "tiny.toml", "--out", "here", *quiet)
    assert outcome.code == 0
    warnings = [line for line in outcome.err.splitlines() if line.startswith("WARNING")]
    assert warnings == [
        "WARNING: npz cannot be had, so this run uses digits instead: there is no file later.npz",
        "WARNING: these are figures of digits, the fallback of npz, which could not be had",
    ]
    assert json.loads(Path("here/summary.json").read_text())["dataset"] == "digits"
    assert quiet or facts(outcome.out)["dataset"] == "digits (355 test images)"
    assert not quiet or outcome.err.splitlines() == warnings


def test_no_fallback(call, tiny):
    tiny.write_text(tiny.read_text().replace('"digits"', FALLBACK))
    outcome = call("run", "tiny.toml", "--no-fallback", "--out", "here")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: there is no file later.npz\n")
    assert outcome.err.endswith("   = note: --no-fallback forbids training on digits instead\n")
    assert not Path("here").exists()


def test_nothing_is_overwritten(call, tiny):
    assert call("run", "tiny.toml", "--out", "here").code == 0
    before = {path: path.read_bytes() for path in Path("here").rglob("*") if path.is_file()}
    outcome = call("run", "tiny.toml", "--out", "here")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: run directory here already holds checkpoints, ...; nothing is overwritten: "
        "choose another --out, or remove the folder first\n"
    )
    assert before == {path: path.read_bytes() for path in Path("here").rglob("*") if path.is_file()}


def test_a_run_that_is_not_done_may_go_on(call, tiny):
    assert call("run", "tiny.toml", "--out", "here").code == 0
    Path("here/summary.json").unlink()
    assert call("run", "tiny.toml", "--out", "here").err.endswith(
        "nothing is overwritten: choose another --out, or go on with the run there: --resume\n"
    )
    assert call("run", "tiny.toml", "--out", "here", "--resume").code == 0
    Path("here/summary.json").unlink()
    Path("here/checkpoints/last.safetensors").unlink()  # as before its first epoch
    assert call("run", "tiny.toml", "--out", "here").err.endswith(" or remove the folder first\n")


def test_a_spec_that_is_wrong_writes_nothing(call, tiny, tmp_path):
    tiny.write_text(tiny.read_text().replace("filters", "filtres"))
    assert call("run", "tiny.toml").code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


def test_a_loss_that_is_not_finite_exits_with_1(call, tiny):
    arguments = ["--set", "optimizer.type=sgd", "--set", "optimizer.lr=1e30", "--out", "here"]
    outcome = call("run", "tiny.toml", *arguments)
    assert (outcome.code, outcome.out) == (1, "")
    error, place, note = outcome.err.splitlines()[-3:]
    assert error.startswith("error: the loss is not finite at epoch 1, step")
    assert place == "  --> tiny.toml:9:3"
    assert note == "   = note: here keeps no weights: no epoch was finished"
    assert json.loads(Path("here/status.json").read_text())["status"] == "failed"
    log = Path("here/log.txt").read_text()
    assert log.startswith("Traceback (most recent call last):\n")
    assert error.removeprefix("error: ") in log


def test_weights_that_were_not_saved_are_not_said_to_be_kept(call, tiny, monkeypatch):
    def full(self, path):
        raise RunError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(Checkpoint, "save", full)
    outcome = call("run", "tiny.toml", "--out", "here")
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1] == "   = note: here keeps no weights: no epoch was saved"
    assert json.loads(Path("here/status.json").read_text())["epoch"] == 0


def test_a_data_folder_that_is_not_there(call, tiny):
    outcome = call("run", "tiny.toml", "--data-dir", "nope", "--out", "here")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: there is no data folder nope\n"
        "   = expected: a folder of downloaded datasets, which holds fashion-mnist, say\n"
    )
    assert not Path("here").exists()


def test_metrics_of_the_spec_decide_what_is_shown(call, tiny):
    tiny.write_text('metrics = ["accuracy"]\n' + tiny.read_text())
    outcome = call("run", "tiny.toml", "--out", "here", "--set", "data.validation=0.0")
    assert re.search(r"^epoch 1/2: loss [\d.]+ \(", outcome.err, flags=re.M)
    assert list(facts(outcome.out)) == ["dataset", "test accuracy", "test loss", "training"]
    assert facts(outcome.out)["dataset"] == "digits"
