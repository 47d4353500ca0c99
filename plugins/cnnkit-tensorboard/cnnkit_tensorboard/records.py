"""TFRecord: how records follow one another in a file, each with checksums.

Source: tensorflow.org/tutorials/load_data/tfrecord ("TFRecords format details"); RFC 3720,
appendix B.4, for CRC-32C.
"""

from __future__ import annotations

from struct import pack


def framed(record: bytes) -> bytes:
    """Return the record with its length before it, and a checksum after either."""
    length = pack("<Q", len(record))
    return length + _checksum(length) + record + _checksum(record)


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli): zlib has another polynomial."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _checksum(data: bytes) -> bytes:
    """Return the CRC as TFRecord masks it: data may hold CRCs itself."""
    crc = crc32c(data)
    return pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0x82F63B78 * (byte & 1)
    return byte


_TABLE = tuple(map(_entry, range(256)))
