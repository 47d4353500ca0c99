"""From a spec to a case: data, initial weights, and the network as plain operations."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cnnkit.arrays import FRESH, flatten
from cnnkit.base import Component, Dataset, DatasetInfo, Layer, Split, Transform, chain_shapes
from cnnkit.base.place import spoken
from cnnkit.base.weight import declared
from cnnkit.layers.sequential import Sequential
from cnnkit.model import Model
from cnnkit.prediction import prepare
from cnnkit.runs.data import data_paths, load_data
from cnnkit.specfile.checks import network_input
from cnnkit.specfile.load import load_spec, recheck
from cnnkit.specfile.runspec import RunSpec

from cnnkit_bench.case import Case
from cnnkit_bench.errors import BenchError
from cnnkit_bench.network import export


def prepare_case(path: Path, overrides: list[str], data_dir: Path | None, images: int) -> Case:
    """Build what every peer is given; `images` is how many there should be.

    Raises:
        SpecError, DataError: as in `cnnkit run`.
        BenchError: where the spec asks for what peers could not follow.
    """
    spec = load_spec(path, overrides)
    check_spec(spec)
    data, dataset = load_data(spec.data, data_paths(spec, data_dir, _say), allow_fallback=True)
    info = DatasetInfo(data.train.images.shape[1:], len(data.classes))
    recheck(spec, dataset, info)
    shape, transforms = network_input(dataset, info), dataset.transforms
    _check_transforms(transforms)
    model = Model.build(spec.model.layers, shape, seed=spec.seed, transforms=transforms)
    split = _first(data.train, images)
    return case_of(path, overrides, spec, dataset, model, split)


def case_of(
    path: Path, overrides: list[str], spec: RunSpec, dataset: Dataset, model: Model, split: Split
) -> Case:
    """Return the case of a model with its weights as they are, and these images.

    Raises:
        BenchError: where a layer's weights are moved in a way of their own.
    """
    _check_rules(model)
    weights = {path: w.copy() for path, w in flatten(model.weights).items()}  # training moves them
    return Case(
        spec=str(path),
        dataset=dataset.type,
        overrides=overrides,
        shape=model.input_shape,
        ops=export(model.network, model.input_shape),
        loss=spec.loss.type,
        optimizer=spec.optimizer.model_dump(mode="json", exclude={"schedule"}),
        fixed=[path for path in weights if path not in model.learning],
        weights=weights,
        images=split.images,
        inputs=np.array(prepare(split.images, model.transforms, np.dtype(np.float32), None, FRESH)),
        labels=split.labels.astype(np.int64),
    )


def flop(path: Path, case: Case) -> tuple[int, int]:
    """Return floating-point operations per image for (training, inference).

    A multiply-accumulate counts two; training takes three times inference, less the gradient
    that the first layer with weights need not send to the images.
    """
    network = Sequential(layers=load_spec(path, case.overrides).model.layers).lower()
    forward = 2 * network.macs(case.shape)
    return 3 * forward - 2 * _first_macs(network, case), forward


def _first_macs(network: Sequential, case: Case) -> int:
    shapes = chain_shapes(network.layers, case.shape, "layers")
    pairs: list[tuple[Layer, tuple[int, ...]]] = list(zip(network.layers, shapes, strict=False))
    return next((macs for layer, shape in pairs if (macs := layer.macs(shape))), 0)


def check_spec(spec: RunSpec) -> None:
    """Refuse what peers are not told, in loss, optimizer and dtype.

    Raises:
        BenchError: naming it.
    """
    _check_dtype(spec)
    told = ("lr", "momentum", "nesterov", "betas", "eps", "weight_decay", "schedule")
    _check_options(spec.optimizer, *told)
    _check_options(spec.loss)


def _check_rules(model: Model) -> None:
    """Refuse layers that learn otherwise than the rest."""
    for path, weight in declared(model.network.weights(model.input_shape)).items():
        if weight.lr_scale != 1 or weight.weight_decay is not None:
            raise BenchError(
                "error: bench cannot give peers the options lr_scale and weight_decay of "
                f"{spoken(path.rpartition('/')[0])}\n"
                "   = help: leave them out of a copy of the spec"
            )


def _check_dtype(spec: RunSpec) -> None:
    if spec.model.dtype != "float32":
        raise BenchError(
            f"error: bench compares float32 networks, and this one is {spec.model.dtype}\n"
            "   = help: add --set model.dtype=float32"
        )


def _check_options(component: Component, *followed: str) -> None:
    """Refuse what no peer is told, such as clipping."""
    for name, field in type(component).model_fields.items():
        usual = field.get_default(call_default_factory=True)
        if name not in ("type", *followed) and getattr(component, name) != usual:
            raise BenchError(
                f"error: bench cannot give peers the option {name} of {component.type}\n"
                "   = help: leave it out of a copy of the spec: it hardly changes how long a step "
                "takes"
            )


def _check_transforms(transforms: Sequence[Transform]) -> None:
    for transform in transforms:
        if transform.random:
            raise BenchError(
                f"error: bench gives every peer the same images, but {transform.type} changes "
                "them at random\n   = help: take it out of data.transforms"
            )


def _first(split: Split, count: int) -> Split:
    """Return `count` samples, from the start again where the split has fewer."""
    rows = np.arange(count) % len(split)
    return Split(split.images[rows], split.labels[rows])


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
