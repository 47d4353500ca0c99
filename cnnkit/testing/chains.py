"""Chains of layers, and what to run them on: the cases that backends are tried on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, Literal

import numpy as np

from cnnkit.arrays import Array, Shape, Weights, flatten, unflatten
from cnnkit.base import Backward, Context, Layer, Weight, WeightTree, forward_chain
from cnnkit.base.backend import Fusing
from cnnkit.base.layer import Layers, chain_shapes
from cnnkit.base.weight import declared
from cnnkit.layers.sequential import Sequential
from cnnkit.testing.tools import difference

TOLERANCE: dict[Any, float] = {np.float32: 1e-4, np.float64: 1e-9}
"""How far a value may be from the layers', as a share of the array's largest: so much room that
any order of sums has it, and Winograd's transforms, but no forgotten value."""


class Stranger(Layer):
    """A container that no backend knows, with a weight of its own and steps made anew in each call:
    y = slope * f_n(... f_1(x))."""

    type: Literal["stranger"] = "stranger"
    layers: Layers

    def _named(self) -> list[tuple[str, Layer]]:
        return [(f"{i}_{one.type}", one) for i, one in enumerate(self.layers)]

    def output_shape(self, shape: Shape) -> Shape:
        return chain_shapes(self.layers, shape, "layers")[-1]

    def weights(self, shape: Shape) -> WeightTree:
        shapes = chain_shapes(self.layers, shape, "layers")
        inside = {n: one.weights(s) for (n, one), s in zip(self._named(), shapes, strict=False)}
        return {"slope": Weight((), 0.75), **inside}

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        (y, back), slope = forward_chain(self._named(), x, w, ctx), w["slope"]

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx, grads = back(dy * slope)
            return dx, {"slope": np.asarray((dy * y).sum()), **grads}

        return y * slope, backward


def _conv(filters: int, kernel: Any = 3, padding: Any = "same", **more: Any) -> dict[str, Any]:
    return {"type": "conv", "filters": filters, "kernel": kernel, "padding": padding, **more}


def _pool(**more: Any) -> dict[str, Any]:
    return {"type": "pool", **more}


def _of(kind: str, units: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "units": units, **more}


def _simple(**conv: Any) -> tuple[list[Any], Shape]:
    convs = [_conv(6, 5, **conv), "relu", _conv(6, 5, **conv), "relu"]
    return [*convs, _pool(), _of("dense", 100), "relu", _of("softmax", 10)], (1, 28, 28)


def _unit(filters: int) -> list[Any]:
    return [_conv(filters, bias="none"), "batch_norm", "relu"]


def _residual(filters: int) -> list[Any]:
    body = [*_unit(filters), _conv(filters, bias="none"), "batch_norm"]
    return [{"type": "residual", "body": body}, "relu"]


def _stage(filters: int) -> list[Any]:
    return [_pool(), *_unit(filters), *_residual(filters)]


def _light(filters: int, stride: int = 1) -> list[Any]:
    return [{"type": "depthwise_separable", "filters": filters, "stride": stride, "bias": "none",
             "between": ["batch_norm", "relu"]}, "batch_norm"]  # fmt: skip


def _light_stage(filters: int, depth: int) -> list[Any]:
    again = [{"type": "residual", "body": _light(filters)}, "hard_swish"]
    return [*_light(filters, 2), "hard_swish", "squeeze_excite", *again * depth]


