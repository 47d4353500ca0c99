"""RunDirectory and StoredRun: what is written is what is read, and nothing is overwritten."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnnkit.errors import RunError
from cnnkit.runs.directory import KILLED, RunDirectory, StoredRun


@pytest.fixture
def out(tmp_path: Path) -> Path:
    with RunDirectory.create("x", out=tmp_path / "out") as run:
        run.write("spec.toml", b"# spec\r\n")
        run.write("resolved.toml", "name = 'ü'\n")
    return tmp_path / "out"


def refused(name: str, **where: Path) -> str:
    with pytest.raises(RunError) as caught:
        RunDirectory.create(name, **where)
    return str(caught.value)


@pytest.mark.parametrize("name", ["simple", "größe 検", "a b", "...", "-x", "x" * 255])
def test_default_path(tmp_path, monkeypatch, name) -> None:
    monkeypatch.chdir(tmp_path)
    with RunDirectory.create(name) as first, RunDirectory.create(name) as second:
        assert first.path.parent == Path("runs") / name
        assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", first.path.name)
        assert first.path != second.path
        assert sorted(p.name for p in first.path.iterdir()) == [
            ".lock",
            "checkpoints",
            "status.json",
        ]
    assert not (first.path / ".lock").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "/etc", "a\\b", "a\0b"])
def test_a_name_cannot_leave_the_root(tmp_path: Path, name: str) -> None:
    assert refused(name, root=tmp_path / "runs") == (
        f"run name {name!r} cannot name a folder under {tmp_path / 'runs'}; "
        "expected a name without slashes, such as 'simple'"
    )
    assert list(tmp_path.iterdir()) == []


def test_out_may_be_missing_or_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "deep/and/new"):
        with RunDirectory.create("x", out=tmp_path / name) as run:
            assert run.path == tmp_path / name
            assert json.loads((run.path / "status.json").read_text()) == {
                "status": "running",
                "epoch": 0,
            }


def test_out_that_holds_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("do not lose")
    (tmp_path / "zebra").write_text("")
    assert refused("x", out=tmp_path) == (
        f"run directory {tmp_path} already holds thesis.tex, ...; nothing is overwritten: "
        "choose another --out, or remove the folder first"
    )
    (tmp_path / "zebra").unlink()
    assert "already holds thesis.tex; nothing is overwritten" in refused("x", out=tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    assert (tmp_path / "thesis.tex").read_text() == "do not lose"


def test_a_finished_run_is_not_overwritten(out: Path) -> None:
    assert refused("x", out=out).startswith(f"run directory {out} already holds checkpoints, ...;")
    assert StoredRun(out).spec_text == "# spec\r\n"


def test_a_run_under_way_is_named(out: Path) -> None:
    with RunDirectory.create("x", out=out.parent / "busy") as run:
        assert f"{run.path} is in use by process {os.getpid()} on " in refused("x", out=run.path)
        run.log("still writable")


@pytest.mark.reliability
def test_places_where_nothing_can_be_written(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "loop"):
        path = tmp_path / name
        assert refused("x", out=path) == f"cannot create folder {path}: File exists"
    long = tmp_path / ("x" * 300)
    assert refused("x", out=long) == f"cannot create folder {long}: File name too long"
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    text = refused("x")
    assert text.startswith("cannot create folder runs/x/")
    assert text.endswith(": No such file or directory")


@pytest.mark.reliability
@pytest.mark.parametrize("code", [13, 30, 28])
def test_a_folder_that_is_not_writable_fails_at_once(tmp_path, monkeypatch, code) -> None:
    real = Path.open

    def read_only(self: Path, mode: str = "r", *args, **kwargs):
        if mode != "r" and mode != "rb":
            raise OSError(code, os.strerror(code))
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", read_only)
    path = tmp_path / "out"
    assert refused("x", out=path) == f"cannot lock {path / '.lock'}: {os.strerror(code)}"


def test_a_failing_start_gives_the_lock_back(tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(os, "replace", full)
        path = tmp_path / "out"
        assert refused("x", out=path) == (
            f"cannot write {path / 'status.json'} (40 bytes): No space left on device; "
            "free some space, or choose a folder on another disk"
        )
    assert not (tmp_path / "out" / ".lock").exists()


def test_a_run_is_running_while_its_lock_is_held(tmp_path: Path) -> None:
    with RunDirectory.create("x", out=tmp_path / "out") as run:
        run.write("spec.toml", "")
        run.write("resolved.toml", "")
        stored = StoredRun(run.path)
        for _ in range(2):  # to look changes nothing
            assert stored.facts("status.json") == {"status": "running", "epoch": 0}
    (run.path / ".lock").touch()  # as a killed process leaves it
    killed = {"status": "interrupted", "epoch": 0, "message": KILLED}
    assert stored.facts("status.json") == killed


def test_the_first_error_is_told(tmp_path: Path, monkeypatch) -> None:
    """Where neither status nor lock can be written any more."""
    path = tmp_path / "out"

    def fail() -> None:
        with RunDirectory.create("x", out=path):
            shutil.rmtree(path)
            monkeypatch.setattr(Path, "unlink", lambda *_, **__: tmp_path.rmdir())
            (tmp_path / "other").touch()
            raise ValueError("the first")

    with pytest.raises(ValueError, match="the first") as caught:
        fail()
    assert caught.value.__notes__ == [
        f"   = note: cannot write {path}/status.json (65 bytes): No such file or directory",
        f"   = note: cannot remove {path}/.lock: Directory not empty",
    ]


def test_everything_written_is_read_back(tmp_path: Path) -> None:
    with RunDirectory.create("x", out=tmp_path / "out") as run:
        run.write("spec.toml", b"# as given\r\n")
        run.write("resolved.toml", "name = 'größe 検'\n")
        run.write("env.json", {"cnnkit": "0.1.0"})
        run.append_epoch({"epoch": 1, "train_loss": np.float32(0.5), "validation": None})
        run.append_epoch({"epoch": 2, "train_loss": float("nan"), "lr": np.float64(0.1)})
        run.write("summary.json", {"confusion": np.eye(2, dtype=np.int64), "pair": (1, 2)})
        run.write_status("done", epoch=2, message="größe")
        run.log("erste Zeile")
        run.log("zweite 検")
        run.checkpoint("best").write_bytes(b"")
    stored = StoredRun(run.path)
    assert stored.path == run.path
    assert stored.spec_text == "# as given\r\n"
    assert stored.resolved == "name = 'größe 検'\n"
    assert stored.facts("env.json") == {"cnnkit": "0.1.0"}
    assert stored.epochs() == [
        {"epoch": 1, "train_loss": 0.5, "validation": None},
        {"epoch": 2, "train_loss": None, "lr": 0.1},
    ]
    assert stored.facts("summary.json") == {"confusion": [[1, 0], [0, 1]], "pair": [1, 2]}
    assert stored.facts("status.json") == {"status": "done", "epoch": 2, "message": "größe"}
    assert stored.checkpoint("best") == run.path / "checkpoints" / "best.safetensors"
    assert (run.path / "log.txt").read_text(encoding="utf-8") == "erste Zeile\nzweite 検\n"
    assert sorted(p.relative_to(run.path).as_posix() for p in run.path.rglob("*")) == [
        "checkpoints",
        "checkpoints/best.safetensors",
        "env.json",
        "log.txt",
        "metrics.jsonl",
        "resolved.toml",
        "spec.toml",
        "status.json",
        "summary.json",
    ]


def test_strict_json_on_disk(tmp_path: Path) -> None:
    with RunDirectory.create("x", out=tmp_path / "out") as run:
        run.write_status("failed", epoch=1, message="name \udcff", loss=float("-inf"))
        data = (run.path / "status.json").read_bytes()
    assert data == (
        b'{\n  "status": "failed",\n  "epoch": 1,\n'
        b'  "message": "name \\udcff",\n  "loss": null\n}\n'
    )
    assert json.loads(data)["message"] == "name \udcff"


def test_what_an_unfinished_run_lacks(out: Path) -> None:
    stored = StoredRun(out)
    assert stored.epochs() == []
    killed = {"status": "interrupted", "epoch": 0, "message": KILLED}
    assert stored.facts("status.json") == killed
    with pytest.raises(RunError) as caught:
        stored.checkpoint("best")
    assert str(caught.value) == (
        f"run {out} has no best checkpoint: expected {out}/checkpoints/best.safetensors; "
        "a run saves its first one after its first epoch"
    )
    with pytest.raises(RunError) as caught:
        stored.facts("summary.json")
    assert str(caught.value) == f"cannot read {out}/summary.json: No such file or directory"


def test_folders_that_are_no_runs(out: Path, tmp_path: Path) -> None:
    def refusal(path: Path) -> str:
        with pytest.raises(RunError) as caught:
            StoredRun(path)
        return str(caught.value)

    end = "; expected a folder made by `cnnkit run`"
    for path in (tmp_path / "none", tmp_path):
        assert refusal(path) == (
            f"{path} is not a run directory: cannot read {path}/spec.toml: "
            f"No such file or directory{end}"
        )
    file = out / "status.json"
    assert refusal(file) == (
        f"{file} is not a run directory: cannot read {file}/spec.toml: Not a directory{end}"
    )
    (out / "resolved.toml").write_bytes(b"\xff")
    assert refusal(out) == (
        f"{out} is not a run directory: 'utf-8' codec can't decode byte 0xff in position 0: "
        f"invalid start byte{end}"
    )
    (out / "resolved.toml").unlink()
    assert "resolved.toml: No such file or directory" in refusal(out)


@pytest.mark.reliability
def test_damaged_records(out: Path) -> None:
    stored = StoredRun(out)
    (out / "metrics.jsonl").write_bytes(b'{"epoch": 1}\n{"epoch": 2}\n{"epo')
    assert stored.epochs() == [{"epoch": 1}, {"epoch": 2}]  # the third was cut off by a kill
    (out / "metrics.jsonl").write_bytes(b'{"epoch": 1}\n{"epo\n{"epoch": 3}\n')
    with pytest.raises(RunError) as caught:
        stored.epochs()
    assert str(caught.value) == (
        f"{out}/metrics.jsonl:2 is damaged: expected a JSON object: "
        "Unterminated string starting at: line 1 column 2 (char 1)"
    )
    for bad in (b"", b"\xff", b"[" * 100_000, b"{", b"\0" * 50):
        (out / "summary.json").write_bytes(bad)
        with pytest.raises(RunError, match=r"summary\.json is damaged: expected a JSON object: "):
            stored.facts("summary.json")
    (out / "summary.json").write_bytes(b"[1, 2]")
    with pytest.raises(RunError) as caught:
        stored.facts("summary.json")
    assert str(caught.value) == (
        f"{out}/summary.json is damaged: expected a JSON object, found '[1, 2]'"
    )


@pytest.mark.reliability
def test_a_disk_that_fills_up_during_the_run(out: Path, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with RunDirectory.create("x", out=tmp_path / "new") as run:
        run.append_epoch({"epoch": 1})
        run.write_status("running", epoch=1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            for write in (
                lambda: run.append_epoch({"epoch": 2}),
                lambda: run.log("x"),
                lambda: run.write_status("running", epoch=2),
                lambda: run.write("summary.json", {}),
                lambda: run.write("spec.toml", b""),
                lambda: run.write("resolved.toml", ""),
                lambda: run.write("env.json", {}),
            ):
                with pytest.raises(RunError, match=r"\(\d+ bytes\): No space left on device; free"):
                    write()
        run.write("resolved.toml", "")
        run.write("spec.toml", b"")
    stored = StoredRun(run.path)
    assert stored.epochs() == [{"epoch": 1}]
    assert stored.facts("status.json") == {
        "status": "interrupted", "epoch": 1, "message": KILLED,
    }  # fmt: skip
    assert not [p for p in run.path.iterdir() if p.name.startswith(".")]
