"""The built-in callbacks, registered through the same hook as anybody else's."""

from abc import ABC
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from cnnkit.arrays import Weights, counted
from cnnkit.base import Callback, Positive, Synonyms, Training
from cnnkit.hookspecs import hookimpl
from cnnkit.kernels.updates import blend


class _Patient(Callback, ABC):
    """What early_stopping and plateau share: they wait for a figure to become better."""

    metric: str = "loss"
    """The figure of the validation images, "loss" or one of the metrics; where none were set aside,
    the training loss."""
    patience: Positive = 5
    """Epochs without a better figure after which it acts."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """By how much a figure must be better than the best to count."""

    def watches(self) -> str:
        return self.metric

    def init_state(self, training: Training) -> dict[str, Any]:
        return {"waited": 0}

    def better(self, training: Training, state: dict[str, Any]) -> bool:
        """Note this epoch's figure; return whether it is the best so far."""
        now, best = float(training.figures[self.metric]), state.get("best")
        gain = 0.0 if best is None else now - best if self.metric in training.higher else best - now
        if best is not None and gain <= self.min_delta:
            state["waited"] += 1
            return False
        state["best"], state["waited"] = now, 0
        return True


class EarlyStopping(_Patient):
    """Ends training once a figure has not become better for `patience` epochs.

    The model keeps the weights of the best epoch, running statistics included, however training
    ends: those that were judged, which are the averages where `ema` or `swa` make some.
    """

    type: Literal["early_stopping"] = "early_stopping"
    synonyms: ClassVar[Synonyms] = {
        "early_stopping": "earlystop", "metric": "monitor", "min_delta": "mindelta threshold",
        "restore": "restorebestweights restorebest",
    }  # fmt: skip
    restore: bool = True
    """Whether the model keeps the weights of the best epoch, and not those of the last."""

    def epoch(self, training: Training, state: dict[str, Any]) -> None:
        if self.better(training, state):
            if self.restore:
                state["weights"] = training.judged()
        elif state["waited"] >= self.patience:
            training.stop(f"no better {self.metric} in {counted(state['waited'], 'epoch')}")
            state["waited"] = 0  # whoever resumes it wants to see more

    def keep(self, training: Training, state: dict[str, Any]) -> Weights | None:
        return state.get("weights")

    def copies(self) -> int:
        return int(self.restore)


class Plateau(_Patient):
    """Lowers the learning rate whenever a figure has not become better for `patience` epochs.

    rate = max(rate * factor, min_rate), before the schedule, which goes on as it was.
    """

    type: Literal["plateau"] = "plateau"
    synonyms: ClassVar[Synonyms] = {
        "plateau": "reducelronplateau reduceonplateau", "metric": "monitor",
        "min_rate": "minlr", "min_delta": "mindelta threshold",
    }  # fmt: skip
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What the rate is multiplied by."""
    min_rate: Annotated[float, Field(ge=0)] = 0.0
    """The rate is not lowered below it."""

    def epoch(self, training: Training, state: dict[str, Any]) -> None:
        if not self.better(training, state) and state["waited"] >= self.patience:
            lower = max(training.rate * self.factor, self.min_rate)
            training.rate, state["waited"] = min(training.rate, lower), 0


class _Averaging(Callback, ABC):
    """What ema and swa share: `count` weights are in the vector `average`, which stands in."""

    def copies(self) -> int:
        return 2  # the average, and the optimizer's weights while the average stands in for them

    def init_state(self, training: Training) -> dict[str, Any]:
        return {"average": training.vector.copy(), "count": 0}

    def stand_in(self, training: Training, state: dict[str, Any]) -> Weights | None:
        return training.by_path(state["average"]) if state["count"] else None


class Ema(_Averaging):
    """Averages the weights over the last steps; the averages are judged, saved and kept.

    average += (1 - d) * (weights - average) after each update, with d = min(decay, (1 + n) /
    (10 + n)) after n updates, so that the initial weights are soon forgotten. Averaged is what
    learns; the running statistics of batch_norm are averages already, and stay as they are.

    Source: Polyak and Juditsky, Acceleration by Averaging (1992); the warm-up is TensorFlow's.
    """

    type: Literal["ema"] = "ema"
    synonyms: ClassVar[Synonyms] = {"ema": "exponentialmovingaverage modelema polyak"}
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Share of the average that each step keeps."""

    def step(self, training: Training, state: dict[str, Any]) -> None:
        n = state["count"]
        blend(state["average"], training.vector, 1 - min(self.decay, (1 + n) / (10 + n)))
        state["count"] = n + 1


class Swa(_Averaging):
    """Averages the weights at the ends of epochs; the averages are judged, saved and kept.

    The mean of those after the epochs start, start + every, start + 2 * every, and so on. Averaged
    is what learns; the running statistics of batch_norm stay those of the last epoch.

    Source: Izmailov et al., Averaging Weights Leads to Wider Optima (2018), algorithm 1.
    """

    type: Literal["swa"] = "swa"
    synonyms: ClassVar[Synonyms] = {"swa": "stochasticweightaveraging averagedmodel"}
    start: Positive
    """The first epoch whose weights count."""
    every: Positive = 1
    """Epochs from one that counts to the next."""

    def begins(self) -> int:
        return self.start

    def init_state(self, training: Training) -> dict[str, Any]:
        return {"average": np.zeros_like(training.vector), "count": 0}

    def done(self, training: Training, state: dict[str, Any]) -> None:
        past = training.epoch - self.start
        if past >= 0 and past % self.every == 0:
            state["count"] += 1
            blend(state["average"], training.vector, 1 / state["count"])


class StopAfter(Callback):
    """Ends training after so many minutes, within an epoch if need be, which is judged as far as
    it got.

    What counts is the time of the steps, as in metrics.jsonl; a run that goes on counts what it
    took before. One that it has ended gets as many minutes again when it goes on.
    """

    type: Literal["stop_after"] = "stop_after"
    synonyms: ClassVar[Synonyms] = {"stop_after": "timelimit timeout maxtime"}
    minutes: Annotated[float, Field(gt=0)]
    """Minutes of training."""

    def init_state(self, training: Training) -> dict[str, Any]:
        return {"seconds": 0.0}  # of the epochs before

    def step(self, training: Training, state: dict[str, Any]) -> None:
        if state["seconds"] + training.seconds >= 60 * self.minutes:
            over = "is" if self.minutes == 1 else "are"
            training.stop(f"{counted(self.minutes, 'minute')} {over} over")

    def epoch(self, training: Training, state: dict[str, Any]) -> None:
        total = state["seconds"] + training.seconds
        state["seconds"] = total if total < 60 * self.minutes else 0.0


@hookimpl
def cnnkit_callbacks() -> list[type[Callback]]:
    """Return the callbacks that come with cnnkit."""
    return [EarlyStopping, Plateau, Ema, Swa, StopAfter]
