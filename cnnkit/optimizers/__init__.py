"""The built-in optimizers, registered through the same hook as anybody else's."""

from cnnkit.base import Optimizer
from cnnkit.hookspecs import hookimpl
from cnnkit.optimizers.adam import Adam
from cnnkit.optimizers.sgd import Sgd

__all__ = ["Adam", "Sgd"]


@hookimpl
def cnnkit_optimizers() -> list[type[Optimizer]]:
    """Return the optimizers that come with cnnkit."""
    return [Sgd, Adam]
