"""Context: one layer's view of the current shard."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from cnnkit.arrays import FRESH, Array, Scratch

if TYPE_CHECKING:
    from cnnkit.base.backend import Fusing
    from cnnkit.base.layer import Tap


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
        tap: stands between a chain and its layers, to look at what passes; mostly None.
        fuse: turns a chain's steps into those of the backend; None where layers run as they are.
        meet: the shard's place among the others of its batch; None outside training.
    """

    training: bool = False
    wants_dx: bool = True
    scratch: Scratch = FRESH
    key: tuple[int, int, int, int] = (0, 0, 0, 0)
    path: str = ""
    tap: Tap | None = None
    fuse: Fusing | None = None
    meet: Meets | None = None

    def child(self, name: str, wants_dx: bool | None = None) -> Context:
        """Return the context of the child layer `name`; whether dx is wanted is inherited."""
        path = f"{self.path}/{name}" if self.path else name
        wants_dx = self.wants_dx if wants_dx is None else wants_dx
        rest = self.tap, self.fuse, self.meet
        return Context(self.training, wants_dx, self.scratch, self.key, path, *rest)

    def rng(self, stream: str = "layer") -> np.random.Generator:
        """Return a generator that is a pure function of key, path and stream.

        Nothing needs to be saved to resume, and the thread that runs a shard does not matter.
        Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3 (2011), Philox.
        """
        return generator(self.key, f"{stream}:{self.path}")

    def gather(self, value: Any) -> list[Any]:
        """Return what every shard of the batch gives at this very call, in the order of the shards.

        For layers that declare `gathers`, in forward and in backward; a shard waits here for the
        others, and all get the same list. Outside training, and in a batch of one shard, it is
        `[value]`. It changes nothing in what it is given, which nobody may change afterwards.
        """
        return [value] if self.meet is None else self.meet.gather(self.path, value)

    def renew(self, name: str, value: Array) -> None:
        """Set the layer's weight `name`, which does not learn, once this step has moved the others.

        The value follows from w and what `gather` returned: in every shard it must be the same.
        """
        if self.meet is not None:
            self.meet.renew(f"{self.path}/{name}" if self.path else name, value)


class Meets(Protocol):
    """A shard's place among the others of its batch."""

    def gather(self, path: str, value: Any) -> list[Any]:
        """Return every shard's value, in the order of the shards."""

    def renew(self, path: str, value: Array) -> None:
        """Note another value for a weight that does not learn."""


def generator(key: tuple[int, int, int, int], stream: str) -> np.random.Generator:
    """Return the Philox generator of (seed, epoch, step, shard) and a named stream."""
    seed, epoch, step, shard = key
    digest = int.from_bytes(blake2b(stream.encode(), digest_size=8).digest(), "little")
    philox = np.random.Philox(
        key=np.array([seed, digest], np.uint64),
        counter=np.array([0, shard, step, epoch], np.uint64),
    )
    return np.random.Generator(philox)
