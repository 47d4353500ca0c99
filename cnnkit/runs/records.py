"""Records: the JSON that a run directory keeps."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.errors import RunError
from cnnkit.files import read_bytes


def to_json(value: Any, indent: int | None = None) -> str:
    """Return strict JSON: NumPy values as plain ones, NaN and infinities as null.

    >>> to_json({"loss": np.float32(0.5), "accuracy": float("nan")})
    '{"loss": 0.5, "accuracy": null}'
    """
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        RunError: where it cannot be read or is damaged.
    """
    return _object(read_bytes(path), str(path))


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line.

    A last line without its newline was cut off while being written: it never counted.

    Raises:
        RunError: where it cannot be read, or a line is damaged.
    """
    lines = read_bytes(path).split(b"\n")[:-1]
    return [_object(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]


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
