from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from cnnkit.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    GlobalPool,
    Relu,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
)

from cnnkit_bench.errors import CannotExpressError
from cnnkit_bench.network import Op, export, walk


def test_macros_and_nested_chains_come_out_flat_under_the_names_of_their_weights():
    body = Sequential(layers=[Conv(filters=3, kernel=3, padding="same"), Relu()])
    network = Sequential(
        layers=[body, Dense(units=8), Dropout(rate=0.0), Softmax(units=2)], label="net"
    ).lower()
    ops = export(network, (3, 5, 5))
    assert [(op.type, op.name, op.shape) for op in ops] == [
        ("conv", "0_sequential/0_conv", (3, 5, 5)),
        ("relu", "0_sequential/1_relu", (3, 5, 5)),
        ("dense", "1_dense", (3, 5, 5)),
        ("dense", "3_softmax/0_dense", (8,)),
        ("softmax", "3_softmax/1_softmax", (2,)),
    ]


def test_same_padding_puts_the_odd_row_at_the_bottom_and_right():
    network = Sequential(layers=[Conv(filters=1, kernel=[2, 4], padding="same", bias="untied")])
    conv, bias = export(network, (1, 4, 4))
    assert conv.options["padding"] == ((0, 1), (1, 2))
    assert conv.options["bias"] is False
    assert (bias.type, bias.name, bias.shape) == ("untied_bias", "0_conv", (1, 4, 4))


def test_what_a_deep_network_takes_comes_with_its_options():
    network = Sequential(layers=[
        BatchNorm(eps=1e-3, momentum=0.2), GlobalPool(kind="max"), Dropout(rate=0.3),
        Dropout(of="channels"), BatchNorm(trainable=False),
    ])  # fmt: skip
    ops = export(network, (2, 4, 4))
    assert [(op.type, op.shape, op.options) for op in ops] == [
        ("batch_norm", (2, 4, 4), {"eps": 1e-3, "momentum": 0.2}),
        ("global_max_pool", (2, 4, 4), {}),
        ("dropout", (2,), {"rate": 0.3}),
        ("other_dropout", (2,), {}),
        ("other_batch_norm", (2,), {}),
    ]


def test_a_way_through_json_changes_nothing_a_peer_reads():
    layers = [Residual(body=[Relu()], shortcut=[Relu()]), Relu()]
    ops = export(Sequential(layers=layers), (1, 4, 4))
    assert ops[0].shortcut[0].name == "0_residual/shortcut/0_relu"
    assert tuple(Op.from_json(json.loads(json.dumps(asdict(op)))) for op in ops) == ops


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (Dropout(rate=0.5), "1 (dropout)"),
        (Residual(body=[Sigmoid(), Dropout()]), "1.2 (dropout)"),
    ],
)  # fmt: skip
def test_a_layer_without_an_equal_is_named(layer, name):
    class Table:
        def sigmoid(self, x, op):
            return x

        def residual(self, x, op):
            return walk(self, op.body, x)

    ops = export(Sequential(layers=[layer]), (4,))
    with pytest.raises(CannotExpressError) as caught:
        walk(Table(), ops, 0)
    assert str(caught.value) == f"cannot express layer {name}"
