"""Restored: does what a file holds fit what is installed?"""

from __future__ import annotations

import warnings
from typing import Any

from cnnkit.arrays import Array
from cnnkit.errors import RunError
from cnnkit.registry import Registry
from cnnkit.spec.provenance import missing_suppliers, other_versions

FAMILIES_OF_A_MODEL = ("layers", "transforms", "initializers")
"""What a model is made of; loss, optimizer and the like are the run's."""


_FEW = 10_000_000  # weights that may be drawn only to say which one is missing


def check_suppliers(made_with: Any, registry: Registry, where: str) -> None:
    """Hold what a file says about its plugins against the installed ones; another version warns.

    Raises:
        RunError: where a type cannot be had from the distribution it came from.
    """
    if not isinstance(made_with, dict):
        raise RunError(f"{where}: cannot rebuild the model: it does not say its plugins")
    missing = missing_suppliers(made_with, registry, FAMILIES_OF_A_MODEL)
    if missing:
        raise RunError(f"{where}: cannot rebuild the model: {'; '.join(missing)}")
    for sentence in other_versions(made_with, registry, FAMILIES_OF_A_MODEL):
        warnings.warn(f"{where}: {sentence}", stacklevel=3)


def check_count(declared: int, found: dict[str, Array], where: str) -> None:
    """Hold what the layers declare against what the file holds, before anything is drawn: a small
    file must not ask for all the memory there is.

    Raises:
        RunError: where the layers declare far more weights than there are.
    """
    held = sum(w.size for w in found.values())
    if declared > held + _FEW:
        raise RunError(f"{where}: its layers have {declared:,} weights, but it holds {held:,}")


def check_weights(expected: dict[str, Array], found: dict[str, Array], where: str) -> None:
    """Hold a file's weights against those of a network like it.

    Raises:
        RunError: naming a weight of another shape, or dtypes that are not one float dtype.
    """
    want = {path: w.shape for path, w in expected.items()}
    have = {path: w.shape for path, w in found.items()}
    if want != have:
        wrong = sorted(p for p in want.keys() | have.keys() if want.get(p) != have.get(p))[0]
        raise RunError(
            f"{where}: weight {wrong} should have shape {want.get(wrong, 'none at all')}, "
            f"but has {have.get(wrong, 'none at all')}"
        )
    dtypes = {str(w.dtype) for w in found.values()}
    if len(dtypes) > 1 or not dtypes <= {"float32", "float64"}:
        raise RunError(
            f"{where}: weights are of dtype {', '.join(sorted(dtypes))}; expected float32 or "
            "float64, the same for all"
        )
