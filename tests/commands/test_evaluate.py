"""`cnnkit evaluate`: a run's test figures once more."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnnkit.base import DataPaths
from cnnkit.cli import main
from cnnkit.model import Model
from cnnkit.runs.directory import Lock
from cnnkit.runs.vitals import Vitals
from cnnkit.specfile.load import load_spec


def test_figures_are_those_of_the_run(trained, call):
    outcome = call("evaluate", str(trained), "--json")
    document = json.loads(outcome.out)
    summary = json.loads((trained / "summary.json").read_text())
    assert (outcome.code, outcome.err) == (0, "")
    assert document["test"] == summary["test"]
    assert (document["dataset"], document["checkpoint"]) == ("digits", "last")
    assert sum(one["images"] for one in document["classes"]) == 355
    f1 = sum(one["f1"] for one in document["classes"]) / 10
    assert f1 == pytest.approx(summary["test"]["macro_f1"])


def test_the_table(trained, call):
    lines = call("evaluate", str(trained)).out.splitlines()
    assert lines[0].split() == ["class", "images", "precision", "recall", "F1"]
    assert [line.split()[0] for line in lines[2:12]] == list("0123456789")
    assert lines[12:14] == ["", "dataset        digits (355 test images)"]
    assert lines[14].startswith("test accuracy  0.9")


def test_the_best_epoch(call, tiny, tmp_path):
    """The checkpoint that is asked for is the one that is judged."""
    call("run", "tiny.toml", "--out", "run")
    call("run", "tiny.toml", "--out", "other", "--set", "train.epochs=1", "--set", "seed=5")
    checkpoints = tmp_path / "run" / "checkpoints"
    shutil.copy(tmp_path / "other/checkpoints/last.safetensors", checkpoints / "best.safetensors")
    for kind, run in (("last", "run"), ("best", "other")):
        document = json.loads(call("evaluate", "run", "--checkpoint", kind, "--json").out)
        summary = json.loads((tmp_path / run / "summary.json").read_text())
        assert (document["checkpoint"], document["test"]) == (kind, summary["test"])


def save_data(side: int, classes: int) -> None:
    """Write later.npz, with three images of noise per class."""
    labels = np.tile(np.arange(classes), 3)
    images = np.random.default_rng(0).integers(0, 255, (len(labels), side, side), np.uint8)
    np.savez("later.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)


def use_npz(spec: Path) -> None:
    """Let the spec train on later.npz, or on the digits where that is missing."""
    fallback = '"npz"\npath = "later.npz"\nfallback = { type = "digits" }'
    spec.write_text(spec.read_text().replace('"digits"', fallback))


def test_a_run_that_fell_back_is_judged_on_what_it_was_trained_on(tmp_path, call, tiny):
    """The dataset it could not have may be there by now."""
    use_npz(tiny)
    assert call("run", "tiny.toml", "--out", "run").code == 0
    save_data(side=8, classes=3)
    outcome = call("evaluate", "run", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["dataset"] == "digits"
    assert (
        json.loads(outcome.out)["test"]
        == json.loads((tmp_path / "run" / "summary.json").read_text())["test"]
    )


@pytest.mark.parametrize(("side", "classes"), [(9, 10), (8, 11)])
def test_data_that_has_changed(side, classes, call, tiny):
    use_npz(tiny)
    save_data(side=8, classes=10)
    assert call("run", "tiny.toml", "--out", "run", "--set", "data.validation=0.0").code == 0
    assert call("evaluate", "run").code == 0
    save_data(side, classes)
    outcome = call("evaluate", "run")
    names = ", ".join(map(str, range(classes)))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: npz is not the data that the run was trained on: expected images of (1,8,8) in "
        f"the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; got (1,{side},{side}) in the classes {names}\n"
    )


def test_data_that_is_gone_is_not_replaced(call, tiny, tmp_path):
    use_npz(tiny)
    save_data(side=8, classes=10)
    assert call("run", "tiny.toml", "--out", "run", "--set", "data.validation=0.0").code == 0
    (tmp_path / "later.npz").unlink()
    outcome = call("evaluate", "run")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"error: there is no file later.npz\n  --> {tmp_path.resolve() / 'later.npz'}\n"
    )


def test_a_run_that_did_not_finish_is_judged_by_its_last_checkpoint(trained, call, tmp_path):
    shutil.copytree(trained, "copy")
    (tmp_path / "copy" / "summary.json").unlink()
    documents = [json.loads(call("evaluate", str(r), "--json").out) for r in (trained, "copy")]
    assert documents[0]["test"] == documents[1]["test"]


def test_a_run_that_was_killed_says_so(trained, call, tmp_path):
    shutil.copytree(trained, "copy")
    (tmp_path / "copy" / "summary.json").unlink()
    (tmp_path / "copy" / "status.json").write_text('{"status": "running", "epoch": 2}')
    note = "note: copy is no finished run: "
    killed = "interrupted after epoch 2: it ended without a word: killed, or the machine went down"
    np.save("x.npy", np.zeros((1, 8, 8), np.uint8))
    for verb in (["evaluate", "copy"], ["predict", "copy", "x.npy"]):
        assert call(*verb).err == f"{note}{killed}\n"
    differs = json.loads(call("diff", str(trained), "copy", "--json").out)
    assert {"key": "status", "first": "done", "second": "interrupted"} in differs["figures"]
    lock = Lock(tmp_path / "copy")
    assert call("evaluate", "copy").err == f"{note}running after epoch 2: it is under way\n"
    lock.release()


@pytest.mark.parametrize(
    ("at", "where"),
    [(1, "1 step of epoch 1"), (41 + 7, "7 steps of epoch 2"), (82, "41 steps of epoch 2")],
)
def test_a_run_that_ended_within_an_epoch_says_at_which_step(at, where, call, tiny, monkeypatch):
    """The weights that are judged are those, and not the ones after the epoch before."""
    steps = iter(range(1, at + 1))

    def stop_there(*_):
        if next(steps) == at:
            raise KeyboardInterrupt

    monkeypatch.setattr(Vitals, "after_step", stop_there)
    assert call("run", "tiny.toml", "--out", "run").code == 130
    assert call("evaluate", "run").err == (
        f"note: run is no finished run: interrupted after {where}: Ctrl-C\n"
    )


@pytest.mark.parametrize("summary", ["{}", '{"dataset": 3}'])
def test_a_summary_that_says_nothing(summary, trained, call, tmp_path):
    shutil.copytree(trained, "copy")
    (tmp_path / "copy" / "summary.json").write_text(summary)
    outcome = call("evaluate", "copy")
    assert (outcome.code, outcome.out, outcome.err) == (
        2, "", "error: copy/summary.json is damaged: it does not name its dataset\n"
    )  # fmt: skip


def test_a_run_that_needs_a_missing_plugin(trained, call, tmp_path):
    shutil.copytree(trained, "copy")
    resolved = tmp_path / "copy" / "resolved.toml"
    resolved.write_text(resolved.read_text().replace('"relu"', '"some-dist:relu"'))
    outcome = call("evaluate", "copy")
    assert (outcome.code, outcome.out) == (2, "")
    assert 'unknown layer type "some-dist:relu"' in outcome.err
    assert "copy/resolved.toml:" in outcome.err
    assert "pip install some-dist" in outcome.err


def test_metrics_without_a_confusion_matrix_still_give_the_table(call, tiny):
    tiny.write_text('metrics = ["accuracy"]\n' + tiny.read_text())
    assert call("run", "tiny.toml", "--out", "run").code == 0
    assert len(json.loads(call("evaluate", "run", "--json").out)["classes"]) == 10


def test_what_is_no_run(call, tmp_path):
    outcome = call("evaluate", "nix")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: nix is not a run directory: cannot read nix/spec.toml: No such file or "
        "directory; expected a folder made by `cnnkit run`\n"
    )


@pytest.mark.parametrize("folder", ["runs", "runs/tiny"])
def test_a_folder_of_runs(folder, trained, call, tmp_path):
    for age, name in enumerate(["b", "a"]):
        copy = tmp_path / "runs" / "tiny" / name
        shutil.copytree(trained, copy)
        os.utime(copy / "spec.toml", (age, age))
    for arguments in (["evaluate", folder], ["predict", folder, "x.npy"]):
        outcome = call(*arguments)
        assert (outcome.code, outcome.err) == (
            2, f"error: {folder} is no run but a folder of runs; the newest one is runs/tiny/a\n"
        )  # fmt: skip


def test_a_missing_checkpoint(trained, tmp_path, capsys):
    shutil.copytree(trained, "copy")
    (tmp_path / "copy" / "checkpoints" / "best.safetensors").unlink()
    assert main(["evaluate", "copy", "--checkpoint", "best"]) == 2
    assert capsys.readouterr().err == (
        "error: run copy has no best checkpoint: expected copy/checkpoints/best.safetensors; "
        "a run saves its first one after its first epoch\n"
    )


WATCHER = '''
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Observer

class Watcher(Observer):
    """Leaves a file."""
    type: Literal["watcher"] = "watcher"

    def start(self, run):
        (run.path / "watched").touch()

@hookimpl
def cnnkit_observers():
    return [Watcher]
'''


def test_an_observer_need_not_be_installed_any_more(call, tiny, site, monkeypatch):
    site("cnnkit-watcher", WATCHER)
    assert call("run", "tiny.toml", "--out", "run", "--set", 'observers=["watcher"]').code == 0
    assert Path("run/watched").exists()
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    outcome = call("evaluate", "run", "--json")
    assert (outcome.code, outcome.err) == (0, "")


def test_a_run_that_learned_nothing(call, tiny, tmp_path):
    tiny.write_text(tiny.read_text().replace("lr = 0.01", "lr = 0.0"))
    outcome = call("run", "tiny.toml", "--out", "run")
    [remark] = json.loads((tmp_path / "run" / "summary.json").read_text())["remarks"]
    assert outcome.err.endswith(f"warning: {remark}\n\n")
    assert remark.endswith("; lr = 0 moves no weight: try 0.001")
    assert call("evaluate", "run").err == f"warning: {remark}\n"
    assert json.loads(call("evaluate", "run", "--json").out)["remarks"] == [remark]


def test_runs_that_did_not_keep_a_digest_stay_readable(trained, call, tmp_path):
    shutil.copytree(trained, "copy")
    env = tmp_path / "copy" / "env.json"
    facts = json.loads(env.read_text())
    assert len(facts.pop("data")["sha256"]) == 64
    env.write_text(json.dumps(facts))
    assert (call("evaluate", "copy").code, call("evaluate", "copy").err) == (0, "")


def test_the_network_cannot_be_another(trained, call):
    outcome = call("evaluate", str(trained), "--set", "model.dtype=float64")
    told = "cannot set model.dtype=float64: the network is the run's; set data, such as data.path"
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"error: {told}\n")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("optimizer.lr=0.5", "the network is the run's"),
        ('data.transforms=["scale"]', "the network is the run's"),
        ("data.transforms.0=scale", "the network is the run's"),
        ('data={type="digits",transforms=["invert"]}', "the network is the run's"),
        ("train.epochs=9", "it changes nothing in a trained run"),
        ("seed=3", "it changes nothing in a trained run"),
        ("name=other", "it changes nothing in a trained run"),
        ("data.validation=0.5", "it changes nothing in a trained run"),
        ("data.folds=3", "it changes nothing in a trained run"),
    ],
)
def test_what_would_change_nothing_cannot_be_set(trained, call, value, why):
    outcome = call("evaluate", str(trained), "--set", value)
    told = f"error: cannot set {value}: {why}; set data, such as data.path\n"
    assert (outcome.code, outcome.out, outcome.err) == (2, "", told)


def test_trace_takes_other_data_only(trained, call):
    for value in ("predict.average=[]", "metrics=[]"):
        outcome = call("trace", str(trained), "--set", value)
        told = f"cannot set {value}: it changes nothing in a trained run"
        told = f"error: {told}; set data, such as data.path\n"
        assert (outcome.code, outcome.out, outcome.err) == (2, "", told)


def test_a_mistyped_key_is_told_as_such(trained, call):
    outcome = call("evaluate", str(trained), "--set", "predict.avrage=[]")
    assert outcome.code == 2
    assert "did you mean" in outcome.err
    assert "changes nothing" not in outcome.err


def test_predictions_are_averaged_as_set(trained, call):
    """On the run's own data, though --set is there: nothing was said of data."""
    model = Model.load(trained / "checkpoints" / "last.safetensors")
    test = load_spec(trained / "resolved.toml").data.load(DataPaths()).test
    p = (model.predict(test.images) + model.predict(test.images[..., ::-1])) / 2
    asked = call("evaluate", str(trained), "--json", "--set", 'predict.average=["flip"]')
    judged, right = json.loads(asked.out)["test"], p[np.arange(len(p)), test.labels]
    assert judged["loss"] == pytest.approx(-np.log(right).mean(), rel=1e-5)
    assert judged["accuracy"] == pytest.approx((p.argmax(1) == test.labels).mean())
    plain = json.loads(call("evaluate", str(trained), "--json").out)["test"]
    assert plain["loss"] != judged["loss"]


