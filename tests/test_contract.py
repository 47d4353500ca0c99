"""Every registered type of every family against the kit; a type without a case fails."""

from __future__ import annotations

import pytest

from cnnkit import backends, callbacks, losses, metrics, observers
from cnnkit import initializers as i
from cnnkit import optimizers as o
from cnnkit import schedules as s
from cnnkit.base.component import walk
from cnnkit.hookspecs import FAMILIES
from cnnkit.layers import (
    BatchNorm,
    Conv,
    Dense,
    DepthwiseSeparable,
    Dropout,
    Flatten,
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
from cnnkit.testing import (
    check_backend,
    check_callback,
    check_initializer,
    check_loss,
    check_metric,
    check_observer,
    check_optimizer,
    check_schedule,
    check_transform,
    parametrize_layer_checks,
)
from cnnkit.testing.tools import built_ins
from cnnkit.transforms import (
    Affine,
    Crop,
    Cutmix,
    Flip,
    Invert,
    Jitter,
    Mixup,
    Normalize,
    RandomErasing,
    Resize,
    Scale,
    Shift,
)

SAME = {"kernel": 3, "padding": "same"}
LAYERS = [
    (Conv(filters=3, kernel=3), (2, 5, 6)),
    (Conv(filters=2, kernel=[2, 3], stride=[2, 1], padding="same", bias="untied"), (2, 5, 6)),
    (Conv(filters=4, kernel=2, padding=[[1, 0], [0, 2]], dilation=2, groups=2), (4, 5, 5)),
    (Conv(filters=3, kernel=1, bias="none", init="glorot"), (2, 4, 3)),
    (Conv(filters=6, kernel=5, padding=2, groups=3), (3, 6, 6)),
    (Relu(), (2, 4, 4)),
    (Relu(), (5,)),
    (Pool(), (2, 4, 6)),
    (Pool(kind="min", size=[2, 3], stride=1), (2, 4, 5)),
    (Pool(kind="mean", size=2, stride=3), (1, 5, 5)),
    (Pool(size=3, stride=1), (1, 5, 5)),
    (Dense(units=3), (2, 3, 3)),
    (Dense(units=4, bias="none", init="uniform"), (6,)),
    (Softmax(), (5,)),
    (Softmax(units=3), (2, 3, 3)),
    (Sigmoid(), (2, 3, 3)),
    (Sigmoid(units=1), (5,)),
    (Flatten(), (2, 3, 4)),
    (Dropout(), (2, 4, 4)),
    (Dropout(rate=0.0), (5,)),
    (Dropout(rate=0.3, of="channels"), (6, 2, 2)),
    (LeakyRelu(), (2, 4, 4)),
    (LeakyRelu(slope=0.3), (5,)),
    (Tanh(), (2, 3, 3)),
    (Silu(), (2, 3, 3)),
    (Gelu(), (2, 3, 3)),
    (Gelu(form="tanh"), (5,)),
    (HardSwish(), (2, 3, 3)),
    (GlobalPool(), (3, 4, 5)),
    (GlobalPool(kind="max"), (3, 4, 5)),
    (BatchNorm(), (5,)),
    (BatchNorm(), (3, 2, 4)),
    (BatchNorm(eps=0.01, momentum=1.0), (2, 3, 3)),
    (LayerNorm(), (5,)),
    (LayerNorm(), (3, 2, 4)),
    (LayerNorm(over="sample", eps=0.01), (3, 2, 4)),
    (Pool(size=3, stride=2, padding="same"), (2, 5, 6)),
    (Pool(kind="mean", size=3, stride=2, padding=1, ceil=True), (2, 6, 7)),
    (Pool(kind="mean", size=3, padding=[[1, 0], [2, 1]], count_padding=True), (2, 6, 7)),
    (Pool(kind="min", size=2, stride=3, ceil=True), (2, 5, 7)),
    (DepthwiseSeparable(filters=4), (3, 4, 5)),
    (DepthwiseSeparable(filters=2, stride=2, between=["tanh"], bias="none"), (3, 5, 4)),
    (SqueezeExcite(), (5, 3, 2)),
    (SqueezeExcite(ratio=2), (4, 3, 3)),
    (Parallel(branches=[["relu", Conv(filters=2, **SAME)], []]), (2, 4, 4)),
    (Parallel(branches=[[Dense(units=3)], ["tanh", Dense(units=3)]], join="add"), (4,)),
    (Parallel(branches=[["relu"], ["dropout"], []], join="mean"), (2, 3)),
    (Residual(body=[Conv(filters=3, stride=2, **SAME)], project=True), (2, 5, 4)),
    (Residual(body=[Conv(filters=2, **SAME)], drop=0.5), (2, 4, 4)),
    (Residual(body=["relu", Conv(filters=2, **SAME)]), (2, 4, 4)),
    (Residual(body=[Conv(filters=3, **SAME)], shortcut=[Conv(filters=3, kernel=1)]), (2, 4, 4)),
    (Residual(body=["batch_norm", "relu"]), (3, 2, 2)),
    (DepthwiseSeparable(filters=2, between=["batch_norm", "relu"]), (3, 4, 4)),
    (Residual(body=[Residual(body=["dropout"]), "sigmoid"]), (2, 3)),
    (Sequential(layers=[Conv(filters=2, kernel=3), "relu", "pool", Softmax(units=3)]), (1, 6, 6)),
]
# (component, the rest of its check's arguments)
LOSSES = [
    (losses.CrossEntropy(), 3),
    (losses.CrossEntropy(label_smoothing=0.1), 2),
    (losses.CrossEntropy(label_smoothing=0.1, weights=[1.0, 2.0, 0.5]), 3),
    (losses.CrossEntropy(weights="balanced"), 4),
    (losses.BinaryCrossEntropy(), 1),
    (losses.BinaryCrossEntropy(), 3),
    (losses.MeanSquaredError(), 1),
    (losses.MeanSquaredError(), 4),
]
OPTIMIZERS = [
    o.Sgd(lr=0.1),
    o.Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, schedule="cosine"),
    o.Sgd(lr=0.1, clip=1.0, clip_value=0.5, accumulate=2),
    o.Adam(),
    o.AdamW(),
    o.Adam(lr=0.01, weight_decay=0.1, betas=(0.5, 0.9)),
]
SCHEDULES = [
    s.Constant(warmup=0.5),
    s.Cosine(floor=0.1),
    s.Cosine(warmup=2.0),
    s.Step(every=2, scale=0.5),
    s.Multistep(milestones=[1, 2, 40]),
    s.Linear(),
    s.Linear(floor=0.1, warmup=0.5),
    s.OneCycle(),
    s.OneCycle(rise=0, start=1, floor=0),
]
INITIALIZERS = [
    *(i.Glorot(distribution=name) for name in ("normal", "uniform")),
    *(i.He(distribution=name) for name in ("normal", "uniform")),
    i.Normal(mean=1.0, std=0.1),
    i.Uniform(low=0.0, high=2.0),
    i.Zeros(),
    i.SeedNormal(),
]
METRICS = [(metric, n) for n in (1, 2, 5) for metric in (metrics.Accuracy(), metrics.MacroF1())]
METRICS += [(metrics.Confusion(), 3)]
OBSERVERS = [observers.Csv()]
CALLBACKS = [
    callbacks.EarlyStopping(),
    callbacks.EarlyStopping(metric="accuracy", patience=1, min_delta=0.1, restore=False),
    callbacks.Plateau(patience=1, factor=0.5, min_rate=0.03),
    callbacks.Ema(decay=0.9),
    callbacks.Swa(start=2, every=2),
    callbacks.StopAfter(minutes=0.05),
]
BACKENDS = [backends.Numpy()]
TRANSFORMS = [
    (Scale(), (1, 6, 5)),
    (Scale(low=0.0, high=1.0), (3, 4, 4)),
    (Normalize(), (3, 4, 4)),
    (Normalize(mean=[127.0], std=[64.0]), (1, 6, 5)),
    (Invert(), (1, 6, 5)),
    (Invert(range=(-1.0, 255.0)), (3, 4, 4)),
    (Resize(size=[3, 9]), (2, 5, 6)),
    (Resize(size=5), (1, 5, 5)),
    (Flip(), (3, 4, 5)),
    (Flip(rate=0.9, axis="vertical"), (1, 4, 5)),
    (Shift(), (2, 6, 5)),
    (Shift(pixels=[0, 3], fill=-0.5), (1, 6, 5)),
    (Crop(padding=2, fill=0), (1, 6, 5)),
    (Crop(size=[4, 3]), (3, 6, 5)),
    (Affine(), (2, 6, 5)),
    (Affine(rotation=180, scale=(0.5, 2), shear=20, fill=0), (1, 8, 8)),
    (RandomErasing(), (3, 6, 5)),
    (RandomErasing(rate=1, area=(0.5, 1), fill=0.5), (1, 6, 5)),
    (Jitter(), (3, 6, 5)),
    (Jitter(brightness=0, contrast=1), (1, 6, 5)),
    (Mixup(), (1, 6, 5)),
    (Mixup(alpha=1), (3, 4, 4)),
    (Cutmix(), (2, 6, 5)),
    (Cutmix(alpha=0.3), (1, 8, 8)),
]

