"""Examined: what a network says of images with labels: figures, activations and gradients."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import FRESH, Arena, Array, Shape, Weights, counted, flatten, locked
from cnnkit.base import (
    Backend,
    Backward,
    Context,
    Layer,
    Loss,
    Metric,
    Split,
    Transform,
    forward_chain,
)
from cnnkit.base.component import Table
from cnnkit.base.contract import checked_dy, checked_figure, checked_losses
from cnnkit.base.layer import Tap
from cnnkit.base.transform import transformed_shape
from cnnkit.errors import DataError
from cnnkit.layers.sequential import Sequential
from cnnkit.plan import Plan, make_plan, tail
from cnnkit.plugins import find_component
from cnnkit.prediction import Predictor, prepare
from cnnkit.values import Seen, check_like
from cnnkit.workers import Threads, one_blas_thread, shared_threads

_SHARD = 16  # images whose activations are looked at at a time


class Examined(ABC):
    """A network with weights, as far as whoever looks into it needs to know: a `Model`."""

    network: Sequential
    input_shape: Shape
    weights: Weights
    transforms: tuple[Transform, ...]
    classes: tuple[str, ...]
    trained_on: Seen | None
    average: tuple[Transform, ...]
    backend: Backend

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """The dtype of weights and activations."""

    @abstractmethod
    def predictor(
        self,
        steps: Sequence[tuple[str, Layer]],
        average: Sequence[Transform] = (),
        tap: Tap | None = None,
    ) -> Predictor:
        """Return what takes images through named layers, with the model's backend."""

    def evaluate(
        self,
        images: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        loss: Loss | Table = "cross_entropy",
        metrics: Sequence[Metric | Table] = ("accuracy",),
        threads: Threads | None = None,
    ) -> dict[str, Any]:
        """Return `{"loss": mean loss, type of each metric: its figure}`, as a run is judged.

        Args:
            images: (N, *shape before the transforms), uint8 or float.
            labels: (N,), whole numbers from 0.
            loss, metrics: those that the network was trained with, for the same figures.

        Raises:
            DataError: where images and labels do not fit each other or the model.
            ShapeError: where the loss cannot judge what the network gives.
            PluginError: where nobody offers the loss or a metric.
        """
        plan = self._judged_by(loss).on(self.backend, self.dtype)
        split = labelled(self, images, labels)
        found = [find_component("metrics", one) for one in metrics]
        with shared_threads(threads) as workers, one_blas_thread():
            return evaluate(self, plan, found, split, workers)

    def gradients(
        self,
        images: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        loss: Loss | Table = "cross_entropy",
    ) -> dict[str, Array]:
        """Return the gradients of the mean loss over `images`, in evaluation: dropout stands still.

        Those of the weights by path, `{"0_conv/W": shaped like the weight}`, and as "input" that of
        the images as they enter the first layer, (N, *input shape).

        Raises:
            DataError, ShapeError, PluginError: as `evaluate`.
        """
        plan, split = self._judged_by(loss), labelled(self, images, labels)
        steps = [step for segment in plan.segments for step in segment.steps]
        total: dict[str, Array] = {}
        inputs = []
        for start in range(0, len(split), _SHARD):
            x, y = (part[start : start + _SHARD] for part in (split.images, split.labels))
            x = prepare(x, self.transforms, self.dtype, None, FRESH)
            scores, back = forward_chain(steps, x, self.weights, Context())
            given = plan.loss.forward(locked(scores), y)
            dy = checked_dy(plan.loss, scores, checked_losses(plan.loss, scores, given)[1]())
            dx, grads = back(dy / dy.dtype.type(len(split)))
            inputs.append(dx)
            for path, grad in flatten(grads).items():
                total[path] = total[path] + grad if path in total else grad
        return {"input": np.concatenate(inputs), **total}

    def _judged_by(self, loss: Loss | Table) -> Plan:
        """Return the network with its loss, which can judge it."""
        found: Loss = find_component("losses", loss)
        shape = self.network.output_shape(self.input_shape)
        found.check(tail(self.network), shape, len(self.classes))
        return make_plan(self.network, found)

    def activations(
        self, images: npt.ArrayLike, layers: Collection[str] | None = None
    ) -> dict[str, Array]:
        """Return what each layer gives for `images`, `{path: (N, *its shape)}`, in the order of the
        spec; the layers inside a container come before it.

        Args:
            images: as for `predict`.
            layers: paths such as "0_conv" or "2_residual/0_conv"; by default all.

        Raises:
            DataError: where the images do not fit, or there is no such layer.
        """
        x, found, arena = np.asarray(images), dict[str, list[Array]](), Arena()
        check_images(self, x)

        def keep(layer: Layer, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
            y, back = layer.forward(x, w, ctx)
            wanted = layers is None or ctx.path in layers
            found.setdefault(ctx.path, []).extend([y.copy()] * wanted)
            return y, back

        steps = list(zip(self.network.names, self.network.layers, strict=True))
        ctx = Context(scratch=arena, wants_dx=False, tap=keep)
        for start in range(0, len(x), _SHARD):
            arena.reset()
            shard = x[start : start + _SHARD]
            shard = prepare(shard, self.transforms, self.dtype, None, arena)
            forward_chain(steps, shard, self.weights, ctx)
        if missing := [path for path in layers or () if path not in found]:
            raise DataError(f"the model has no layer {missing[0]!r}; expected {', '.join(found)}")
        return {path: np.concatenate(parts) for path, parts in found.items() if parts}


def check_images(model: Examined, images: Array) -> None:
    """Demand numbers, and the shape that the model's transforms bring to its input's.

    Raises:
        DataError: where they are otherwise.
    """
    if images.dtype.kind not in "buif":
        raise DataError(f"images are of dtype {images.dtype}; the model takes uint8 or floats")
    if model.trained_on and (unlikely := check_like(images, model.trained_on, "images")):
        warnings.warn(unlikely, stacklevel=3)
    shape = transformed_shape(model.transforms, images.shape[1:])
    if shape != model.input_shape:
        axis = "; for one image pass x[None], for grey ones without channels x[:, None]"
        raise DataError(
            f"images are of shape {images.shape[1:]}, which the transforms make {shape}; "
            f"the model takes {model.input_shape}{axis * (images.ndim == len(model.input_shape))}"
        )


def labelled(model: Examined, x: npt.ArrayLike, y: npt.ArrayLike) -> Split:
    """Return images and labels as a split, checked against each other and the model.

    Raises:
        DataError: saying what does not fit.
    """
    images, labels = np.asarray(x), np.asarray(y)
    check_images(model, images)
    classes = len(model.classes)
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        what = f"dtype {labels.dtype} and shape {labels.shape}"
        raise DataError(f"labels are of {what}; expected {len(images)} whole numbers, one an image"
                        f"{_mended(labels, len(images))}")  # fmt: skip
    if not len(labels) or labels.min() < 0 or labels.max() >= classes:
        got = f"{labels.min()} to {labels.max()}" if len(labels) else "none at all"
        way = "; y - 1, perhaps" if got == f"1 to {classes}" else ""
        raise DataError(f"labels are {got}; expected 0 to {classes - 1}, as the model has "
                        f"{counted(classes, 'class')}{way}")  # fmt: skip
    return Split(images, labels.astype(np.int64))


def _mended(labels: Array, count: int) -> str:
    """Return what makes whole numbers of labels that are nearly some, "; y.ravel(), perhaps"."""
    ways = []
    if labels.ndim == 2 and len(labels) == count and labels.dtype.kind in "iufb":
        ways.append("y.ravel()" if labels.shape[1] == 1 else "y.argmax(axis=1)")
    if labels.dtype.kind in "fb" and "y.argmax(axis=1)" not in ways:
        ways.append("y.astype(int)")
    return f"; {' and '.join(ways)}, perhaps" * bool(ways)


def evaluate(
    model: Examined,
    plan: Plan,
    metrics: Sequence[Metric],
    split: Split,
    threads: Threads,
    average: bool = True,
    tap: Tap | None = None,
) -> dict[str, Any]:
    """Return `{"loss": mean loss, type of each metric: its figure}` on `split`.

    Evaluation mode: dropout stands still, and nothing is learned.

    Args:
        average: over the views that the model averages over in prediction; else images as they are.
    """
    check_images(model, split.images)
    labels = locked(split.labels)
    if average and model.average:
        y = model.predictor(model.network.steps, model.average, tap)(split.images, threads)
        losses, _ = checked_losses(plan.whole, y, plan.whole.forward(locked(y), labels))
    else:
        steps = [step for segment in plan.segments for step in segment.steps]
        y = model.predictor(steps, tap=tap)(split.images, threads)
        losses, _ = checked_losses(plan.loss, y, plan.loss.forward(locked(y), labels))
        if plan.head is not None:
            y, _ = plan.head.forward(y, {}, Context())
    y, classes = locked(y), len(model.classes)
    figures = {m.type: checked_figure(m, m.evaluate(y, labels, classes)) for m in metrics}
    return {"loss": float(losses.mean()), **figures}
