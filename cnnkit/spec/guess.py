"""What the author of a wrong value probably meant."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from cnnkit.spec.problems import did_you_mean

_WORD = re.compile(r"""["']([\w-]+)["']""")
_WHOLE = ("int_type", "int_from_float", "tuple_type")  # the last of [height, width]
_SWITCHES = {"true": True, "yes": True, "on": True, 1: True,
             "false": False, "no": False, "off": False, 0: False}  # fmt: skip


def guess(error: Mapping[str, Any], got: Any) -> Any:
    """Return the value that was probably meant, or None.

    >>> guess({"type": "int_type"}, "3"), guess({"type": "greater_than"}, -2)
    (3, 2)
    """
    kind = error["type"]
    if kind == "bool_type" and isinstance(got, str | int):
        return _SWITCHES.get(got.lower() if isinstance(got, str) else got)
    if kind == "literal_error" and isinstance(got, bool):
        return _switched(_WORD.findall(error["ctx"]["expected"]), got)
    if isinstance(got, str):
        return _number(kind, got) if kind in (*_WHOLE, "float_type") else (
            suggested_word(error, got)
        )  # fmt: skip
    if isinstance(got, float) and kind in _WHOLE and got.is_integer():
        return int(got)
    if kind == "list_type" and isinstance(got, dict):
        numbered = got and all(str(key).isdecimal() for key in got)  # by --set metrics.0=accuracy
        return list(got.values()) if numbered else [got]
    is_negative = isinstance(got, int | float) and not isinstance(got, bool) and got < 0
    return -got if is_negative and math.isfinite(got) else None


def _switched(words: list[str], on: bool) -> str | None:
    """Return the word for on or off, where one of them, "none", switches something off."""
    return None if "none" not in words else words[0] if on else "none"


def suggested_word(error: Mapping[str, Any], got: Any) -> str | None:
    """Return the word of those the error lists that `got` resembles."""
    if not isinstance(got, str) or error["type"] == "string_pattern_mismatch":
        return None
    text = error.get("ctx", {}).get("expected") or error["msg"]
    return did_you_mean(got, _WORD.findall(text))


def _number(kind: str, text: str) -> int | float | None:
    if re.fullmatch(r"[+-]?\d{1,15}", text):
        return int(text)
    if kind == "float_type" and re.fullmatch(r"[+-]?\d{1,15}(\.\d{1,15})?(e[+-]?\d{1,2})?", text):
        return float(text)
    return None
