"""RunDirectory: everything a run leaves behind, as it is written and as it is read."""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from traceback import format_exception
from typing import Any, Literal, Self

import numpy as np
import tomli

from cnnkit.errors import RunError
from cnnkit.files.durable import append_line, make_folder, read_bytes, write_durably
from cnnkit.hookspecs import FAMILIES
from cnnkit.registry import Registry
from cnnkit.runs.kept import need_plugin_files
from cnnkit.runs.lock import Lock
from cnnkit.signals import signals_wait
from cnnkit.specfile.load import load_spec
from cnnkit.specfile.overrides import apply_overrides
from cnnkit.specfile.runspec import RunSpec


def to_json(value: Any, indent: int | None = None) -> str:
    """Return strict JSON: NumPy values as plain ones, NaN and infinities as null.

    >>> to_json({"loss": np.float32(0.5), "accuracy": float("nan")})
    '{"loss": 0.5, "accuracy": null}'
    """
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _object(data: bytes, place: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{place} is damaged: expected a JSON object: {error}") from error
    if not isinstance(value, dict):
        raise RunError(f"{place} is damaged: expected a JSON object, found {str(value)[:40]!r}")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


Kind = Literal["last", "before", "best"]
"""Of a checkpoint: the newest, the one before it, and the best by the figures."""
Status = Literal["running", "done", "failed", "interrupted"]
KILLED = "it ended without a word: killed, or the machine went down"


class StoredRun:
    """What a run left behind."""

    def __init__(self, path: Path) -> None:
        """Read the spec of the run in `path`, as given and as resolved.

        Raises:
            RunError: naming what is missing.
        """
        self.path = path
        self.spec_text = self._text("spec.toml")
        self.resolved = self._text("resolved.toml")

    @signals_wait()
    def spec(self, registry: Registry, set: Sequence[str] = ()) -> RunSpec:
        """Return the spec that the run was made with, every default as it was then, less observers,
        and a backend that is not installed: neither is needed where the run is looked at.

        It is not judged against its data again: files of that name may be others by now.

        Args:
            set: values laid over it; paths in them start from the working directory.

        Raises:
            SpecError: where it cannot be read any more, for want of a plugin for instance.
        """
        try:
            unwatched = tomli.loads(self.resolved) | {"observers": []}
            unwatched["train"].pop("callbacks", None)
            used = unwatched["train"].get("backend", {"type": "numpy"})
            if not registry.claims("backends", used["type"]):
                del unwatched["train"]["backend"]
            if not apply_overrides(unwatched, set, registry)[1]:
                return RunSpec.model_validate(unwatched, context={"registry": registry})
        except (ValueError, LookupError, TypeError, AttributeError):  # a file that was edited
            pass
        self.need_plugin_files(registry, FAMILIES.keys() - {"observers", "callbacks", "backends"})
        return load_spec(self.path / "resolved.toml", set, registry=registry)  # says what is wrong

    def facts(self, name: str) -> dict[str, Any]:
        """Return what summary.json, status.json or env.json holds. A run that says "running", but
        that no process holds, was killed: it reads as interrupted.

        Raises:
            RunError: where it is damaged or missing, as the summary of an unfinished run.
        """
        facts = _object(read_bytes(self.path / name), str(self.path / name))
        if facts.get("status") == "running" and not Lock.is_held(self.path):
            return facts | {"status": "interrupted", "message": KILLED}
        return facts

    def need_plugin_files(
        self, registry: Registry, families: Collection[str] = FAMILIES.keys()
    ) -> None:
        """See whether the plugin files that types of the run came from have been named again.

        Raises:
            PluginError: with their sha256, and where the run keeps them.
        """
        with suppress(RunError):  # where nothing is on record, the spec says what is missing
            need_plugin_files(self.path, self.facts("env.json"), registry, families)

    def unfinished(self) -> str:
        """Return a note on how the run stands, where it is not done."""
        if not (self.path / "status.json").exists():
            return ""
        status = {"epoch": "?", "message": "it is under way"} | self.facts("status.json")
        if status.get("status") == "done":
            return ""
        from cnnkit.runs.checkpoint import position_in  # which may be within an epoch

        at = position_in(_checkpoint(self.path, "last"))
        after = at if at.step else f"epoch {status['epoch']}"
        why = str(status["message"]).partition("\n")[0]
        return f"note: {self.path} is no finished run: {status.get('status')} after {after}: {why}"

    def epochs(self) -> list[dict[str, Any]]:
        """Return the records of the finished epochs, first to last.

        A last line without its newline was cut off while being written: it never counted.
        """
        return self._lines("metrics.jsonl")

    def vitals(self) -> list[dict[str, Any]]:
        """Return what training looked like from within, first look to last; of epochs that were
        done twice, as after a resume, the second time counts."""
        found: dict[int, dict[str, Any]] = {}
        for number, look in enumerate(self._lines("vitals.jsonl"), start=1):
            epoch, parts = look.get("epoch"), (look.get("weights"), look.get("activations"))
            if not isinstance(epoch, int) or not all(isinstance(part, dict) for part in parts):
                what = "is damaged: expected an epoch, weights and activations"
                raise RunError(f"{self.path}/vitals.jsonl:{number} {what}")
            found[epoch] = look
        return [found[epoch] for epoch in sorted(found)]

    def _lines(self, name: str) -> list[dict[str, Any]]:
        path = self.path / name
        lines = read_bytes(path).split(b"\n")[:-1] if path.exists() else []
        return [_object(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]

    def checkpoint(self, kind: Kind) -> Path:
        """Return the checkpoint's path.

        Raises:
            RunError: where there is none.
        """
        path = _checkpoint(self.path, kind)
        if not path.is_file():
            raise RunError(
                f"run {self.path} has no {kind} checkpoint: expected {path}; "
                "a run saves its first one after its first epoch"
            )
        return path

    def _text(self, name: str) -> str:
        try:
            return read_bytes(self.path / name).decode()
        except (RunError, UnicodeDecodeError) as error:
            raise RunError(
                f"{self.path} is not a run directory: {error}; "
                "expected a folder made by `cnnkit run`"
            ) from error


def find_run(path: Path) -> StoredRun:
    """Open a run.

    Raises:
        RunError: naming what is missing, or the newest run in a folder above runs: runs/NAME.
    """
    is_run = (path / "spec.toml").exists()
    specs = [] if is_run else [*path.glob("*/spec.toml"), *path.glob("*/*/spec.toml")]
    if specs:
        newest = max(specs, key=lambda spec: spec.stat().st_mtime).parent
        raise RunError(f"{path} is no run but a folder of runs; the newest one is {newest}")
    return StoredRun(path)


def _checkpoint(run: Path, kind: Kind) -> Path:
    return run / "checkpoints" / f"{kind}.safetensors"


@contextmanager
def told_first(error: BaseException | None) -> Iterator[None]:
    """Let `error` be the one that is told: what cannot be written after it is a note on it."""
    try:
        yield
    except (RunError, OSError) as later:
        if error is None:
            raise
        error.add_note(f"   = note: {later}")


def new_folder(name: str, root: Path = Path("runs")) -> Path:
    """Return a new folder's path: `root/name/<UTC>-<4 hex>`.

    Raises:
        RunError: where the name cannot name a folder.
    """
    if name in ("", ".", "..") or any(character in name for character in "/\\\0"):
        raise RunError(
            f"run name {name!r} cannot name a folder under {root}; "
            "expected a name without slashes, such as 'simple'"
        )
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return root / name / f"{now}-{secrets.token_hex(2)}"


class RunDirectory:
    """The folder of one run, locked: `with RunDirectory.create(name) as run: ...`.

    Whatever a method writes is durable when it returns; a RunError names the file and the reason
    where it cannot be.
    """

    def __init__(self, path: Path, is_new: bool = True) -> None:
        """Lock `path`, an existing folder; most callers want `create` or `reopen`.

        Args:
            is_new: it must be without content then.
        """
        self.path, self._is_new = path, is_new
        self._lock = Lock(path)
        try:
            if is_new:
                self._refuse_content()
                make_folder(path / "checkpoints")
                self.write_status("running", epoch=0)
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def reopen(cls, run: StoredRun) -> Self:
        """Lock the directory of a run that is to go on; nothing in it is changed yet.

        Raises:
            RunError: where another process is at work there.
        """
        return cls(run.path, is_new=False)

    @classmethod
    def create(cls, name: str, out: Path | None = None, root: Path = Path("runs")) -> Self:
        """Make and lock a new run directory: `out`, or `root/name/<UTC>-<4 hex>`.

        Raises:
            RunError: where `out` holds files or is in use, or nothing can be written there: a run
                fails before it trains.
        """
        out = out or new_folder(name, root)
        make_folder(out)
        return cls(out)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Say how the run ended, where that was before its first epoch, and release the lock."""
        if error is not None and self._is_new:  # an older run stands as it stood
            self.write_end(error, epoch=0)
        with told_first(error):
            self._lock.release()

    def write(self, name: str, content: bytes | str | dict[str, Any]) -> None:
        """Keep a file of the run: bytes as they are, or text, or facts as JSON."""
        if isinstance(content, dict):
            content = to_json(content, indent=2) + "\n"
        if isinstance(content, str):
            content = content.encode(errors="backslashreplace")
        write_durably(self.path / name, content)

    def write_status(self, status: Status, **facts: Any) -> None:
        """Say how the run stands, with facts such as `epoch` and `message`."""
        self.write("status.json", {"status": status, **facts})

    def append_epoch(self, record: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        append_line(self.path / "metrics.jsonl", to_json(record))

    def rewrite_epochs(self, records: Sequence[dict[str, Any]]) -> None:
        """Put these lines into metrics.jsonl in place of all that are there."""
        self.write("metrics.jsonl", "".join(f"{to_json(record)}\n" for record in records))

    def log(self, line: str) -> None:
        """Add a line to log.txt."""
        append_line(self.path / "log.txt", line)

    def write_end(self, error: BaseException, epoch: int) -> dict[str, Any]:
        """Say what ended the run after `epoch` whole epochs; log.txt gets the traceback, which
        Ctrl-C and SIGTERM do not need. Where that cannot be written, `error` gets a note.

        Returns:
            The status, the epochs and the message.
        """
        status: Status = "failed" if isinstance(error, Exception) else "interrupted"
        is_typed = isinstance(error, KeyboardInterrupt)
        message = str(error) or ("Ctrl-C" if is_typed else type(error).__name__)
        with told_first(error):
            self.write_status(status, epoch=epoch, message=message)
            if isinstance(error, Exception):
                self.log("".join(format_exception(error)).rstrip())
        return {"status": status, "epochs": epoch, "message": message}

    def checkpoint(self, kind: Kind) -> Path:
        """Return where to save a checkpoint."""
        return _checkpoint(self.path, kind)

    def keep_before(self) -> None:
        """Keep the newest checkpoint as the one before; it stays the newest, too, until another
        takes its place."""
        if self.checkpoint("last").exists():
            self._keep_as(self.checkpoint("before"))

    def keep_epoch(self, epoch: int, most: int) -> None:
        """Keep the newest checkpoint as that of an epoch, and of earlier ones the last `most`, this
        one counted."""
        for path in self.path.glob("checkpoints/epoch-*.safetensors"):
            number = path.stem.removeprefix("epoch-")
            if number.isdecimal() and int(number) <= epoch - most:
                with suppress(OSError):  # one too many does no harm
                    path.unlink()
        self._keep_as(self.path / "checkpoints" / f"epoch-{epoch:04d}.safetensors")

    def _keep_as(self, path: Path) -> None:
        last, temp = self.checkpoint("last"), path.with_name(f".{secrets.token_hex(4)}.tmp")
        try:
            os.link(last, temp)
            temp.replace(path)
        except OSError:  # a file system without links
            write_durably(path, read_bytes(last))

    def _refuse_content(self) -> None:
        try:
            content = sorted(entry.name for entry in self.path.iterdir() if entry.name != ".lock")
        except OSError as error:
            raise RunError(f"cannot look into {self.path}: {error.strerror}") from error
        if content:
            more = ", ..." if len(content) > 1 else ""
            begun = "summary.json" not in content and self.checkpoint("last").is_file()
            way = "or go on with the run there: --resume" if begun else "or remove the folder first"
            raise RunError(
                f"run directory {self.path} already holds {content[0]}{more}; nothing is "
                f"overwritten: choose another --out, {way}"
            )
