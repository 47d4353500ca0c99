"""TensorBoard for cnnkit: `observers = ["tensorboard"]`."""

from cnnkit import hookimpl
from cnnkit.base import Observer
from cnnkit_tensorboard.observer import Tensorboard

__all__ = ["Tensorboard"]


@hookimpl
def cnnkit_observers() -> list[type[Observer]]:
    """Return the observer that this plugin adds."""
    return [Tensorboard]
