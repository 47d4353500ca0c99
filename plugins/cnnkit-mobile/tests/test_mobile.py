"""MobileNet's blocks against the kit, against slow loops, and inside a spec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cnnkit_mobile import InvertedResidual, SeparableConv

import cnnkit
from cnnkit.arrays import flatten
from cnnkit.base import Context
from cnnkit.base.weight import draw
from cnnkit.errors import ShapeError
from cnnkit.testing import parametrize_layer_checks

SPEC = Path(__file__).parent.parent / "specs" / "mobile.toml"


@parametrize_layer_checks(
    [
        (SeparableConv(channels=2, filters=3), (2, 5, 5)),
        (SeparableConv(channels=3, filters=2, kernel=[2, 3], stride=2), (3, 5, 4)),
        (InvertedResidual(channels=2, filters=2, expand=2), (2, 4, 4)),
        (InvertedResidual(channels=2, filters=2, expand=2, stride=2), (2, 4, 4)),
        (InvertedResidual(channels=2, filters=3, expand=1), (2, 4, 4)),
    ]
)
def test_layers(layer, shape, check):
    check(layer, shape)


def slow_depthwise(x, W, b, stride):
    """3x3 kernels, one per channel, zeros around the map, (N, C, H, W) with even H and W."""
    N, C, H, _ = x.shape
    before = 1 if stride == 1 else 0  # "same": an odd row of zeros goes to the end
    padded = np.pad(x, [(0, 0), (0, 0), (before, 1), (before, 1)])
    y = np.zeros((N, C, H // stride, H // stride))
    for n, c, i, j in np.ndindex(*y.shape):
        patch = padded[n, c, i * stride : i * stride + 3, j * stride : j * stride + 3]
        y[n, c, i, j] = (patch * W[c, 0]).sum() + b[c]
    return y


def slow_pointwise(x, W, b):
    return np.einsum("nchw,fc->nfhw", x, W[:, :, 0, 0]) + b[:, None, None]


def drawn(layer, shape):
    """Return an input and weights whose biases are not zero, flat and as a tree."""
    rng = np.random.default_rng(0)
    tree = draw(layer.weights(shape), rng, np.float64)
    for array in flatten(tree).values():
        array += 0.1 * rng.standard_normal(array.shape)
    return rng.standard_normal((2, *shape)), tree, flatten(tree)


@pytest.mark.parametrize("stride", [1, 2])
def test_separable_conv_by_loops(stride):
    layer = SeparableConv(channels=2, filters=3, stride=stride)
    x, tree, w = drawn(layer, (2, 6, 6))
    hidden = slow_depthwise(x, w["0_conv/W"], w["0_conv/b"], stride)
    wanted = slow_pointwise(np.maximum(hidden, 0), w["2_conv/W"], w["2_conv/b"])
    y, _ = layer.forward(x, tree, Context())
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("filters", "stride", "adds"), [(2, 1, True), (2, 2, False), (3, 1, False)]
)
def test_inverted_residual_by_loops(filters, stride, adds):
    layer = InvertedResidual(channels=2, filters=filters, stride=stride, expand=3)
    x, tree, w = drawn(layer, (2, 6, 6))
    inner = "0_residual/" if adds else ""
    wide, deep, narrow = (
        (w[f"{inner}{name}/W"], w[f"{inner}{name}/b"]) for name in ("0_conv", "2_conv", "4_conv")
    )
    assert wide[0].shape == (6, 2, 1, 1)
    assert deep[0].shape == (6, 1, 3, 3)
    hidden = slow_depthwise(np.maximum(slow_pointwise(x, *wide), 0), *deep, stride)
    wanted = slow_pointwise(np.maximum(hidden, 0), *narrow) + (x if adds else 0)
    y, _ = layer.forward(x, tree, Context())
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-12)


def test_separable_conv_is_cheaper():
    shape = (32, 14, 14)
    plain = 32 * 64 * 9 * 14 * 14
    assert SeparableConv(channels=32, filters=64).macs(shape) == plain // 64 + plain // 9


@pytest.mark.parametrize("block", [SeparableConv, InvertedResidual])
def test_other_channels_are_refused_by_name(block):
    with pytest.raises(ShapeError) as refused:
        block(channels=4, filters=4).output_shape((8, 5, 5))
    assert str(refused.value) == (
        "is written for 4 input channels, but is given 8; expected channels = 8; "
        "set channels to what the layer before puts out"
    )
    assert (refused.value.option, refused.value.expected) == ("channels", "channels = 8")


def test_a_spec_trains(tmp_path):
    run = cnnkit.train(cnnkit.load_spec(SPEC), out=tmp_path / "run")
    assert run.summary["test"]["accuracy"] > 0.8
