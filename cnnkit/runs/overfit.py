"""Overfit: whether a network learns one batch by heart, and which of its layers do not learn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any, NamedTuple, TypeVar

import numpy as np

from cnnkit.arrays import Array, flatten
from cnnkit.base import Component, DataPaths, Dataset, Epoch, Layer, Split
from cnnkit.base.component import slots
from cnnkit.base.place import spoken
from cnnkit.model import Model
from cnnkit.plugins import find_component
from cnnkit.runs.prepare import in_spec, prepare
from cnnkit.runs.session import trainer_of
from cnnkit.specfile.runspec import RunSpec
from cnnkit.split import stratified_sample, take
from cnnkit.workers import Threads

STEPS, NEAR = 500, 0.01
"""The steps there are for it, and the loss that counts as next to nothing."""
STILL = 1e-4
"""The share of its size by which the weights of a layer that learns move, at least."""
C = TypeVar("C", bound=Component)


class Learned(NamedTuple):
    """How it went: the loss of the last step, how many there were, the accuracy behind them, and by
    which share of their size the weights of each layer have moved."""

    loss: float
    steps: int
    accuracy: float
    moved: Mapping[str, float]

    @property
    def by_heart(self) -> bool:
        """Whether the batch was learned."""
        return self.loss < NEAR and self.accuracy == 1

    @property
    def still(self) -> list[str]:
        """The layers that do not learn, as messages call them."""
        return [spoken(path) for path, share in self.moved.items() if share < STILL]


def one_batch(spec: RunSpec) -> tuple[RunSpec, list[str]]:
    """Return a spec that trains on one batch with nothing that stands in its way, and what of it
    was switched off."""
    off: list[str] = []
    layers = [_eased(layer, off) for layer in spec.model.layers]
    loss = _without(spec.loss, off, label_smoothing=0.0)
    optimizer = _without(spec.optimizer, off, weight_decay=0.0, accumulate=1,
                         schedule=find_component("schedules", "constant"))  # fmt: skip
    if spec.train.callbacks:
        off.append("callbacks")
    how = {"callbacks": [], "epochs": STEPS, "subset": spec.train.batch, "shuffle": "none",
           "on_nonfinite": "stop", "best": None}  # fmt: skip
    return spec.model_copy(update={
        "data": _plain(spec.data, off), "loss": loss, "optimizer": optimizer, "observers": [],
        "model": spec.model.model_copy(update={"layers": layers}),
        "train": spec.train.model_copy(update=how),
        "predict": spec.predict.model_copy(update={"average": []}),
    }), list(dict.fromkeys(off))  # fmt: skip


def _without(one: C, off: list[str], **options: Any) -> C:
    """Return a component with other options, those that it has, and note which were others."""
    changed = {name: value for name, value in options.items()
               if name in type(one).model_fields and getattr(one, name) != value}  # fmt: skip
    off += [name.replace("_", " ") for name in changed]
    return one.model_copy(update=changed)


def _eased(layer: Layer, off: list[str]) -> Layer:
    """Return a layer without what is random in it, or holds weights back."""
    stop: dict[str, Any] = {"weight_decay": None} if layer.weight_decay else {}
    off += ["weight decay"] * bool(stop)
    for kind, option in (("dropout", "rate"), ("residual", "drop")):
        if layer.type == kind and getattr(layer, option, None):
            stop[option] = 0.0
            off.append("dropout" if kind == "dropout" else "stochastic depth")
    inside = [name for name, slot in slots(type(layer)).items() if slot.family == "layers"]
    for name in inside:
        stop[name] = _all_eased(getattr(layer, name), off)
    return layer.changed(**stop) if stop else layer


def _all_eased(value: Any, off: list[str]) -> Any:
    if isinstance(value, Layer):
        return _eased(value, off)
    return [_all_eased(one, off) for one in value] if isinstance(value, list | tuple) else value


def _plain(data: Dataset, off: list[str]) -> Dataset:
    """Return a dataset without validation images and random transforms, but for those that decide
    the shape of what the network sees."""
    kept = [one for one in data.transforms if one.always or not one.random]
    off += [one.type for one in data.transforms if one not in kept]
    fallback = _plain(data.fallback, off) if data.fallback else None
    update = {"transforms": kept, "validation": 0.0, "fallback": fallback}
    return data.model_copy(update=update)


def learn(model: Model, batch: Split, epochs: Iterable[Epoch]) -> Learned:
    """Let a model learn a batch, a step an epoch, until it knows it by heart or there are no more.

    Raises:
        TrainingError: where the loss is not finite.
    """
    before = {path: w.copy() for path, w in _learning(model).items()}
    judge, known = find_component("metrics", "accuracy"), Learned(np.inf, 0, 0.0, {})
    for epoch in epochs:
        known = Learned(epoch.train_loss, epoch.epoch, known.accuracy, {})
        if known.loss < NEAR or epoch.epoch == STEPS:
            y = model.predict(batch.images)
            accuracy = float(judge.evaluate(y, batch.labels, len(model.classes)))
            known = known._replace(accuracy=accuracy)
        if known.by_heart:
            break
    return known._replace(moved=_moved(before, _learning(model)))


def learn_unrecorded(spec: RunSpec, paths: DataPaths, allow_fallback: bool) -> Learned:
    """Do so with the batch that a spec of one batch trains on, and write nothing.

    Raises:
        DataError, SpecError: as `prepare` does.
    """
    whole = spec.model_copy(update={"train": spec.train.model_copy(update={"subset": None})})
    ready = prepare(whole, paths, allow_fallback)  # without what there is to say of small data
    rows = stratified_sample(ready.train.labels, spec.train.batch, spec.seed)
    batch = take(ready.train, rows)
    with in_spec(spec), Threads(spec.train.threads) as threads:
        trainer = trainer_of(ready.spec, ready.model, threads)
        return learn(ready.model, batch, trainer.run(batch, None))


def _learning(model: Model) -> dict[str, Array]:
    return {path: w for path, w in flatten(model.weights).items() if path in model.learning}


def _moved(before: Mapping[str, Array], after: Mapping[str, Array]) -> dict[str, float]:
    """Return the norm of what each layer's weights moved over that of what they were."""
    parts: dict[str, list[tuple[Array, Array]]] = {}
    for path, w in after.items():
        parts.setdefault(path.rpartition("/")[0], []).append((w - before[path], before[path]))
    found = {}
    for layer, pairs in parts.items():
        moved, was = map(_size, zip(*pairs, strict=True))
        found[layer] = moved / was if was else moved
    return found


def _size(arrays: Iterable[Array]) -> float:
    return sqrt(sum(float(np.vdot(array, array)) for array in arrays))
