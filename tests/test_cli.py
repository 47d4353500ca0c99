"""The `cnnkit` command as a whole: exit codes, errors, streams, signals, verbs of plugins."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import cnnkit
from cnnkit.cli import main
from cnnkit.commands import VERBS, _plugins

TINY = Path(cnnkit.__file__).parents[1] / "specs" / "tiny.toml"
SLOW = ["--set", "train.epochs=100000"]


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("CNNKIT_PLUGINS", "")


def command(*arguments: str) -> list[str]:
    """Return the command line of a new process."""
    return [sys.executable, "-m", "cnnkit", *arguments]


def call(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own; a hanging one fails the test."""
    usual = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 60}
    return subprocess.run(command(*arguments), check=False, **(usual | options))


HELP = """\
Usage: cnnkit COMMAND

A convolutional network is a TOML file, and NumPy trains it.

Commands:
  init        Write a commented spec to start from.
  run         Train the network a spec describes.
  lr          Find a learning rate, by a few steps at growing ones.
  resume      Go on with a run that was interrupted or killed.
  runs        List runs: how each stands, its figures, and what differs.
  verify      Train a run once more, and compare its weights to the bit.
  check       Check specs, without data or network.
  show        Show a spec's layers: shapes, weights, MACs, memory.
  look        See the data of a spec before any training.
  diff        Compare two specs or runs: what differs, by key path.
  schema      Write the JSON Schema by which editors complete and check specs.
  layers      List the types that specs may name, or explain one.
  plugins     List the installed plugins and what each one offers.
  doctor      Say what works here, and how to mend what does not.
  evaluate    Judge a run on its test images, class by class.
  report      Show a run, or several side by side, on one page.
  why         Say what stands out in how a run went, and what to try.
  trace       Follow one image through a network, on a page.
  predict     Name the classes of pictures or arrays.
  --help, -h  Display this message and exit.
  --version   Display application version.

Plugins may add verbs; `cnnkit plugins` lists them.
Every verb takes --plugin FILE: a Python file with a layer of your own, say.
"""


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help(arguments, capsys):
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert re.sub(r" +$", "", out, flags=re.M) == HELP
    assert err == ""


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_the_command_prints_it_without_any_library(arguments):
    code = (
        "import sys; from cnnkit.__main__ import main; code = main(); "
        "print(code, 'cyclopts' in sys.modules, 'rich' in sys.modules, file=sys.stderr)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert (process.stdout, process.stderr) == (HELP, "0 False False\n")


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr() == (f"{cnnkit.__version__}\n", "")


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_imports_neither_numpy_nor_pydantic_nor_plugins(argument):
    code = (
        "import sys; from cnnkit.cli import main; main(sys.argv[1:]); heavy = "
        "{'numpy', 'pydantic', 'cnnkit.plugins', 'pygments', 'markdown_it', 'asyncio'}; "
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, argument], capture_output=True, text=True, check=True
    )
    assert process.stderr == "[]\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_describes_every_option(verb, capsys):
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: cnnkit {verb}")
    names = re.findall(r"^  (--[a-z-]+|[A-Z]+)(?: [A-Z.]+)*(.*)$", out, flags=re.M)
    assert names
    assert all(description.strip() for _, description in names)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["chekc", "a.toml"],
            'error: unknown verb "chekc"; did you mean "check"?\n'
            f"   = help: verbs are {', '.join(VERBS)}\n",
        ),
        (
            ["train", "a.toml"],
            'error: unknown verb "train"; did you mean "run"?\n'
            f"   = help: verbs are {', '.join(VERBS)}\n",
        ),
        *(
            (
                given.split(),
                f"error: {what}\n   = expected: cnnkit {form}\n   = got: cnnkit {given}\n   = "
                f"help: {way_out}; `cnnkit {given.split()[0]} --help` says what it takes\n",
            )
            for given, what, form, way_out in (
                ("run", "run lacks SPEC", "run SPEC", "write it behind run"),
                ("check --json", "check lacks SPECS", "check SPECS ...", "write it behind check"),
                ("diff a", "diff lacks SECOND", "diff FIRST SECOND", "write it behind diff"),
                ("layers a b c", "layers does not take b c", "layers [TYPE]", "leave out b c"),
                ("run a.toml b.toml", "run does not take b.toml", "run SPEC", "leave out b.toml"),
                ("plugins x", "plugins does not take x", "plugins", "leave out x"),
                (
                    "run a.toml --data-dir",
                    "--data-dir of run has no value",
                    "run SPEC --data-dir DATA_DIR",
                    "write one behind it: --data-dir DATA_DIR",
                ),
            )
        ),
        (
            ["run", "a.toml", "--sett", "x=1"],
            "error: Unknown option: --sett. Did you mean --set?\n",
        ),
        (
            ["check", "a.toml", "--set", "seed=1", "train.epochs=2", "name=b"],
            "error: every --set takes one KEY=VALUE, so train.epochs=2 stands alone\n"
            "   = help: write --set train.epochs=2 --set name=b\n",
        ),
        *(
            (
                ["run", "a.toml", *given],
                f"error: unknown option {given[0].partition('=')[0]}, which the spec has, not the "
                f"command\n   = help: write --set {meant}\n",
            )
            for given, meant in (
                (["--epochs", "3"], "train.epochs=3"),
                (["--epochs=3"], "train.epochs=3"),
                (["--seed", "-1"], "seed=..."),
                (["--learning-rate", "0.1"], "optimizer.lr=0.1"),
                (["--train.batch", "8"], "train.batch=8"),
                (["--optimizer", "adam"], "optimizer=adam"),
            )
        ),
        (["run", "a.toml", "--quite"], "error: Unknown option: --quite. Did you mean --quiet?\n"),
        (["run", "a.toml", "--nonsense"], "error: Unknown option: --nonsense.\n"),
        (
            ["show", "a.toml", "[red]b"],
            "error: show does not take '[red]b'\n   = expected: cnnkit show SPEC\n"
            "   = got: cnnkit show a.toml '[red]b'\n   = help: leave out '[red]b'; "
            "`cnnkit show --help` says what it takes\n",
        ),
        (["look", "a.toml", "--no-fallback"], "error: Unknown option: --no-fallback.\n"),
        (
            ["predict", "run", "a.png", "--checkpoint", "bst"],
            'error: Invalid value "bst" for --checkpoint. Choose from: "last", "best". '
            'Did you mean "best"?\n',
        ),
    ],
)
def test_usage_errors_exit_with_2(arguments, text, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", text)


def test_a_missing_spec(capsys):
    assert main(["run", "nix.toml"]) == 2
    assert capsys.readouterr() == (
        "",
        "error: cannot read the spec nix.toml: No such file or directory\n",
    )


@pytest.mark.parametrize("verb", ["run", "check", "show"])
def test_a_pipe_for_a_spec_is_not_waited_for(verb, capsys):
    os.mkfifo("pipe.toml")
    assert main([verb, "pipe.toml"]) == 2
    assert capsys.readouterr() == (
        "", "error: cannot read the spec pipe.toml: not a regular file\n"
    )  # fmt: skip


def test_a_working_directory_that_is_gone(tmp_path, monkeypatch, capsys):
    (tmp_path / "tiny.toml").write_bytes(TINY.read_bytes())
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for verb in ("run", "check", "show"):
        assert main([verb, "../tiny.toml"]) == 2
        assert capsys.readouterr() == (
            "", "error: the working directory is gone; go to one that is there\n"
        )  # fmt: skip
    assert main(["check", str(TINY)]) == 0


@pytest.mark.parametrize("verb", ["run", "check"])
def test_the_folder_of_a_run_for_a_spec(verb, tmp_path, capsys):
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "resolved.toml").touch()
    assert main([verb, "done"]) == 2
    assert capsys.readouterr() == (
        "",
        "error: done is a folder; the spec of that run is done/resolved.toml\n",
    )


