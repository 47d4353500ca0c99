"""The built-in transforms, registered through the same hook as anybody else's."""

from cnnkit.base import Transform
from cnnkit.hookspecs import hookimpl
from cnnkit.transforms.scale import Scale

__all__ = ["Scale"]


@hookimpl
def cnnkit_transforms() -> list[type[Transform]]:
    """Return the transforms that come with cnnkit."""
    return [Scale]
