"""Checks of a layer's initial weights."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, Shape, Weights, flatten
from cnnkit.base import Layer
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import require_same
from cnnkit.testing.components import buffer_names
from cnnkit.testing.failure import require
from cnnkit.testing.probe import Probe


@check
def weights_are_plain(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """init_weights returns finite float arrays under names without a slash."""
    tree = Probe(layer, shape, seed).initial()
    require(
        _names_are_plain(tree),
        "init_weights returns a tree with illegal names",
        expected='names such as "W" and "b"',
        got=str(list(tree)),
        fix='use words without "/", which separates the levels of the tree',
    )
    for path, value in flatten(tree).items():
        ok = isinstance(value, np.ndarray) and value.dtype.kind == "f"
        require(
            ok and bool(np.isfinite(value).all()),
            f"the initial weight {path} is not a finite float array",
            expected="a float array",
            got=f"{value.dtype} array" if isinstance(value, np.ndarray) else repr(value),
            fix="draw it with rng, or wrap it: np.full(shape, 0.25)",
        )


@check
def same_rng_same_weights(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """init_weights draws from its rng alone: equal generators give equal weights."""
    one, two = (flatten(Probe(layer, shape, seed).initial()) for _ in range(2))
    require(
        list(one) == list(two),
        "the same rng gives other weights",
        expected=str(list(one)),
        got=str(list(two)),
        fix="make the names depend on options and shape alone",
    )
    for path, value in one.items():
        fix = "draw from the rng that init_weights is given, never from one of your own"
        require_same(value, two[path], f"the same rng gives another {path}", fix=fix)


@check
def other_rng_other_weights(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Weights that look random differ for another rng: seeds must matter.

    Two values at most, or evenly spaced ones, do not look random.
    """
    probe = Probe(layer, shape, seed)
    one, two = flatten(probe.initial(5)), flatten(probe.initial(6))
    for path in one.keys() & two.keys():
        patterned = path.rpartition("/")[2] in buffer_names(probe.layer)
        looks_random = not patterned and not _evenly_spaced(one[path])
        require(
            not (looks_random and np.array_equal(one[path], two[path])),
            f"{path} is the same for every rng",
            expected="other values for another seed",
            got="the same values",
            fix="draw from the rng that init_weights is given; an array that never learns belongs "
            "in `buffers`; for a pattern that does learn, name this check in expected_failures",
        )


LAYER_WEIGHT_CHECKS: tuple[Check, ...] = (
    weights_are_plain,
    same_rng_same_weights,
    other_rng_other_weights,
)


def _evenly_spaced(array: Array) -> bool:
    gaps = np.diff(np.unique(array))
    return len(gaps) < 2 or bool(np.ptp(gaps) <= 4 * np.spacing(np.abs(array).max()))


def _names_are_plain(tree: Weights) -> bool:
    plain = all(isinstance(n, str) and n and "/" not in n for n in tree)
    return plain and all(_names_are_plain(t) for t in tree.values() if isinstance(t, dict))
