"""What can be said about a valid spec without data: shapes, loss against head, memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cnnkit.arrays import Shape, counted, size
from cnnkit.base import DataPaths, Dataset, DatasetInfo, Fans, Initializer, Layer, chain_shapes
from cnnkit.base.component import walk
from cnnkit.base.layer import called
from cnnkit.base.place import KeyPath, outermost
from cnnkit.base.transform import hard_to_mix, transformed_shape
from cnnkit.errors import PluginError, ShapeError
from cnnkit.memory import GIB, Need, memory_limit, needs, training_bytes
from cnnkit.registry import Registry
from cnnkit.source import Finding
from cnnkit.specfile.idle import doubt_idle
from cnnkit.specfile.placed import check_moves
from cnnkit.values import misfits

if TYPE_CHECKING:
    from cnnkit.specfile.runspec import RunSpec

    _Placed = tuple[KeyPath, Layer]
    _Asked = list[tuple[KeyPath, str | None, str]]


def training_memory(spec: RunSpec, shape: Shape) -> tuple[list[Need], list[int]]:
    """Return what training takes of memory, layer by layer: what of, and how many bytes.

    Raises:
        PluginError: where a layer declares what are no weights.
    """
    layers, train, double = spec.model.layers, spec.train, spec.model.dtype == "float64"
    found = list(needs(layers, shape))
    return found, training_bytes(
        found, layers, spec.optimizer, batch=train.batch, shard=train.shard, threads=train.threads,
        copies=sum(one.copies() for one in train.callbacks),
        rollback=train.on_nonfinite == "rollback", itemsize=8 if double else 4,
    )  # fmt: skip


def check_memory(spec: RunSpec, shape: Shape) -> list[Finding]:
    """Hold what training takes against the limit, before anything is allocated."""
    layers, train = spec.model.layers, spec.train
    try:
        found, taken = training_memory(spec, shape)
    except PluginError as error:
        return [_misdeclared(layers, error, spec.registry)]
    limit = train.memory * GIB if train.memory else memory_limit()
    if sum(taken) <= limit:
        return []
    worst = max(range(len(taken)), key=taken.__getitem__)
    return [
        Finding(
            ("model", *found[worst].path),
            f"{found[worst].place} takes about {size(taken[worst])} of the "
            f"{size(sum(taken))} of memory that training needs with a batch of {train.batch}",
            note=f"the limit is {size(limit)}",
            help="use fewer units or filters, less padding, a smaller kernel or batch, "
            "or raise [train] memory (GiB)",
        )
    ]


def _misdeclared(layers: Sequence[Layer], error: PluginError, registry: Registry) -> Finding:
    index = outermost(error.layer_path, [layer.name for layer in layers])
    entries = (registry.entry_of(type(inner)) for _, inner in walk(layers[index]))
    owners = {entry.owner for entry in entries if entry and not entry.built_in}
    return Finding(
        ("model", "layers", index),
        f"layer {index + 1} ({layers[index].type}) declares what are no weights: {error}",
        help=f"this is a fault of {' or '.join(sorted(owners)) or 'the layer'}, not of the spec",
    )


def check_spec(spec: RunSpec, dataset: Dataset, info: DatasetInfo | None) -> list[Finding]:
    """Return what is wrong with a spec each of whose values is right by itself.

    Args:
        dataset: the spec's, or the fallback that stands in for it.
        info: what is known of it, None where nothing is.
    """
    return [
        *check_squeezed(spec), *check_figures(spec), *check_callbacks(spec),
        *check_judged(spec, dataset, info), *check_ranges(spec, dataset),
        *check_network(spec, dataset, info),
    ]  # fmt: skip


def check_squeezed(spec: RunSpec) -> list[Finding]:
    """Refuse a softmax of a softmax: it is all but even, and hardly anything is learned."""
    return [
        Finding(
            path,
            f"layer {_layer_index(path) + 1} ({second.type}) follows another {first.type}, and a "
            f"{first.type} of probabilities makes them all but equal",
            help="leave one of the two out",
        )
        for (_, first), (path, second) in _neighbours(spec.model.layers)
        if first.type == second.type and first.type in _SQUEEZE and not _units(second)
    ]


def check_figures(spec: RunSpec) -> list[Finding]:
    """Refuse to choose the best checkpoint by, or to watch, a figure that cannot be compared."""
    known = ["loss", *(m.type for m in spec.metrics if m.better)]
    asked: _Asked = [(("best",), spec.train.best, "by which a checkpoint can be the best")]
    for index, one in enumerate(spec.train.callbacks):
        asked.append((("callbacks", index, "metric"), one.watches(), f"that {one.type} can watch"))
    help_ = "name a metric of the spec whose figure is a number, or the loss"
    return [Finding(("train", *path), f'[train]: "{name}" is no figure {why}',
                    f"expected {' or '.join(known)}", help_)
            for path, name, why in asked if name not in (None, *known)]  # fmt: skip


def check_callbacks(spec: RunSpec) -> list[Finding]:
    """Refuse a callback that begins after the last epoch, and so would do nothing."""
    epochs = spec.train.epochs
    return [
        Finding(
            ("train", "callbacks", index, "start"),
            f"[train]: {one.type} begins in epoch {one.begins()}, and there are to be "
            f"{counted(epochs, 'epoch')}",
            f"expected at most {epochs}",
            "let it begin earlier, or train for more epochs",
        )
        for index, one in enumerate(spec.train.callbacks)
        if one.begins() > epochs
    ]


def check_judged(spec: RunSpec, dataset: Dataset, info: DatasetInfo | None) -> list[Finding]:
    """Refuse a callback that watches a metric, where no images are set aside to measure it on."""
    if dataset.validation or dataset.folds or info is None or info.validation:
        return []
    return [
        Finding(
            ("train", "callbacks", index, "metric"),
            f"[train]: {one.type} watches {one.watches()}, which is measured on validation images, "
            "and there are none",
            help="watch the loss, or set some aside: validation = 0.1, say",
        )
        for index, one in enumerate(spec.train.callbacks)
        if one.watches() not in (None, "loss")
    ]


def doubts(spec: RunSpec) -> list[Finding]:
    """Return what a valid spec says that can be run, but hardly be meant."""
    lr, warmup, epochs = spec.optimizer.lr, spec.optimizer.schedule.warmup, spec.train.epochs
    found = [*_doubt_probabilities(spec), *_doubt_constants(spec), *doubt_idle(spec)]
    if lr < _SMALLEST_RATE:
        message = f"[optimizer]: lr = {lr:g}, so nothing will be learned"
        found.append(Finding(("optimizer", "lr"), message))
    if warmup > epochs:
        message = (
            f"[optimizer] schedule: warmup = {warmup:g} is longer than the "
            f"{counted(epochs, 'epoch')} of training, so the learning rate never gets there"
        )
        found.append(Finding(("optimizer", "schedule", "warmup"), message))
    return found


_SMALLEST_RATE = 1e-9  # below it, steps of float32 weights are lost in rounding
_RANDOM = ("glorot", "he", "seed_normal", "uniform")
_SQUEEZE = ("softmax", "sigmoid")
_PASS_ON = ("flatten", "dropout")
"""Types of layers behind which probabilities are still probabilities."""


def _doubt_probabilities(spec: RunSpec) -> list[Finding]:
    return [
        Finding(
            path,
            f"layer {_layer_index(path) + 1} ({first.type}) hands probabilities on to "
            f"{second.type}, which squeezes them once more",
            help="only the last layer gives probabilities; use relu here",
        )
        for (path, first), (_, second) in _neighbours(spec.model.layers)
        if first.type in _SQUEEZE and second.type in _SQUEEZE
        and (first.type == "softmax" if _units(second) else first.type != second.type)
    ]  # fmt: skip


def _doubt_constants(spec: RunSpec) -> list[Finding]:
    """Find layers whose units start as copies of each other; a last layer, and the last one of a
    branch, may start from zeros."""
    chains: dict[KeyPath, list[tuple[KeyPath, Layer, Initializer]]] = {}
    for path, layer in walk(spec.model.layers, ("model", "layers")):
        init = getattr(layer, "init", None)
        if isinstance(layer, Layer) and isinstance(init, Initializer) and _units(layer) is not None:
            chains.setdefault(path[:-1], []).append((path, layer, init))
    return [
        Finding(
            (*path, "init"),
            f"layer {_layer_index(path) + 1} ({layer.type}): init = {init.type} makes all its "
            'units equal, and they stay equal; use "he" or "glorot"',
        )
        for chain in chains.values()
        for path, layer, init in chain[:-1]
        if getattr(layer, "groups", 1) == 1 and _is_constant(init, hasattr(layer, "kernel"))
    ]


def _is_constant(init: Initializer, has_kernel: bool) -> bool:
    if init.type in _RANDOM or getattr(init, "std", 0) != 0:
        return False  # without numpy.random, which takes a while to import
    shape = (3, 3, 3, 3) if has_kernel else (9, 9)
    try:
        drawn = np.asarray(init.draw(shape, Fans(27, 27, 9), np.random.default_rng(0)))
        return bool((drawn == drawn.flat[0]).all())
    except (Exception, SystemExit):  # a plugin's: it is named where the weights are drawn
        return False


def _neighbours(layers: Sequence[Layer]) -> Iterator[tuple[_Placed, _Placed]]:
    """Yield pairs of layers of which the second gets what the first gives."""
    chain = _in_order(layers, ("model", "layers"))
    return pairwise([one for one in chain if one[1].type not in _PASS_ON])


def _in_order(layers: Sequence[Layer], path: KeyPath) -> Iterator[_Placed]:
    for index, layer in enumerate(layers):
        if layer.type == "sequential":
            yield from _in_order(getattr(layer, "layers", ()), (*path, index, "layers"))
        else:
            yield (*path, index), layer


def _units(layer: Layer) -> int | None:
    """Return how many units or filters a layer has of its own; None or 0 for none."""
    units: int | None = getattr(layer, "units", getattr(layer, "filters", 0))
    return units


def check_network(
    spec: RunSpec,
    dataset: Dataset,
    info: DatasetInfo | None,
    trusted: int | None = None,
    judge_loss: bool = True,
) -> list[Finding]:
    """Return what does not fit together; empty where all does, or nothing can be known.

    Args:
        dataset: the spec's, or the fallback that stands in for it.
        info: its shape and class count, None where unknown.
        trusted: of a mended spec, how many layers are as they were meant; None means all.
        judge_loss: False where a mended spec has a loss that was not meant.
    """
    try:
        shape = network_input(dataset, info) if info else spec.input_shape
    except ShapeError as error:
        return [shape_finding(error, (*_path_of(spec, dataset), "transforms"))]
    if shape is None:
        return []
    if spec.input_shape not in (None, shape):
        return [_input_clash(spec.input_shape, shape, dataset)]
    layers = spec.model.layers
    try:
        shapes = chain_shapes(layers, shape, "layers")
    except ShapeError as error:
        is_meant = trusted is None or int(error.path[1]) < trusted
        return [shape_finding(error)] if is_meant else []
    if trusted is not None:
        return []
    findings = [*check_memory(spec, shape), *check_moves(spec, shape)]
    if judge_loss and info is not None:
        findings += _judge_loss(spec, shapes[-1], info.classes)
    if judge_loss and (refusal := hard_to_mix(spec.loss, dataset.transforms)):
        help_ = 'use loss type "cross_entropy"'
        findings.append(Finding((*_path_of(spec, dataset), "transforms"), refusal, help=help_))
    return findings


_APART = ("validation", "fallback")
"""Options of a dataset on which neither the shape of its images nor its classes depend."""


def check_mended(spec: RunSpec, dropped: set[KeyPath], paths: DataPaths) -> list[Finding]:
    """Judge what can be trusted of a spec that was mended: shapes, loss, memory.

    Args:
        dropped: what was left out of it or replaced, since nobody can guess what was meant.
    """
    data_is_known = all(p[0] != "data" or p[1:2] in [(name,) for name in _APART] for p in dropped)
    in_model = [path for path in dropped if path[0] == "model" and path[1:] != ("dtype",)]
    info = dataset_info(spec.data, paths) if data_is_known else None
    trusted = min((_layer_index(path) for path in in_model), default=None)
    judge_loss = not any(path[0] == "loss" for path in dropped)
    findings = check_network(spec, spec.data, info, trusted, judge_loss)
    if data_is_known:
        findings += [*check_classes(spec.data, paths), *check_ranges(spec, spec.data)]
    return findings


def _layer_index(path: KeyPath) -> int:
    """Return the index of the outermost layer that `path` leads through; 0 for all of them."""
    return path[2] if len(path) > 2 and isinstance(path[2], int) else 0


def dataset_info(dataset: Dataset, paths: DataPaths) -> DatasetInfo | None:
    """Return what the dataset says of itself without being loaded, its `only` applied."""
    if (info := dataset.info(paths)) is None or dataset.only is None:
        return info
    images = info.train and info.train * len(dataset.only) // info.classes
    return replace(info, classes=len(dataset.only), names=(), train=images)


def class_labels(chosen: Sequence[int | str], classes: Sequence[str]) -> list[int | str]:
    """Return the labels of classes chosen by label or name; a name that is none stays one."""
    known: dict[int | str, int] = {name: label for label, name in enumerate(classes)}
    return [known.get(one, one) for one in chosen]


def check_classes(dataset: Dataset, paths: DataPaths) -> list[Finding]:
    """Return what is wrong with the labels in `only`; empty where that cannot be known yet."""
    info, only = dataset.info(paths), dataset.only or []
    names = info.names if info else ()
    labels = class_labels(only, names)
    findings = []
    for index, label in enumerate(labels):
        path: KeyPath = ("data", "only", index)
        said = repr(only[index]) if isinstance(only[index], str) else only[index]
        unknown = label not in names if isinstance(label, str) else info and label >= info.classes
        if label in labels[:index]:
            message = f"[data]: only names class {said} twice"
            help_ = "name each class once: its place in the list is its new label"
            findings.append(Finding(path, message, help=help_))
        elif info is not None and unknown and (names or isinstance(label, int)):
            message = f"[data]: only names class {said}, which {dataset.type} does not have"
            known = ", ".join(names) if isinstance(label, str) else f"0 to {info.classes - 1}"
            findings.append(Finding(path, message, f"expected {known}"))
    return findings


def check_ranges(spec: RunSpec, dataset: Dataset) -> list[Finding]:
    """Refuse a transform that maps from another range than those before it give."""
    path = (*_path_of(spec, dataset), "transforms")
    return [
        Finding((*path, one.place), one.message, f"expected {one.expected}", one.help)
        for one in misfits(dataset.transforms)
    ]


def input_info(spec: RunSpec) -> tuple[Shape | None, DatasetInfo | None]:
    """Return the shape at the first layer, and what the data says of itself; None if unknown."""
    info = dataset_info(spec.data, DataPaths(spec_dir=spec.source.folder))
    return (network_input(spec.data, info) if info else spec.input_shape), info


def network_input(dataset: Dataset, info: DatasetInfo) -> Shape:
    """Return the shape of one image as the first layer sees it, transforms applied."""
    return transformed_shape(dataset.transforms, info.shape)


def _path_of(spec: RunSpec, dataset: Dataset) -> KeyPath:
    """Return where the spec has its dataset, or the fallback that stands in for it."""
    return ("data",) if dataset is spec.data else ("data", "fallback")


def shape_finding(error: ShapeError, base: KeyPath = ("model",)) -> Finding:
    """Turn a located ShapeError into a finding at its option, or at its layer or transform."""
    path: KeyPath = (*base, *error.path)
    note = f"expected {error.expected}" if error.expected else ""
    if error.option:
        path = (*path, error.option)
    message = f"{error.place} {error.message}" if error.place else error.message
    return Finding(path, message, note, error.help, error.trail, at="key")


def _input_clash(wanted: Shape | None, real: Shape, dataset: Dataset) -> Finding:
    return Finding(
        ("model", "input"),
        f"[model]: input is {list(wanted or ())}, but {dataset.type} gives images of {list(real)}",
        note=f"expected {list(real)}",
        help="leave input out: the dataset's shape is used",
    )


def _judge_loss(spec: RunSpec, shape: Shape, classes: int) -> list[Finding]:
    *_, (path, head) = _in_order(spec.model.layers, ("model", "layers"))
    try:
        spec.loss.check(head, shape, classes)
    except ShapeError as error:
        inside, places = spec.model.layers, []
        for index in map(int, path[2::2]):
            places.append(called(inside[index], index))
            inside = getattr(inside[index], "layers", [])
        error.place, error.path = " > ".join(places), path[1:]
        return [shape_finding(error)._replace(at="value")]
    return []
