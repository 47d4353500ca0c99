"""The `cnnkit` command, also as `python -m cnnkit`: the overview at once, all else by the CLI.

A library for command lines takes a tenth of a second to import, and the overview needs none.
"""

import os
import sys

from cnnkit.commands._verbs import overview


def main() -> int:
    """Do what the command line says and return the exit code."""
    if sys.argv[1:] in ([], ["-h"], ["--help"]) and _written(overview()):
        return 0
    from cnnkit.cli import main as by_cli

    return by_cli()


def _written(text: str) -> bool:
    try:
        os.write(1, text.encode())
    except OSError:
        return False  # the CLI, asked the same, will say what is wrong
    return True


if __name__ == "__main__":
    sys.exit(main())
