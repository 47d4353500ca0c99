"""Durable writing: every system call fails in turn, and the process dies at each."""

import errno
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from cnnkit.errors import RunError
from cnnkit.files.durable import append_line, make_folder, read_bytes, write_durably

OLD, NEW = b"old content", b"new content, longer"
FAULTS = [errno.ENOSPC, errno.EIO, errno.EACCES]
CALLS = ["open", "fsync of the file", "read back", "replace", "open of the folder", "fsync of it"]
HELP = {
    errno.ENOSPC: "; free some space, or choose a folder on another disk",
    errno.EIO: "",
    errno.EACCES: "; choose a folder you may write to",
}


def break_call(monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    """Make one system call of a save fail, and leave the others alone."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    owner, name, failing = {
        "open": (Path, "open", 1),
        "fsync of the file": (os, "fsync", 1),
        "read back": (Path, "read_bytes", 1),
        "replace": (os, "replace", 1),
        "open of the folder": (os, "open", 1),
        "fsync of it": (os, "fsync", 2),
    }[call]
    real, count = getattr(owner, name), iter(range(1, 99))

    def wrapped(*args: object, **kwargs: object) -> object:
        return fail() if next(count) == failing else real(*args, **kwargs)

    monkeypatch.setattr(owner, name, wrapped)


@contextmanager
def file_size_limit(limit: int):
    """Let the kernel refuse writes beyond `limit` bytes, in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "überschrift 検.bin"
    write_durably(path, OLD)
    write_durably(path, NEW)
    assert path.read_bytes() == NEW
    assert list(tmp_path.iterdir()) == [path]


def test_syncs_the_file_before_and_the_folder_after_the_rename(tmp_path, monkeypatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda f: (order.append(_kind(f)), fsync(f))[1])
    monkeypatch.setattr(os, "replace", lambda *a: (order.append("rename"), replace(*a))[1])
    write_durably(tmp_path / "file", NEW)
    assert order == ["file", "rename", "folder"]


def _kind(handle: int) -> str:
    return "folder" if Path(f"/proc/self/fd/{handle}").resolve().is_dir() else "file"


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_mode_follows_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_durably(tmp_path / "file", NEW)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.reliability
@pytest.mark.parametrize("code", FAULTS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", CALLS)
def test_a_failing_call_raises_and_leaves_a_whole_file(tmp_path, monkeypatch, call, code) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    with monkeypatch.context() as patch:
        break_call(patch, call, code)
        with pytest.raises(RunError) as caught:
            write_durably(path, NEW)
    reason = os.strerror(code)
    assert str(caught.value) == f"cannot write {path} (19 bytes): {reason}{HELP[code]}"
    renamed = call in ("open of the folder", "fsync of it")  # whole, but perhaps not durable
    assert path.read_bytes() == (NEW if renamed else OLD)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.reliability
@pytest.mark.parametrize("size", [200, 200_000], ids=["buffered", "direct"])
def test_a_full_disk_in_the_middle_of_a_write(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    with file_size_limit(100), pytest.raises(RunError) as caught:
        write_durably(path, bytes(size))
    assert str(caught.value) == (
        f"cannot write {path} ({size} bytes): File too large; "
        "raise the file size limit (ulimit -f), or choose another folder"
    )
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_that_read_back_differently_are_not_kept(tmp_path, monkeypatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda self: NEW[:-1])
        with pytest.raises(RunError) as caught:
            write_durably(path, NEW)
    assert str(caught.value) == (
        f"cannot write {path} (19 bytes): the bytes read back differ from those written"
    )
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_nothing_behind(tmp_path, monkeypatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_durably(tmp_path / "file", NEW)
    assert list(tmp_path.iterdir()) == []


DYING = """
import os, sys
from pathlib import Path
from cnnkit.files.durable import write_durably
name, fatal, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
real, calls = getattr(os, name), iter(range(1, 99))
setattr(os, name, lambda *a: os._exit(9) if next(calls) == fatal else real(*a))
write_durably(path, b"new content, longer")
"""


@pytest.mark.reliability
@pytest.mark.parametrize(
    ("name", "fatal", "expected"), [("fsync", 1, OLD), ("replace", 1, OLD), ("fsync", 2, NEW)]
)
def test_death_inside_a_save_leaves_one_whole_file(tmp_path, name, fatal, expected) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    died = subprocess.run([sys.executable, "-c", DYING, name, str(fatal), str(path)], check=False)
    assert died.returncode == 9
    assert path.read_bytes() == expected


def test_what_killed_processes_left_goes_once_it_is_stale(tmp_path: Path) -> None:
    for name in (".01234567.tmp", ".89abcdef.tmp", "mine.tmp"):
        (tmp_path / name).touch()
    os.utime(tmp_path / ".01234567.tmp", (0, 0))
    os.utime(tmp_path / "mine.tmp", (0, 0))
    write_durably(tmp_path / "file", NEW)
    left = sorted(entry.name for entry in tmp_path.iterdir())
    assert left == [".89abcdef.tmp", "file", "mine.tmp"]  # a write may be under way


def test_a_failure_to_clean_up_hides_nothing(tmp_path: Path, monkeypatch) -> None:
    def fail(code: int):
        def failing(*_: object, **__: object) -> None:
            raise OSError(code, os.strerror(code))

        return failing

    monkeypatch.setattr(os, "fsync", fail(errno.ENOSPC))
    monkeypatch.setattr(Path, "unlink", fail(errno.EACCES))
    with pytest.raises(RunError, match="No space left on device"):
        write_durably(tmp_path / "file", NEW)


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        write_durably(tmp_path / "missing" / "file", NEW)
    path = tmp_path / "missing" / "file"
    assert str(caught.value) == f"cannot write {path} (19 bytes): No such file or directory"
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError) as caught:
        write_durably(tmp_path / "folder", NEW)
    assert str(caught.value) == f"cannot write {tmp_path / 'folder'} (19 bytes): Is a directory"
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_append_line(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    append_line(path, "eins")
    append_line(path, "zwei \udcff 検")  # a surrogate, as in a file name that is not UTF-8
    assert path.read_bytes() == "eins\nzwei \\udcff 検\n".encode()


@pytest.mark.reliability
def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    append_line(path, "x" * 50)
    with file_size_limit(60), pytest.raises(RunError) as caught:
        append_line(path, "y" * 50)
    assert str(caught.value) == (
        f"cannot append to {path} (51 bytes): File too large; "
        "raise the file size limit (ulimit -f), or choose another folder"
    )
    assert path.read_text() == "x" * 50 + "\n"
    append_line(path, "z")
    assert path.read_text().splitlines() == ["x" * 50, "z"]


@pytest.mark.parametrize("code", FAULTS, ids=errno.errorcode.get)
def test_a_line_that_cannot_be_synced_is_taken_back(tmp_path, monkeypatch, code) -> None:
    path = tmp_path / "log.txt"
    append_line(path, "one")
    break_call(monkeypatch, "fsync of the file", code)
    with pytest.raises(RunError) as caught:
        append_line(path, "two")
    assert str(caught.value) == (
        f"cannot append to {path} (4 bytes): {os.strerror(code)}{HELP[code]}"
    )
    assert path.read_text() == "one\n"


def test_make_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "a" / "b" / "ü")
    make_folder(tmp_path / "a" / "b" / "ü")
    assert (tmp_path / "a" / "b" / "ü").is_dir()
    monkeypatch.chdir(tmp_path)
    make_folder(Path("relative/deep"))
    assert (tmp_path / "relative" / "deep").is_dir()


def test_make_folder_where_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError) as caught:
        make_folder(tmp_path / "file")
    assert str(caught.value) == f"cannot create folder {tmp_path / 'file'}: File exists"
    with pytest.raises(RunError) as caught:
        make_folder(tmp_path / "file" / "below")
    # the first folder that cannot be made is the file itself
    assert str(caught.value) == f"cannot create folder {tmp_path / 'file' / 'below'}: File exists"


def test_read_bytes_takes_regular_files_only(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        read_bytes(tmp_path / "none")
    assert str(caught.value) == f"cannot read {tmp_path / 'none'}: No such file or directory"
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(RunError) as caught:
            read_bytes(tmp_path / name)
        assert str(caught.value) == f"cannot read {tmp_path / name}: not a regular file"


@pytest.mark.skipif(sys.platform == "win32", reason="has no fcntl")
@pytest.mark.parametrize(("code", "told"), [(0, 0), (errno.ENOTSUP, 0), (errno.EIO, errno.EIO)])
def test_macos_is_asked_to_empty_the_cache_of_the_drive(monkeypatch, tmp_path, code, told):
    """Where a file system cannot, fsync has to do; an error of the drive stays one."""
    import fcntl

    def full_sync(handle: int, command: int) -> None:
        calls.append(command)
        if code:
            raise OSError(code, os.strerror(code))

    calls, plain = [], []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", full_sync)
    monkeypatch.setattr(os, "fsync", plain.append)
    if told:
        with pytest.raises(RunError, match="Input/output error"):
            write_durably(tmp_path / "a", b"new")
    else:
        write_durably(tmp_path / "a", b"new")
        assert len(plain) == (2 if code else 0)
    assert set(calls) == {51}
