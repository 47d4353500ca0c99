"""Context: what a forward pass may know besides its input and weights."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from cnnkit.arrays import FRESH, Scratch


class Context(NamedTuple):
    """One layer's view of the current shard. Immutable, and made for every layer of every shard:
    a named tuple takes half the time of a frozen dataclass.

    Args:
        training: False in evaluation, where dropout and the like stand still.
        wants_dx: False where nobody reads dx (the first layer; in evaluation all of them, as no
            backward pass follows); a layer may then return any array in its place, and most
            ignore this.
        scratch: hands out reusable arrays; ignoring it is always right.
        key: (seed, epoch, step, shard); with `path` it decides every random draw.
        path: the layer's place, such as "2_residual/0_conv".
    """

    training: bool = False
    wants_dx: bool = True
    scratch: Scratch = FRESH
    key: tuple[int, int, int, int] = (0, 0, 0, 0)
    path: str = ""

    def child(self, name: str, wants_dx: bool = True) -> Context:
        """Return the context of the child layer `name`."""
        path = f"{self.path}/{name}" if self.path else name
        return Context(self.training, wants_dx, self.scratch, self.key, path)

    def rng(self, stream: str = "layer") -> np.random.Generator:
        """Return a generator that is a pure function of key, path and stream.

        Nothing needs to be saved to resume, and the thread that runs a shard does not matter.
        Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (2011), Philox.
        """
        return generator(self.key, f"{stream}:{self.path}")


def generator(key: tuple[int, int, int, int], stream: str) -> np.random.Generator:
    """Return the Philox generator of (seed, epoch, step, shard) and a named stream."""
    seed, epoch, step, shard = key
    digest = int.from_bytes(blake2b(stream.encode(), digest_size=8).digest(), "little")
    philox = np.random.Philox(
        key=np.array([seed, digest], np.uint64),
        counter=np.array([0, shard, step, epoch], np.uint64),
    )
    return np.random.Generator(philox)
