"""R12: places that cannot be written to, are not there, or have odd names: exit 2 before training,
the place named; where nothing is wrong with a place, however odd, the run is as anywhere else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.reliability

OBEY = "from __main__ import obey_permissions\nobey_permissions()\n"


def _file(folder: Path) -> list[str]:
    (folder / "place").touch()
    return ["--out", "place"]


def _loop(folder: Path) -> list[str]:
    (folder / "place").symlink_to("place")
    return ["--out", "place"]


def _dangling(folder: Path) -> list[str]:
    (folder / "place").symlink_to("nowhere/at/all")
    return ["--out", "place"]


def _below_a_file(folder: Path) -> list[str]:
    (folder / "place").touch()
    return ["--out", "place/below"]


def _full_folder(folder: Path) -> list[str]:
    (folder / "place").mkdir()
    (folder / "place" / "thesis.tex").touch()
    return ["--out", "place"]


def _read_only(folder: Path) -> list[str]:
    (folder / "place").mkdir(mode=0o555)
    return ["--out", "place/run"]


def _not_to_be_entered(folder: Path) -> list[str]:
    (folder / "place").mkdir(mode=0o000)
    return ["--out", "place/run"]


def _runs_is_a_file(folder: Path) -> list[str]:
    (folder / "runs").touch()
    return []


def _runs_is_a_loop(folder: Path) -> list[str]:
    (folder / "runs").symlink_to("runs")
    return []


def _read_only_here(folder: Path) -> list[str]:
    folder.chmod(0o555)
    return []


def _pipe(folder: Path) -> list[str]:
    os.mkfifo(folder / "place")
    return ["--out", "place"]


def _no_data(folder: Path) -> list[str]:
    return ["--data-dir", "place"]


def _data_is_a_file(folder: Path) -> list[str]:
    (folder / "place").touch()
    return ["--data-dir", "place"]


def _spec_is_a_pipe(folder: Path) -> list[str]:
    os.mkfifo(folder / "place.toml")
    return ["place.toml"]


def _spec_is_a_loop(folder: Path) -> list[str]:
    (folder / "place.toml").symlink_to("place.toml")
    return ["place.toml"]


def _spec_is_not_to_be_read(folder: Path) -> list[str]:
    (folder / "place.toml").touch(mode=0o000)
    return ["place.toml"]


def _spec_is_a_folder(folder: Path) -> list[str]:
    (folder / "place").mkdir()
    return ["place"]


def _gone(folder: Path) -> list[str]:
    return ["--out", "run"]


BAD: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "a file": (_file, "place"),
    "a loop of links": (_loop, "place"),
    "a link to nowhere": (_dangling, "place"),
    "below a file": (_below_a_file, "place"),
    "a folder with files": (_full_folder, "place already holds thesis.tex"),
    "a folder that is read-only": (_read_only, "place/run: Permission denied"),
    "a folder not to be entered": (_not_to_be_entered, "Permission denied"),
    "runs is a file": (_runs_is_a_file, "runs"),
    "runs is a loop": (_runs_is_a_loop, "runs"),
    "a working folder that is read-only": (_read_only_here, "runs/small"),
    "a pipe": (_pipe, "place"),
    "a long name": (lambda folder: ["--out", "x" * 300], "x: File name too long"),
    "a long path": (lambda folder: ["--out", "/".join(["x" * 200] * 30)], "File name too long"),
    "a device": (lambda folder: ["--out", "/dev/null"], "/dev/null"),
    "a full device": (lambda folder: ["--out", "/dev/full/run"], "/dev/full"),
    "processes": (lambda folder: ["--out", "/proc/run"], "/proc/run"),
    "no data folder": (_no_data, "there is no data folder place"),
    "a file for a data folder": (_data_is_a_file, "there is no data folder place"),
    "no spec": (lambda folder: ["place.toml"], "place.toml: No such file"),
    "a spec that is a pipe": (_spec_is_a_pipe, "place.toml: not a regular file"),
    "a spec that is a loop": (_spec_is_a_loop, "place.toml: Too many levels"),
    "a spec not to be read": (_spec_is_not_to_be_read, "place.toml: Permission denied"),
    "a spec that is a folder": (_spec_is_a_folder, "place: Is a directory"),
    "a working folder that is gone": (_gone, "the working directory is gone"),
}


def test_bad_places(cases, nursery, write_spec, tmp_path):
    spec = write_spec(epochs=1)
    for name, (make, told) in cases.of(BAD.items(), quick=12):
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        given, before = make(folder), OBEY
        spec_given = bool(given) and given[0].startswith("place")
        if make is _gone:
            given, spec_given = ["../small.toml", *given], True
            before += "import os\nos.rmdir(os.getcwd())\n"
        arguments = given if spec_given else [spec, *given]
        [ended] = nursery.run(folder, "run", *arguments, before=before)
        for path in (folder, *folder.glob("place")):
            if path.is_dir():
                path.chmod(0o755)  # or it could not be removed
        assert ended.code == 2, ended
        assert ended.err.startswith(("error: ", "small: ")), ended.err
        assert told in ended.err, ended.err
        assert "Traceback" not in ended.err
        assert not list(folder.rglob("*.safetensors"))


NAMES = [
    "größe 検査", "a b", " ", "-x", "--json", "...", "~", "$HOME", "a'b\"c", "a\\b", "*?[", "%s{0}",
    "a\nb", "a\tb", "\x1b[31m", "\x7f", "\x9b", "\u202e", "e\u0301", "\ud83d\ude00", "x" * 255,
    "CON", "a:b", "#", "[red]", "{}", "run.safetensors", "\udcff",
]  # fmt: skip


def test_odd_names(cases, nursery, write_spec, tmp_path):
    """Of the run's folder, and of that of the spec."""
    write_spec(epochs=1)
    text = (tmp_path / "small.toml").read_bytes()
    shas = set()
    for number, name in enumerate(cases.of(NAMES, quick=8)):
        folder = os.fsencode(tmp_path) + b"/" + name.encode("utf-16", "surrogatepass").decode(
            "utf-16", "replace").encode("utf-8", "surrogateescape")  # fmt: skip
        place = Path(os.fsdecode(folder)) / str(number)
        place.mkdir(parents=True)
        (place / "small.toml").write_bytes(text)
        out = place / "run"
        [ended] = nursery.run(tmp_path, "run", place / "small.toml", "--out", out)
        assert ended.code == 0, ended.err
        assert not {"\x1b", "\x9b", "\x7f", "\u202e"} & set(ended.out + ended.err)
        shas.add(json.loads((out / "summary.json").read_bytes())["weights_sha256"])
        [judged] = nursery.run(tmp_path, "evaluate", out)
        assert judged.code == 0, judged.err
    assert len(shas) == 1


def test_without_a_home(cases, nursery, write_spec, tmp_path):
    """Where neither the user's folders nor those for temporary files can be had."""
    spec = write_spec(epochs=1)
    for number, home in enumerate(cases.of(["/nowhere", "", "/dev/null"], quick=1)):
        before = f"import os\nos.environ.update(HOME={home!r}, TMPDIR={home!r}, "
        before += f"XDG_CACHE_HOME={home!r}, XDG_CONFIG_HOME={home!r})\n"
        out = tmp_path / f"run-{number}"
        [ended] = nursery.run(tmp_path, "run", spec, "--out", out, before=before)
        assert ended.code == 0, ended.err
        [missing] = nursery.run(
            tmp_path, "run", spec, "--out", f"other-{number}", "--set", "data.type=mnist",
            before=f"{before}{OBEY}",
        )  # fmt: skip
        assert missing.code == 2, missing.err
        assert "Traceback" not in missing.err
