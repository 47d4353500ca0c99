"""The metadata of all that is installed: damaged ones stop whoever reads them all."""

from __future__ import annotations

from importlib.metadata import distributions


def damaged_entry_points() -> dict[str, str]:
    """Return the distributions whose entry points cannot be read, each with the error.

    The standard library reads those of all distributions to find one, so one of them fails
    programs that have nothing to do with it.
    """
    found = {}
    for distribution in distributions():
        try:
            tuple(distribution.entry_points)
        except Exception as error:  # whatever importlib.metadata does with files like these
            folder = getattr(getattr(distribution, "_path", None), "name", "?")
            name = folder.removesuffix(".dist-info").replace("-", " ")
            found[name] = f"{type(error).__name__}: {error}"
    return found


def blames_another(said: str) -> bool:
    """Tell if what an import said is the fault of a distribution with damaged metadata."""
    return any(said.endswith(error) for error in damaged_entry_points().values())
