"""Fit: a network trained on arrays, in memory or into a run's folder."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tomli_w
from pydantic import ValidationError

from cnnkit.arrays import Array
from cnnkit.base import (
    Callback,
    Component,
    Data,
    DataPaths,
    Dataset,
    DatasetInfo,
    Epoch,
    Layer,
    Loss,
    Metric,
    Optimizer,
    Split,
    Transform,
)
from cnnkit.base.component import Table
from cnnkit.base.transform import transformed_shape
from cnnkit.datasets.labels import Part
from cnnkit.datasets.npz import Npz
from cnnkit.errors import DataError, OptionError
from cnnkit.examined import labelled
from cnnkit.model import Model
from cnnkit.notebook.curves import History
from cnnkit.notebook.progress import Listener, Progress, progress
from cnnkit.notebook.run import Run
from cnnkit.plugins import find_component, load_plugins
from cnnkit.provenance import check_offered, plain
from cnnkit.registry import Registry
from cnnkit.runs.data import parts_of
from cnnkit.runs.prepare import Prepared, fitted, in_spec
from cnnkit.runs.recorder import summary_of
from cnnkit.runs.remarks import after_training
from cnnkit.runs.session import Session, trainer_of
from cnnkit.source import Source
from cnnkit.specfile.load import recheck
from cnnkit.specfile.runspec import ModelSpec, RunSpec, TrainSpec
from cnnkit.values import check_values, unscaled
from cnnkit.workers import Threads

Pair = tuple[npt.ArrayLike, npt.ArrayLike]
Held = float | Pair | None
Types = Sequence[type[Component]]
FILE = "data.npz"
"""Where in its folder a run keeps the arrays that it was trained on."""


class Arrays(Dataset):
    """Arrays that were given to `fit`, and are nowhere on disk."""

    type: Literal["arrays"] = "arrays"

    def load(self, paths: DataPaths) -> Data:
        raise DataError(
            "the arrays of this run were in memory alone\n"
            "   = help: give them to cnnkit.fit again, with out= to keep them in a run's folder"
        )


def fit(
    network: RunSpec | Sequence[Layer | Table],
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    epochs: int | None = None,
    batch: int | None = None,
    optimizer: Optimizer | Table | None = None,
    loss: Loss | Table | None = None,
    validation: Held = None,
    metrics: Sequence[Metric | Table] | None = None,
    transforms: Sequence[Transform | Table] | None = None,
    callbacks: Sequence[Callback | Table] | None = None,
    on_epoch: Callable[[dict[str, Any]], object] | None = None,
    classes: Sequence[str] = (),
    seed: int | None = None,
    out: str | Path | None = None,
    types: Types = (),
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train a network on arrays, and say how it goes; nothing is written unless `out` is given.

    Args:
        network: layers, as objects, tables or names of types; or a spec, whose settings and
            transforms hold where none is given here, and whose dataset is not asked for.
        x, y: images (N, *shape) and labels (N,), whole numbers from 0.
        epochs, batch: 10 and 32 where neither the call nor a spec says otherwise.
        optimizer: adam at a rate of 0.001.
        loss: cross_entropy.
        validation: a share of the images to set aside, or other images and labels.
        metrics: of the validation images: accuracy.
        transforms: for whole numbers of 8 bits scale, for others none.
        callbacks: may change training, such as `["ema"]`, in this order.
        on_epoch: called after each epoch with its figures, a dict as a line of metrics.jsonl. Where
            it raises, that is a warning, training goes on, and it is not called again.
        classes: a display name per class.
        seed: decides every random draw: 0.
        out: a run's folder to make, for images (N, C, H, W); it holds the arrays, too, as
            data.npz, so that every verb knows what to do with it.
        types: classes of your own, which may be named then as those of plugins are; with `out`,
            all that are used.
        quiet: tell nothing meanwhile.
        settings: others of a spec's [train]: shuffle, shard, threads, backend, on_nonfinite, ...

    Raises:
        ShapeError, OptionError, PluginError: where the network does not fit, or is none.
        DataError: where images or labels do not fit it.
        RunError: where `out` holds files, or cannot be written.
        SpecError: where parts do not fit together, such as a loss and a head, or training asks for
            a figure that there is not, or for more memory.
        TrainingError: where the loss stops being finite.
    """
    base = network if isinstance(network, RunSpec) else None
    seed = seed if seed is not None else base.seed if base else 0
    model = _built(network, np.asarray(x), transforms, classes, seed, types)
    asked = _parts(base, {"optimizer": optimizer, "loss": loss, "metrics": metrics}, types)
    given = {"epochs": epochs, "batch": batch, "callbacks": callbacks, **settings}
    asked |= {"seed": seed, "train": _train(base, given, types)}
    asked["data"], data = _data(model, labelled(model, x, y), validation, out)
    spec = _spec(base, model, asked).read_as(Source(), load_plugins().offering(types))
    return _trained(_ready(spec, data, model), on_epoch, quiet, Path(out) if out else None)


