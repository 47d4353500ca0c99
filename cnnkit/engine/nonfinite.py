"""What becomes of training where numbers stop being finite: it stops, skips a step or goes back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, Literal

from cnnkit.arrays import Array, demand_finite
from cnnkit.base.optimizer import State
from cnnkit.errors import TrainingError

Policy = Literal["stop", "skip", "rollback"]
MOST_ROLLBACKS = 5
"""Of a run; by then the rate is a thirty-second of what it was, so the rate is not the cause."""


class NonFiniteError(TrainingError):
    """A loss, gradient or weight that is not finite: the one kind of error that has policies."""


class EpochStart:
    """The weights and the optimizer's state as an epoch began, to go back to.

    A checkpoint within the epoch holds them too: a run that goes on from there can go back as one
    that was never interrupted.
    """

    most: ClassVar[int] = MOST_ROLLBACKS

    def __init__(self, weights: Mapping[str, Array], state: State) -> None:
        self._live: State = {"weights": dict(weights), **state}
        self.state: State = {
            f"start {slot}": {path: array.copy() for path, array in arrays.items()}
            for slot, arrays in self._live.items()
        }
        """Slots beside the optimizer's own."""

    def keep(self) -> None:
        """Take what is there now for the start."""
        _copy(self._live, self.state)

    def go_back(self) -> None:
        """Put back, in place, what was there at the start."""
        _copy(self.state, self._live)


def _copy(source: State, target: State) -> None:
    for given, taken in zip(source.values(), target.values(), strict=True):
        for path, array in taken.items():
            array[...] = given[path]


def demand_finite_in(shard_grads: Sequence[Mapping[str, Array]], paths: Collection[str]) -> None:
    """Stop at gradients of these weights that are not finite.

    Raises:
        FloatingPointError: where there are any.
    """
    for grads in shard_grads:
        for path in grads.keys() & set(paths):
            demand_finite(grads[path].reshape(-1))
