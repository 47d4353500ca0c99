"""Prepare: from a spec to its data and its model, with nothing written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from cnnkit.arrays import Array
from cnnkit.base import Data, DataPaths, Dataset, DatasetInfo, Split, Transform
from cnnkit.base.component import SPEC_PATH
from cnnkit.base.contract import checked_fit
from cnnkit.base.place import outermost
from cnnkit.errors import CnnkitError, PluginError, SpecError
from cnnkit.model import Model
from cnnkit.provenance import attribute, exhausted
from cnnkit.runs.data import load_data, parts_of
from cnnkit.runs.oddities import oddities
from cnnkit.runs.warm import Origin, warm_start
from cnnkit.specfile.checks import network_input
from cnnkit.specfile.load import recheck
from cnnkit.specfile.runspec import RunSpec
from cnnkit.values import check_like, check_values


@contextmanager
def in_spec(spec: RunSpec) -> Iterator[None]:
    """Add to an error about a layer where the spec names it."""
    try:
        try:
            yield
        except MemoryError as error:  # outside of any step
            raise exhausted(error) from error
    except CnnkitError as error:
        if error.layer_path and spec.source.file:
            from cnnkit.diagnosis.problems import place_in

            index = outermost(error.layer_path, [layer.name for layer in spec.model.layers])
            error.add_note(f"  --> {place_in(spec.source, ('model', 'layers', index))}")
        raise


class Prepared(NamedTuple):
    """All that training takes; nothing is written for it.

    Args:
        spec: with what its loss takes from the labels filled in.
        data: as loaded from `dataset`, which may be the fallback.
        train, validation: what is trained on, and set aside.
        model: with weights as training begins with them.
        origin: of these, where they are not fresh.
    """

    spec: RunSpec
    data: Data
    dataset: Dataset
    train: Split
    validation: Split | None
    model: Model
    origin: Origin | None


def prepare(
    spec: RunSpec, paths: DataPaths, allow_fallback: bool = True, warm: bool = True
) -> Prepared:
    """Load a spec's data, and build its model.

    Args:
        warm: whether to begin with the weights that the spec names.

    Raises:
        DataError: where the data cannot be had, or is damaged.
        SpecError: where the spec does not fit the data.
    """
    _refuse_folds(spec)
    with attribute(spec.registry, lambda: "before training", PluginError), in_spec(spec):
        data, dataset = load_data(spec.data, paths, allow_fallback)
        parts = _parts(data, dataset, spec, paths)
        spec = fitted(spec, parts.train.labels, len(data.classes))
        model = _build(spec, dataset, data, paths)
        origin = warm_start(spec, model, paths.say) if warm else None
    return Prepared(spec, data, dataset, parts.train, parts.validation, model, origin)


def fitted(spec: RunSpec, labels: Array, classes: int) -> RunSpec:
    """Return the spec with what its loss takes from the training labels filled in."""
    loss = checked_fit(spec.loss, spec.loss.fit(labels, classes))
    return spec.model_copy(update={"loss": loss}) if loss != spec.loss else spec


def name_of(dataset: Dataset, data: Data) -> str:
    """Return what messages call the data: its name, and the files that its options name."""
    fields = type(dataset).model_fields.items()
    files = [getattr(dataset, name) for name, field in fields if SPEC_PATH in field.metadata]
    return " ".join([data.name, *(f"({file})" for file in files if file)])


def _refuse_folds(spec: RunSpec) -> None:
    if spec.data.folds and not spec.data.fold:
        raise SpecError(
            f"[data] folds = {spec.data.folds} are as many runs, which `cnnkit run` trains; a "
            "single one is that of fold = 1, say"
        )


def _parts(data: Data, dataset: Dataset, spec: RunSpec, paths: DataPaths) -> Data:
    """Set a validation part aside, and say what is odd about the data."""
    parts = parts_of(data, dataset, spec.seed, spec.train.subset)
    if data.validation and dataset.folds:
        paths.say(f"note: {data.name} comes with validation images, which folds leave unused")
    elif data.validation and "validation" in dataset.model_fields_set:
        paths.say(f"note: {data.name} comes with validation images: no share is set aside")
    if (spec.train.subset or 0) > len(parts.train):
        what = f"warning: [train] subset = {spec.train.subset:,}, but there are "
        paths.say(f"{what}{len(parts.train):,} images to train on: all of them are taken")
    batch, count = spec.train.batch, len(parts.train)
    if batch > count and "batch" in spec.train.model_fields_set:
        what = f"warning: [train] batch = {batch:,}, but there are {count:,} images to train on"
        paths.say(f"{what}: one update of the weights an epoch; 32 is usual")
    for line in oddities(parts, dataset.transforms):
        paths.say(line)
    return parts


def _build(spec: RunSpec, dataset: Dataset, data: Data, paths: DataPaths) -> Model:
    """Check the spec against the data at hand and draw the weights."""
    info = DatasetInfo(
        data.train.images.shape[1:], len(data.classes), validation=data.validation is not None
    )
    recheck(spec, dataset, info)
    name = name_of(dataset, data)
    trained_on = check_values(data.train.images, dataset.transforms, f"training images of {name}")
    for part in (part for part in data.splits() if part != "train"):
        images, where = data.splits()[part].images, f"{part} images of {name}"
        check_values(images, dataset.transforms, where)
        if unlikely := check_like(images, trained_on, where):
            paths.say(f"WARNING: {unlikely}")
    return Model.build(
        spec.model.layers,
        network_input(dataset, info),
        seed=spec.seed,
        dtype=spec.model.dtype,
        transforms=dataset.transforms,
        classes=data.classes,
        trained_on=trained_on,
        average=_averaged(spec, dataset, paths),
        backend=spec.train.backend,
    )


def _averaged(spec: RunSpec, dataset: Dataset, paths: DataPaths) -> list[Transform]:
    """Return what predictions average over: of what fell to other data, that which these are
    trained on too. Mirrored digits are none."""
    asked = spec.predict.average
    known = {one.type for one in dataset.transforms}
    if dataset is spec.data or known.issuperset(one.type for one in asked):
        return asked
    left = [one for one in asked if one.type in known]
    names = " and ".join(one.type for one in asked if one not in left)
    paths.say(f"note: {dataset.type} is not trained on {names}, and not averaged over it")
    return left
