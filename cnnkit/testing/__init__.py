"""The conformance kit: checks that a component keeps the contract of its family."""

from cnnkit.testing.check import Check
from cnnkit.testing.dataset_checks import check_dataset
from cnnkit.testing.failure import CheckFailure
from cnnkit.testing.initializer_checks import check_initializer
from cnnkit.testing.layers import check_layer, failures, layer_checks, parametrize_layer_checks
from cnnkit.testing.loss_checks import check_loss
from cnnkit.testing.metric_checks import check_metric
from cnnkit.testing.observer_checks import check_observer
from cnnkit.testing.optimizer_checks import check_optimizer
from cnnkit.testing.schedule_checks import check_schedule
from cnnkit.testing.transform_checks import check_transform

__all__ = [
    "Check",
    "CheckFailure",
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
