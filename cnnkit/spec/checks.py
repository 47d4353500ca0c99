"""What can be said about a valid spec without data: shapes, loss against head, memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnkit.arrays import Shape
from cnnkit.base import Dataset, Layer, Places, Signature, chain_shapes
from cnnkit.errors import ShapeError
from cnnkit.spec.findings import Finding
from cnnkit.spec.memory import check_memory
from cnnkit.spec.source import KeyPath

if TYPE_CHECKING:
    from cnnkit.spec.runspec import RunSpec


def check_network(
    spec: RunSpec,
    dataset: Dataset,
    signature: Signature | None,
    trusted: int | None = None,
    judge_loss: bool = True,
) -> list[Finding]:
    """Return what does not fit together; empty where all does, or nothing can be known.

    Args:
        dataset: the spec's, or the fallback that stands in for it.
        signature: its shape and class count, None where unknown.
        trusted: of a mended spec, how many layers are as they were meant; None means all.
        judge_loss: False where a mended spec has a loss that was not meant.
    """
    shape = network_input(dataset, signature) if signature else spec.input_shape
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
    findings = check_memory(spec, shapes)
    if judge_loss and signature is not None:
        findings += _judge_loss(spec, layers[-1], shapes[-1], signature.classes)
    return findings


def known_signature(dataset: Dataset, places: Places) -> Signature | None:
    """Return what the dataset says of itself without being loaded, its `only` applied."""
    signature = dataset.signature(places)
    if signature is None or dataset.only is None:
        return signature
    return Signature(signature.shape, len(dataset.only))


def check_classes(dataset: Dataset, places: Places) -> list[Finding]:
    """Return what is wrong with the labels in `only`; empty where that cannot be known yet."""
    signature, only = dataset.signature(places), dataset.only or []
    findings = []
    for index, label in enumerate(only):
        path: KeyPath = ("data", "only", index)
        if label in only[:index]:
            message = f"[data]: only names class {label} twice"
            findings.append(Finding(path, message, help="its place in the list is its new label"))
        elif signature is not None and label >= signature.classes:
            message = f"[data]: only names class {label}, which {dataset.type} does not have"
            findings.append(Finding(path, message, f"expected 0 to {signature.classes - 1}"))
    return findings


def network_input(dataset: Dataset, signature: Signature) -> Shape:
    """Return the shape of one image as the first layer sees it, transforms applied."""
    shape = signature.shape
    for transform in dataset.transforms:
        shape = transform.output_shape(shape)
    return shape


def shape_finding(error: ShapeError) -> Finding:
    """Turn a located ShapeError into a finding at its option, or at its layer."""
    path: KeyPath = ("model", *error.path)
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


def _judge_loss(spec: RunSpec, head: Layer, shape: Shape, classes: int) -> list[Finding]:
    try:
        spec.loss.check(head, shape, classes)
    except ShapeError as error:
        place = f"layer {len(spec.model.layers)} ({head.type})"
        path: KeyPath = ("model", "layers", len(spec.model.layers) - 1)
        path = (*path, error.option) if error.option else path
        note = f"expected {error.expected}" if error.expected else ""
        return [Finding(path, f"{place} {error.message}", note, error.help)]
    return []
