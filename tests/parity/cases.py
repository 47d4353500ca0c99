"""The cases that PyTorch and cnnkit are both put to: one table, two readings.

`by_cnnkit` is here; `by_torch`, the other reading, is in make_reference.py.
"""

from __future__ import annotations

import itertools
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tomli

from cnnkit.arrays import FRESH, flatten, unflatten
from cnnkit.base import Context, Layer, Split
from cnnkit.base.weight import draw as draw_weights
from cnnkit.kernels.images import resample, warp
from cnnkit.layers import (
    BatchNorm,
    Conv,
    Dense,
    DepthwiseSeparable,
    Gelu,
    GlobalPool,
    HardSwish,
    LayerNorm,
    LeakyRelu,
    Parallel,
    Pool,
    Relu,
    Residual,
    Sequential,
    Sigmoid,
    Silu,
    Softmax,
    SqueezeExcite,
    Tanh,
)
from cnnkit.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from cnnkit.meeting import Meeting
from cnnkit.model import Model
from cnnkit.runs.session import trainer_of
from cnnkit.schedules import Multistep, OneCycle
from cnnkit.specfile.runspec import RunSpec
from cnnkit.transforms import Normalize
from cnnkit.workers import Threads

Arrays = dict[str, np.ndarray]
SIMPLE = Path(__file__).parents[2] / "specs" / "simple.toml"
STEPS = 3
BATCH = 4
CLASSES = 10


