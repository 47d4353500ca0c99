"""A plugin with containers whose chains have names that cnnkit has never heard."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cnnkit import hookimpl
from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Layers, chain_shapes
from cnnkit.base.component import Synonyms
from cnnkit.errors import ShapeError


class Twofold(Layer):
    """Two chains side by side, their outputs added; only its shapes are written."""

    type: Literal["twofold"] = "twofold"
    synonyms: ClassVar[Synonyms] = {"twofold": "bothways", "right": "starboard"}
    left: Annotated[Layers, Field(min_length=1)]
    """One chain."""
    right: Annotated[Layers, Field(min_length=1)]
    """The other one."""

    def output_shape(self, shape: Shape) -> Shape:
        ends = [chain_shapes(getattr(self, way), shape, way)[-1] for way in ("left", "right")]
        if ends[0] != ends[1]:
            raise ShapeError("has two ends that do not meet", option="right")
        return ends[0]

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        raise NotImplementedError


class Twowayed(Layer):
    """What residual is, under names of the same length."""

    type: Literal["twowayed"] = "twowayed"
    left: Annotated[Layers, Field(min_length=1)]
    """The layers of the body, first to last."""
    sideways: Layers = Field(default_factory=list)
    """The layers of the way around; empty means the input itself."""

    def output_shape(self, shape: Shape) -> Shape:
        return chain_shapes(self.left, shape, "left")[-1]

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        raise NotImplementedError


@hookimpl
def cnnkit_layers() -> list[type[Layer]]:
    return [Twofold, Twowayed]
