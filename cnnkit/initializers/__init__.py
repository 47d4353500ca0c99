"""The built-in initializers, registered through the same hook as anybody else's."""

from cnnkit.base import Initializer
from cnnkit.hookspecs import hookimpl
from cnnkit.initializers.glorot import Glorot
from cnnkit.initializers.he import He
from cnnkit.initializers.normal import Normal
from cnnkit.initializers.seed_normal import SeedNormal
from cnnkit.initializers.uniform import Uniform
from cnnkit.initializers.zeros import Zeros

__all__ = ["Glorot", "He", "Normal", "SeedNormal", "Uniform", "Zeros"]


@hookimpl
def cnnkit_initializers() -> list[type[Initializer]]:
    """Return the initializers that come with cnnkit."""
    return [Glorot, He, Normal, Uniform, Zeros, SeedNormal]
