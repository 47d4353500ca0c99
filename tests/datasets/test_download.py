"""Downloads, from a server on this machine and from files."""

from __future__ import annotations

import gzip
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cnnkit.base import DataPaths
from cnnkit.datasets import Mnist
from cnnkit.datasets.download import Remote, cache_folder, download
from cnnkit.errors import DataUnavailable

NAME = "train-images-idx3-ubyte.gz"
BODY = bytes(range(256)) * 2000
HASH = sha256(BODY).hexdigest()
REMOTE = Remote(NAME, len(BODY), HASH)


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; /short/ promises more than it sends, /silent/ hangs up at once."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/silent/"):
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif self.path.startswith("/endless/"):
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(bytes(1 << 16))
        elif self.path.startswith("/slow/"):
            with suppress(OSError):
                for byte in b"HTTP/1.0 200 OK\r\n\r\n" * ("body" in self.path) + bytes(999):
                    self.wfile.write(bytes([byte]))
                    time.sleep(0 if byte else 0.02)
        elif self.path.startswith("/short/"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY[:1000])
        else:
            super().do_GET()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    root = tmp_path / "www"
    for folder, body in (("good", BODY), ("wrong", b"<html>404, but politely")):
        (root / folder).mkdir(parents=True)
        (root / folder / NAME).write_bytes(body)
    Handler.asked = []
    served = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(root)))
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    thread.join()
    served.server_close()


@pytest.fixture
def dead() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def fetch(tmp_path: Path, *mirrors: str, said: list[str] | None = None, progress: bool = False):
    target = tmp_path / "cache" / "mnist" / NAME
    say = (lambda line: None) if said is None else said.append
    return download(mirrors, target, REMOTE, DataPaths(say=say, progress=progress))


def test_first_mirror_that_works(tmp_path, server, dead):
    said: list[str] = []
    mirrors = [
        f"{dead}/",
        f"{server}/missing/",
        f"{server}/wrong/",
        f"{server}/short/",
        f"{server}/silent/",
        f"{server}/good/",
        f"{server}/never/",
    ]
    path = fetch(tmp_path, *mirrors, said=said)
    assert path == tmp_path / "cache" / "mnist" / NAME
    assert path.read_bytes() == BODY
    assert said == [f"downloading {mirror}{NAME}" for mirror in mirrors[:-1]]
    assert [path.name for path in path.parent.iterdir()] == [NAME]  # no temporary files stay
    assert f"/never/{NAME}" not in Handler.asked


def test_file_address(tmp_path, server):
    assert fetch(tmp_path, (tmp_path / "www" / "good").as_uri() + "/").read_bytes() == BODY
    assert Handler.asked == []


def test_every_mirror_fails(tmp_path, server, dead):
    with pytest.raises(DataUnavailable) as caught:
        fetch(tmp_path, f"{dead}/", f"{server}/no/", f"{server}/wrong/", f"{server}/short/")
    folder = tmp_path / "cache" / "mnist"
    differs = "what came is not the published file (its sha256 differs)"
    assert str(caught.value) == (
        f"cannot download {NAME}: no connection, the server answers 404 File not found, {differs}, "
        "the connection broke off\n"
        f"  --> {folder}/{NAME}\n"
        f"   = tried: {dead}/{NAME}: no connection\n"
        f"   = tried: {server}/no/{NAME}: the server answers 404 File not found\n"
        f"   = tried: {server}/wrong/{NAME}: {differs}\n"
        f"   = tried: {server}/short/{NAME}: the connection broke off\n"
        f"   = expected: sha256 {HASH}\n"
        f"   = help: get {NAME} by hand from one of these addresses and put it into {folder}, "
        "or into a folder named with --data-dir or CNNKIT_DATA_DIR"
    )
    assert list(folder.iterdir()) == []


def test_missing_file_address(tmp_path):
    with pytest.raises(DataUnavailable, match="FileNotFoundError: "):
        fetch(tmp_path, (tmp_path / "no").as_uri() + "/")


def test_cache_that_cannot_be_made(tmp_path):
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(DataUnavailable) as caught:
        fetch(tmp_path, "http://127.0.0.1:9/")
    assert str(caught.value) == (
        "cannot make a folder for downloads: Not a directory\n"
        f"  --> {tmp_path}/cache/mnist\n"
        "   = help: make it by hand, or give a folder that holds the data with --data-dir"
    )


