"""Option types that several datasets share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cnnkit.base.options import PathText

__all__ = ["ClassNames", "PathText"]

ClassNames = Annotated[list[str], Field(min_length=2)]
"""Display names of the classes, in the order of their labels."""
