"""RunDirectory: everything a run leaves behind, as it is written."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from traceback import format_exception
from typing import Any, Literal, Self

from cnnkit.errors import RunError
from cnnkit.files import append_line, make_folder, write_durably
from cnnkit.runs.lock import Lock
from cnnkit.runs.records import to_json
from cnnkit.runs.stored import Kind, StoredRun, checkpoint_path

Status = Literal["running", "done", "failed", "interrupted"]


class RunDirectory:
    """The folder of one run, locked: `with RunDirectory.create(name) as run: ...`.

    Whatever a method writes is durable when it returns; a RunError names the file and the reason
    where it cannot be.
    """

    def __init__(self, path: Path) -> None:
        """Lock `path`, an existing folder without content; most callers want `create`."""
        self.path = path
        self._lock = Lock(path)
        try:
            _refuse_content(path)
            make_folder(path / "checkpoints")
            self.write_status("running", epoch=0)
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, name: str, out: Path | None = None, root: Path = Path("runs")) -> Self:
        """Make and lock a new run directory: `out`, or `root/name/<UTC>-<4 hex>`.

        Raises:
            RunError: where `out` holds files or is in use, or nothing can be written there: a run
                fails before it trains.
        """
        path = _fresh(root, name) if out is None else out
        make_folder(path)
        return cls(path)

    @staticmethod
    def open(path: Path) -> StoredRun:
        """Return an existing run, for reading.

        Raises:
            RunError: naming what is missing.
        """
        return StoredRun(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Say how the run ended, where that was before its first epoch, and release the lock."""
        try:
            if error is not None:
                self.write_end(error, epoch=0)
        finally:
            self.close()

    def close(self) -> None:
        """Release the lock; a second call does nothing."""
        self._lock.release()

    def write_spec(self, spec: bytes) -> None:
        """Keep the spec's bytes as given."""
        write_durably(self.path / "spec.toml", spec)

    def write_resolved(self, text: str) -> None:
        """Keep the spec with every default filled in."""
        write_durably(self.path / "resolved.toml", text.encode())

    def write_environment(self, facts: dict[str, Any]) -> None:
        """Keep what `environment` found."""
        self._write_json("env.json", facts)

    def write_status(self, status: Status, **facts: Any) -> None:
        """Say how the run stands, with facts such as `epoch` and `message`."""
        self._write_json("status.json", {"status": status, **facts})

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Keep the closing figures."""
        self._write_json("summary.json", summary)

    def append_epoch(self, record: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        append_line(self.path / "metrics.jsonl", to_json(record))

    def log(self, line: str) -> None:
        """Add a line to log.txt."""
        append_line(self.path / "log.txt", line)

    def write_end(self, error: BaseException, epoch: int) -> dict[str, Any]:
        """Say what ended the run after `epoch` whole epochs; log.txt gets the traceback, which
        Ctrl-C and SIGTERM do not need.

        Returns:
            The status, the epochs and the message.
        """
        status: Status = "failed" if isinstance(error, Exception) else "interrupted"
        message = str(error) or type(error).__name__
        self.write_status(status, epoch=epoch, message=message)
        if isinstance(error, Exception):
            self.log("".join(format_exception(error)).rstrip())
        return {"status": status, "epochs": epoch, "message": message}

    def checkpoint(self, kind: Kind) -> Path:
        """Return where to save a checkpoint."""
        return checkpoint_path(self.path, kind)

    def _write_json(self, name: str, facts: dict[str, Any]) -> None:
        text = to_json(facts, indent=2) + "\n"
        write_durably(self.path / name, text.encode(errors="backslashreplace"))


def _fresh(root: Path, name: str) -> Path:
    if name in ("", ".", "..") or any(character in name for character in "/\\\0"):
        raise RunError(
            f"run name {name!r} cannot name a folder under {root}; "
            "expected a name without slashes, such as 'simple'"
        )
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return root / name / f"{now}-{secrets.token_hex(2)}"


def _refuse_content(path: Path) -> None:
    try:
        content = sorted(entry.name for entry in path.iterdir() if entry.name != ".lock")
    except OSError as error:
        raise RunError(f"cannot look into {path}: {error.strerror}") from error
    if content:
        more = ", ..." if len(content) > 1 else ""
        raise RunError(
            f"run directory {path} already holds {content[0]}{more}; nothing is overwritten: "
            "choose another --out, or remove the folder first"
        )
