"""The kit for layers: every check in order, all at once or as pytest cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from cnnkit.arrays import Shape
from cnnkit.base import Layer
from cnnkit.testing import (
    layer_meeting,
    layer_numerics,
    layer_purity,
    layer_shape,
    layer_threads,
    layer_weights,
    options,
)
from cnnkit.testing.check import Check, CheckFailure, Kit, Test

kit = Kit(
    "layer",
    options.kit,
    layer_shape.kit,
    layer_purity.kit,
    layer_weights.kit,
    layer_meeting.kit,
    layer_threads.kit,
    layer_numerics.kit,
)


def layer_checks() -> list[Check]:
    """Return every layer check; causes come before what they would also break.

    >>> len(layer_checks()) >= 24
    True
    """
    return list(kit.checks)


def check_layer(layer: Layer | type[Layer], shape: Shape, *, seed: int = 0) -> None:
    """Run every check on one configured layer, for samples of `shape` (small ones are fast).

    A class stands for the layer with all its default options.

    Raises:
        CheckFailure: for the first check that fails; it says what to mend.

    >>> from cnnkit.layers import Relu
    >>> check_layer(Relu, (2, 3, 3))
    """
    __tracebackhide__ = True
    configured = layer() if isinstance(layer, type) else layer  # type: ignore[call-arg]
    kit.run(configured, shape, seed)


def failures(layer: Layer, shape: Shape, *, seed: int = 0) -> list[CheckFailure]:
    """Run every check and return all that fail, in order.

    Where no step runs at all, the checks after that are skipped, and its text says how many.
    """
    return kit.failures(layer, shape, seed)


def parametrize_layer_checks(
    cases: Iterable[tuple[Layer, Shape]], expected_failures: Mapping[str, str] | None = None
) -> Callable[[Test], Test]:
    """Make one pytest case of each (layer, shape, check); needs pytest.

    The test function is `def test_layers(layer, shape, check): check(layer, shape)`.
    `expected_failures` maps names of checks to reasons; such a case must fail.

    Raises:
        ValueError: an expected failure that names no check.
    """
    return kit.parametrize(("layer", "shape"), cases, expected_failures or {})
