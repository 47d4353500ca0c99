"""The built-in losses, registered through the same hook as anybody else's."""

from cnnkit.base import Loss
from cnnkit.hookspecs import hookimpl
from cnnkit.losses.binary_cross_entropy import BinaryCrossEntropy
from cnnkit.losses.cross_entropy import CrossEntropy
from cnnkit.losses.mean_squared_error import MeanSquaredError

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "MeanSquaredError"]


@hookimpl
def cnnkit_losses() -> list[type[Loss]]:
    """Return the losses that come with cnnkit."""
    return [CrossEntropy, BinaryCrossEntropy, MeanSquaredError]
