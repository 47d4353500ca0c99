"""The built-in learning-rate schedules, registered through the same hook as anybody else's."""

from cnnkit.base import Schedule
from cnnkit.hookspecs import hookimpl
from cnnkit.schedules.constant import Constant
from cnnkit.schedules.cosine import Cosine
from cnnkit.schedules.step import Step

__all__ = ["Constant", "Cosine", "Step"]


@hookimpl
def cnnkit_schedules() -> list[type[Schedule]]:
    """Return the schedules that come with cnnkit."""
    return [Constant, Step, Cosine]