_HEAD = ["global_pool", {"type": "dropout", "rate": 0.3}, _of("softmax", 10)]
_EIGHT = [_conv(8), "relu", _pool()]
SPECS: dict[str, tuple[list[Any], Shape]] = {
    "tiny.toml": ([*_EIGHT, _of("dense", 32), "relu", _of("softmax", 10)], (1, 8, 8)),
    "simple.toml": _simple(),
    "seed.toml": _simple(bias="untied"),
    "binary.toml": ([*_EIGHT, *_EIGHT, _of("dense", 32), "relu", _of("sigmoid", 1)], (1, 28, 28)),
    "residual.toml": ([
        *_EIGHT,
        {"type": "residual", "body": [_conv(16), "relu", _conv(16)],
         "shortcut": [{"type": "conv", "filters": 16, "kernel": 1}]},
        "relu", _pool(),
        {"type": "residual", "body": [
            _conv(16), {"type": "residual", "body": ["relu", _conv(16)]}]},
        "relu", {"type": "dropout", "rate": 0.2}, _of("softmax", 10)], (1, 28, 28)),
    "mlp.toml": ([_of("dense", 150), "relu", _of("softmax", 10)], (1, 28, 28)),
    "lenet.toml": ([
        _conv(6, 5), "relu", _pool(), _conv(16, 5, "valid"), "relu", _pool(), _of("dense", 120),
        "relu", _of("dense", 84), "relu", _of("softmax", 10)], (1, 28, 28)),
    "deep.toml": ([
        *_unit(32), *_unit(32), _pool(), *_unit(64), *_unit(64), _pool(), *_unit(128), *_unit(128),
        *_HEAD], (1, 28, 28)),
    "mobile.toml": ([
        _conv(32, bias="none"), "batch_norm", "hard_swish", *_light_stage(64, 3),
        *_light_stage(128, 2), "global_pool", {"type": "dropout", "rate": 0.2}, _of("softmax", 10)],
        (1, 28, 28)),
    "resnet.toml": ([
        *_unit(32), *_residual(32), *_stage(64), *_stage(128), *_HEAD], (1, 28, 28)),
}  # fmt: skip
"""The networks of the specs that come with cnnkit."""
CHAINS: dict[str, tuple[list[Any], Shape]] = {
    "conv, relu": ([_conv(5), "relu"], (2, 7, 9)),
    "conv, relu, pool": ([_conv(3, 5), "relu", _pool()], (1, 9, 7)),
    "conv, pool, relu": ([_conv(3, [2, 3], 0), _pool(size=3, stride=2), "relu"], (2, 8, 9)),
    "conv, relu, mean pool": ([_conv(4, 3, 1), "relu", _pool(kind="mean")], (3, 5, 6)),
    "conv, min pool": ([_conv(2, 1), _pool(kind="min", size=[2, 3], stride=1)], (2, 4, 5)),
    "conv with every option": ([
        _conv(4, [3, 2], [[1, 0], [2, 1]], stride=[2, 1], dilation=[1, 2], groups=2, bias="untied"),
        "sigmoid"], (4, 7, 6)),
    "convs of many channels": ([_conv(20, bias="none"), _conv(17), "relu"], (16, 6, 5)),
    "strided conv of one channel each": ([_conv(6, 3, 1, groups=6, stride=2), "relu"], (6, 9, 8)),
    "dense, relu": ([_of("dense", 7), "relu", _of("dense", 3, bias="none")], (2, 3, 5)),
    "softmax": ([_of("dense", 33), "relu", _of("softmax", 11)], (19,)),
    "sigmoid": (["flatten", _of("sigmoid", 3), "sigmoid"], (1, 3, 3)),
    "layers without weights": (["relu", _pool(), "flatten", "softmax"], (2, 6, 5)),
    "dropout": ([_of("dense", 9), "dropout", "relu", {"type": "dropout", "rate": 0.2}], (6,)),
    "residual": ([{"type": "residual", "body": [_conv(3), "relu"]}, "relu"], (3, 5, 4)),
    "sequential": ([{"type": "sequential", "layers": [_conv(2), "relu", _pool()]}, "flatten",
                    _of("dense", 2)], (1, 6, 6)),
    "conv, padded pools": ([
        _conv(3), "relu", _pool(size=3, stride=2, padding="same"),
        _pool(kind="mean", size=2, padding=1, ceil=True),
        _pool(kind="mean", size=[1, 2], padding=[0, 1], count_padding=True)], (2, 9, 8)),
    "activations": ([
        _conv(4), "leaky_relu", _conv(4), "silu", "tanh", _conv(4), "gelu", "hard_swish"],
        (3, 5, 4)),
    "norms and gates": ([
        _conv(6), "layer_norm", "relu", {"type": "squeeze_excite", "ratio": 2},
        {"type": "layer_norm", "over": "sample"}, {"type": "dropout", "of": "channels"},
        "global_pool", _of("dense", 3)], (2, 6, 5)),
    "batch norms": ([
        _conv(4, bias="none"), "batch_norm", "relu", _pool(), _conv(3), "relu",
        {"type": "batch_norm", "eps": 0.01, "momentum": 0.3}, "tanh",
        _of("dense", 5, bias="none"), "batch_norm", "relu"], (2, 6, 7)),
    "residuals with batch norms": ([
        {"type": "residual", "project": True, "body": [
            _conv(4, bias="none", stride=2), "batch_norm", "relu", _conv(4, bias="none"),
            "batch_norm"]}, "relu",
        {"type": "depthwise_separable", "filters": 3, "between": ["batch_norm", "relu"]}],
        (3, 6, 7)),
    "branches": ([
        {"type": "parallel", "branches": [[_conv(3), "relu"], [], [_conv(2, 1)]]},
        {"type": "parallel", "join": "mean", "branches": [[_conv(4)], ["relu", _conv(4)]]},
        {"type": "global_pool", "kind": "max"}], (2, 5, 6)),
    "separable convs and projections": ([
        {"type": "depthwise_separable", "filters": 6, "stride": 2, "between": ["relu"]},
        {"type": "residual", "body": [_conv(4, stride=2), "relu"], "project": True, "drop": 0.3},
        "relu"], (3, 9, 8)),
    "a layer that nobody knows": (
        [_conv(3), "relu", Stranger(layers=[_conv(3), "relu", _pool()]), "relu", _of("dense", 4)],
        (2, 5, 6)),
}  # fmt: skip
"""Every built-in layer, among others and in odd shapes."""


