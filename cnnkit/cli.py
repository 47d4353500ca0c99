"""The `cnnkit` command: verbs, loaded when they are called, and what becomes of errors."""

from __future__ import annotations

import re
import shlex
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from cnnkit import __version__
from cnnkit.commands import ABOUT, EVERY, MORE, SUBVERBS, VERBS
from cnnkit.commands._console import News, silence
from cnnkit.errors import CnnkitError, OptionError, PluginError, Terminated

if TYPE_CHECKING:
    from cyclopts import App
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions


USAGE, BUG, INTERRUPTED = 2, 101, 130
FLAG = "--plugin"


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code; nothing is raised.

    0 done, 1 the run failed, 2 usage, spec, data or files, 101 a bug, 130 Ctrl-C, 143 SIGTERM,
    129 SIGHUP.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if whole := "--traceback" in arguments:
        arguments.remove("--traceback")
    typed = list(arguments)
    for stream in (sys.stdout, sys.stderr):  # of any encoding: what it lacks becomes an escape
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    with ExitStack() as stack:
        try:
            with signals_raise(), warnings.catch_warnings():
                warnings.showwarning = _tell
                stack.enter_context(_plugin_files(arguments))
                return _do(arguments)
        except BaseException as error:
            try:
                return _report(error, typed, whole)
            except KeyboardInterrupt:  # typed again while this was being told
                return INTERRUPTED


def _do(arguments: Sequence[str]) -> int:
    """Call the verb and return the exit code."""
    call = of_paths_alone(arguments)
    result = call() if call is not None else by_library(arguments)
    if sys.stdout is not None:
        sys.stdout.flush()
    return result if isinstance(result, int) else 0


@contextmanager
def _plugin_files(arguments: list[str]) -> Iterator[None]:
    """Take every `--plugin FILE` out of a command line, and let the verb find these plugins."""
    paths: list[str] = []
    end = arguments.index("--") if "--" in arguments else len(arguments)
    for at in reversed([i for i, a in enumerate(arguments[:end]) if a.partition("=")[0] == FLAG]):
        flag, equals, path = arguments.pop(at).partition("=")
        if not equals and at < len(arguments) and not arguments[at].startswith("-"):
            path = arguments.pop(at)
        if not path:
            raise CnnkitError(f"{flag} has no value\n   = help: write a Python file behind it: "
                              f"{flag} my_layers.py")  # fmt: skip
        paths.insert(0, path)
    if not paths:  # as mostly: what is imported here takes time
        yield
        return
    from cnnkit.plugin_files import plugin_files

    with plugin_files(paths):
        yield


def _tell(message: Warning | str, *where: Any, **how: Any) -> None:
    """Show a warning as the other news, since it may quote a file."""
    News().warn(str(message))


def of_paths_alone(arguments: Sequence[str]) -> Callable[[], Any] | None:
    """Return the call of a verb that is given paths and nothing else, or None: the library that
    reads all other lines takes a sixth of the time of `check` to import."""
    verb, *rest = arguments or ["-"]
    if verb not in VERBS or verb in SUBVERBS or any(word.startswith("-") for word in rest):
        return None
    function = getattr(import_module(f"cnnkit.commands.{verb}"), verb)
    parameters = signature(function).parameters.values()
    kinds = [p.annotation for p in parameters if p.kind is p.POSITIONAL_ONLY]
    paths: list[Any] = [*map(Path, rest)]
    if kinds[-1:] == ["list[Path]"] and len(paths) >= len(kinds):
        paths[len(kinds) - 1 :] = [paths[len(kinds) - 1 :]]
        kinds[-1] = "Path"
    return partial(function, *paths) if ["Path"] * len(paths) == kinds else None


def by_library(arguments: Sequence[str]) -> Any:
    """Let the library for command lines read the line and call the verb."""
    app, word = build_app(), arguments[0] if arguments else "-"
    if word in SUBVERBS:  # asking for these imports the verb's module, so not before
        for name, help_ in SUBVERBS[word].items():
            path = f"cnnkit.commands.{word}_{name}:{name}"
            app[word].command(path, name=name, help=help_, help_epilogue=EVERY)
    elif not word.startswith("-") and word not in VERBS:
        _add_plugin_verb(app, word)
    return app(arguments)


