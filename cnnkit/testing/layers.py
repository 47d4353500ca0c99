"""The kit for layers: every check in order, all at once or as pytest cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from cnnkit.arrays import Shape
from cnnkit.base import Layer
from cnnkit.testing.check import Check
from cnnkit.testing.failure import CheckFailure
from cnnkit.testing.layer_batch_checks import LAYER_BATCH_CHECKS
from cnnkit.testing.layer_edge_checks import LAYER_EDGE_CHECKS
from cnnkit.testing.layer_gradient_checks import LAYER_GRADIENT_CHECKS
from cnnkit.testing.layer_layout_checks import LAYER_LAYOUT_CHECKS
from cnnkit.testing.layer_manner_checks import LAYER_MANNER_CHECKS
from cnnkit.testing.layer_purity_checks import LAYER_PURITY_CHECKS
from cnnkit.testing.layer_random_checks import LAYER_RANDOM_CHECKS
from cnnkit.testing.layer_reentry_checks import LAYER_REENTRY_CHECKS
from cnnkit.testing.layer_rule_checks import LAYER_RULE_CHECKS
from cnnkit.testing.layer_scratch_checks import LAYER_SCRATCH_CHECKS
from cnnkit.testing.layer_shape_checks import LAYER_SHAPE_CHECKS
from cnnkit.testing.layer_tree_checks import LAYER_TREE_CHECKS
from cnnkit.testing.layer_weight_checks import LAYER_WEIGHT_CHECKS
from cnnkit.testing.option_checks import OPTION_CHECKS

Test = TypeVar("Test", bound=Callable[..., None])

_ORDER: tuple[Check, ...] = (
    *OPTION_CHECKS,
    *LAYER_WEIGHT_CHECKS,
    *LAYER_RULE_CHECKS,
    *LAYER_SHAPE_CHECKS,
    *LAYER_MANNER_CHECKS,
    *LAYER_RANDOM_CHECKS,
    *LAYER_SCRATCH_CHECKS,
    *LAYER_PURITY_CHECKS,
    *LAYER_TREE_CHECKS,
    *LAYER_BATCH_CHECKS,
    *LAYER_LAYOUT_CHECKS,
    *LAYER_REENTRY_CHECKS,
    *LAYER_GRADIENT_CHECKS,
    *LAYER_EDGE_CHECKS,
)


def layer_checks() -> list[Check]:
    """Return every layer check; causes come before what they would also break.

    >>> len(layer_checks()) >= 24
    True
    """
    return list(_ORDER)


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
    for one in _ORDER:
        one(configured, shape, seed)


def failures(layer: Layer, shape: Shape, *, seed: int = 0) -> list[CheckFailure]:
    """Run every check and return all that fail, in order."""
    found = []
    for one in _ORDER:
        try:
            one(layer, shape, seed)
        except CheckFailure as failure:
            found.append(failure)
    return found


def parametrize_layer_checks(
    cases: Iterable[tuple[Layer, Shape]], expected_failures: Mapping[str, str] | None = None
) -> Callable[[Test], Test]:
    """Make one pytest case of each (layer, shape, check); needs pytest.

    The test function is `def test_layers(layer, shape, check): check(layer, shape)`.
    `expected_failures` maps names of checks to reasons; such a case must fail.

    Raises:
        ValueError: an expected failure that names no check.
    """
    expected = dict(expected_failures or {})
    _known_checks(expected)

    def decorate(test: Test) -> Test:
        import pytest

        def cell(number: int, layer: Layer, shape: Shape, one: Check) -> Any:
            reason = expected.get(one.name, "")
            marks = [pytest.mark.xfail(strict=True, raises=CheckFailure, reason=reason)]
            name = f"{layer.type}-{number}-{one.name}"
            return pytest.param(layer, shape, one, marks=marks[: one.name in expected], id=name)

        cells = [cell(i, *case, one) for i, case in enumerate(cases) for one in _ORDER]
        marked: Test = pytest.mark.parametrize(("layer", "shape", "check"), cells)(test)
        return marked

    return decorate


def _known_checks(names: Iterable[str]) -> None:
    known = [one.name for one in _ORDER]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else "see cnnkit.testing.layer_checks()"
            raise ValueError(f"no layer check is called {name!r}; {hint}")