Arrays = dict[str, Array]
"""What a chain is run on: "x", "dy" and the weights by path; or what comes out of it."""


@dataclass(frozen=True)
class Case:
    """A chain of layers in a dtype, with a number of images; `str` names it."""

    name: str
    dtype: Any = np.float32
    images: int = 3

    def __str__(self) -> str:
        return f'"{self.name}" ({np.dtype(self.dtype).name}, images: {self.images})'

    def run(
        self,
        fuse: Fusing | None,
        given: Arrays | None = None,
        then: Callable[[], object] = lambda: None,
        **how: Any,
    ) -> Arrays:
        """Return y, and in training dx and the gradients by path; without `fuse` the layers'.

        Args:
            then: called behind forward, and behind backward.
            how: what the context says.
        """
        given = given or copied(drawn(self))
        y, back = self.forward(fuse, given, **how)
        then()
        found = {"y": y.copy()}
        if how.get("training", True):
            dx, grads = back(given["dy"])
            then()
            found |= {"dx": dx, **flatten(grads)}
        return found

    def forward(self, fuse: Fusing | None, given: Arrays, **how: Any) -> tuple[Array, Backward]:
        """Run the chain forward."""
        ctx = Context(**{"training": True, "key": (1, 2, 3, 4), **how}, fuse=fuse)
        return forward_chain(chain(self.name).steps, given["x"], unflatten(given), ctx)


@cache
def chain(name: str) -> Sequential:
    """Return a chain as the engine has it."""
    return Sequential(layers=(CHAINS | SPECS)[name][0]).lower()


@cache
def drawn(case: Case) -> Arrays:
    """Draw what a case is run on. No value lies so near to a kink, a relu's or a maximum's, that
    rounding decides its side: with a little noise on everything, results hardly change. Nor is all
    of an array 0, which would compare nothing; one image alone may leave a batch_norm so."""
    layers, shape = chain(case.name), (CHAINS | SPECS)[case.name][1]
    weights = declared(layers.weights(shape))
    shapes = {path: weight.shape for path, weight in weights.items()}
    shapes["x"], shapes["dy"] = ((case.images, *s) for s in (shape, layers.output_shape(shape)))
    for seed in range(100):
        rng = np.random.default_rng([seed, case.images])
        made = {name: rng.standard_normal(s) for name, s in shapes.items()}
        for name in made.keys() - {"x", "dy"}:  # what layers pass on keeps its size
            made[name] *= (2 / max(*shapes[name][:1], prod(shapes[name][1:]), 1)) ** 0.5
            if not weights[name].learns:  # such as a variance
                made[name] = 0.5 + np.abs(made[name])
        wanted, *noisy = (
            case.run(None, {name: _shaken(one, noise, rng, case) for name, one in made.items()})
            for noise in (0, 1, 1, 1)
        )
        dead = case.images > 1 and not all(one.any() for one in wanted.values() if one.size)
        if not dead and not any(apart(wanted, other) for other in noisy):
            return {name: one.astype(case.dtype) for name, one in made.items()}
    raise AssertionError(f"no numbers to try {case} on: a gradient may be that of a constant")


@cache
def plain(case: Case, training: bool = True) -> Arrays:
    """Return what the layers give, on NumPy."""
    return case.run(None, training=training, wants_dx=training)


def _shaken(array: Array, noise: int, rng: np.random.Generator, case: Case) -> Array:
    share = noise * TOLERANCE[case.dtype] / 30 * rng.standard_normal(array.shape)
    return (array * (1 + share)).astype(case.dtype)


def copied(arrays: Arrays) -> Arrays:
    """Return contiguous copies."""
    return {name: one.copy() for name, one in arrays.items()}


def apart(wanted: Arrays, got: Arrays) -> str:
    """Return the first array that is not the same up to rounding, and where; else ""."""
    for name, one in wanted.items():
        other = got.get(name, np.empty(0))
        room = TOLERANCE[one.dtype.type] * max(float(np.abs(one).max(initial=0)), 1e-30)
        is_like = (one.shape, one.dtype) == (other.shape, other.dtype)
        if not (is_like and np.all(np.abs(one - other) <= room)):
            return f"{name}: {difference(one, other)}"
    return ""
