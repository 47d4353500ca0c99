"""The padding option: how it is written, and the amounts it stands for."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from cnnkit.arrays import Shape
from cnnkit.base.component import Option
from cnnkit.kernels.conv import same_padding

Sides = tuple[tuple[int, int], tuple[int, int]]


def _normalise(value: Any) -> Any:
    """Bring an amount, [h, w] or [[top, bottom], [left, right]] to the last form."""
    if value in ("same", "valid"):
        return value
    axes = value if isinstance(value, list | tuple) else (value, value)
    sides = tuple(tuple(a) if isinstance(a, list | tuple) else (a, a) for a in axes)
    amounts = [n for axis in sides for n in axis]
    is_legal = all(type(n) is int and 0 <= n <= 2**31 for n in amounts)
    if len(sides) != 2 or len(amounts) != 4 or not is_legal:
        raise PydanticCustomError(
            "padding",
            'expected "same", "valid", a whole number >= 0, [h, w] '
            "or [[top, bottom], [left, right]]",
        )
    return sides


_AMOUNT = {"type": "integer", "minimum": 0}
_TWO = {"type": "array", "items": _AMOUNT, "minItems": 2, "maxItems": 2}
_WORD = {"enum": ["same", "valid"]}
_SCHEMA = {"anyOf": [_WORD, _AMOUNT, _TWO, {**_TWO, "items": _TWO}]}
_Words = Literal["same", "valid"]
Padding = Option[
    _Words | int | Sequence[int] | Sequence[Sequence[int]],
    Annotated[_Words | Sides, BeforeValidator(_normalise), WithJsonSchema(_SCHEMA)],
]
"""Zeros around a map: "same", "valid", or amounts."""


@lru_cache(maxsize=1024)  # asked for in every forward pass, where 5 us count
def pads(padding: Any, sides: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Sides:
    """Return ((top, bottom), (left, right)) for a map of (H, W) `sides`."""
    if padding == "valid":
        return ((0, 0), (0, 0))
    if padding == "same":
        rows, columns = zip(sides, kernel, stride, dilation, strict=True)
        return same_padding(*rows), same_padding(*columns)
    amounts: Sides = padding
    return amounts
