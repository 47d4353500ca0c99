"""Update: the gradients of the shards summed, and the weights moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from math import isfinite, prod, sqrt
from typing import Any, NamedTuple

import numpy as np

from cnnkit.arrays import Array, FlatLayout, Shape, demand_finite
from cnnkit.base import Optimizer
from cnnkit.base.contract import checked_state, checked_update
from cnnkit.base.optimizer import State
from cnnkit.base.place import spoken
from cnnkit.base.weight import declared
from cnnkit.engine.step import Gradients
from cnnkit.errors import ContractError, RunError, TrainingError
from cnnkit.model import Model
from cnnkit.workers import shared_vector

_SLICE = 32768
"""Numbers per slice of a norm: what is read twice stays in the L2 cache."""
_SMALL = 8192
"""Arrays of at most this many numbers are updated as one, where calls are the cost."""
_ALL = "all"
_PENDING = "accumulated"
"""The slot of gradients that wait for others: a run may stop there, and goes on from its state."""
Grads = dict[str, Array]


class Rule(NamedTuple):
    """How the weights of a layer are moved, where that is not as all others are.

    Args:
        lr_scale: what the learning rate is multiplied by.
        weight_decay: stands in for the optimizer's, if it is not None.
    """

    lr_scale: float = 1.0
    weight_decay: float | None = None

    def on(self, optimizer: Optimizer) -> Optimizer:
        """Return the optimizer that moves such weights."""
        if self.weight_decay is None:
            return optimizer
        return optimizer.model_copy(update={"weight_decay": self.weight_decay})


def rules_of(model: Model, optimizer: Optimizer) -> dict[str, Rule]:
    """Return the rules of the weights that are not moved as all others are.

    Raises:
        TrainingError: where a layer has a weight decay, and the optimizer knows of none.
    """
    found = {}
    for path, weight in declared(model.network.weights(model.input_shape)).items():
        decay = weight.weight_decay if weight.decays else 0.0 if decays(optimizer) else None
        if decay is not None and "weight_decay" not in type(optimizer).model_fields:
            raise TrainingError(
                f"{spoken(path.rpartition('/')[0])} asks for a weight_decay of its own, but "
                f"{optimizer.type} knows of none; leave it out, or take another optimizer"
            )
        if (rule := Rule(weight.lr_scale, decay)) != Rule():
            found[path] = rule
    return found


def decays(optimizer: Optimizer) -> bool:
    """Tell if an optimizer, whoever wrote it, makes weights decay by its option `weight_decay`."""
    return bool(getattr(optimizer, "weight_decay", 0))


class Update:
    """Holds the weights that learn and the optimizer's state, each as one vector.

    Args:
        optimizer: moves the weights.
        layout: the weights that learn, those of one rule together, of these the small ones first.
        weights: their initial values, by path; copied.
        state: the optimizer's state by slot and path, to go on from; fresh by default.
        rules: of weights that are moved in another way, by path.
        fuse: turns an optimizer into a backend's.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        layout: FlatLayout,
        weights: Mapping[str, Array],
        state: State | None = None,
        rules: Mapping[str, Rule] | None = None,
        fuse: Callable[[Optimizer], Optimizer] = lambda one: one,
    ) -> None:
        self._optimizer = optimizer
        self.layout = layout
        """Where in the vector each weight lies."""
        dtype = next(iter(weights.values())).dtype
        vector = shared_vector(layout.size, dtype)  # workers read what the parent writes
        layout.fill(vector, weights)
        self.vector: Array = vector
        """All weights that learn, changed in place by every step."""
        self.weights = layout.views(vector)
        """The weights by path: views of one vector, changed in place by every step."""
        state = state or checked_state(optimizer, optimizer.init_state(self.weights), self.weights)
        slots = {slot: layout.pack(arrays, dtype) for slot, arrays in state.items()}
        self._parts = _parts(optimizer, layout, vector, slots, rules or {}, fuse)
        self._gathers = optimizer.waits or len(self._parts) > 1
        self._sum = np.empty(layout.size if self._gathers else 0, dtype)
        self._pending = np.zeros(layout.size if optimizer.accumulate > 1 else 0, dtype)
        if optimizer.accumulate > 1:
            slots[_PENDING] = self._pending
        self.state: State = {slot: layout.views(v) for slot, v in slots.items()}
        """The optimizer's state by slot and path, changed in place by every step."""

    def add(self, shard_grads: Sequence[Grads], gradients: Gradients) -> None:
        """Add the shards' gradients to those that the next `apply` moves the weights by."""
        self._pending += self._gathered(shard_grads, gradients)

    def apply(
        self,
        shard_grads: Sequence[Grads],
        gradients: Gradients,
        lr: float,
        step: int,
        share: float = 1.0,
    ) -> None:
        """Add the shards' gradients in their order and move the weights.

        Args:
            share: of the images that the gradients are averaged over, those that came; fewer do
                only where updates take several batches.

        Raises:
            FloatingPointError: where the gradient of a small array is not finite, or any that is
                clipped by its norm: nothing moves then. A bias gathers its layer's dy, so hardly
                anything passes unseen; to look at all numbers took 3 to 5 % of a step.
        """
        if self._gathers:
            total = self._gathered(shard_grads, gradients)
            if self._pending.size:
                total += self._pending
                self._pending.fill(0)
            if share < 1:
                total *= total.dtype.type(1 / share)
            self._clip(total)
            for part in self._parts:
                demand_finite(total[part.small])
            vectors, whole = [total], self.layout.views(total)
        else:
            count = len(shard_grads)
            vectors, whole = gradients.vectors(count) if count > 1 else [], shard_grads[0]
        for part in self._parts:
            part.move(vectors, whole, lr, step)

    def copy(self) -> Array:
        """Return all weights that learn, as they are now."""
        return self.vector.copy()

    def check_moved(self, before: Array) -> None:
        """Hold the optimizer to having changed a weight since `before`.

        Raises:
            ContractError: where all are as they were.
        """
        if np.array_equal(self.vector, before):
            expected = "weights[path] changed in place for every path in grads"
            raise ContractError(self._optimizer, "update", "moved no weight", expected)

    def _gathered(self, shard_grads: Sequence[Grads], gradients: Gradients) -> Array:
        """Return the shards' sum as one vector."""
        if len(shard_grads) > 1:
            return _add_up(gradients.vectors(len(shard_grads)))
        for path, view in self.layout.views(self._sum).items():
            view[...] = shard_grads[0].get(path, 0)
        return self._sum

    def _clip(self, total: Array) -> None:
        """Clip each number, then the norm of them all."""
        if (limit := self._optimizer.clip_value) is not None:
            np.clip(total, -limit, limit, out=total)
        if (limit := self._optimizer.clip) is not None:
            norm = _norm(total)
            if norm > limit:
                total *= total.dtype.type(limit / norm)