def test_no_answer_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr("cnnkit.datasets.download._IDLE", 0.1)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/"
        with pytest.raises(DataUnavailable, match=f"tried: {url}{NAME}: no answer in time"):
            fetch(tmp_path, url)


def test_more_than_was_published_is_not_taken(tmp_path, server):
    larger = "what came is not the published file (it is larger)"
    with pytest.raises(DataUnavailable, match=re.escape(larger)):
        fetch(tmp_path, f"{server}/endless/")
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []


@pytest.mark.parametrize("where", ["body", "head"])
def test_a_byte_at_a_time_comes_to_an_end(tmp_path, server, monkeypatch, where):
    monkeypatch.setattr("cnnkit.datasets.download._START", 0.2)
    monkeypatch.setattr("cnnkit.datasets.download._SLOWEST", 1e9)
    started = time.monotonic()
    with pytest.raises(DataUnavailable, match="no answer in time"):
        fetch(tmp_path, f"{server}/slow/{where}/")
    assert time.monotonic() - started < 5


def test_mode_and_leftovers(tmp_path, server):
    folder = tmp_path / "cache" / "mnist"
    folder.mkdir(parents=True)
    for name, age in (("old", 10**6), ("new", 0)):
        left = folder / f"{NAME}.{name}.part"
        left.write_bytes(b"killed")
        os.utime(left, (time.time() - age,) * 2)
    old = os.umask(0o027)
    try:
        path = fetch(tmp_path, f"{server}/good/")
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in folder.iterdir()) == [NAME, f"{NAME}.new.part"]


def test_progress_is_drawn_on_stderr_only(tmp_path, server, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    fetch(tmp_path, f"{server}/wrong/", f"{server}/good/", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert NAME in err
    assert "512.0/512.0 kB" in err


def test_without_progress_nothing_is_drawn(tmp_path, server, capsys):
    fetch(tmp_path, f"{server}/good/")
    assert capsys.readouterr() == ("", "")


def test_a_dataset_downloads_what_is_missing(tmp_path, server, arrays, to_idx, monkeypatch):
    roles = ("train_images", "train_labels", "test_images", "test_labels")
    packed = [gzip.compress(to_idx(arrays[role]), mtime=0) for role in roles]
    names = [file.name for file in Mnist.files]
    remotes = []
    for name, data in zip(names, packed, strict=True):
        (tmp_path / "www" / "good" / name).write_bytes(data)
        remotes.append(Remote(name, len(data), sha256(data).hexdigest()))
    monkeypatch.setattr(Mnist, "files", tuple(remotes))
    monkeypatch.setattr(Mnist, "mirrors", (f"{server}/good/",))
    paths = DataPaths(cache_dir=tmp_path / "cache")
    cached = tmp_path / "cache" / "mnist"
    assert len(Mnist().load(paths).train) == 6
    assert len(Handler.asked) == 4
    assert len(Mnist().load(paths).train) == 6
    assert len(Handler.asked) == 4
    (cached / names[1]).write_bytes(b"torn by a power cut")  # a bad cache mends itself
    assert len(Mnist().load(paths).train) == 6
    assert Handler.asked[4:] == [f"/good/{names[1]}"]


@pytest.mark.reliability
def test_processes_race_for_one_file(tmp_path, server):
    script = (
        "import sys; from pathlib import Path; from cnnkit.base import DataPaths;"
        "from cnnkit.datasets.download import Remote, download;"
        "file = Remote(Path(sys.argv[2]).name, int(sys.argv[4]), sys.argv[3]);"
        "path = download((sys.argv[1],), Path(sys.argv[2]), file, DataPaths());"
        "print(len(path.read_bytes()))"
    )
    target = tmp_path / "cache" / NAME
    command = [sys.executable, "-c", script, f"{server}/good/", str(target), HASH, str(len(BODY))]
    racers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [racer.communicate() for racer in racers] == [(f"{len(BODY)}\n", "")] * 2
    assert [racer.returncode for racer in racers] == [0] * 2
    assert [path.name for path in target.parent.iterdir()] == [NAME]


def test_cache_folder(tmp_path):
    assert cache_folder(DataPaths(cache_dir=tmp_path)) == tmp_path
    assert cache_folder(DataPaths()).name == "cnnkit"
