"""The conformance kit: checks that a component keeps the contract of its family."""

from cnnkit.testing.backend import check_backend
from cnnkit.testing.callback import check_callback
from cnnkit.testing.check import Check, CheckFailure
from cnnkit.testing.dataset import check_dataset
from cnnkit.testing.initializer import check_initializer
from cnnkit.testing.layers import check_layer, failures, layer_checks, parametrize_layer_checks
from cnnkit.testing.loss import check_loss
from cnnkit.testing.metric import check_metric
from cnnkit.testing.observer import check_observer
from cnnkit.testing.optimizer import check_optimizer
from cnnkit.testing.schedule import check_schedule
from cnnkit.testing.transform import check_transform

__all__ = [
    "Check",
    "CheckFailure",
    "check_backend",
    "check_callback",
    "check_dataset",
    "check_initializer",
    "check_layer",
    "check_loss",
    "check_metric",
    "check_observer",
    "check_optimizer",
    "check_schedule",
    "check_transform",
    "failures",
    "layer_checks",
    "parametrize_layer_checks",
]
