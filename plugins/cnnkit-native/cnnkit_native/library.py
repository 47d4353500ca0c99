"""The compiled library: found beside this file, called through ctypes.

A call takes 0.2 us when its one argument is a block of numbers, and one library serves every
Python; that is why there is no extension module here.
"""

from __future__ import annotations

import ctypes
import struct
import sys
import weakref
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]

SPACES = 5
"""Arena, x, y, dy, dx: where the values of a program lie."""


class NativeError(RuntimeError):
    """What the library refused to do; a fault of whoever wrote the program, not of its user."""


def _open() -> ctypes.CDLL:
    name = "libcnnkit_native.dll" if sys.platform == "win32" else "libcnnkit_native.so"
    import cnnkit_native  # in an editable installation its path has two places

    places = [Path(place) / name for place in cnnkit_native.__path__]
    lib = ctypes.CDLL(str(next(filter(Path.exists, places), places[0])))
    address, count, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
    lib.cnnkit_variant.restype = lib.cnnkit_reason.restype = ctypes.c_char_p
    lib.cnnkit_choose.argtypes, lib.cnnkit_run.argtypes = [ctypes.c_char_p], [address]
    lib.cnnkit_load.argtypes, lib.cnnkit_load.restype = [ctypes.c_char_p, count], address
    lib.cnnkit_free.argtypes, lib.cnnkit_free.restype = [address], None
    lib.cnnkit_cross_entropy.argtypes = [count, count, address, address, real, address, address]
    lib.cnnkit_sgd.argtypes = [count, count, *[address] * 3, *[real] * 3, ctypes.c_int]
    lib.cnnkit_adam.argtypes = [count, count, *[address] * 4, *[real] * 5]
    lib.cnnkit_moments.argtypes = [*[count] * 3, *[address] * 3]
    normed: list[Any] = [*[count] * 3, *[address] * 4, ctypes.c_int, real]
    lib.cnnkit_normalise.argtypes = [*normed, address]
    lib.cnnkit_normal_sums.argtypes = [*normed, *[address] * 3]
    lib.cnnkit_normal_back.argtypes = [*normed, *[address] * 4]
    for name in ("moments", "normalise", "normal_sums", "normal_back"):
        getattr(lib, f"cnnkit_{name}").restype = None
    lib.cnnkit_sgd.restype = lib.cnnkit_adam.restype = None
    return lib


LIB = _open()


def variant() -> str:
    """Return the instruction set whose kernels run: the best that this processor has."""
    return str(LIB.cnnkit_variant().decode())


def choose(name: str) -> bool:
    """Take the kernels of another instruction set, in tests; False where there are none."""
    return bool(LIB.cnnkit_choose(name.encode()))


def address(numbers: Array) -> int:
    """Return where a contiguous array's numbers lie; `numbers.ctypes` takes three times as long."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(numbers.data))
    except (TypeError, ValueError):  # read-only, or empty
        return numbers.ctypes.data


class Program:
    """A program that the library has looked at and taken; it lives as long as this object.

    Args:
        numbers: the program, as `cnnkit_native.plan` writes it.

    Raises:
        NativeError: where it reaches outside its memory, or is none at all.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        block = struct.pack(f"{len(numbers)}q", *numbers)
        handle = LIB.cnnkit_load(block, len(numbers))
        if not handle:
            raise NativeError(f"a program was refused: {_reason()}")
        self.handle = int(handle)
        self._free = weakref.finalize(self, LIB.cnnkit_free, self.handle)

    def call(self, back: bool, images: int, spans: Sequence[int]) -> Call:
        """Return a call of the program on `images`, to be run when its memory is ready.

        Args:
            back: run the backward half.
            spans: address and size of the five spaces, of each weight, and going back of each
                gradient.
        """
        return Call(self, [4 + len(spans), self.handle, back, images, *spans])


class Call:
    """A block of numbers that says all of one run; made once, as each number costs Python time."""

    def __init__(self, program: Program, numbers: list[int]) -> None:
        self._program = program  # which lives as long as somebody may run it
        self._numbers = array("q", numbers)
        self._address = self._numbers.buffer_info()[0]

    def place(self, space: int, address: int, size: int) -> None:
        """Put another array in a space."""
        self._numbers[4 + 2 * space] = address
        self._numbers[5 + 2 * space] = size

    def run(self) -> None:
        """Run it; other threads run meanwhile.

        Raises:
            NativeError: where a size does not fit.
        """
        if LIB.cnnkit_run(self._address):
            raise NativeError(f"a program was not run: {_reason()}")


def _reason() -> str:
    return str(LIB.cnnkit_reason().decode())
