"""TensorBoard's events as protocol buffers, of which scalars need four kinds of field.

A field is its key (number * 8 + wire type) and its value; all numbers here are below 16, so a key
is one byte. Wire types: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.

Source: protobuf.dev/programming-guides/encoding; event.proto and summary.proto of TensorBoard.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import pack


def version(wall_time: float) -> bytes:
    """Return the event that a file has to begin with; `wall_time` in seconds since 1970."""
    return _double(1, wall_time) + _bytes(3, b"brain.Event:2")


def scalars(wall_time: float, step: int, values: Mapping[str, float]) -> bytes:
    """Return an event with a summary of `{tag: value}`; values are kept as float32."""
    summary = b"".join(
        _bytes(1, _bytes(1, tag.encode()) + _float(2, value)) for tag, value in values.items()
    )
    return _double(1, wall_time) + _integer(2, step) + _bytes(5, summary)


def _double(field: int, value: float) -> bytes:
    return pack("<Bd", field << 3 | 1, value)


def _float(field: int, value: float) -> bytes:
    return pack("<Bf", field << 3 | 5, value)


def _integer(field: int, value: int) -> bytes:
    return bytes([field << 3]) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Return seven bits a byte, the lowest first; the top bit says that more follow."""
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])
