"""Tracing: one image on its way through a network, layer by layer, and the gradients on theirs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cnnkit.arrays import Array, Weights, flatten
from cnnkit.base import Backward, Context, Layer, Loss, forward_chain, predicted_classes
from cnnkit.layers.sequential import Sequential
from cnnkit.model import Model
from cnnkit.plan import tail
from cnnkit.report.judged import shares_of

Steps = list[tuple[str, Layer]]
_PATCHES, _SHARD = 14, 64
"""Places of a patch along one side, in occlusion; and how many of them are judged at a time."""


@dataclass
class Seen:
    """A layer at work on one image.

    Args:
        path: its place, such as "2_residual/0_conv".
        x, y: what went in and what came out, without the batch axis.
        weights: its own.
        dy: the gradient of the last backward pass at y; None where none came by.
        grads: those of its weights.
    """

    path: str
    layer: Layer
    x: Array
    y: Array
    weights: Weights
    dy: Array | None = None
    grads: dict[str, Array] = field(default_factory=dict)


class Tap:
    """Keeps what passes every layer, forward and backward."""

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}
        """By path, in the order in which they were done."""

    def __call__(self, layer: Layer, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        before = x[0].copy()
        y, back = layer.forward(x, w, ctx)
        one = self.seen[ctx.path] = Seen(ctx.path, layer, before, y[0].copy(), w)

        def backward(dy: Array) -> tuple[Array, Weights]:
            one.dy = dy[0].copy()
            dx, grads = back(dy)
            one.grads = {name: grad.copy() for name, grad in flatten(grads or {}).items()}
            return dx, grads

        return y, backward


@dataclass(frozen=True, slots=True)
class Traced:
    """An image's way through a network, and back.

    Args:
        seen: the layers, in the order in which they were done.
        scores: (K,) what the last layer but a softmax or sigmoid gives.
        shares: (K,) probabilities; None where the network gives none.
        guess: the class that it names.
        loss: of the label; of the guess, where no label is known.
        pixels: (C, H, W) derivative of the guess's score by each pixel.
        last_maps: path of the last layer that gives maps; "" where there is none.
        cam: (h, w) Grad-CAM of those maps.
        covered: (H, W) by how much the guess loses where a patch covers a pixel; and the patch.
    """

    seen: list[Seen]
    scores: Array
    shares: Array | None
    guess: int
    loss: float
    pixels: Array
    last_maps: str
    cam: Array | None
    covered: Array | None
    patch: int


class Network:
    """A network cut into what gives scores and, where the loss takes it over, its head.

    A softmax of one that is sure is flat: the gradient of the score before it still says
    what mattered.
    """

    def __init__(self, model: Model, loss: Loss) -> None:
        self.model = model
        whole = list(zip(model.network.names, model.network.layers, strict=True))
        head = tail(model.network)
        fused = loss.fuse(head)
        self.head = head if fused is not None else None
        self.loss = fused or loss
        self.steps = _without_tail(whole) if fused is not None else whole
        self.head_path = _tail_path(model.network)

    def forward(self, x: Array, tap: Tap | None = None) -> tuple[Array, Backward]:
        """Return scores (N, K) and the way back; nothing is random, and nothing learns."""
        return forward_chain(self.steps, x, self.model.weights, Context(tap=tap))

    def outputs(self, scores: Array, tap: Tap | None = None) -> Array:
        """Return what the whole network gives, for what `forward` gave."""
        if self.head is None:
            return scores
        ctx = Context(path=self.head_path)
        return (tap(self.head, scores, {}, ctx) if tap else self.head.forward(scores, {}, ctx))[0]


def _without_tail(steps: Steps) -> Steps:
    """Return the steps less the very last layer, inside chains of chains too."""
    *kept, (name, last) = steps
    if isinstance(last, Sequential):
        inner = _without_tail(list(zip(last.names, last.layers, strict=True)))
        if inner:
            layers = [layer for _, layer in inner]
            kept.append((name, Sequential(layers=layers, label=last.label)))
    return kept


def _tail_path(network: Sequential) -> str:
    last = network.layers[-1]
    rest = f"/{_tail_path(last)}" if isinstance(last, Sequential) else ""
    return network.names[-1] + rest


def trace(model: Model, loss: Loss, x: Array, label: int | None) -> Traced:
    """Take one image through a network, and gradients back.

    Args:
        x: (1, *input shape), transforms applied.
        label: its class; None where it is not known.
    """
    network, tap = Network(model, loss), Tap()
    scores, back = network.forward(x, tap)
    y = network.outputs(scores, tap)
    guess = int(predicted_classes(y)[0])
    pixels, _ = back(_towards(scores, guess))
    last_maps, cam = _grad_cam(list(tap.seen.values()))
    with_loss = Tap()  # a way back is gone once
    again, back = network.forward(x, with_loss)
    given = network.loss.forward(again, np.array([guess if label is None else label]))
    back(given[1]())
    network.outputs(again, with_loss)
    shares = shares_of(model, y)
    covered, patch = _occlude(network, x, guess) if len(model.input_shape) == 3 else (None, 0)
    return Traced(
        list(with_loss.seen.values()), scores[0], None if shares is None else shares[0], guess,
        float(given[0][0]), pixels[0], last_maps, cam, covered, patch,
    )  # fmt: skip


def _towards(scores: Array, guess: int) -> Array:
    """Return the gradient of the guess's score by all scores; of one score, its sign decides."""
    dy = np.zeros_like(scores)
    if scores.shape[1] == 1:
        dy[0, 0] = 1 if guess == 1 else -1
    else:
        dy[0, guess] = 1
    return dy


