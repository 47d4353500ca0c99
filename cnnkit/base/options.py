"""Option types shared by components."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

_LARGEST = 2**31
_SIDE = {"type": "integer", "minimum": 1, "maximum": _LARGEST}


def _pair(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


Positive = Annotated[int, Field(gt=0, le=_LARGEST)]
"""A whole number from 1 to 2**31."""

Pair = Annotated[
    tuple[Positive, Positive],
    BeforeValidator(_pair),
    WithJsonSchema(
        {"anyOf": [_SIDE, {"type": "array", "items": _SIDE, "minItems": 2, "maxItems": 2}]}
    ),
]
"""A height and a width: `5` means `[5, 5]`."""

SPEC_PATH = "a path in a spec"
"""Marks options that hold paths, so that a resolved spec can make them absolute."""

PathText = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]+$"), SPEC_PATH]
"""A path, absolute or relative to the spec's folder."""
