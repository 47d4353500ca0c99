"""Plans: where networks are cut, and which heads their losses take over."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.arrays import flatten
from cnnkit.base.weight import draw
from cnnkit.layers import Dense, Relu, Residual, Sequential, Sigmoid, Softmax
from cnnkit.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from cnnkit.plan import couples, make_plan


def names(plan):
    return [([name for name, _ in part.steps], part.couples_batch) for part in plan.segments]


def test_a_network_without_couplings_is_one_segment():
    plan = make_plan(Sequential(layers=[Dense(units=3), Relu()]), MeanSquaredError())
    assert names(plan) == [(["0_dense", "1_relu"], False)]
    assert plan.head is None
    assert plan.loss == MeanSquaredError()


def test_segments_end_where_samples_meet(couple):
    inside = Residual(body=[Sequential(layers=[Relu(), couple()])])
    layers = [couple(), Relu(), Dense(units=3), couple(), inside, Relu()]
    plan = make_plan(Sequential(layers=layers), MeanSquaredError())
    assert names(plan) == [
        (["0_couple"], True),
        (["1_relu", "2_dense"], False),
        (["3_couple", "4_residual"], True),
        (["5_relu"], False),
    ]


def test_a_coupling_is_seen_however_deep_it_lies(couple):
    assert not couples(Residual(body=[Relu()], shortcut=[Dense(units=2)]))
    assert couples(Residual(body=[Relu()], shortcut=[Residual(body=[couple()])]))


@pytest.mark.parametrize(
    ("layers", "kept"),
    [
        ([Dense(units=3), Softmax()], ["0_dense"]),
        ([Relu(), Softmax(units=3)], ["0_relu", "1_softmax"]),
        ([Relu(), Sequential(layers=[Relu(), Softmax(units=3)])], ["0_relu", "1_sequential"]),
        ([Relu(), Sequential(layers=[Softmax()])], ["0_relu"]),
        ([Softmax()], []),
    ],
)
def test_a_head_goes_into_the_loss_and_weights_keep_their_names(layers, kept):
    network = Sequential(layers=layers).lower()
    plan = make_plan(network, CrossEntropy())
    assert plan.head == Softmax()
    assert plan.loss.type == "softmax_cross_entropy"
    assert [name for part in plan.segments for name, _ in part.steps] == kept
    weights = draw(network.weights((4,)), np.random.default_rng(0), np.float64)
    steps = [step for part in plan.segments for step in part.steps]
    found = {}
    for name, layer in steps:  # what is left finds all weights under the old names
        found[name] = draw(layer.weights((4,)), np.random.default_rng(0), np.float64)
    assert flatten(found).keys() == flatten(weights).keys()


@pytest.mark.parametrize(
    ("head", "loss"),
    [
        (Softmax(), MeanSquaredError()),
        (Softmax(), BinaryCrossEntropy()),
        (Sigmoid(), CrossEntropy()),
        (Residual(body=[Softmax()]), CrossEntropy()),
    ],
)
def test_other_heads_stay_in_the_network(head, loss):
    plan = make_plan(Sequential(layers=[Dense(units=3), head]), loss)
    assert plan.head is None
    assert plan.loss is loss
    assert names(plan) == [(["0_dense", f"1_{head.type}"], False)]