def _grad_cam(seen: list[Seen]) -> tuple[str, Array | None]:
    """Return the last layer that gives maps, and which of their places spoke for the guess.

    cam = relu(sum over c of mean(dA[c]) * A[c]).

    Source: Selvaraju et al., Grad-CAM (2017), equations 1 and 2.
    """
    for one in reversed(seen):
        if one.y.ndim == 3 and one.y.shape[1] * one.y.shape[2] > 1 and one.dy is not None:
            weights = one.dy.mean(axis=(1, 2), keepdims=True)
            return one.path, np.maximum((weights * one.y).sum(axis=0), 0)
    return "", None


def _occlude(network: Network, x: Array, guess: int) -> tuple[Array, int]:
    """Return (H, W) what the guess loses on average where a patch of the image's own median
    covers a pixel; and the side of the patch.

    Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (2014).
    """
    height, width = x.shape[2:]
    side = max(2, round(min(height, width) / 5))
    step = max(1, round(max(height, width) / _PATCHES))
    blank = np.median(x, axis=(2, 3), keepdims=True)[0]
    places = [(r, c) for r in range(1 - side // 2, height - side // 2, step)
              for c in range(1 - side // 2, width - side // 2, step)]  # fmt: skip
    whole = _share(network, x, guess)[0]
    lost, times = np.zeros((height, width)), np.zeros((height, width))
    for start in range(0, len(places), _SHARD):
        some = places[start : start + _SHARD]
        batch = np.repeat(x, len(some), axis=0)
        windows = [np.s_[max(r, 0) : r + side, max(c, 0) : c + side] for r, c in some]
        for image, window in zip(batch, windows, strict=True):
            image[(slice(None), *window)] = blank
        for share, window in zip(_share(network, batch, guess), windows, strict=True):
            lost[window] += whole - share
            times[window] += 1
    return lost / np.maximum(times, 1), side


def _share(network: Network, x: Array, guess: int) -> Array:
    """Return (N,) the probability of the guess, or its score where there are none."""
    scores, _ = network.forward(x)
    y = network.outputs(scores)
    shares = shares_of(network.model, y)
    if shares is None:
        shares = scores if scores.shape[1] > 1 else np.column_stack([-scores, scores])
    given: Array = shares[:, guess]
    return given


def local_weights(one: Seen, cell: tuple[int, ...]) -> Array:
    """Return the derivative of one number that a layer gave by all that went in, of x's shape: for
    a convolution the kernel, where the window lies. It asks the layer itself, so it is right for
    anybody's."""
    y, back = one.layer.forward(one.x[None].copy(), one.weights, Context(path=one.path))
    dy = np.zeros_like(y)
    dy[(0, *cell)] = 1
    dx: Array = back(dy)[0][0]
    return dx
