"""A backend for cnnkit in C++: runs of layers become programs that one call runs."""

from cnnkit import hookimpl
from cnnkit.base import Backend
from cnnkit_native.backend import Native

__all__ = ["Native", "cnnkit_backends"]


@hookimpl
def cnnkit_backends() -> list[type[Backend]]:
    """Return the backend that this plugin adds."""
    return [Native]
