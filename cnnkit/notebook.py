"""Notebooks: train on arrays in one call, and see what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array
from cnnkit.base import Epoch, Layer, Loss, Metric, Optimizer, Transform
from cnnkit.base.component import Table
from cnnkit.base.transform import transformed_shape
from cnnkit.engine.trainer import Trainer
from cnnkit.examined import labelled
from cnnkit.model import Model
from cnnkit.plugins import find_component
from cnnkit.specfile.runspec import RunSpec
from cnnkit.split import stratified_split
from cnnkit.values import check_values

if TYPE_CHECKING:
    from cnnkit.report.charts import Chart

Pair = tuple[npt.ArrayLike, npt.ArrayLike]
Held = float | Pair | None


class History(tuple[Epoch, ...]):
    """The records of a training; a notebook shows them as curves."""

    def _charts(self) -> list[Chart | None]:
        from cnnkit.report.charts import Series, line_chart

        held = [(one.epoch, one.validation) for one in self if one.validation]
        losses = [Series("train", [(one.epoch, one.train_loss) for one in self])]
        losses += [Series("validation", [(n, one["loss"]) for n, one in held])] if held else []
        names = dict.fromkeys(name for _, one in held for name, value in one.items()
                              if name != "loss" and isinstance(value, float))  # fmt: skip
        figures = [Series(name.replace("_", " "), [(n, one[name]) for n, one in held])
                   for name in names]  # fmt: skip
        return [
            line_chart("Loss", "epoch", "loss", losses, zero=True, whole=True),
            line_chart("On the validation images", "epoch", "figure", figures, whole=True),
        ]

    def _repr_html_(self) -> str:
        """Return the curves as a drawing, with the numbers behind them."""
        from cnnkit.report.page import render

        charts = [chart for chart in self._charts() if chart]
        return render("curves.html", charts=charts, records=self)


def fit(
    network: RunSpec | Sequence[Layer | Table],
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    validation: Held = None,
    epochs: int | None = None,
    batch: int | None = None,
    optimizer: Optimizer | Table | None = None,
    loss: Loss | Table | None = None,
    metrics: Sequence[Metric | Table] | None = None,
    transforms: Sequence[Transform | Table] | None = None,
    classes: Sequence[str] = (),
    seed: int | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
    **settings: Any,
) -> Model:
    """Train a network on arrays, with nothing on disk; return it, its records in `model.history`.

    Args:
        network: layers, as objects, tables or names of types; or a spec, whose settings and
            transforms hold where none is given here, and whose dataset is not asked for.
        x, y: images (N, *shape) and labels (N,), whole numbers from 0.
        validation: a share of them to set aside, or other images and labels.
        epochs, batch: 10 and 32 where neither the call nor a spec says otherwise.
        optimizer: adam at a rate of 0.001.
        loss: cross_entropy.
        metrics: of the validation images: accuracy.
        transforms: for whole numbers of 8 bits scale, for others none.
        classes: a display name per class.
        on_epoch: called with each epoch's record.
        settings: others of `Trainer`: schedule, shuffle, shard, threads, backend.

    Raises:
        ShapeError, OptionError, PluginError: where the network does not fit, or is none.
        DataError: where images or labels do not fit it.
        TrainingError: where the loss stops being finite.
    """
    images, labels = np.asarray(x), np.asarray(y)
    spec = network if isinstance(network, RunSpec) else None
    seed = seed if seed is not None else spec.seed if spec else 0
    model = _built(network, images, transforms, classes, seed)
    own = _settings(spec, epochs, batch, optimizer, loss, metrics) | settings
    trainer = Trainer(model, own.pop("loss"), own.pop("optimizer"), seed=seed, **own)
    records = _trained(trainer, *_held(images, labels, validation, seed), on_epoch)
    object.__setattr__(model, "history", History(records))
    return model


def _built(
    network: RunSpec | Sequence[Layer | Table],
    images: Array,
    transforms: Sequence[Transform | Table] | None,
    classes: Sequence[str],
    seed: int,
) -> Model:
    """Return the network with weights, for images of this shape and dtype."""
    spec = network if isinstance(network, RunSpec) else None
    layers = network.model.layers if isinstance(network, RunSpec) else network
    if transforms is None:
        usual = ["scale"] if images.dtype == np.uint8 else []
        transforms = spec.data.transforms if spec else usual
    found = [find_component("transforms", one) for one in transforms]
    shape = transformed_shape(found, images.shape[1:])
    dtype = spec.model.dtype if spec else "float32"
    return Model.build(
        layers, shape, seed=seed, dtype=dtype, transforms=found, classes=classes,
        average=spec.predict.average if spec else (),
    )  # fmt: skip


def _trained(
    trainer: Trainer, train: Pair, held: Pair | None, on_epoch: Callable[[Epoch], object] | None
) -> Iterator[Epoch]:
    """Yield a record per epoch; worker processes end with it, wherever that is."""
    model, split = trainer.model, labelled(trainer.model, *train)
    model.note_range(check_values(split.images, model.transforms, "training images"))
    with closing(trainer.run(split, labelled(model, *held) if held else None)) as records:
        for record in records:
            yield record
            if on_epoch is not None:
                on_epoch(record)


def _settings(spec: RunSpec | None, epochs: Any, batch: Any, optimizer: Any, loss: Any,
              metrics: Any) -> dict[str, Any]:  # fmt: skip
    """Return what the call says, else the spec, else the defaults."""
    usual: dict[str, Any] = {
        "epochs": 10, "batch": 32, "optimizer": {"type": "adam", "lr": 0.001},
        "loss": "cross_entropy", "metrics": ["accuracy"],
    }  # fmt: skip
    if spec is not None:
        names = ("epochs", "batch", "shuffle", "shard", "backend")
        usual = {name: getattr(spec.train, name) for name in names}
        usual |= {"optimizer": spec.optimizer, "loss": spec.loss, "metrics": spec.metrics}
    said = {"epochs": epochs, "batch": batch, "optimizer": optimizer, "loss": loss,
            "metrics": metrics}  # fmt: skip
    own = usual | {name: value for name, value in said.items() if value is not None}
    for name, family in (("optimizer", "optimizers"), ("loss", "losses")):
        own[name] = find_component(family, own[name])
    own["metrics"] = [find_component("metrics", one) for one in own["metrics"]]
    return own


def _held(x: Any, y: Any, validation: Held, seed: int) -> tuple[Pair, Pair | None]:
    """Return what to train on, and what to set aside."""
    if not isinstance(validation, int | float):
        return (x, y), validation
    rows, aside = stratified_split(y, validation, seed)
    return (x[rows], y[rows]), (x[aside], y[aside])