def _refuse_unknown(settings: Iterable[str]) -> None:
    """Refuse settings that nothing takes.

    Raises:
        OptionError: saying what was meant, as far as that can be guessed.
    """
    own = [name for name, one in signature(fit).parameters.items() if one.kind != one.VAR_KEYWORD]
    known = [*own, *(name for name in TrainSpec.model_fields if name not in own)]
    for name in sorted(set(settings).difference(known)):
        from cnnkit.diagnosis.problems import did_you_mean  # imported when something is wrong

        meant, help_ = did_you_mean(name, known), f"fit takes {', '.join(known)}"
        optimizers = load_plugins().entries("optimizers")
        if takers := [one.type for one in optimizers if name in one.cls.model_fields]:
            said = f'optimizer={{"type": "{takers[0]}", "{name}": ...}}'
            help_ = f"it is the optimizer's: {said}, say"
        note = f'\n  = note: did you mean "{meant}"?' if meant else ""
        raise OptionError(f'fit takes no "{name}"{note}\n  = help: {help_}')


def _offering(types: Types) -> Registry | None:
    """Return a registry that offers these, too; None where the usual one will do."""
    return load_plugins().offering(types) if types else None


def _built(
    network: RunSpec | Sequence[Layer | Table],
    images: Array,
    transforms: Sequence[Transform | Table] | None,
    classes: Sequence[str],
    seed: int,
    types: Types,
) -> Model:
    """Return the network with weights, for images of this shape and dtype."""
    if isinstance(network, str | Path):
        said = repr(str(network))
        raise OptionError(f"network is {said}; expected layers, or cnnkit.load_spec({said})")
    spec = network if isinstance(network, RunSpec) else None
    layers = network.model.layers if isinstance(network, RunSpec) else network
    if transforms is None:
        usual = ["scale"] if images.dtype == np.uint8 else []
        transforms = spec.data.transforms if spec else usual
    registry = _offering(types)
    if registry:
        layers = [find_component("layers", one, registry) for one in layers]
    found = [find_component("transforms", one, registry) for one in transforms]
    shape = transformed_shape(found, images.shape[1:])
    dtype = spec.model.dtype if spec else "float32"
    return Model.build(
        layers, shape, seed=seed, dtype=dtype, transforms=found, classes=classes,
        average=spec.predict.average if spec else (),
    )  # fmt: skip


def _train(base: RunSpec | None, given: Mapping[str, Any], types: Types) -> TrainSpec:
    """Return what the call says of training, else the spec, else the defaults.

    Raises:
        OptionError: for a setting that there is not, or a value that it cannot have.
    """
    _refuse_unknown(given)
    registry, values = _offering(types), dict[str, Any](epochs=10, batch=32)
    if base is not None:
        values = {name: getattr(base.train, name) for name in base.train.model_fields_set}
        values.pop("subset", None)  # of another dataset
    values |= {name: value for name, value in given.items() if value is not None}
    if "backend" in values:
        values["backend"] = find_component("backends", values["backend"], registry)
    if "callbacks" in values:
        values["callbacks"] = [
            find_component("callbacks", one, registry) for one in values["callbacks"]
        ]
    try:
        return TrainSpec(**values)
    except ValidationError as error:
        from cnnkit.diagnosis.python import option_error  # imported when something is wrong

        raise option_error(TrainSpec, values, error) from None


def _parts(base: RunSpec | None, given: Mapping[str, Any], types: Types) -> dict[str, Any]:
    """Return optimizer, loss and metrics in the same way."""
    usual: dict[str, Any] = {
        "optimizer": {"type": "adam", "lr": 0.001}, "loss": "cross_entropy", "metrics": ["accuracy"]
    }  # fmt: skip
    if base is not None:
        usual = {name: getattr(base, name) for name in usual}
    registry = _offering(types)
    own = usual | {name: value for name, value in given.items() if value is not None}
    return {
        "optimizer": find_component("optimizers", own["optimizer"], registry),
        "loss": find_component("losses", own["loss"], registry),
        "metrics": [find_component("metrics", one, registry) for one in own["metrics"]],
    }


