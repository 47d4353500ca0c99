"""StoredRun: an existing run directory, for reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from cnnkit.errors import RunError
from cnnkit.files import read_bytes
from cnnkit.runs.records import read_json, read_json_lines

Kind = Literal["last", "best"]


class StoredRun:
    """What a run left behind. Get one from `RunDirectory.open`."""

    def __init__(self, path: Path) -> None:
        """Read the spec of the run in `path`, as given and as resolved.

        Raises:
            RunError: naming what is missing.
        """
        self.path = path
        self.spec_text = self._text("spec.toml")
        self.resolved = self._text("resolved.toml")

    def summary(self) -> dict[str, Any]:
        """Return the closing figures; RunError where the run did not finish."""
        return read_json(self.path / "summary.json")

    def status(self) -> dict[str, Any]:
        """Return how the run stood when it was last heard of."""
        return read_json(self.path / "status.json")

    def environment(self) -> dict[str, Any]:
        """Return what the run was made with."""
        return read_json(self.path / "env.json")

    def epochs(self) -> list[dict[str, Any]]:
        """Return the records of the finished epochs, first to last."""
        path = self.path / "metrics.jsonl"
        return read_json_lines(path) if path.exists() else []

    def checkpoint(self, kind: Kind) -> Path:
        """Return the checkpoint's path.

        Raises:
            RunError: where there is none.
        """
        path = checkpoint_path(self.path, kind)
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


def checkpoint_path(run: Path, kind: Kind) -> Path:
    """Return where the run directory `run` keeps a checkpoint."""
    return run / "checkpoints" / f"{kind}.safetensors"