def test_a_bug_shows_its_traceback_and_exits_with_101(capsys, monkeypatch):
    def broken():
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(_plugins, "load_plugins", broken)
    assert main(["check", str(TINY)]) == 101
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith(
        "ZeroDivisionError: oops\n"
        f"error: this is a bug in cnnkit {cnnkit.__version__}; please report it with the lines "
        "above\n"
    )


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (BrokenPipeError(), 0, ""),
        (SystemExit(7), 7, ""),
        (SystemExit(), 0, ""),
        (SystemExit("no such thing"), 1, "no such thing\n"),
    ],
)
def test_other_ways_to_end(raised, code, text, capfd, monkeypatch):
    def end():
        raise raised

    monkeypatch.setattr(_plugins, "load_plugins", end)
    monkeypatch.setattr("cnnkit.cli.silence", lambda stream: None)
    assert main(["check", str(TINY)]) == code
    assert capfd.readouterr() == ("", text)


SPY = """
import gc, sys, cnnkit.cli
def spy():
    print(gc.isenabled(), "cnnkit.commands.check" in sys.modules)
    return 7
cnnkit.cli.main = spy
sys.argv = ["cnnkit", "check"]
from cnnkit.__main__ import main
sys.exit(main())
"""


def test_garbage_is_collected_again_once_a_verb_begins():
    process = subprocess.run(
        [sys.executable, "-c", SPY], check=False, capture_output=True, text=True, timeout=60
    )
    assert (process.returncode, process.stdout, process.stderr) == (7, "True True\n", "")


