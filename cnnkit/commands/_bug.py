"""What to say about an exception that nobody raised on purpose."""

from __future__ import annotations

import re
import traceback


def describe_bug(error: BaseException) -> str:
    """Return the traceback and a line that says where to report it."""
    lines = "".join(traceback.format_exception(error))
    return f"{lines}error: this is a bug in {_owner(error)}; please report it with the lines above"


def _owner(error: BaseException) -> str:
    """Return the distribution of the innermost plugin in the traceback, or cnnkit itself."""
    try:
        from cnnkit.plugins import find_plugins  # reads metadata that are damaged elsewhere, too

        found = list(find_plugins())
    except Exception:  # the bug may be that NumPy cannot be imported
        return "cnnkit"
    owners = {re.split("[.:]", plugin.module)[0]: plugin.owner for plugin in found}
    names = [
        frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    tops = [name.partition(".")[0] for name in reversed(names)]
    plugins = (owners[top] for top in tops if top in owners and top != "cnnkit")
    return next(plugins, owners.get("cnnkit", "cnnkit"))
