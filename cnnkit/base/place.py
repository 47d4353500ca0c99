"""Where a layer stands, as people count: weight paths count from 0, messages and tables from 1."""

from __future__ import annotations

import re

KeyPath = tuple[str | int, ...]
"""The way to an option in a spec: `("model", "layers", 3, "kernel")`."""
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


def spoken(path: str) -> str:
    """Return what messages call the layer at this path.

    >>> spoken("0_conv"), spoken("3_residual/0_relu")
    ('layer 1 (conv)', 'layer 4.1 (relu)')
    """
    place, kind = place_of(path)
    return f"layer {place} ({kind})" if kind else f"layer {place}"
