"""Convolution: read `plain` first; `routes` chooses among the fast ones by geometry and size."""

from cnnkit.kernels.conv.geometry import ConvBackward, ConvGeometry, output_length, same_padding
from cnnkit.kernels.conv.routes import ROUTES, conv

__all__ = ["ROUTES", "ConvBackward", "ConvGeometry", "conv", "output_length", "same_padding"]
