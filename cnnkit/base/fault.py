"""LayerFault: where in the network something went wrong that no layer may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnkit.base.place import spoken
from cnnkit.errors import CnnkitError

if TYPE_CHECKING:
    from cnnkit.base.layer import Layer


class LayerFault(Exception):  # noqa: N818  # a bug of the layer's, not an error cnnkit raises
    """An exception out of a layer, with the layer. Whoever knows the registry names its owner.

    Args:
        path: the layer's place, such as "2_residual/0_conv".
        layer: it.
        phase: "forward" or "backward".
        cause: what it raised.
    """

    def __init__(self, path: str, layer: Layer, phase: str, cause: Exception) -> None:
        super().__init__(f"{spoken(path)} raised {type(cause).__name__} in {phase}: {cause}")
        self.path, self.layer, self.phase, self.cause = path, layer, phase, cause


NO_FAULT = (CnnkitError, LayerFault, MemoryError)
"""What passes through a chain of layers as it is: it was meant, or is located already."""
