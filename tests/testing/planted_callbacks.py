"""Bugs in callbacks."""

from __future__ import annotations

from typing import Literal

import numpy as np
from planted import planted

from cnnkit.base import Callback


class Shaken(Callback):
    """Noise on the weights after each step, less of it epoch by epoch, and their mean kept."""

    type: Literal["shaken"] = "shaken"
    size: float = 0.01
    """How large the noise is."""

    def init_state(self, training):
        return {"size": self.size, "mean": {"of": training.vector * 0, "count": 0}}

    def step(self, training, state):
        noise = training.rng().standard_normal(training.vector.size).astype(np.float32)
        training.vector += noise * state["size"]
        state["mean"]["count"] += 1
        state["mean"]["of"] += (training.vector - state["mean"]["of"]) / state["mean"]["count"]

    def epoch(self, training, state):
        state["size"] /= 2
        training.rate *= 0.9
        if training.epoch == 5:
            training.stop("enough")

    def stand_in(self, training, state):
        return training.by_path(state["mean"]["of"])


@planted("keeps_its_word")
class NumPySize(Shaken):
    """A NumPy number in the state, which comes back as a plain one and rounds in another way."""

    type: Literal["numpy_size"] = "numpy_size"

    def epoch(self, training, state):
        state["size"] = np.float32(state["size"] / 2)


@planted("keeps_its_word")
class PathAsName(Shaken):
    """A path as a name in the state, which comes back as dicts within dicts."""

    type: Literal["path_as_name"] = "path_as_name"

    def epoch(self, training, state):
        state["weights"] = {path: w.copy() for path, w in training.weights.items()}


@planted("keeps_its_word")
class WholeVector(Shaken):
    """A vector in place of weights by path."""

    type: Literal["whole_vector"] = "whole_vector"

    def stand_in(self, training, state):
        return {"vector": state["mean"]["of"]}


@planted("keeps_its_word")
class NegativeRate(Shaken):
    """A rate that falls below zero."""

    type: Literal["negative_rate"] = "negative_rate"

    def epoch(self, training, state):
        training.rate -= 0.05


@planted("fixed_weights_left_alone")
class ShakesAll(Shaken):
    """Noise on the running means, too."""

    type: Literal["shakes_all"] = "shakes_all"

    def step(self, training, state):
        for w in training.weights.values():
            w += training.rng().standard_normal(w.shape).astype(w.dtype) * self.size


@planted("facts_left_alone")
class Longer(Shaken):
    """More epochs than there are to be."""

    type: Literal["longer"] = "longer"

    def epoch(self, training, state):
        training.epochs = training.epoch + 1


@planted("facts_left_alone")
class EndsTheEpoch(Shaken):
    """A count of steps that ends the epoch for the callbacks after it."""

    type: Literal["ends_the_epoch"] = "ends_the_epoch"

    def step(self, training, state):
        training.steps = training.index + 1


@planted("facts_left_alone")
class Flatters(Shaken):
    """A figure that is written over for the callbacks after it."""

    type: Literal["flatters"] = "flatters"

    def epoch(self, training, state):
        training.figures["loss"] = 0.0


@planted("facts_left_alone")
class TurnsTheLoss(Shaken):
    """A loss that the callbacks after it take for better where it is higher."""

    type: Literal["turns_the_loss"] = "turns_the_loss"

    def step(self, training, state):
        training.higher.add("loss")


@planted("training_is_deterministic")
class UnseededWalk(Shaken):
    """A generator that nobody seeded."""

    type: Literal["unseeded_walk"] = "unseeded_walk"

    def step(self, training, state):
        training.vector += np.random.default_rng().standard_normal(training.vector.size) * 0.01


@planted("resumed_equals_uninterrupted")
class Rewinds(Shaken):
    """An array that shares its memory with the weights, until it is read back."""

    type: Literal["rewinds"] = "rewinds"

    def init_state(self, training):
        return {"before": training.vector}

    def step(self, training, state):
        training.vector += 0.1 * state["before"]

    def epoch(self, training, state):
        return

    def stand_in(self, training, state):
        return None


@planted("asking_changes_nothing")
class CountsAsked(Shaken):
    """A count of how often it was asked."""

    type: Literal["counts_asked"] = "counts_asked"

    def stand_in(self, training, state):
        state["mean"]["count"] += 1
        return super().stand_in(training, state)


@planted("asking_changes_nothing")
class KeepsByWriting(Shaken):
    """The weights to keep, written over those of training."""

    type: Literal["keeps_by_writing"] = "keeps_by_writing"

    def keep(self, training, state):
        training.vector[:] = state["mean"]["of"]