class _Part:
    """The stretch of the vectors that one optimizer moves.

    Args:
        optimizer: moves it.
        lr_scale: what the learning rate is multiplied by.
        layout: its weights, small ones first.
        stretch: where it lies in the vectors.
        vector, slots: the whole vectors of weights and state.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_scale: float,
        layout: FlatLayout,
        stretch: slice,
        vector: Array,
        slots: Mapping[str, Array],
    ) -> None:
        self._optimizer, self._lr_scale, self._stretch = optimizer, lr_scale, stretch
        self._vector = vector[stretch]
        self._slots = {slot: whole[stretch] for slot, whole in slots.items()}
        self._weights = layout.views(self._vector)
        self._state = {slot: layout.views(v) for slot, v in self._slots.items()}
        self._join(layout)

    def _join(self, layout: FlatLayout) -> None:
        """Prepare for updates from one shard: the layout's small arrays, which lie first, are one
        array under the name `_ALL`."""
        small = {path: shape for path, shape in layout.shapes.items() if prod(shape) <= _SMALL}
        head = FlatLayout(small)
        first = self._stretch.start
        self.small = slice(first, first + head.size)
        """Where in the whole vectors its small arrays are."""
        self._head = np.empty(head.size, self._vector.dtype)
        self._small = head.views(self._head)
        self._joined = self._with_head(self._vector, self._weights, head.size)
        self._joined_state = {
            slot: self._with_head(vector, self._state[slot], head.size)
            for slot, vector in self._slots.items()
        }

    def _with_head(self, vector: Array, views: Grads, size: int) -> Grads:
        large = {path: view for path, view in views.items() if path not in self._small}
        return {_ALL: vector[:size], **large}

    def move(self, vectors: Sequence[Array], whole: Grads, lr: float, step: int) -> None:
        """Move the weights by the sum of gradients.

        Args:
            vectors: what is to be added up, as whole vectors; or none, for `whole` as it is.
            whole: the same as arrays by path, those of the first vector where there are several.
        """
        lr *= self._lr_scale
        if not self._optimizer.elementwise:
            if len(vectors) > 1:
                _add_up(vectors)
            own = {path: whole[path] for path in self._weights if path in whole}
            for path in self._small:
                demand_finite(own.get(path, self._head[:0]).reshape(-1))
            self._move(self._weights, own, self._state, lr, step)
        elif vectors:
            self._update_slices([vector[self._stretch] for vector in vectors], lr, step)
        else:
            self._update_one(whole, lr, step)

    def _update_one(self, grads: Grads, lr: float, step: int) -> None:
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
        size, adds = self._optimizer.at_a_time, self._optimizer.adds
        demand_finite(_add_up([vector[: self._head.size] for vector in vectors], self._head))
        for start in range(0, self._vector.size, size):
            here = slice(start, start + size)
            parts = [vector[here] for vector in vectors]
            grads: dict[str, Any] = {_ALL: parts if adds else _add_up(parts)}
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


def _parts(
    optimizer: Optimizer,
    layout: FlatLayout,
    vector: Array,
    slots: Mapping[str, Array],
    rules: Mapping[str, Rule],
    fuse: Callable[[Optimizer], Optimizer],
) -> list[_Part]:
    """Part the vectors into the stretches of each rule."""
    parts, start = list[_Part](), 0
    for rule, paths in groupby(layout.shapes, lambda path: rules.get(path, Rule())):
        own = FlatLayout({path: layout.shapes[path] for path in paths})
        stretch = slice(start, start + own.size)
        mover = fuse(rule.on(optimizer))
        parts.append(_Part(mover, rule.lr_scale, own, stretch, vector, slots))
        start = stretch.stop
    return parts


def _norm(vector: Array) -> float:
    """Return the length of a vector, added up slice by slice.

    Raises:
        FloatingPointError: where a number in it is not finite.
    """
    total = 0.0
    for start in range(0, vector.size, _SLICE):
        part = vector[start : start + _SLICE]
        square = float(np.vdot(part, part))
        if not isfinite(square):  # or too large for float32 to be squared
            demand_finite(part)
            square = float(np.square(part, dtype=np.float64).sum())
        total += square
    return sqrt(total)


def _add_up(vectors: Sequence[Array], out: Array | None = None) -> Array:
    """Return the sum of vectors in their order: in the first, in `out`, or where there is only one
    that one as it is."""
    total, *others = vectors
    for vector in others:
        total = np.add(total, vector, out=vectors[0] if out is None else out)
    return total


def renew(fixed: Mapping[str, Array], renewed: Mapping[str, Array]) -> None:
    """Set weights that do not learn, such as running means, to what layers made of the batch;
    refuse what is no such weight, or of another shape."""
    for path, value in renewed.items():
        weight = fixed.get(path)
        if weight is None or weight.shape != np.shape(value):
            known = ", ".join(f"{p} {w.shape}" for p, w in fixed.items()) or "none"
            what = f"a layer renews {path} by an array of shape {np.shape(value)}"
            raise TrainingError(f"{what}; expected one of {known}")
        weight[...] = value


def take_over(what: str, mine: State, given: Mapping[str, Mapping[str, Array]]) -> None:
    """Copy arrays by slot and path into those of another training.

    Raises:
        RunError: where they are not the same, or of other shapes.
    """
    if (there := _shapes(given)) != (here := _shapes(mine)):
        odd = sorted(there.keys() ^ here.keys() or [k for k in here if here[k] != there[k]])
        raise RunError(f"cannot go on from these {what}: {odd[0]} is not what it was")
    for slot, arrays in mine.items():
        for path, array in arrays.items():
            array[...] = given[slot][path]


def _shapes(tree: Mapping[str, Mapping[str, Array]]) -> dict[str, Shape]:
    return {f"{slot} {path}".strip(): a.shape for slot, arrays in tree.items()
            for path, a in arrays.items()}  # fmt: skip
