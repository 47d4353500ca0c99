"""The kit for optimizers."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, flatten
from cnnkit.base import Optimizer
from cnnkit.testing import options
from cnnkit.testing.check import Kit, require
from cnnkit.testing.manners import manners
from cnnkit.testing.tools import require_close, require_finite, require_same

_DESCENT = 50
"""Steps downhill: none of the built-in optimizers passes the bottom on the way."""
_DTYPES = (np.float32, np.float64)
_FIXED = "1_norm/mean"
"""The array that gets no gradient."""
_SHAPES = {"0_conv/W": (4, 3), "0_conv/b": (3,), _FIXED: (5,)}
_LR = 0.01
"""The learning rate of every step."""


class Course:
    """An optimizer at the start of its way, with weights to move, its state, and gradients."""

    def __init__(
        self, optimizer: Optimizer, seed: int = 0, dtype: npt.DTypeLike = np.float64
    ) -> None:
        self.optimizer = optimizer
        self.seed = seed
        self.dtype = dtype
        self.weights = self._drawn(seed, 1)
        self.state = optimizer.init_state(self.weights)

    def again(self, dtype: npt.DTypeLike = np.float64) -> Course:
        """Return an equal one at its start."""
        return Course(self.optimizer, self.seed, dtype)

    def grads(self, step: int) -> dict[str, Array]:
        """Draw the gradients of a step, for all weights that learn."""
        drawn = self._drawn(self.seed + step, 2)
        return {path: grad for path, grad in drawn.items() if path != _FIXED}

    def run(
        self, steps: Iterable[int], lr: float = _LR, factor: float = 1, spoil: bool = False
    ) -> Course:
        """Do these steps, each with the gradients of its number, times `factor`; `spoil`
        overwrites each with NaN when it was used."""
        for step in steps:
            grads = {
                path: grad * grad.dtype.type(factor) for path, grad in self.grads(step).items()
            }
            self.optimizer.update(self.weights, grads, self.state, lr, step)
            for grad in grads.values() if spoil else ():
                grad.fill(np.nan)
        return self

    def arrays(self) -> dict[str, Array]:
        """Return weights and state by name."""
        state = flatten({f"state {slot!r}": arrays for slot, arrays in self.state.items()})
        return {**self.weights, **state}

    def _drawn(self, seed: int, draw: int) -> dict[str, Array]:
        rng = np.random.default_rng([seed, draw])
        return {p: rng.standard_normal(shape).astype(self.dtype) for p, shape in _SHAPES.items()}


def _use(optimizer: Optimizer, seed: int = 0) -> None:
    Course(optimizer, seed, np.float32).run(range(2))


_first = Kit("optimizer", options.kit, case=Course)


@_first.check("make it by np.zeros_like(weight), and update it in place")
def state_is_shaped_like_weights(course: Course) -> None:
    """init_state gives `{slot: {path: array}}`, each array like its weight; updates keep that."""
    for one in map(course.again, _DTYPES):
        for _ in range(2):
            for slot, arrays in one.state.items():
                wrong = [p for p, a in arrays.items() if not _is_like(a, one.weights.get(p))]
                require(
                    not wrong,
                    f"state {slot!r} is not shaped like the weights at {', '.join(wrong)}",
                    expected="arrays of the weights' paths, shapes and dtype",
                    got=str([(p, arrays[p].shape, arrays[p].dtype.name) for p in wrong]),
                )
            one.run([0])


def _is_like(array: Array, weight: Array | None) -> bool:
    return weight is not None and array.shape == weight.shape and array.dtype == weight.dtype


kit = Kit("optimizer", _first, manners(_use), case=Course)


@kit.check("write weights[path] -= step, not weights[path] = weights[path] - step")
def updates_in_place(course: Course) -> None:
    """update moves the very arrays it is given, and keeps their dtype."""
    for one in map(course.again, _DTYPES):
        held, before = dict(one.weights), deepcopy(one.weights)
        one.run([0])
        for path in one.grads(0):
            is_same, array = held[path] is one.weights[path], held[path]
            moved = is_same and not np.array_equal(array, before[path])
            require(
                moved and array.dtype == one.dtype,
                f"update does not move {path} in place",
                expected="new values in the same array",
                got="the old values" if is_same else "another array",
            )


@kit.check("loop over grads.items(), not over weights")
def only_graded_weights_move(course: Course) -> None:
    """Weights without a gradient, which do not learn, stay as they are."""
    before, after = course.again().weights[_FIXED], course.run(range(3)).weights[_FIXED]
    require_same(before, after, f"{_FIXED} has no gradient, but moves")


@kit.check("use the lr that update is given, which holds the schedule; not self.lr")
def rate_zero_moves_nothing(course: Course) -> None:
    """With a learning rate of 0 nothing moves, weight decay included."""
    before, after = course.again().weights, course.run([0], lr=0.0).weights
    require_close(before, after, "{name} moves with lr = 0", expected="the old values")


@kit.check("keep everything in state, and count steps by `step`")
def resumed_equals_uninterrupted(course: Course) -> None:
    """Weights, state and step say all: a resumed run goes on as if nothing had happened."""
    whole = course.again().run(range(6)).weights
    course.run(range(3))
    optimizer = course.optimizer
    course.optimizer = options.remade(optimizer, optimizer.model_dump())
    course.weights, course.state = deepcopy((course.weights, course.state))
    resumed = course.run(range(3, 6)).weights
    what, expected = "{name} differs after a resume", "the uninterrupted run's"
    require_close(whole, resumed, what, expected=expected)


@kit.check("read no norm or mean of the whole array, or leave out `elementwise`")
def slices_equal_whole(course: Course) -> None:
    """An optimizer that declares `elementwise` gives the same on slices of the arrays."""
    if not course.optimizer.elementwise:
        return
    whole = course.again().run(range(3)).weights
    for step in range(3):
        for part in (slice(None, 2), slice(2, None)):
            weights, grads, *slots = (
                {path: array[part] for path, array in tree.items()}
                for tree in (course.weights, course.grads(step), *course.state.values())
            )
            state = dict(zip(course.state, slots, strict=True))
            course.optimizer.update(weights, grads, state, _LR, step)
    require_close(whole, course.weights, "{name} differs by slices", expected="the whole's")


@kit.check("keep a copy, written in place: state[slot][path][...] = grad")
def gradients_are_not_kept(course: Course) -> None:
    """Nothing reads a gradient after its update: the engine writes the next into its memory."""
    wanted, got = (course.again().run(range(4), spoil=s).arrays() for s in (False, True))
    require_close(wanted, got, "{name} changes where a gradient is overwritten after its update")


@kit.check("step against the gradient: weights[path] -= lr * grad")
def steps_go_downhill(course: Course) -> None:
    """Small steps with the gradient of |w|**2 / 2, which is w, make every weight array shorter."""
    weights, learning = course.weights, course.grads(0)
    for W in weights.values():
        W += np.sign(W)
    before = {path: float(np.linalg.norm(weights[path])) for path in learning}
    state = course.optimizer.init_state(weights)
    for step in range(_DESCENT):
        grads = {path: weights[path].copy() for path in learning}
        course.optimizer.update(weights, grads, state, _LR, step)
    for path, length in before.items():
        after = float(np.linalg.norm(weights[path]))
        what = f"{_DESCENT} steps with the gradient of |w|**2 / 2 do not shorten {path}"
        expected = f"a length below {length:.6g}, as |w|**2 / 2 falls"
        require(after < length, what, expected=expected, got=f"{after:.6g}")


@kit.check("add an epsilon where a gradient's size divides")
def stays_finite(course: Course) -> None:
    """Zero and large gradients leave finite weights."""
    for factor in (0.0, 1e4):
        weights = course.again(np.float32).run(range(3), factor=factor).weights
        what = f"gradients times {factor:g} give NaN or infinity"
        require_finite(weights, what, expected="finite weights")


def check_optimizer(optimizer: Optimizer, *, seed: int = 0) -> None:
    """Run every check on an optimizer; raise CheckFailure for the first that fails."""
    __tracebackhide__ = True
    kit.run(optimizer, seed)
