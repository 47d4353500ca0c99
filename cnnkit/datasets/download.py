"""Download one file into the cache, from the first mirror that has it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from shutil import copyfile
from typing import Any, Self
from urllib.parse import urlsplit

from cnnkit.base import DataPaths
from cnnkit.datasets.files import problem
from cnnkit.errors import DataUnavailable

# Most runs download nothing: what only a download needs is imported when there is one.

_CHUNK = 1 << 16
_TIMEOUT = (10, 30)  # seconds to connect, and to wait for the next bytes


def cache_folder(paths: DataPaths) -> Path:
    """Return the folder of downloads: the one asked for, or the user's cache."""
    if paths.cache_dir is not None:
        return paths.cache_dir
    import pooch  # type: ignore[import-untyped]

    return Path(pooch.os_cache("cnnkit"))


def download(mirrors: tuple[str, ...], target: Path, sha256: str, paths: DataPaths) -> Path:
    """Return `target` once it holds the file of that hash; the next mirror follows a failure.

    Bytes go to a file of their own in the same folder and move to `target` in one step when
    their hash is right, so two processes may download at once, and nobody sees half a file.

    Raises:
        DataUnavailable: listing each address and why it failed, and how to get the file by hand.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"cannot make a folder for downloads: {error.strerror}"
        help = "make it by hand, or give a folder that holds the data with --data-dir"
        raise problem(target.parent, what, help=help, kind=DataUnavailable) from error
    failures: dict[str, str] = {}
    for mirror in mirrors:
        url = mirror + target.name
        paths.say(f"downloading {url}")
        try:
            return _retrieve(url, target, sha256, paths.progress)
        except (OSError, ValueError) as error:  # what requests raises is an OSError
            failures[url] = _reason(error)
    raise _unavailable(target, sha256, failures)


def _unavailable(target: Path, sha256: str, failures: dict[str, str]) -> DataUnavailable:
    lines = [
        f"cannot download {target.name}: {', '.join(dict.fromkeys(failures.values()))}",
        f"  --> {target}",
        *(f"   = tried: {url}: {why}" for url, why in failures.items()),
        f"   = expected: sha256 {sha256}",
        f"   = help: get {target.name} by hand from one of these addresses and put it into "
        f"{target.parent}, or into a folder named with --data-dir or CNNKIT_DATA_DIR",
    ]
    return DataUnavailable("\n".join(lines))


def _retrieve(url: str, target: Path, sha256: str, progress: bool) -> Path:
    import pooch

    pooch.get_logger().setLevel("WARNING")  # `say` has told the news already
    with ExitStack() as stack:
        downloader: Any = _copy
        if urlsplit(url).scheme != "file":
            bar = stack.enter_context(Bar(target.name)) if progress else False
            downloader = pooch.HTTPDownloader(bar, chunk_size=_CHUNK, timeout=_TIMEOUT)
        known = f"sha256:{sha256}"
        return Path(pooch.retrieve(url, known, target.name, target.parent, downloader=downloader))


def _copy(url: str, output: str, _: object) -> None:
    from urllib.request import url2pathname

    copyfile(url2pathname(urlsplit(url).path), output)


def _reason(error: Exception) -> str:
    """Return why a download failed, in a few words."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, ValueError) and "hash of downloaded file" in str(error):
        return "what came is not the published file (its sha256 differs)"
    return f"{type(error).__name__}: {error}"


class Bar:
    """What pooch asks of a progress bar (`total`, update, reset, close), drawn on stderr."""

    def __init__(self, label: str) -> None:
        from rich import progress
        from rich.console import Console

        parts = (progress.BarColumn(), progress.DownloadColumn(), progress.TransferSpeedColumn())
        columns = (progress.TextColumn(label), *parts)
        self._progress = progress.Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(label, total=None)
        self.total = 0
        """Bytes that will come, set by pooch; 0 where the server does not say."""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def update(self, amount: int) -> None:
        """Count `amount` more bytes."""
        self._progress.update(self._task, total=self.total or None, advance=amount)

    def reset(self) -> None:
        """Start counting again."""
        self._progress.reset(self._task)

    def close(self) -> None:
        """Do nothing: the bar goes when its block ends, failed downloads included."""
