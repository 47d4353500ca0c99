"""Tensors on disk: one safetensors file, with facts about them and a digest over both."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from cnnkit.arrays import Array
from cnnkit.errors import RunError
from cnnkit.files.durable import read_bytes, write_durably

_FORMAT = "1"
_DTYPES = frozenset(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"])


def digest(tensors: dict[str, Array]) -> str:
    """Return the sha256, in hex, over (name, dtype, shape, bytes) sorted by name.

    Memory order and byte order of an array do not matter; its values, to the bit, do.
    """
    sha = hashlib.sha256()
    for name in sorted(tensors):
        array = _portable(tensors[name])
        sha.update(json.dumps([name, array.dtype.str, array.shape]).encode() + b"\n")
        sha.update(array.data)
    return sha.hexdigest()


def save_tensors(path: Path, tensors: dict[str, Array], meta: dict[str, Any]) -> None:
    """Write arrays and JSON facts as one safetensors file, durably and with a digest.

    Args:
        tensors: real numbers or booleans, in any memory order and byte order.
        meta: anything `json.dumps` takes.

    Raises:
        RunError: where an array cannot be stored, or the file cannot be written.
    """
    for name, array in tensors.items():
        if array.dtype.str[1:] not in _DTYPES or name == "__metadata__":
            raise RunError(f"cannot save tensor {name!r} of dtype {array.dtype} to {path}")
    text = json.dumps([list(tensors), meta])  # the names, since safetensors forgets their order
    facts = {"cnnkit_format": _FORMAT, "cnnkit_meta": text, "sha256": _seal(tensors, text)}
    # safetensors 0.8 writes the raw buffer of strided arrays: hand it plain ones only
    data = safetensors.save({name: _portable(a) for name, a in tensors.items()}, facts)
    _parse(path, data)  # never replace a good file by one that could not be loaded
    write_durably(path, data)


def load_tensors(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what `save_tensors` wrote: the arrays (writable, C-contiguous) and the JSON facts.

    Raises:
        RunError: where the file cannot be read, is damaged, or is not one of cnnkit's.
    """
    return _parse(path, read_bytes(path))


def _parse(path: Path, data: bytes) -> tuple[dict[str, Array], dict[str, Any]]:
    try:
        return _unpack(data)
    except (SafetensorError, ValueError, RecursionError, KeyError) as error:
        reason = f"NumPy has no dtype {error}" if isinstance(error, KeyError) else str(error)[:200]
        what = f"damaged, or not saved by cnnkit ({len(data)} bytes)"
        raise RunError(f"cannot use {path}: {what}: {reason}; use another checkpoint") from error


def _unpack(data: bytes) -> tuple[dict[str, Array], dict[str, Any]]:
    tensors = safetensors.load(data)  # holds the sizes in the header against the real bytes
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    facts = header.get("__metadata__") or {}
    if (found := facts.get("cnnkit_format")) != _FORMAT:
        raise ValueError(f"expected file format {_FORMAT!r}, found {found!r}")
    text, stated = facts.get("cnnkit_meta", ""), facts.get("sha256", "none")
    if (real := _seal(tensors, text)) != stated:
        raise ValueError(f"expected sha256 {stated[:12]}, found {real[:12]}")
    match json.loads(text):
        case [list(names), dict(meta)] if sorted(map(str, names)) == sorted(tensors):
            return {str(name): tensors[str(name)] for name in names}, meta
    raise ValueError(f"expected names and facts, found {text[:40]!r}")


def _seal(tensors: dict[str, Array], text: str) -> str:
    return hashlib.sha256(f"{digest(tensors)}\n{text}".encode()).hexdigest()


def _portable(array: Array) -> Array:
    """Return `array` as C-contiguous and little-endian; a copy only where it is not."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