def _spec(base: RunSpec | None, model: Model, asked: Mapping[str, Any]) -> RunSpec:
    """Return all that was asked for, as a spec."""
    if base is not None:
        return base.model_copy(update=dict(asked))
    return RunSpec(name="fit", model=ModelSpec(layers=list(model.layers)), **asked)


def _data(
    model: Model, train: Split, validation: Held, out: str | Path | None
) -> tuple[Dataset, Data]:
    """Return the arrays as a dataset: one that is in memory, or one that will be in a file, and
    what it gives."""
    share, pair = (validation, None) if isinstance(validation, int | float) else (0.0, validation)
    held = labelled(model, *pair) if pair else None
    common: dict[str, Any] = {"transforms": list(model.transforms), "validation": float(share)}
    none = Split(train.images[:0], train.labels[:0])
    if out is None:
        return Arrays(**common), Data("arrays", train, none, model.classes, held)
    if train.images.ndim != 4:
        raise DataError(f"images are of shape {train.images.shape}; out= keeps images (N, C, H, W)")
    dataset = Npz(path=FILE, test=0, layout="chw", classes=list(model.classes), **common)
    parts = {"train": (Part(train.images, "x"), Part(train.labels, "y"))}
    if held is not None:
        where = "validation"
        parts[where] = Part(held.images, where), Part(held.labels, f"labels for {where}")
    return dataset, dataset.arrange(parts, warnings.warn)


def _ready(spec: RunSpec, data: Data, model: Model) -> Prepared:
    """Return all that training takes, with a validation part set aside."""
    spec, parts = (
        fitted(spec, data.train.labels, len(data.classes)),
        parts_of(data, spec.data, spec.seed, spec.train.subset),
    )
    shape, held = data.train.images.shape[1:], parts.validation is not None
    recheck(spec, spec.data, DatasetInfo(shape, len(data.classes), validation=held))
    images, transforms = parts.train.images, model.transforms
    model.note_range(check_values(images, transforms, "training images"))
    if unscaled(images, transforms) or (not transforms and np.ptp(images) >= 255):
        what = "values of 0 to 255 reach the network as they are, and it learns from small ones"
        warnings.warn(f'{what}: give bytes, with transforms=["scale"], or x / 255', stacklevel=3)
    return Prepared(spec, data, spec.data, parts.train, parts.validation, model, None)


def _trained(
    ready: Prepared,
    on_epoch: Callable[[dict[str, Any]], object] | None,
    quiet: bool,
    out: Path | None,
) -> Run:
    """Train, and tell whoever wants to know."""
    listener = Listener(on_epoch)
    with progress(ready.spec.train.epochs, quiet) as told:

        def tell(record: Epoch) -> None:
            told.epoch(record)
            listener.epoch(record)

        return _recorded(ready, out, told, tell) if out else _in_memory(ready, told, tell)


def _in_memory(ready: Prepared, told: Progress, tell: Callable[[Epoch], None]) -> Run:
    """Train, and leave nothing on disk."""
    spec, model, epochs = ready.spec, ready.model, []
    with in_spec(spec), Threads(spec.train.threads) as pool:
        trainer = trainer_of(spec, model, pool, told.watch)
        with closing(trainer.run(ready.train, ready.validation)) as records:
            for record in records:
                epochs.append(record)
                tell(record)
    remarks = list(after_training(spec, epochs, {}, ready.data.test))
    summary = summary_of(trainer, spec.seed, epochs, ready.dataset.type, {}, remarks)
    return Run(None, spec, model, History(epochs), summary)


def _recorded(ready: Prepared, out: Path, told: Progress, tell: Callable[[Epoch], None]) -> Run:
    """Train into a run's folder, which keeps the arrays, too."""
    spec, registry = ready.spec, ready.spec.registry
    check_offered(spec, registry)
    text = tomli_w.dumps(plain(spec, registry))
    spec = spec.read_as(Source(str(out / "spec.toml"), text.encode()), registry)
    ready, paths = ready._replace(spec=spec), DataPaths(out, say=warnings.warn)
    with Session(spec, paths, out=out, watch=told.watch, ready=ready) as session:
        session.directory.write(FILE, _packed(ready.data))
        for record in session.epochs():
            tell(record)
        done = session.finish()
    return Run(done.path, spec, done.model, History(done.epochs), done.summary)


def _packed(data: Data) -> bytes:
    """Return the arrays as an npz file."""
    names = {"train": "train", "validation": "val"}
    arrays: dict[str, Array] = {}
    for part, split in data.splits().items():
        arrays |= {f"x_{names[part]}": split.images, f"y_{names[part]}": split.labels}
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays)
    return packed.getvalue()
