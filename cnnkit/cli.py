"""The `cnnkit` command: verbs, loaded when they are called, and what becomes of errors."""

from __future__ import annotations

import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from cyclopts import App, CycloptsError, Parameter

from cnnkit import __version__
from cnnkit.commands import ABOUT, MORE, SUBVERBS, VERBS
from cnnkit.commands._console import News, Screen, silence
from cnnkit.errors import CnnkitError, OptionError, PluginError

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions


class Terminated(BaseException):
    """SIGTERM came: like Ctrl-C, it passes through every `with` block on its way out."""


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` inside the block."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated("terminated by SIGTERM")


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


class Columns:
    """Prints what cyclopts has put together; the methods are its protocol of a help formatter."""

    def __init__(self) -> None:
        self._gap = ""  # an empty line between panels; before the first one there is one already

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one panel: verbs, arguments or options."""
        from rich.table import Table

        if not panel.entries:
            return
        grid = Table.grid(padding=(0, 0, 0, 2), pad_edge=True)
        grid.add_column(no_wrap=True, style="bold")
        grid.add_column(overflow="fold")
        for entry in panel.entries:
            grid.add_row(", ".join(entry.display_labels_with_metavar), entry.description)
        console.print(f"{self._gap}{panel.title}:", style="bold")
        self._gap = "\n"
        console.print(grid)

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print the line that shows how the verb is called."""
        self._gap = ""
        console.print(f"Usage: {str(usage).strip()}\n", style="bold")

    def render_description(self, console: Console, options: ConsoleOptions, text: Any) -> None:
        """Print what the verb does."""
        console.print(text)


_TAKE_SET = ("run", "check", "show")
"""The verbs over whose specs --set lays values."""


def usage(error: Any, arguments: Sequence[str]) -> str:
    """Return what is wrong, in the words of the library for command lines, or in better ones.

    Args:
        error: what that library raised: its text, and the tokens that it is about.
        arguments: the whole command line.
    """
    verb = next(iter(getattr(error, "command_chain", None) or ()), "")
    advice = ""
    if verb in _TAKE_SET:
        advice = _alone(error, arguments) or _of_a_section(error, arguments)
    return f"error: {advice or error}"


def _alone(error: Any, arguments: Sequence[str]) -> str:
    """Explain `--set a=1 b=2`."""
    alone = [token for token in getattr(error, "unused_tokens", None) or () if "=" in token]
    if "--set" not in arguments or not alone or alone[0].startswith("-"):
        return ""
    again = " ".join(f"--set {token}" for token in alone)
    return f"every --set takes one KEY=VALUE, so {alone[0]} stands alone\n   = help: write {again}"


def _of_a_section(error: Any, arguments: Sequence[str]) -> str:
    """Explain `--epochs 3`, which is no option of the command but one of the spec."""
    given = getattr(getattr(error, "token", None), "keyword", None) or ""
    if not given.startswith("--") or not str(error).startswith("Unknown option"):
        return ""
    word, options = given.removeprefix("--").replace("-", "_"), _options()
    path = options.get(word) or (word if word in options.values() else "")
    if not path and "Did you mean" not in str(error):
        from cnnkit.diagnosis.problems import did_you_mean

        path = options.get(did_you_mean(word, options) or "", "")
    if not path:
        return ""
    return (
        f"unknown option {given}, which the spec has, not the command\n"
        f"   = help: write --set {path}={_value(given, arguments)}"
    )


def _value(given: str, arguments: Sequence[str]) -> str:
    """Return what stands behind an option, as `--epochs=3` or `--epochs 3`."""
    for argument, after in zip(arguments, [*arguments[1:], "-"], strict=True):
        if argument.startswith(f"{given}="):
            return argument.partition("=")[2]
        if argument == given and not after.startswith("-"):
            return after
    return "..."


def _options() -> dict[str, str]:
    """Return the options of a spec and of its sections, each with its key path."""
    from cnnkit.plugins import load_plugins
    from cnnkit.specfile.runspec import ModelSpec, RunSpec, TrainSpec

    registry = load_plugins()
    families = {"optimizer": "optimizers", "data": "datasets", "loss": "losses"}
    found = {name: name for name in RunSpec.model_fields}
    sections: list[tuple[str, Any]] = [("train", TrainSpec), ("model", ModelSpec)]
    for section, family in families.items():
        sections += [(section, entry.cls) for entry in registry.entries(family) if entry.built_in]
    for section, cls in sections:
        for name in cls.model_fields:
            found.setdefault(name, f"{section}.{name}")
    found.pop("type", None)
    return found


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
        case CnnkitError() if not isinstance(error, OptionError):  # which code made, not a spec
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