CASES = {
    "layers": LAYERS,
    "losses": LOSSES,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "initializers": INITIALIZERS,
    "metrics": METRICS,
    "transforms": TRANSFORMS,
    "observers": OBSERVERS,
    "callbacks": CALLBACKS,
    "backends": BACKENDS,
}


@parametrize_layer_checks(LAYERS)
def test_layers(layer, shape, check):
    check(layer, shape)


@pytest.mark.parametrize(("loss", "outputs"), LOSSES)
def test_losses(loss, outputs):
    check_loss(loss, outputs)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers(optimizer):
    check_optimizer(optimizer)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules(schedule):
    check_schedule(schedule)


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_initializers(initializer):
    check_initializer(initializer)


@pytest.mark.parametrize(("metric", "classes"), METRICS)
def test_metrics(metric, classes):
    check_metric(metric, classes)


@pytest.mark.parametrize(("transform", "shape"), TRANSFORMS)
def test_transforms(transform, shape):
    check_transform(transform, shape)


@pytest.mark.parametrize("observer", OBSERVERS)
def test_observers(observer):
    check_observer(observer)


@pytest.mark.parametrize("callback", CALLBACKS)
def test_callbacks(callback):
    check_callback(callback)


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends(backend):
    check_backend(backend)


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"datasets"}))  # test_contract_datasets
def test_every_type_has_a_case(family):
    tried = {component.type for case in CASES[family] for _, component in walk(case)}
    assert set(built_ins(family)) - tried == set()
