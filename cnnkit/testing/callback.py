"""The kit for callbacks."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import numpy as np

from cnnkit.arrays import Array, FlatLayout, Weights, flatten, unflatten
from cnnkit.base import Callback, Training
from cnnkit.base.contract import checked_memory, checked_rate, checked_stand_in
from cnnkit.errors import ContractError
from cnnkit.testing import options
from cnnkit.testing.check import Fault, Kit, require
from cnnkit.testing.manners import manners
from cnnkit.testing.tools import require_same

_LAYOUT = FlatLayout({"0_conv/b": (3,), "0_conv/W": (3, 2, 2)})
_FIXED = "1_norm/mean"
"""The weight that does not learn."""
_STEPS, _EPOCHS = 4, 6
_FIGURES = (0.9, 0.5, 0.5, 0.7, 0.4, 0.6)
"""What validation gives, epoch by epoch: better, equal, worse."""
_FACTS = [one.name for one in fields(Training) if one.name not in ("rate", "stopped")]
"""What a callback may not set."""
_HOLD = ("figures", "higher", "layout")
"""Those that hold others, which it may not set either."""


class Course:
    """A callback at the start of a short training, whose optimizer walks at random."""

    def __init__(self, callback: Callback, seed: int = 0) -> None:
        self.callback, self.seed = callback, seed
        rng = np.random.default_rng([seed, 1])
        vector = rng.standard_normal(_LAYOUT.size).astype(np.float32)
        fixed = rng.standard_normal(5).astype(np.float32)
        weights = MappingProxyType({**_LAYOUT.views(vector), _FIXED: fixed})
        self.training = Training(
            vector=vector, weights=weights, layout=_LAYOUT, rate=0.1, epochs=_EPOCHS,
            higher={"accuracy"}, judged=self._copied, seed=seed,
            place=f"0_{callback.type}", steps=_STEPS,
        )  # fmt: skip
        self.changed: list[str] = []
        """The facts about training that it has changed, of those that it may not."""
        self.state: dict[str, Any] = callback.init_state(self.training)

    def _copied(self) -> Weights:
        return unflatten({path: w.copy() for path, w in self.training.weights.items()})

    def run(self, first: int = 0, last: int = _STEPS * _EPOCHS) -> Course:
        """Do these steps, and after the last one of an epoch its end; a stop changes nothing."""
        now = self.training
        for step in range(first, last):
            now.epoch, now.index, now.step = step // _STEPS + 1, step % _STEPS + 1, step + 1
            now.loss, now.seconds, now.lr, now.figures = 0.5, 0.25 * now.index, now.rate / 2, {}
            moves = np.random.default_rng([self.seed, 2, step]).standard_normal(now.vector.size)
            now.vector -= (now.rate * moves).astype(np.float32)
            self._call("step")
            if now.index == _STEPS:
                self._call("done")
                figure = _FIGURES[now.epoch - 1]
                now.figures = dict.fromkeys(["loss", self.callback.watches() or "loss"], figure)
                self._call("epoch")
        return self

    def _call(self, method: str) -> None:
        before = self._facts()
        getattr(self.callback, method)(self.training, self.state)
        for name, (fact, text) in self._facts().items():
            if fact is not before[name][0] or text != before[name][1]:
                self.changed.append(name)

    def _facts(self) -> dict[str, tuple[Any, str]]:
        """Return each fact, and what it says where it could be changed in place."""
        facts = {name: getattr(self.training, name) for name in _FACTS}
        return {name: (fact, repr(fact) if name in _HOLD else "") for name, fact in facts.items()}

    def arrays(self) -> dict[str, Array]:
        """Return everything that a callback may change or remember, by name."""
        now, state = self.training, flatten(self.state)
        return {
            **now.weights,
            "training.rate": np.array(now.rate),
            "training.stopped": np.array(now.stopped),
            **{f"state {path}": np.asarray(value) for path, value in state.items()},
        }

    def handed_in(self) -> dict[str, Array]:
        """Return what it gives for the model to hold: while training goes on, and in the end."""
        found: dict[str, Array] = {}
        for method in ("stand_in", "keep"):
            got = getattr(self.callback, method)(self.training, self.state)
            weights = checked_stand_in(self.callback, method, got, self.training.weights)
            found |= {f"{method} {path}": w.copy() for path, w in weights.items()}
        return found


def _use(callback: Callback, seed: int = 0) -> None:
    Course(callback, seed).run().handed_in()


def _same(wanted: dict[str, Array], got: dict[str, Array], what: str) -> None:
    for name in {**wanted, **got}:
        both = name in wanted and name in got
        require(both, f"{name} {what}", expected="both times the same", got=f"{name} once only")
        is_text = wanted[name].dtype.kind == "U"
        if is_text or wanted[name].shape != got[name].shape:
            one, two = str(wanted[name]), str(got[name])
            require(one == two, f"{name} {what}", expected=one, got=two)
        else:
            require_same(wanted[name], got[name], f"{name} {what}")


_first = Kit("callback", options.kit, case=Course)


@_first.check("write float(...) or int(...), and arrays in dicts; keep nothing else in state")
def keeps_its_word(course: Course) -> None:
    """State is a tree of arrays and plain numbers, the rate a plain number, and the weights that
    are handed in are finite and like those of the model: else no checkpoint could hold them."""
    try:
        checked_memory(course.callback, "init_state", course.state)
        course.run()
        checked_memory(course.callback, "step and epoch", course.state)
        checked_rate(course.callback, "step and epoch", course.training.rate)
        course.handed_in()
    except ContractError as error:
        what = f"{error.method} leaves or returns what no checkpoint could hold"
        raise Fault(what, expected=error.expected, got=error.did) from error


kit = Kit("callback", _first, manners(_use), case=Course)


@kit.check("change training.vector, which holds what learns, and nothing else of the weights")
def fixed_weights_left_alone(course: Course) -> None:
    """Weights that do not learn, such as running means, stay as they are."""
    before = course.training.weights[_FIXED].copy()
    what = f"{_FIXED} does not learn, and is changed"
    require_same(before, course.run().training.weights[_FIXED], what)


@kit.check("set training.rate, call training.stop, and leave all other facts as they are")
def facts_left_alone(course: Course) -> None:
    """What it is told of training is read only: callbacks after it read it, too."""
    changed = course.run().changed
    what = f"training.{changed[0]} is changed" if changed else ""
    require(not changed, what, expected="facts as they were", got=", ".join(changed))


@kit.check("draw from training.rng(), and read neither clock nor anything outside")
def training_is_deterministic(course: Course) -> None:
    """Two trainings of one seed end with the same weights, state, rate and stop."""
    wanted, again = course.run(), Course(course.callback, course.seed).run()
    _same(wanted.arrays(), again.arrays(), "differs from one training to the next")


@kit.check("keep in state whatever is needed from one call to the next")
def resumed_equals_uninterrupted(course: Course) -> None:
    """State says all: saved in the middle of an epoch and read back, it goes on to the same end."""
    whole = Course(course.callback, course.seed).run().arrays()
    middle = _STEPS * _EPOCHS // 2 + 1
    course.run(0, middle)
    course.callback = options.remade(course.callback, course.callback.model_dump())
    course.state = _through_a_file(course.state)
    _same(whole, course.run(middle).arrays(), "differs after a resume")


def _through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    return unflatten({
        path: value.copy(order="C") if isinstance(value, np.ndarray)
        else json.loads(json.dumps(value))
        for path, value in flatten(state).items()
    })  # fmt: skip


@kit.check("compute into new arrays in stand_in and keep; change things in step and epoch")
def asking_changes_nothing(course: Course) -> None:
    """stand_in and keep may be asked at any time, as often as the model is judged or saved."""
    course.run()
    before = deepcopy(course.arrays())
    first = course.handed_in()
    _same(before, course.arrays(), "is changed by stand_in or keep")
    _same(first, course.handed_in(), "is another one when asked again")


def check_callback(callback: Callback, *, seed: int = 0) -> None:
    """Run every check on a callback, in a short training without a network; raise CheckFailure for
    the first that fails."""
    __tracebackhide__ = True
    kit.run(callback, seed)
