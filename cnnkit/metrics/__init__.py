"""The built-in metrics, registered through the same hook as anybody else's."""

from cnnkit.base import Metric
from cnnkit.hookspecs import hookimpl
from cnnkit.metrics.accuracy import Accuracy
from cnnkit.metrics.confusion import Confusion
from cnnkit.metrics.macro_f1 import MacroF1

__all__ = ["Accuracy", "Confusion", "MacroF1"]


@hookimpl
def cnnkit_metrics() -> list[type[Metric]]:
    """Return the metrics that come with cnnkit."""
    return [Accuracy, MacroF1, Confusion]
