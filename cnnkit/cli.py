"""The `cnnkit` command: verbs, loaded when they are called, and what becomes of errors.

Nothing here imports NumPy or pydantic, so that help comes at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from cyclopts import App, CycloptsError, Parameter

from cnnkit import __version__
from cnnkit.commands._console import News, Screen, silence
from cnnkit.commands._help import Columns
from cnnkit.commands._signals import Terminated, sigterm_raises
from cnnkit.commands._usage import usage
from cnnkit.commands._verbs import ABOUT, MORE, SUBVERBS, VERBS
from cnnkit.errors import CnnkitError, PluginError

USAGE, BUG, INTERRUPTED, TERMINATED = 2, 101, 130, 143


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code; nothing is raised.

    0 done, 1 the run failed, 2 usage, spec, data or files, 101 a bug, 130 Ctrl-C, 143 SIGTERM.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _accept_any_text()
    try:
        with sigterm_raises():
            app = build_app()
            if arguments and arguments[0] in SUBVERBS:
                _add_subverbs(app, arguments[0])
            elif arguments and not arguments[0].startswith("-") and arguments[0] not in VERBS:
                _add_plugin_verb(app, arguments[0])
            result = app(arguments)
            if sys.stdout is not None:
                sys.stdout.flush()
            return result if isinstance(result, int) else 0
    except BaseException as error:
        return _report(error, arguments)


def build_app() -> App:
    """Return the app with the built-in verbs."""
    app = App(
        name="cnnkit",
        help=ABOUT,
        help_epilogue=MORE,
        version=__version__,
        console=Screen(),
        help_format="plaintext",
        version_format="plaintext",
        help_formatter=Columns(),
        default_parameter=Parameter(negative=()),
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    for order, (verb, help_) in enumerate(VERBS.items()):
        app.command(
            f"cnnkit.commands.{verb}:{verb}",
            name=verb,
            help=help_,
            help_epilogue="",
            sort_key=order,
        )
    return app


def _add_subverbs(app: App, verb: str) -> None:
    """Add what stands under a verb; asking for that imports the verb's module, so not before."""
    for name, help_ in SUBVERBS[verb].items():
        path = f"cnnkit.commands.{verb}_{name}:{name}"
        app[verb].command(path, name=name, help=help_, help_epilogue="")


def _add_plugin_verb(app: App, word: str) -> None:
    """Add the verb of a plugin, now that `word` is no built-in one; these never give way.

    Only that one: what is wrong with another verb is no concern of this one.
    """
    from cnnkit.commands._plugins import plugin_verb, warn_of_broken
    from cnnkit.plugins import load_plugins

    registry = load_plugins()
    try:
        function, owner = plugin_verb(registry, word)
    except CnnkitError:
        warn_of_broken(registry, News())
        raise
    try:
        app.command(function, name=word)
    except Exception as error:  # whatever an author's annotations do
        said = f"{type(error).__name__}: {error}"
        raise PluginError(f"the verb {word} of {owner} cannot be used: {said}") from error


def _report(error: BaseException, arguments: Sequence[str]) -> int:
    """Print what ended the command, and return its exit code."""
    match error:
        case BrokenPipeError():  # the reader had enough (`| head -1`)
            silence(sys.stdout)
            return 0
        case CycloptsError():
            News().error(usage(error, arguments))
            return USAGE
        case CnnkitError():
            text = str(error)
            _tell(error, text if text.startswith("error:") else f"error: {text}")
            return error.exit_code
        case KeyboardInterrupt():
            _tell(error, "error: interrupted")
            return INTERRUPTED
        case Terminated():
            _tell(error, "error: terminated")
            return TERMINATED
        case SystemExit(code=int() | None as code):  # a plugin's verb may end this way
            return code or 0
        case SystemExit():  # its words and a failure, as in any Python program
            _tell(error, str(error.code))
            return 1
    from cnnkit.commands._bug import describe_bug

    News().error(describe_bug(error))
    return BUG


def _tell(error: BaseException, text: str) -> None:
    """Print an error, and what others have noted on its way: where a run stands, say."""
    News().error("\n".join([text, *getattr(error, "__notes__", [])]))


def _accept_any_text() -> None:
    """Let streams of any encoding take any text: what they lack is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