def draw(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return standard normal numbers: RandomState's stream is frozen for good (NumPy NEP 19)."""
    return np.random.RandomState(seed).standard_normal(shape)


# --- layers: (layer, input shape); torch is asked for the same by the layer's options -------------


def _convs() -> dict[str, tuple[Layer, tuple[int, ...]]]:
    """Return the product of options, less those whose kernel does not fit."""
    axes = itertools.product(
        [(1, 1), (2, 2), (3, 3), (5, 5), (3, 2)],  # kernel
        [(1, 1), (2, 2), (1, 3)],  # stride
        [0, 1, (2, 1)],  # padding
        [(1, 1), (2, 1)],  # dilation
        [1, 2, 4],  # groups
    )
    cases: dict[str, tuple[Layer, tuple[int, ...]]] = {}
    for number, (kernel, stride, padding, dilation, groups) in enumerate(axes):
        layer = Conv(
            filters=8 if number % 2 else 4,
            kernel=kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias="none" if number % 5 == 0 else "tied",
        )
        name = f"conv k{kernel} s{stride} p{padding} d{dilation} g{groups}"
        if dilation[0] * (kernel[0] - 1) < 7 + 2 * layer.padding[0][0]:
            cases[name] = (layer, (4, 7, 8))
    return cases


def _pools() -> dict[str, tuple[Layer, tuple[int, ...]]]:
    """Return the product of options that padding is about; PyTorch pads half a window at most."""
    axes = itertools.product(
        ["max", "mean"],
        [((3, 3), (2, 2), 1), ((2, 3), (3, 2), (1, 0)), ((4, 4), (3, 3), 2), ((2, 2), (3, 3), 0)],
        [False, True],  # ceil
        [False, True],  # count_padding
    )
    cases: dict[str, tuple[Layer, tuple[int, ...]]] = {}
    for kind, (size, stride, padding), ceil, counted in axes:
        if kind == "mean" or not counted:
            name = f"pool {kind} {size} {stride} p{padding} ceil {ceil} counted {counted}"
            options = {"kind": kind, "size": size, "stride": stride, "padding": padding}
            cases[name] = (Pool(**options, ceil=ceil, count_padding=counted), (3, 7, 8))
    return cases


ACTIVATIONS = [Tanh(), Silu(), Gelu(), Gelu(form="tanh"), HardSwish(), LeakyRelu(),
               LeakyRelu(slope=0.3)]  # fmt: skip
LAYERS: dict[str, tuple[Layer, tuple[int, ...]]] = {
    **_convs(),
    **_pools(),
    **{f"activation {i} {layer.type}": (layer, (3, 4, 5)) for i, layer in enumerate(ACTIVATIONS)},
    "global_pool mean": (GlobalPool(), (3, 4, 5)),
    "global_pool max": (GlobalPool(kind="max"), (3, 4, 5)),
    "batch_norm of maps": (BatchNorm(), (3, 4, 5)),
    "batch_norm of vectors": (BatchNorm(eps=0.01, momentum=0.3), (7,)),
    "layer_norm of a vector": (LayerNorm(), (7,)),
    "layer_norm over channels": (LayerNorm(eps=0.001), (5, 3, 4)),
    "layer_norm over samples": (LayerNorm(over="sample"), (5, 3, 4)),
    "squeeze_excite": (SqueezeExcite(ratio=2), (5, 3, 4)),
    "depthwise_separable": (DepthwiseSeparable(filters=5, padding=1), (3, 6, 5)),
    "depthwise_separable between": (
        DepthwiseSeparable(filters=5, stride=2, padding=1, between=["silu"], bias="none"),
        (3, 6, 5),
    ),
    "parallel concat": (Parallel(branches=[["relu"], [], ["tanh", "silu"]]), (3, 4, 5)),
    "parallel add": (
        Parallel(branches=[[Conv(filters=2, kernel=1)], [Conv(filters=2, kernel=1)]], join="add"),
        (3, 4, 5),
    ),
    "parallel mean": (Parallel(branches=[["relu"], [], ["tanh"]], join="mean"), (3, 4, 5)),
    "residual projected": (
        Residual(body=[Conv(filters=4, kernel=3, padding=1, stride=2)], project=True),
        (3, 7, 6),
    ),
    "conv, one channel, batch-sized maps": (Conv(filters=6, kernel=5, padding=2), (1, 28, 28)),
    "conv, many channels": (Conv(filters=24, kernel=3, padding=1), (32, 6, 6)),
    **{
        f"pool {kind} {size} {stride}": (Pool(kind=kind, size=size, stride=stride), (3, 7, 8))
        for kind in ("max", "mean")
        for size, stride in [((2, 2), None), ((3, 3), (2, 2)), ((2, 3), (1, 2)), ((2, 2), (3, 3))]
    },
    "dense": (Dense(units=5), (3, 4, 2)),
    "dense without bias": (Dense(units=5, bias="none"), (7,)),
    "relu": (Relu(), (3, 4, 2)),
    "sigmoid": (Sigmoid(), (5,)),
    "softmax": (Softmax(), (5,)),
}
WEIGHTS = [0.5, 1.0, 2.0, 3.0, 0.0, 1.5]
HEADS = {
    "softmax cross_entropy": (Softmax(), CrossEntropy(), 6),
    "softmax cross_entropy smoothed": (Softmax(), CrossEntropy(label_smoothing=0.2), 6),
    "softmax cross_entropy weighted": (Softmax(), CrossEntropy(weights=WEIGHTS), 6),
    "softmax cross_entropy weighted and smoothed": (
        Softmax(),
        CrossEntropy(weights=WEIGHTS, label_smoothing=0.2),
        6,
    ),
    "softmax cross_entropy soft": (Softmax(), CrossEntropy(), 6),
    "softmax cross_entropy soft, weighted and smoothed": (
        Softmax(),
        CrossEntropy(weights=WEIGHTS, label_smoothing=0.2),
        6,
    ),
    "sigmoid binary_cross_entropy": (Sigmoid(), BinaryCrossEntropy(), 1),
    "sigmoid binary_cross_entropy one-hot": (Sigmoid(), BinaryCrossEntropy(), 4),
    "sigmoid binary_cross_entropy soft": (Sigmoid(), BinaryCrossEntropy(), 4),
    "softmax mean_squared_error": (Softmax(), MeanSquaredError(), 5),
    "relu mean_squared_error": (Relu(), MeanSquaredError(), 5),
}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"type": "sgd", "lr": 0.05, "momentum": 0.9},
    "adam": {"type": "adam", "lr": 0.002},
    "adamw": {"type": "adamw", "lr": 0.002, "weight_decay": 0.3},
    "sgd-decaying": {"type": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.1},
    "sgd-clipped": {"type": "sgd", "lr": 0.05, "momentum": 0.9, "clip": 0.1},
    "adam-clipped-by-value": {"type": "adam", "lr": 0.002, "clip_value": 1e-3},
    "sgd-accumulating": {"type": "sgd", "lr": 0.05, "momentum": 0.9, "accumulate": 2},
}
NETWORKS: dict[str, dict[str, Any]] = {
    "simple": {},  # specs/simple.toml itself
    "residual": {
        "layers": [
            Conv(filters=4, kernel=3, padding="same"),
            Residual(
                body=[Relu(), Conv(filters=6, kernel=3, padding="same")],
                shortcut=[Conv(filters=6, kernel=1)],
            ),
            Pool(kind="mean", size=2),
            Sequential(layers=[Dense(units=8), Relu()]),
            Softmax(units=CLASSES),
        ]
    },
    "batch_norm": {
        "layers": [
            Conv(filters=4, kernel=3, padding="same", bias="none"),
            BatchNorm(),
            Relu(),
            Residual(
                body=[
                    Conv(filters=4, kernel=3, padding="same", bias="none"),
                    BatchNorm(momentum=0.5),
                ]
            ),
            Tanh(),  # without it the second norm would undo the first one's shift, and Adam would
            GlobalPool(),  # make whole steps of its gradient's rounding errors, as of a bias's
            Dense(units=8, bias="none"),
            BatchNorm(),
            Relu(),
            Softmax(units=CLASSES),
        ]
    },
}
TRANSFORMS = {
    "warp, edge": lambda x: warp(x, maps(), None, FRESH, np.float64),
    "warp, zeros": lambda x: warp(x, maps(), 0.0, FRESH, np.float64),
    "resize, larger": lambda x: resample(x, (11, 13), FRESH, np.float64),
    "resize, smaller": lambda x: resample(x, (3, 4), FRESH, np.float64),
    "resize, wider and lower": lambda x: resample(x, (2, 12), FRESH, np.float64),
    "normalize": lambda x: Normalize().fit(iter([x[:1], x[1:]])).apply(x, None, FRESH),
}
SCHEDULES = {
    "one_cycle": OneCycle(),
    "one_cycle, other options": OneCycle(rise=0.25, start=0.1, floor=0.01),
    "multistep": Multistep(milestones=[2, 5, 6], scale=0.5),
}
EPOCHS = 20
NAMES = [
    *(f"layer: {name}" for name in LAYERS),
    *(f"loss: {name}" for name in HEADS),
    *(f"transform: {name}" for name in TRANSFORMS),
    *(f"schedule: {name}" for name in SCHEDULES),
    *(f"steps: {network} {optimizer}" for network in NETWORKS for optimizer in OPTIMIZERS),
]


