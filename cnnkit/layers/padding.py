"""The padding option: how it is written, and the amounts it stands for."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from cnnkit.kernels.conv import same_padding

Sides = tuple[tuple[int, int], tuple[int, int]]


def _normalise(value: Any) -> Any:
    """Bring an amount, [h, w] or [[top, bottom], [left, right]] to the last form."""
    if value in ("same", "valid"):
        return value
    axes = value if isinstance(value, list | tuple) else (value, value)
    sides = tuple(tuple(a) if isinstance(a, list | tuple) else (a, a) for a in axes)
    amounts = [n for axis in sides for n in axis]
    if [len(sides), len(amounts)] != [2, 4] or not all(map(_is_amount, amounts)):
        raise PydanticCustomError(
            "padding",
            'expected "same", "valid", a whole number >= 0, [h, w] '
            "or [[top, bottom], [left, right]]",
        )
    return sides


def _is_amount(n: Any) -> bool:
    return type(n) is int and 0 <= n <= 2**31


_AMOUNT = {"type": "integer", "minimum": 0}
_TWO = {"type": "array", "items": _AMOUNT, "minItems": 2, "maxItems": 2}
Padding = Annotated[
    Any,
    BeforeValidator(_normalise),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["same", "valid"]},
                _AMOUNT,
                _TWO,
                {"type": "array", "items": _TWO, "minItems": 2, "maxItems": 2},
            ]
        }
    ),
]
"""Zeros around a map: "same", "valid", or amounts."""


@lru_cache(maxsize=1024)  # asked for in every forward pass, where 5 us count
def pads(
    padding: Any,
    sides: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> Sides:
    """Return ((top, bottom), (left, right)) for a map of (H, W) `sides`."""
    if padding == "valid":
        return ((0, 0), (0, 0))
    if padding == "same":
        rows, columns = zip(sides, kernel, stride, dilation, strict=True)
        return same_padding(*rows), same_padding(*columns)
    amounts: Sides = padding
    return amounts
