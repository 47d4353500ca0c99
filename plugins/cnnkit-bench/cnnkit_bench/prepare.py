"""From a spec to a case: data, initial weights, and the network as plain operations."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cnnkit.arrays import FRESH, flatten
from cnnkit.base import Component, DatasetInfo, Layer, Split, Transform, chain_shapes
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
    _check_dtype(spec)
    _check_options(spec.optimizer, "lr", "momentum", "nesterov", "betas", "eps", "schedule")
    _check_options(spec.loss)
    data, dataset = load_data(spec.data, data_paths(spec, data_dir, _say), allow_fallback=True)
    info = DatasetInfo(data.train.images.shape[1:], len(data.classes))
    recheck(spec, dataset, info)
    shape, transforms = network_input(dataset, info), dataset.transforms
    _check_transforms(transforms)
    model = Model.build(spec.model.layers, shape, seed=spec.seed, transforms=transforms)
    split = _first(data.train, images)
    return Case(
        spec=str(path),
        dataset=dataset.type,
        overrides=overrides,
        shape=shape,
        ops=export(model.network, shape),
        loss=spec.loss.type,
        optimizer=spec.optimizer.model_dump(mode="json", exclude={"schedule"}),
        weights=flatten(model.weights),
        images=split.images,
        inputs=np.array(prepare(split.images, transforms, np.dtype(np.float32), None, FRESH)),
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


def _check_dtype(spec: RunSpec) -> None:
    if spec.model.dtype != "float32":
        raise BenchError(
            f"error: bench compares float32 networks, and this one is {spec.model.dtype}\n"
            "   = help: add --set model.dtype=float32"
        )


def _check_options(component: Component, *followed: str) -> None:
    """Refuse what no peer is told, such as clipping, or does otherwise, such as weight decay, which
    moves biases there."""
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