EARLY = """
import sys
class Finder:
    def find_spec(self, name, *rest):
        if name == "cyclopts":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Finder())
sys.argv = ["cnnkit", "check"]
from cnnkit.__main__ import main
sys.exit(main())
"""


def test_ctrl_c_while_libraries_are_imported():
    process = subprocess.run(
        [sys.executable, "-c", EARLY], check=False, capture_output=True, text=True, timeout=60
    )
    assert (process.returncode, process.stderr) == (130, "error: interrupted\n")


@pytest.mark.parametrize(
    ("number", "code", "text"),
    [
        (signal.SIGINT, 130, "error: interrupted\n"),
        (signal.SIGTERM, 143, "error: terminated\n"),
        (signal.SIGHUP, 129, "error: terminated\n"),
    ],
)
def test_signals_end_a_run_in_order(number, code, text, tmp_path):
    arguments = command("run", str(TINY), "--out", "run", *SLOW)
    with subprocess.Popen(  # a job in a shell's background ignores SIGINT, and hands that down
        arguments, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    ) as process:  # fmt: skip
        while not process.stderr.readline().startswith("epoch 2/"):
            assert process.poll() is None
        process.send_signal(number)
        rest = process.stderr.readlines()
    assert process.returncode == code
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (rest[-3], rest[-1]) == (text, "   = help: cnnkit resume run\n")
    kept = r"   = note: run keeps the weights after (epoch {0}|\d+ steps? of epoch {1})\n"
    assert re.fullmatch(kept.format(status["epoch"], status["epoch"] + 1), rest[-2])
    assert not any("Traceback" in line for line in rest)
    assert status["status"] == "interrupted"
    assert status["epoch"] >= 2
    assert not (tmp_path / "run" / ".lock").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["layers"], ["layers", "--json"]])
def test_a_reader_that_has_had_enough_is_no_error(arguments):
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = call(*arguments, stdout=write_end)
    os.close(write_end)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["layers"]])
def test_a_full_disk_behind_stdout(arguments):
    with Path("/dev/full").open("w") as full:
        process = call(*arguments, stdout=full)
    expected = "error: cannot write the output: No space left on device\n"
    assert (process.returncode, process.stderr) == (2, expected)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_run_goes_on_where_nobody_can_read_the_news(tmp_path):
    with Path("/dev/full").open("w") as full:
        arguments = ["run", str(TINY), "--out", "run", "--set", "train.epochs=1"]
        process = call(*arguments, stderr=full)
    assert process.returncode == 0
    assert process.stdout.endswith("\nrun/report.html\n")
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "done"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("columns", ["20", "200"])
def test_any_encoding_and_width(encoding, columns):
    spec = Path("größe→.toml")
    spec.write_text(TINY.read_text().replace('"conv"', '"cönv→"'), encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": columns}
    shown = call("show", str(TINY), env=environment, encoding=encoding)
    assert (shown.returncode, shown.stderr) == (0, "")
    wrong = call("check", str(spec), env=environment, encoding=encoding)
    assert wrong.returncode == 2
    assert "unknown layer type" in wrong.stderr
    assert r"\u2192" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_module_and_script_are_the_same():
    assert call("--version").stdout == f"{cnnkit.__version__}\n"


@pytest.mark.parametrize("on_terminal", [True, False])
def test_colours_only_on_terminals_and_never_with_no_color(on_terminal, monkeypatch, capsys):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    if on_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    main(["run", "nix.toml"])
    assert ("\x1b[" in capsys.readouterr().err) is on_terminal
    monkeypatch.setenv("NO_COLOR", "1")
    main(["run", "nix.toml"])
    assert "\x1b[3" not in capsys.readouterr().err
