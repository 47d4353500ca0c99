"""The built-in initializers, registered through the same hook as anybody else's."""

from __future__ import annotations  # else numpy.random is imported with it, whoever needs it

from math import sqrt
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from cnnkit.arrays import Array, Shape
from cnnkit.base import Fans, Initializer
from cnnkit.base.component import Synonyms
from cnnkit.hookspecs import hookimpl

Distribution = Literal["normal", "uniform"]


def spread(
    distribution: Distribution, variance: float, shape: Shape, rng: np.random.Generator
) -> Array:
    """Draw `shape`, float64, with mean 0 and `variance`; the uniform one ends at sqrt(3 var)."""
    if distribution == "normal":
        return rng.standard_normal(shape) * sqrt(variance)
    limit = sqrt(3 * variance)
    return rng.uniform(-limit, limit, shape)


class Glorot(Initializer):
    """Mean 0, variance 2 / (fan_in + fan_out); suits layers without ReLU.

    Source: Glorot and Bengio, Understanding the Difficulty of Training Deep Networks (2010).
    """

    type: Literal["glorot"] = "glorot"
    synonyms: ClassVar[Synonyms] = {"glorot": "xavier"}
    distribution: Distribution = "uniform"
    """Shape of the distribution: "uniform" or "normal" (not truncated)."""

    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        return spread(self.distribution, 2 / (fans.fan_in + fans.fan_out), shape, rng)


class He(Initializer):
    """Mean 0, variance 2 / fan_in; suits layers that a ReLU follows.

    Source: He et al., Delving Deep into Rectifiers (2015), equation 10.
    """

    type: Literal["he"] = "he"
    synonyms: ClassVar[Synonyms] = {"he": "kaiming"}
    distribution: Distribution = "normal"
    """Shape of the distribution: "normal" (not truncated) or "uniform"."""

    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        return spread(self.distribution, 2 / fans.fan_in, shape, rng)


class Normal(Initializer):
    """Normal distribution with the given mean and standard deviation."""

    type: Literal["normal"] = "normal"
    synonyms: ClassVar[Synonyms] = {"normal": "gaussian"}
    mean: Annotated[float, Field(ge=-1e6, le=1e6)] = 0.0
    """Mean of the distribution."""
    std: Annotated[float, Field(ge=0, le=1e6)] = 0.05
    """Standard deviation of the distribution."""

    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        return rng.normal(self.mean, self.std, shape)


Size = Annotated[float, Field(ge=-1e6, le=1e6)]  # far from where float32 overflows


class Uniform(Initializer):
    """Uniform distribution over [low, high)."""

    type: Literal["uniform"] = "uniform"
    low: Size = -0.05
    """Smallest value."""
    high: Size = 0.05
    """Upper limit, itself not drawn."""

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got low = {self.low}, high = {self.high}")
        return self

    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        return rng.uniform(self.low, self.high, shape)


class Zeros(Initializer):
    """All zeros. Meant for biases: equal kernels would stay equal for ever."""

    type: Literal["zeros"] = "zeros"

    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        return np.zeros(shape)


class SeedNormal(Initializer):
    """Standard normal divided by an area, as in the original write-up.

    The area is the kernel's for convolution W, the padded map's for their b, the number of inputs
    for dense W and the number of outputs for dense b. The spread shrinks with the area itself, not
    with its root as in glorot and he, so large layers start almost silent.
    """

    type: Literal["seed_normal"] = "seed_normal"

    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        return rng.standard_normal(shape) / fans.area


@hookimpl
def cnnkit_initializers() -> list[type[Initializer]]:
    """Return the initializers that come with cnnkit."""
    return [Glorot, He, Normal, Uniform, Zeros, SeedNormal]