def layer_problem(name: str) -> tuple[Layer, np.ndarray, Arrays, np.ndarray]:
    """Return the layer, x (3, *shape), its weights by path and a dy."""
    layer, shape = LAYERS[name]
    x = draw((3, *shape), 1)
    weights = flatten(draw_weights(layer.weights(shape), np.random.default_rng(0), np.float64))
    weights = {path: draw(w.shape, 2 + i) for i, (path, w) in enumerate(weights.items())}
    return layer, x, weights, draw((3, *layer.output_shape(shape)), 9)


def maps() -> np.ndarray:
    """Return three maps of positions (row, column): a turn, a shear with a zoom, and anything."""
    turn, shear = [[0.8, -0.6], [0.6, 0.8]], [[0.7, 0.0], [0.3, 0.7]]
    return np.array([turn, shear, draw((2, 2), 5)])


def head_problem(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (7, K) and labels (7,), or soft targets (7, K)."""
    K = HEADS[name][2]
    logits, labels = 3 * draw((7, K), 4), np.arange(7) % max(K, 2)
    if "soft," not in name and not name.endswith(" soft"):
        return logits, labels
    shares = np.abs(draw((7, K), 6))
    return logits, shares / shares.sum(axis=1, keepdims=True)


def network_problem(network: str, optimizer: str) -> tuple[RunSpec, Model, Split]:
    """Return a spec of STEPS steps of BATCH images, its model with drawn weights, and data."""
    tree = tomli.loads(SIMPLE.read_text(encoding="utf-8"))
    tree["model"].update({"dtype": "float64", **NETWORKS[network]})
    tree["optimizer"] = OPTIMIZERS[optimizer]
    tree["train"] = {"epochs": 1, "batch": BATCH, "shuffle": "none", "shard": 3}
    spec = RunSpec.model_validate(tree)
    model = Model.build(
        spec.model.layers, (1, 12, 12), dtype="float64", classes=[str(k) for k in range(CLASSES)]
    )
    for seed, (path, w) in enumerate(flatten(model.weights).items()):
        if path not in model.learning:  # running statistics
            continue
        fan_in = prod(w.shape[1:]) if w.ndim == 4 else w.shape[0]
        w[...] = draw(w.shape, 20 + seed) * (1.4 / fan_in**0.5 if w.ndim > 1 else 0.1)
    images = draw((STEPS * BATCH, 1, 12, 12), 3)
    return spec, model, Split(images, np.arange(STEPS * BATCH) % CLASSES)


# --- cnnkit's answers ---------------------------------------------------------------------------


def by_cnnkit(name: str) -> Arrays:
    """Return every array that the case is about, by name."""
    kind, _, rest = name.partition(": ")
    kinds = {
        "layer": _layer, "loss": _loss, "steps": _steps,
        "transform": _transform, "schedule": _schedule,
    }  # fmt: skip
    return kinds[kind](rest)


def _transform(name: str) -> Arrays:
    return {"y": TRANSFORMS[name](draw((3, 2, 6, 8), 1))}


def _schedule(name: str) -> Arrays:
    """Return the factors of a step an epoch; PyTorch's phases of one_cycle end a step earlier."""
    schedule = SCHEDULES[name]
    if not isinstance(schedule, OneCycle):
        return {"factors": np.array([schedule.factor(n + 1, EPOCHS) for n in range(EPOCHS)])}
    end = schedule.rise * EPOCHS - 1
    rising = [n / end * schedule.rise for n in range(int(end) + 1)]
    fall = EPOCHS - 1 - end
    falling = [
        schedule.rise + (n - end) / fall * (1 - schedule.rise) for n in range(int(end) + 1, EPOCHS)
    ]
    return {"factors": np.array([schedule.factor(at * 9, 9) for at in [*rising, *falling]])}


def _layer(name: str) -> Arrays:
    layer, x, weights, dy = layer_problem(name)
    meeting = Meeting(1)
    ctx = Context(training=True, meet=meeting.seat(0))
    y, back = layer.lower().forward(x, unflatten(weights), ctx)
    dx, grads = back(dy)
    slopes = {f"d{path}": grad for path, grad in flatten(grads).items()}
    return {"y": y, "dx": dx, **slopes, **meeting.renewed}


def _loss(name: str) -> Arrays:
    head, loss, _ = HEADS[name]
    logits, labels = head_problem(name)
    fused = loss.fuse(head)
    if fused is not None:
        losses, slope = fused.forward(logits, labels)
        return {"losses": losses, "dlogits": slope()}
    y, back = head.forward(logits, {}, Context(training=True))
    losses, slope = loss.forward(y, labels)
    return {"losses": losses, "dlogits": back(slope())[0]}


def _steps(name: str) -> Arrays:
    spec, model, split = network_problem(*name.split(" "))
    with Threads(2) as pool:
        start = model.predict(split.images, threads=pool)
        (epoch,) = trainer_of(spec, model, pool).run(split, None)
        end = model.predict(split.images, threads=pool)
    weights = {path: w.copy() for path, w in flatten(model.weights).items()}
    return {"start": start, "end": end, "loss": np.array([epoch.train_loss]), **weights}
