"""The network without its head, for losses that work on the values before it."""

from __future__ import annotations

from cnnkit_bench.case import Case
from cnnkit_bench.errors import CannotExpressError
from cnnkit_bench.network import Op

_FUSED = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}


def split_head(case: Case) -> tuple[tuple[Op, ...], str]:
    """Return (operations before the head, type of the head).

    Raises:
        CannotExpressError: for other losses than cross-entropy behind a softmax and binary
            cross-entropy behind a sigmoid.
    """
    *body, head = case.ops
    if _FUSED.get(case.loss) != head.type:
        raise CannotExpressError(f"loss {case.loss} after {head.type}")
    return tuple(body), head.type
