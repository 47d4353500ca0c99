"""Which heads a loss takes, fuses with, and refuses: the whole text."""

from __future__ import annotations

import pytest

from cnnkit.errors import ShapeError
from cnnkit.layers import Dense, Relu, Sigmoid, Softmax
from cnnkit.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError


def test_only_its_own_plain_head_fuses():
    assert CrossEntropy().fuse(Sigmoid()) is None
    assert CrossEntropy().fuse(Softmax(units=3)) is None
    assert BinaryCrossEntropy().fuse(Softmax()) is None
    assert BinaryCrossEntropy().fuse(Sigmoid(units=3)) is None
    assert MeanSquaredError().fuse(Softmax()) is None


def test_heads_that_fit():
    CrossEntropy().check(Softmax(), (10,), 10)
    CrossEntropy().check(Softmax(), (2,), 2)
    BinaryCrossEntropy().check(Sigmoid(), (1,), 2)
    BinaryCrossEntropy().check(Sigmoid(), (2,), 2)
    BinaryCrossEntropy().check(Sigmoid(), (10,), 10)
    BinaryCrossEntropy().check(Softmax(), (10,), 10)
    MeanSquaredError().check(Dense(units=1), (1,), 2)
    MeanSquaredError().check(Relu(), (10,), 10)


REFUSED = [
    (
        (CrossEntropy(), Softmax(), (5,), 10),
        "gives outputs of shape (5,), which cross_entropy cannot compare with 10 classes; "
        "expected shape (10,); end the network with 10 outputs",
        "units",
    ),
    (
        (CrossEntropy(), Softmax(), (1,), 2),
        "gives outputs of shape (1,), which cross_entropy cannot compare with 2 classes; "
        "expected shape (2,); end the network with 2 outputs",
        "units",
    ),
    (
        (CrossEntropy(), Relu(), (10, 1, 1), 10),
        "gives outputs of shape (10, 1, 1), which cross_entropy cannot compare with 10 classes; "
        "expected shape (10,); end the network with 10 outputs",
        "",
    ),
    (
        (CrossEntropy(), Dense(units=10), (10,), 10),
        "does not give probabilities, which cross_entropy needs; expected a head whose outputs "
        'are >= 0 and sum to 1, such as softmax; end the network with "softmax", or use '
        'loss type "mean_squared_error"',
        "",
    ),
    (
        (CrossEntropy(), Sigmoid(), (10,), 10),
        "does not give probabilities that sum to 1, which cross_entropy needs; expected a head "
        'such as softmax; use loss type "binary_cross_entropy", or end the network with '
        '{ type = "softmax", units = 10 }',
        "",
    ),
    (
        (CrossEntropy(), Sigmoid(), (1,), 2),
        "does not give probabilities that sum to 1, which cross_entropy needs; expected a head "
        'such as softmax; use loss type "binary_cross_entropy", or end the network with '
        '{ type = "softmax", units = 2 }',
        "",
    ),
    (
        (BinaryCrossEntropy(), Sigmoid(), (1,), 3),
        "gives outputs of shape (1,), which binary_cross_entropy cannot compare with 3 classes; "
        "expected shape (3,); end the network with 3 outputs",
        "units",
    ),
    (
        (BinaryCrossEntropy(), Sigmoid(), (3,), 2),
        "gives outputs of shape (3,), which binary_cross_entropy cannot compare with 2 classes; "
        "expected shape (1,) or (2,); end the network with 1 output",
        "units",
    ),
    (
        (BinaryCrossEntropy(), Relu(), (1,), 2),
        "does not give probabilities, which binary_cross_entropy needs; expected a head whose "
        'outputs lie in [0, 1], such as sigmoid; end the network with "sigmoid", or use '
        'loss type "mean_squared_error"',
        "",
    ),
    (
        (MeanSquaredError(), Dense(units=7), (7,), 10),
        "gives outputs of shape (7,), which mean_squared_error cannot compare with 10 classes; "
        "expected shape (10,); end the network with 10 outputs",
        "units",
    ),
]


@pytest.mark.parametrize(("case", "text", "option"), REFUSED)
def test_heads_that_do_not_fit(case, text, option):
    loss, *rest = case
    with pytest.raises(ShapeError) as caught:
        loss.check(*rest)
    assert str(caught.value) == text
    assert caught.value.option == option
