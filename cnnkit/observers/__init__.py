"""The built-in observers, registered through the same hook as anybody else's."""

from cnnkit.base import Observer
from cnnkit.hookspecs import hookimpl
from cnnkit.observers.csv import Csv

__all__ = ["Csv"]


@hookimpl
def cnnkit_observers() -> list[type[Observer]]:
    """Return the observers that come with cnnkit."""
    return [Csv]
