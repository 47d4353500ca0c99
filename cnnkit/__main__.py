"""The `cnnkit` command, also as `python -m cnnkit`: the overview at once, all else by the CLI.

A library for command lines takes a tenth of a second to import, and the overview needs none. All
else is imported with the garbage collector off: `check` takes four fifths of the time then.
"""

import gc
import os
import sys
from contextlib import suppress
from importlib import import_module

from cnnkit.commands import VERBS, overview


def main() -> int:
    """Do what the command line says and return the exit code."""
    if sys.argv[1:] in ([], ["-h"], ["--help"]):
        with suppress(OSError):  # the CLI, asked the same, will say what is wrong
            os.write(1, overview().encode())
            return 0
    # Else pydantic looks for plugins of its own, and one damaged entry_points.txt, of whatever is
    # installed, ends every verb. It is the command's to say: a program may want such plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        gc.disable()  # nothing that is imported is garbage, and to look for it takes long
        from cnnkit.cli import main as by_cli

        if sys.argv[1] in VERBS:
            with suppress(Exception):  # the CLI will meet it again, and say what is wrong
                import_module(f"cnnkit.commands.{sys.argv[1]}")
        gc.freeze()
        gc.enable()
        return by_cli()
    except KeyboardInterrupt:  # before the CLI was there to take it
        os.write(2, b"error: interrupted\n")
        return 130
    finally:
        gc.freeze()  # all of it goes with the process


if __name__ == "__main__":
    sys.exit(main())
