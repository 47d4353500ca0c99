"""The `cnnkit` command, also as `python -m cnnkit`: the overview at once, all else by the CLI.

A library for command lines takes a tenth of a second to import, and the overview needs none. All
else is imported with the garbage collector off: `check` takes four fifths of the time then.
"""

import atexit
import gc
import os
import sys
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from cnnkit.commands import VERBS, overview


class NoPlugins(ModuleType):
    """Stands where pydantic looks for plugins of its own.

    It would read the metadata of whatever is installed, and one damaged entry_points.txt ends every
    verb then; and to import what reads them takes a twentieth of the time of `check`. It is the
    command's to say: a program may want such plugins.
    """

    get_plugins = staticmethod(tuple)

    def __getattr__(self, name: str) -> Any:
        """Give way to the real module, should another version of pydantic ask for more of it."""
        if name.startswith("__"):  # as whoever imports it does
            raise AttributeError(name)
        del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def command() -> NoReturn:
    """Do what the command line says and end the process.

    It is not taken apart, which takes a tenth of the time of `check`: the system takes it whole.
    """
    code = main()
    atexit._run_exitfuncs()  # such as what plugins want to be called at the end
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def main() -> int:
    """Do what the command line says and return the exit code."""
    if sys.argv[1:] in ([], ["-h"], ["--help"]):
        with suppress(OSError):  # the CLI, asked the same, will say what is wrong
            os.write(1, overview().encode())
            return 0
    if "PYDANTIC_DISABLE_PLUGINS" not in os.environ:
        name = "pydantic.plugin._loader"
        sys.modules[name] = NoPlugins(name)
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
    command()
