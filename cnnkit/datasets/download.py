"""Download one file into the cache, from the first mirror that has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from cnnkit.base import DataPaths
from cnnkit.datasets.files import problem
from cnnkit.errors import DataUnavailable

if TYPE_CHECKING:
    import requests

# Most runs download nothing: what only a download needs is imported when there is one.

_CHUNK = 1 << 16
_IDLE = 30.0  # seconds to wait for the next bytes
_START, _SLOWEST = 60.0, 50_000  # seconds, and bytes a second, that a whole download may take


class Remote(NamedTuple):
    """A published file: name, size in bytes, sha256, and that of what its gzip unpacks to."""

    name: str
    size: int
    sha256: str
    plain: str = ""

    def hash(self, path: Path) -> str:
        """Return the sha256 of the file at `path`, packed or unpacked as its name says."""
        return self.sha256 if path.name == self.name else self.plain


class _OtherError(ValueError):
    """What came is not what was published."""


def cache_folder(paths: DataPaths) -> Path:
    """Return the folder of downloads: the one asked for, or the user's cache."""
    if paths.cache_dir is not None:
        return paths.cache_dir
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("cnnkit"))


def download(mirrors: tuple[str, ...], target: Path, file: Remote, paths: DataPaths) -> Path:
    """Return `target` once it holds the published file; the next mirror follows a failure.

    Bytes go to a file of their own in the same folder and move to `target` in one step when
    their hash is right, so two processes may download at once, and nobody sees half a file. No
    more bytes are taken than are published, and no longer than a slow line needs.

    Raises:
        DataUnavailable: listing each address and why it failed, and how to get the file by hand.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"cannot make a folder for downloads: {error.strerror}"
        help = "make it by hand, or give a folder that holds the data with --data-dir"
        raise problem(target.parent, what, help=help, kind=DataUnavailable) from error
    from urllib3.exceptions import HTTPError

    failures: dict[str, str] = {}
    for mirror in mirrors:
        url = mirror + file.name
        paths.say(f"downloading {url}")
        try:
            with _part(target, file) as part, part.open("xb") as stream:
                _fetch(url, file, stream, paths.progress)
            return target
        except (OSError, ValueError, HTTPError) as error:  # what requests raises is an OSError
            failures[url] = _reason(error, file)
    raise _unavailable(target, file, failures)


def _unavailable(target: Path, file: Remote, failures: dict[str, str]) -> DataUnavailable:
    lines = [
        f"cannot download {file.name}: {', '.join(dict.fromkeys(failures.values()))}",
        f"  --> {target}",
        *(f"   = tried: {url}: {why}" for url, why in failures.items()),
        f"   = expected: sha256 {file.sha256}",
        f"   = help: get {file.name} by hand from one of these addresses and put it into "
        f"{target.parent}, or into a folder named with --data-dir or CNNKIT_DATA_DIR",
    ]
    return DataUnavailable("\n".join(lines))


@contextmanager
def _part(target: Path, file: Remote) -> Iterator[Path]:
    """Yield a path beside `target`, and move what it holds there when all went well."""
    from time import time
    from uuid import uuid4

    for old in target.parent.glob(f"{target.name}.*.part"):  # of downloads that were killed
        with suppress(OSError):
            if time() - old.stat().st_mtime > _longest(file):
                old.unlink()
    part = target.with_name(f"{target.name}.{uuid4().hex}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _longest(file: Remote) -> float:
    return _START + file.size / _SLOWEST


def _fetch(url: str, file: Remote, stream: IO[bytes], progress: bool) -> None:
    """Write the bytes at an address to `stream`.

    Raises:
        OSError, ValueError, HTTPError: where they cannot be had, or are not the published ones.
    """
    from time import monotonic

    end, found, done = monotonic() + _longest(file), sha256(), 0
    with _opened(url, _longest(file)) as read, _bar(file, progress) as advance:
        while chunk := read(_CHUNK):
            done += len(chunk)
            if done > file.size:
                raise _OtherError("what came is not the published file (it is larger)")
            if monotonic() > end:
                raise TimeoutError
            found.update(chunk)
            stream.write(chunk)
            advance(len(chunk))
    if found.hexdigest() != file.sha256:
        raise _OtherError("what came is not the published file (its sha256 differs)")


@contextmanager
def _opened(url: str, limit: float) -> Iterator[Callable[[int], bytes]]:
    """Yield what reads the next bytes at an address, as many as are there."""
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    import requests

    if urlsplit(url).scheme == "file":
        with Path(url2pathname(urlsplit(url).path)).open("rb") as file:
            yield file.read1
        return
    with _in_time(lambda: requests.get(url, stream=True, timeout=_IDLE), limit) as response:
        response.raise_for_status()
        yield response.raw.read1


def _in_time(ask: Callable[[], requests.Response], limit: float) -> requests.Response:
    """Return what `ask` does; it is left alone where a server drips its headers."""
    from queue import Empty, SimpleQueue
    from threading import Thread

    answer: SimpleQueue[requests.Response | Exception] = SimpleQueue()

    def work() -> None:
        try:
            answer.put(ask())
        except Exception as error:
            answer.put(error)

    Thread(target=work, daemon=True).start()
    try:
        got = answer.get(timeout=limit)
    except Empty:
        raise TimeoutError from None
    if isinstance(got, Exception):
        raise got
    return got


def _reason(error: Exception, file: Remote) -> str:
    """Return why a download failed, in a few words."""
    from errno import EDQUOT, EFBIG, ENOSPC

    import requests
    from urllib3.exceptions import ProtocolError, ReadTimeoutError

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout | TimeoutError | ReadTimeoutError):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, ProtocolError):
        return "the connection broke off"
    if isinstance(error, OSError) and error.errno in (EDQUOT, EFBIG, ENOSPC):
        return f"cannot keep its {file.size} bytes: {error.strerror}"
    return str(error) if isinstance(error, _OtherError) else f"{type(error).__name__}: {error}"


@contextmanager
def _bar(file: Remote, shown: bool) -> Iterator[Callable[[int], object]]:
    """Draw the progress on stderr, where it is to be `shown`; yield what tells it of more bytes."""
    if not shown:
        yield lambda amount: None
        return
    from rich import progress
    from rich.console import Console

    parts = (progress.BarColumn(), progress.DownloadColumn(), progress.TransferSpeedColumn())
    columns = (progress.TextColumn(file.name), *parts)
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task(file.name, total=file.size)
        yield lambda amount: drawn.advance(task, amount)