@contextmanager
def signals_raise() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Terminated` inside the block; one that is ignored stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    names = ("SIGTERM", "SIGHUP")  # Windows knows the first alone
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated(number)


def build_app() -> App:
    """Return the app with the built-in verbs."""
    from cyclopts import App, Parameter

    from cnnkit.commands._screen import Screen

    app = App(
        name="cnnkit",
        help=ABOUT,
        help_epilogue=f"{MORE}\n{EVERY}",
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
        path = f"cnnkit.commands.{verb}:{verb}"
        app.command(path, name=verb, help=help_, help_epilogue=EVERY, sort_key=order)
    return app


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


def _report(error: BaseException, arguments: Sequence[str], whole: bool) -> int:
    """Print what ended the command, and return its exit code."""
    match error:
        case BrokenPipeError():  # the reader had enough (`| head -1`)
            silence(sys.stdout)
            return 0
        case SystemExit(code=int() | None as code):  # a plugin's verb may end this way
            return code or 0
        case _ if type(error).__module__.startswith("cyclopts."):
            code, text = USAGE, usage(error, arguments)
        case CnnkitError() if not isinstance(error, OptionError):  # which code made, no spec
            code, text = error.exit_code, str(error) + _with_plugin_files(error, arguments)
            text = text if text.startswith("error:") else f"error: {text}"
        case KeyboardInterrupt():
            code, text = INTERRUPTED, "error: interrupted"
        case Terminated():
            code, text = error.exit_code, "error: terminated"
        case MemoryError():
            from cnnkit.provenance import exhausted

            code, text = USAGE, str(exhausted(error))
        case SystemExit():  # its words and a failure, as in any Python program
            code, text = 1, str(error.code)
        case _:
            code, text = describe_stray(error, whole)
            whole = False  # told already, where it was asked for
    if whole:
        News().error("".join(traceback.format_exception(error)).rstrip())
    # others have noted on its way where a run stands, say
    News().error("\n".join([text, *getattr(error, "__notes__", [])]))
    return code


def _with_plugin_files(error: BaseException, arguments: Sequence[str]) -> str:
    """Return a line with the command that names the plugin files that an error asks for, if any."""
    words = [word for path in getattr(error, "lacks", ()) for word in (FLAG, path)]
    return f"\n   = help: {shlex.join(['cnnkit', *arguments, *words])}" if words else ""


def describe_stray(error: BaseException, whole: bool) -> tuple[int, str]:
    """Return the exit code of an exception that nobody raised on purpose, and what to say of it: a
    bug of ours comes with its traceback, a plugin's fault with its line.

    Args:
        whole: tell the traceback of a plugin's fault as well.
    """
    if "KeyboardInterrupt" in str(error):  # a library has put it into an error of its own
        return INTERRUPTED, "error: interrupted"
    owner = _owner(error)
    lines = "".join(traceback.format_exception(error))
    if owner.partition(" ")[0] == "cnnkit":
        return BUG, f"{lines}error: this is a bug in {owner}; please report it with the lines above"
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = (
        f"error: plugin {owner} raised {type(error).__name__}: {error}\n"
        f"   = note: raised at {last.filename}:{last.lineno}; --traceback shows the way there\n"
        "   = help: this is a fault of the plugin: report it to its authors"
    )
    return USAGE, (lines if whole else "") + text


def _owner(error: BaseException) -> str:
    """Return the distribution of the innermost plugin in the traceback, or cnnkit itself."""
    try:
        from cnnkit.plugins import GIVEN_FILES, find_plugins  # of damaged metadata, too

        plugins = [*find_plugins(), *GIVEN_FILES.get()]
        owners = {re.split("[.:]", plugin.module)[0]: plugin.owner for plugin in plugins}
    except Exception:  # the bug may be that NumPy cannot be imported
        return "cnnkit"
    core, owner = owners.pop("cnnkit", "cnnkit"), ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = owners.get(frame.f_globals.get("__name__", "").partition(".")[0], owner)
    return owner or core


_TAKE_SET = ("run", "lr", "check", "show", "look")
"""The verbs over whose specs --set lays values."""


def usage(error: Any, arguments: Sequence[str]) -> str:
    """Return what is wrong, in the words of the library for command lines, or in better ones.

    Args:
        error: what that library raised: its text, and the tokens that it is about.
        arguments: the whole command line.
    """
    flags = (word.partition("=")[0] for word in arguments)
    if near := next((flag for flag in flags if flag.startswith(FLAG) and flag != FLAG), ""):
        return f"error: unknown option {near}\n   = help: write {FLAG} FILE"
    if next(iter(getattr(error, "command_chain", None) or ()), "") not in _TAKE_SET:
        return f"error: {_of_arguments(error, arguments) or error}"
    alone = [token for token in getattr(error, "unused_tokens", None) or () if "=" in token]
    if "--set" in arguments and alone and not alone[0].startswith("-"):
        again = " ".join(f"--set {token}" for token in alone)
        what = f"every --set takes one KEY=VALUE, so {alone[0]} stands alone"
        return f"error: {what}\n   = help: write {again}"
    return f"error: {_of_a_section(error, arguments) or _of_arguments(error, arguments) or error}"


def _of_arguments(error: Any, arguments: Sequence[str]) -> str:
    """Explain which argument is missing or too many; "" for other errors."""
    kind, target = type(error).__name__, getattr(error, "target", None)
    if target is None or kind not in ("MissingArgumentError", "UnusedCliTokensError"):
        return ""
    verb = " ".join(error.command_chain)
    form = " ".join(["cnnkit", verb, *_places(target)])
    spare = shlex.join(error.unused_tokens or ())
    if kind == "UnusedCliTokensError":
        what, help_ = f"{verb} does not take {spare}", f"leave out {spare}"
    elif (name := error.argument.name).startswith("-"):
        value = name.strip("-").replace("-", "_").upper()
        what, help_ = f"{name} of {verb} has no value", f"write one behind it: {name} {value}"
        form = f"{form} {name} {value}"
    else:
        what, help_ = f"{verb} lacks {name}", f"write it behind {verb}"
    return (
        f"{what}\n   = expected: {form}\n   = got: {shlex.join(['cnnkit', *arguments])}\n"
        f"   = help: {help_}; `cnnkit {verb} --help` says what it takes"
    )


def _places(function: Callable[..., Any]) -> Iterator[str]:
    """Yield what a verb's arguments without a flag are called: "RUN", "[TYPE]", "SPECS ..."."""
    for p in signature(function).parameters.values():
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL):
            many = p.kind is p.VAR_POSITIONAL or re.match(
                r"(typing\.)?(list|tuple)\b", str(p.annotation)
            )
            name = p.name.upper().replace("_", "-") + " ..." * bool(many)
            yield name if p.default is p.empty else f"[{name}]"


def _of_a_section(error: Any, arguments: Sequence[str]) -> str:
    """Explain `--epochs 3`, which is no option of the command but one of the spec."""
    given = getattr(getattr(error, "token", None), "keyword", None) or ""
    if given[:5] in ("", "--no-") or not str(error).startswith("Unknown option"):
        return ""
    word, options = given.removeprefix("--").replace("-", "_"), _options()
    path = options.get(word) or (word if word in options.values() else "")
    if not path and "Did you mean" not in str(error):
        from cnnkit.diagnosis.problems import did_you_mean

        path = options.get(did_you_mean(word, options) or "", "")
    if not path:
        return ""
    value = "..."
    for argument, after in zip(arguments, [*arguments[1:], "-"], strict=True):
        if argument.startswith(f"{given}="):
            value = argument.partition("=")[2]
        elif argument == given and not after.startswith("-"):
            value = after
    return (
        f"unknown option {given}, which the spec has, not the command\n"
        f"   = help: write --set {path}={value}"
    )


def _options() -> dict[str, str]:
    """Return the options of a spec and of its sections, each with its key path."""
    from cnnkit.base.component import slots
    from cnnkit.plugins import load_plugins
    from cnnkit.specfile.runspec import RunSpec

    registry, found = load_plugins(), {name: name for name in RunSpec.model_fields}
    for section, slot in slots(RunSpec).items():
        entries = () if slot.many else registry.entries(slot.family)
        classes = [slot.section] if slot.section else [e.cls for e in entries if e.built_in]
        for name in (name for cls in classes for name in cls.model_fields if name != "type"):
            found.setdefault(name, f"{section}.{name}")
    return found


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
