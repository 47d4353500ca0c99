"""Update: the gradients of the shards summed, and the weights moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from cnnkit.arrays import Array, FlatLayout, demand_finite
from cnnkit.base import Optimizer
from cnnkit.base.contract import checked_state, checked_update
from cnnkit.base.optimizer import State
from cnnkit.engine.step import Gradients
from cnnkit.errors import ContractError
from cnnkit.workers import shared_vector

_SLICE = 32768
"""Numbers per slice of an elementwise update: weights, state and sums stay in the L2 cache."""
_SMALL = 8192
"""Arrays of at most this many numbers are updated as one, where calls are the cost."""
_ALL = "all"


class Update:
    """Holds the weights that learn and the optimizer's state, each as one vector.

    Args:
        optimizer: moves the weights.
        layout: the weights that learn, small ones first.
        weights: their initial values, by path; copied.
        state: the optimizer's state by slot and path, to go on from; fresh by default.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        layout: FlatLayout,
        weights: Mapping[str, Array],
        state: State | None = None,
    ) -> None:
        self._optimizer = optimizer
        dtype = next(iter(weights.values())).dtype
        self._vector = shared_vector(layout.size, dtype)  # workers read what the parent writes
        layout.fill(self._vector, weights)
        self.weights = layout.views(self._vector)
        """The weights by path: views of one vector, changed in place by every step."""
        state = state or checked_state(optimizer, optimizer.init_state(self.weights), self.weights)
        self._slots = {slot: layout.pack(arrays, dtype) for slot, arrays in state.items()}
        self.state: State = {slot: layout.views(v) for slot, v in self._slots.items()}
        """The optimizer's state by slot and path, changed in place by every step."""
        self._join(layout)

    def _join(self, layout: FlatLayout) -> None:
        """Prepare for updates from one shard: the layout's small arrays, which lie first, are one
        array under the name `_ALL`."""
        small = {path: shape for path, shape in layout.shapes.items() if prod(shape) <= _SMALL}
        head = FlatLayout(small)
        self._head = np.empty(head.size, self._vector.dtype)
        self._small = head.views(self._head)
        self._joined = self._with_head(self._vector, self.weights, head.size)
        self._joined_state = {
            slot: self._with_head(vector, self.state[slot], head.size)
            for slot, vector in self._slots.items()
        }

    def _with_head(self, vector: Array, views: dict[str, Array], size: int) -> dict[str, Array]:
        large = {path: view for path, view in views.items() if path not in self._small}
        return {_ALL: vector[:size], **large}

    def apply(
        self, shard_grads: Sequence[dict[str, Array]], gradients: Gradients, lr: float, step: int
    ) -> None:
        """Add the shards' gradients in their order and move the weights.

        Raises:
            FloatingPointError: where the gradient of a small array is not finite: nothing moves
                then. A bias gathers its layer's dy, so hardly anything passes unseen; to look at
                all numbers took 3 to 5 % of a step.
        """
        if not self._optimizer.elementwise:
            if len(shard_grads) > 1:
                _add_up(gradients.vectors(len(shard_grads)))
            for path in self._small:
                demand_finite(shard_grads[0].get(path, self._head[:0]).reshape(-1))
            self._move(self.weights, shard_grads[0], self.state, lr, step)
        elif len(shard_grads) == 1:
            self._update_one(shard_grads[0], lr, step)
        else:
            self._update_slices(gradients.vectors(len(shard_grads)), lr, step)

    def _update_one(self, grads: dict[str, Array], lr: float, step: int) -> None:
        """Update from one shard, where the calls cost more than the arithmetic: all small arrays
        as one, large ones in place."""
        for path, view in self._small.items():
            view[...] = grads.get(path, 0)
        joined = {path: grads[path] for path in self._joined if path in grads}
        joined[_ALL] = self._head
        demand_finite(self._head)
        self._move(self._joined, joined, self._joined_state, lr, step)

    def _update_slices(self, vectors: Sequence[Array], lr: float, step: int) -> None:
        """Add up and update slice by slice. On one thread: two took as long at a million weights,
        and half as long again at the hundred thousand of a small network."""
        for start in range(0, self._vector.size, _SLICE):
            here = slice(start, start + _SLICE)
            grads = {_ALL: _add_up([vector[here] for vector in vectors])}
            if start == 0:  # where the small arrays are
                demand_finite(grads[_ALL])
            state = {slot: {_ALL: vector[here]} for slot, vector in self._slots.items()}
            self._move({_ALL: self._vector[here]}, grads, state, lr, step)

    def _move(
        self,
        weights: dict[str, Array],
        grads: dict[str, Array],
        state: State,
        lr: float,
        step: int,
    ) -> None:
        given = dict(weights)
        self._optimizer.update(weights, grads, state, lr, step)
        checked_update(self._optimizer, weights, given)

    def copy(self) -> Array:
        """Return all weights that learn, as they are now."""
        return self._vector.copy()

    def check_moved(self, before: Array) -> None:
        """Hold the optimizer to having changed a weight since `before`.

        Raises:
            ContractError: where all are as they were.
        """
        if np.array_equal(self._vector, before):
            expected = "weights[path] changed in place for every path in grads"
            raise ContractError(self._optimizer, "update", "moved no weight", expected)


def _add_up(vectors: Sequence[Array]) -> Array:
    total = vectors[0]
    for vector in vectors[1:]:
        np.add(total, vector, out=total)
    return total
