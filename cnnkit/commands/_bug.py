"""What to say about an exception that nobody raised on purpose."""

from __future__ import annotations

import traceback
from importlib.metadata import entry_points


def describe_bug(error: BaseException) -> str:
    """Return the traceback and a line that says where to report it."""
    lines = "".join(traceback.format_exception(error))
    return f"{lines}error: this is a bug in {_owner(error)}; please report it with the lines above"


def _owner(error: BaseException) -> str:
    """Return the distribution of the innermost plugin in the traceback, or cnnkit itself."""
    owners = {
        point.module.partition(".")[0]: f"{point.dist.name} {point.dist.version}"
        for point in entry_points(group="cnnkit")
        if point.dist is not None
    }
    names = [
        frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    tops = [name.partition(".")[0] for name in reversed(names)]
    plugins = (owners[top] for top in tops if top in owners and top != "cnnkit")
    return next(plugins, owners.get("cnnkit", "cnnkit"))
