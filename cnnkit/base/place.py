"""Where a layer stands, as people count: weight paths count from 0, messages and tables from 1."""

from __future__ import annotations

import re
from collections.abc import Sequence

KeyPath = tuple[str | int, ...]
"""The way to an option in a spec: `("model", "layers", 3, "kernel")`."""
LAYER_NAME = re.compile(r"^[A-Za-z]\w{0,39}$")
"""What a layer may be called: no such name can be taken for a number and a type."""
_STEP = re.compile(r"(\d+)_(.+)")


def place_of(path: str) -> tuple[str, str]:
    """Return the place and the type behind a layer's path in the weights.

    >>> place_of("0_conv"), place_of("3_residual/shortcut/0_conv")
    (('1', 'conv'), ('4.shortcut.1', 'conv'))
    >>> place_of("loss")
    ('loss', '')
    """
    places, kind = [], ""
    for part in path.split("/"):
        step = _STEP.fullmatch(part)
        kind = step[2] if step else ""
        places.append(str(int(step[1]) + 1) if step else part)
    return ".".join(places), kind


def outermost(path: str, names: Sequence[str | None]) -> int:
    """Return the index of the outermost layer on a path, in a chain of layers called `names`.

    >>> outermost("0_conv/W", [None, "stem"]), outermost("stem/0_conv/W", [None, "stem"])
    (0, 1)
    """
    first = path.partition("/")[0]
    return names.index(first) if first in names else int(first.partition("_")[0])


def spoken(path: str) -> str:
    """Return what messages call the layer at this path.

    >>> spoken("0_conv"), spoken("3_residual/0_relu")
    ('layer 1 (conv)', 'layer 4.1 (relu)')
    """
    place, kind = place_of(path)
    return f"layer {place} ({kind})" if kind else f"layer {place}"
