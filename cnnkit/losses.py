"""The built-in losses, registered through the same hook as anybody else's."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from cnnkit.arrays import FRESH, Array, Shape, counted
from cnnkit.base import Layer, Loss, Synonyms
from cnnkit.errors import ShapeError
from cnnkit.hookspecs import hookimpl
from cnnkit.kernels.sigmoid import sigmoid_binary_cross_entropy
from cnnkit.kernels.softmax import soft_cross_entropy, softmax_cross_entropy
from cnnkit.layers.sigmoid import Sigmoid
from cnnkit.layers.softmax import Softmax


def targets(labels: Array, y: Array) -> Array:
    """Return what `y` should be: labels (N,) as they are for (N, 1), else one-hot (N, K).

    Targets (N, classes) are what they are; for (N, 1), the share of class 1.
    """
    if labels.ndim == 2:
        return labels[:, labels.shape[1] - y.shape[1] :].astype(y.dtype)
    columns = labels[:, None]
    wanted = columns if y.shape[1] == 1 else columns == np.arange(y.shape[1])
    return wanted.astype(y.dtype)


def check_outputs(loss: str, head: Layer, shape: Shape, classes: int, single: bool) -> None:
    """Refuse outputs that are not one per class; `single` also allows one for two classes.

    Raises:
        ShapeError: naming the loss, the shape it got and the shapes it takes.
    """
    allowed = [(1,), (classes,)] if single and classes == 2 else [(classes,)]
    if shape not in allowed:
        raise ShapeError(
            f"gives outputs of shape {shape}, which {loss} cannot compare with "
            f"{counted(classes, 'class')}",
            option="units" if "units" in type(head).model_fields else "",
            expected="shape " + " or ".join(map(str, allowed)),
            help=f"end the network with {counted(allowed[0][0], 'output')}",
        )


def no_probabilities(loss: str, what: str, head: str) -> ShapeError:
    """Return the error of a network that does not end in `what`, as `head` does."""
    return ShapeError(
        f"does not give probabilities, which {loss} needs",
        expected=f"a head whose outputs {what}, such as {head}",
        help=f'end the network with "{head}", or use loss type "mean_squared_error"',
    )


class BinaryCrossEntropy(Loss):
    """Mean over K of -(t * log(y) + (1 - t) * log(1 - y)); y (N, K) lies in [0, 1].

    With two classes y may be (N, 1), the probability of class 1, and t is the label; else y is
    (N, classes) and t is one-hot. dy = (y - t) / (y * (1 - y)) / K. Fuses with sigmoid, and then
    stays finite for any logits.
    """

    type: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    soft: ClassVar[bool] = True
    synonyms: ClassVar[Synonyms] = {"binary_cross_entropy": "bce bceloss"}

    def check(self, head: Layer, shape: Shape, classes: int) -> None:
        check_outputs(self.type, head, shape, classes, single=True)
        if shape == (1,) and head.probabilities:
            raise ShapeError(
                "gives one probability, which is 1 whatever the image",
                expected="an output that can lie anywhere in [0, 1], such as sigmoid's",
                help='end the network with { type = "sigmoid", units = 1 }',
            )
        if not (isinstance(head, Sigmoid) or head.probabilities):
            raise no_probabilities(self.type, "lie in [0, 1]", "sigmoid")

    def forward(self, y: Array, labels: Array) -> tuple[Array, Callable[[], Array]]:
        wanted = targets(labels, y)
        # An output that saturated counts as the smallest normal number away from 0 or 1.
        tiny = np.finfo(y.dtype).tiny
        yes, no = np.maximum(y, tiny), np.maximum(1 - y, tiny)
        losses = -(wanted * np.log(yes) + (1 - wanted) * np.log(no)).mean(axis=1)
        return losses, lambda: ((1 - wanted) / no - wanted / yes) / y.shape[1]

    def fuse(self, head: Layer) -> Loss | None:
        fuses = isinstance(head, Sigmoid) and head.units is None
        return _SigmoidBinaryCrossEntropy() if fuses else None


class _SigmoidBinaryCrossEntropy(Loss):
    """Sigmoid and binary cross-entropy in one; y (N, K) are logits, finite however large."""

    type: Literal["sigmoid_binary_cross_entropy"] = "sigmoid_binary_cross_entropy"
    soft: ClassVar[bool] = True

    def forward(self, y: Array, labels: Array) -> tuple[Array, Callable[[], Array]]:
        losses, dy = sigmoid_binary_cross_entropy(y, targets(labels, y), FRESH)
        return losses, lambda: dy


Smoothing = Annotated[float, Field(ge=0, lt=1)]
ClassWeights = Annotated[list[Annotated[float, Field(ge=0, le=1e6)]], Field(min_length=2)]


def smoothed(
    labels: Array, y: Array, smoothing: float, weights: Literal["balanced"] | list[float] | None
) -> Array:
    """Return u_k = w_k * ((1 - s) * t_k + s / K), (N, K): one-hot or soft targets t, smoothed by s
    and weighted by class; weights that are not known yet count as 1."""
    wanted = targets(labels, y) * (1 - smoothing)
    wanted += smoothing / y.shape[1]
    if isinstance(weights, list):
        wanted *= np.array(weights, y.dtype)
    return wanted


class CrossEntropy(Loss):
    """Minus the log of the probability given to the label; y (N, K) are probabilities.

    loss = -sum over k of u_k * log(y_k), with u_k = w_k * ((1 - s) * t_k + s / K) for one-hot or
    soft targets t, label smoothing s and class weights w; dy = -u / y. The batch's loss is the mean
    over its images, whatever their weights. Fuses with softmax, and then stays finite for any
    logits.

    Source: Szegedy et al., Rethinking the Inception Architecture (2016), section 7 (smoothing).

    >>> y, labels = np.array([[0.5, 0.5], [0.8, 0.2]]), np.array([0, 1])
    >>> CrossEntropy(weights=[1.0, 2.0]).forward(y, labels)[0].round(3)
    array([0.693, 3.219])
    """

    type: Literal["cross_entropy"] = "cross_entropy"
    soft: ClassVar[bool] = True
    synonyms: ClassVar[Synonyms] = {
        "cross_entropy": "crossentropyloss categoricalcrossentropy nll logloss"
    }
    label_smoothing: Smoothing = 0.0
    """Share of the target that is spread evenly over all classes."""
    weights: Literal["balanced"] | ClassWeights | None = None
    """How much each class counts, a number each; "balanced" takes images / (classes * images of the
    class) from the training labels, so that rare classes count as much as frequent ones."""

    def check(self, head: Layer, shape: Shape, classes: int) -> None:
        if isinstance(head, Sigmoid) and shape in ((classes,), (1,) * (classes == 2)):
            raise ShapeError(
                "does not give probabilities that sum to 1, which cross_entropy needs",
                expected="a head such as softmax",
                help='use loss type "binary_cross_entropy", or end the network with '
                f'{{ type = "softmax", units = {classes} }}',
            )
        check_outputs(self.type, head, shape, classes, single=False)
        if not head.probabilities:
            raise no_probabilities(self.type, "are >= 0 and sum to 1", "softmax")
        if isinstance(self.weights, list) and len(self.weights) != classes:
            raise ShapeError(
                f"gives {classes} probabilities, but cross_entropy has {len(self.weights)} weights",
                expected=f"{classes} weights, one for each class",
                help='give as many, or weights = "balanced"',
            )

    def fit(self, labels: Array, classes: int) -> Self:
        if self.weights != "balanced":
            return self
        counts = np.bincount(labels, minlength=classes)
        weights = len(labels) / (classes * np.maximum(counts, 1))
        return self.model_copy(update={"weights": np.where(counts, weights, 1.0).tolist()})

    def forward(self, y: Array, labels: Array) -> tuple[Array, Callable[[], Array]]:
        wanted = smoothed(labels, y, self.label_smoothing, self.weights)
        # A probability that underflowed counts as the smallest normal number: its log and
        # 1 / y stay finite, and the gradient still points up.
        safe = np.maximum(y, np.finfo(y.dtype).tiny)
        return -(wanted * np.log(safe)).sum(axis=1), lambda: -wanted / safe

    def fuse(self, head: Layer) -> Loss | None:
        fuses = isinstance(head, Softmax) and head.units is None
        options = {"label_smoothing": self.label_smoothing, "weights": self.weights}
        return _SoftmaxCrossEntropy.model_validate(options) if fuses else None


class _SoftmaxCrossEntropy(Loss):
    """Softmax and cross-entropy in one; y (N, K) are logits, finite however large."""

    type: Literal["softmax_cross_entropy"] = "softmax_cross_entropy"
    soft: ClassVar[bool] = True
    label_smoothing: Smoothing = 0.0
    """As in cross_entropy."""
    weights: Literal["balanced"] | ClassWeights | None = None
    """As in cross_entropy."""

    def forward(self, y: Array, labels: Array) -> tuple[Array, Callable[[], Array]]:
        if labels.ndim == 2 or isinstance(self.weights, list):
            wanted = smoothed(labels, y, self.label_smoothing, self.weights)
            losses, dy = soft_cross_entropy(y, wanted, FRESH)
            return losses, lambda: dy
        losses, dy = softmax_cross_entropy(y, labels, FRESH)
        if self.label_smoothing:
            # Only the term -sum(t * z) knows the target, so smoothing shifts it and its slope.
            rows, share = np.arange(len(labels)), self.label_smoothing
            losses += share * (y[rows, labels] - y.mean(axis=1))
            dy -= share / y.shape[1]
            dy[rows, labels] += share
        return losses, lambda: dy


class MeanSquaredError(Loss):
    """Mean over K of (y - t)**2, after any head; dy = 2 * (y - t) / K.

    t is the one-hot label for y (N, classes), or the label itself for y (N, 1) with two classes.
    """

    type: Literal["mean_squared_error"] = "mean_squared_error"
    soft: ClassVar[bool] = True
    synonyms: ClassVar[Synonyms] = {"mean_squared_error": "mse mseloss l2"}

    def check(self, head: Layer, shape: Shape, classes: int) -> None:
        check_outputs(self.type, head, shape, classes, single=True)

    def forward(self, y: Array, labels: Array) -> tuple[Array, Callable[[], Array]]:
        error = y - targets(labels, y)
        return np.square(error).mean(axis=1), lambda: error * (2 / y.shape[1])


@hookimpl
def cnnkit_losses() -> list[type[Loss]]:
    """Return the losses that come with cnnkit."""
    return [CrossEntropy, BinaryCrossEntropy, MeanSquaredError]