def test_the_images_that_were_set_aside(trained, call):
    asked = call("evaluate", str(trained), "--split", "validation", "--json")
    document = json.loads(asked.out)
    last = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])["validation"]
    assert (asked.code, asked.err, "test" in document) == (0, "", False)
    assert document["validation"] == last
    images = sum(map(sum, last["confusion"]))
    assert sum(one["images"] for one in document["classes"]) == images
    lines = call("evaluate", str(trained), "--split", "validation").out.splitlines()
    assert lines[13] == f"dataset              digits ({images} validation images)"
    assert lines[14].startswith("validation accuracy  0.9")


def test_nothing_is_set_aside_of_other_data(trained, call):
    for value in ("data.path=x.npz", 'data={type="digits"}'):
        outcome = call("evaluate", str(trained), "--split", "validation", "--set", value)
        assert outcome.code == 2
    told = "error: of other data nothing was set aside; leave out --split, or --set data\n"
    assert (outcome.out, outcome.err) == ("", told)


def test_nothing_was_set_aside(call, tiny):
    call("run", "tiny.toml", "--out", "run", "--set", "data.validation=0")
    outcome = call("evaluate", "run", "--split", "validation")
    told = "digits has no validation images; judge the run on its test images, without --split"
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"error: {told}\n")
    outcome = call("evaluate", "run", "--split", "valid")
    assert outcome.code == 2
    assert "validation" in outcome.err


def test_a_fold_is_what_was_set_aside(call, tiny, tmp_path):
    call("run", "tiny.toml", "--out", "run", "--set", "data.folds=3", "--set", "data.fold=2")
    document = json.loads(call("evaluate", "run", "--split", "validation", "--json").out)
    last = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1]
    assert document["validation"] == json.loads(last)["validation"]
