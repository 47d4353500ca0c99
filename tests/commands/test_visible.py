"""Text that comes from files, names and plugins shows on a terminal, and moves nothing there."""

import warnings

import numpy as np
import pytest

from cnnkit import Model
from cnnkit.commands._console import News
from cnnkit.files.tensors import load_tensors, save_tensors

EVIL = "a\x9b31mb\u202ec\x1b[2Jd\u200be\u2066f\x07g\x7fh"
MOVES = set("\x9b\u202e\x1b\u200b\u2066\x07\x7f")


def shows(outcome):
    assert not MOVES & set(outcome.out + outcome.err)
    assert "9b31m" in (outcome.out + outcome.err).lower()


@pytest.mark.parametrize(
    "line",
    [
        ["check", EVIL], ["run", EVIL], ["show", EVIL], ["evaluate", EVIL], ["diff", EVIL, EVIL],
        ["predict", EVIL, EVIL], ["init", EVIL], ["layers", EVIL], [EVIL], ["run", f"--{EVIL}"],
        ["run", "tiny.toml", "--set", f"{EVIL}=1"], ["run", "tiny.toml", "--set", EVIL],
        ["run", "tiny.toml", "--set", f"data.type={EVIL}"],
    ],
)  # fmt: skip
@pytest.mark.usefixtures("tiny")
def test_what_is_on_the_command_line(line, call):
    shows(call(*line))


def test_what_a_spec_says(call, tiny):
    text = tiny.read_text()
    escaped = EVIL.encode("unicode_escape").decode().replace("\\x", "\\u00")
    tiny.write_text(text.replace('"digits"', f'"{escaped}"'))
    shows(call("check", "tiny.toml"))


def test_what_a_model_says(call, tmp_path):
    model = Model.build([{"type": "softmax", "units": 2}], (1, 4, 4), classes=[EVIL, "b"])
    model.save(tmp_path / "m.safetensors")
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 4, 4), "float32"))
    shows(call("predict", str(tmp_path / "m.safetensors"), str(tmp_path / "x.npy")))
    tensors, facts = load_tensors(tmp_path / "m.safetensors")
    facts["plugins"][f"layers/{EVIL}"] = f"{EVIL} 1.0"
    save_tensors(tmp_path / "m.safetensors", tensors, facts)
    shows(call("predict", str(tmp_path / "m.safetensors"), str(tmp_path / "x.npy")))


def test_what_a_warning_quotes(call, monkeypatch):
    def warns(*_):
        warnings.warn(EVIL, stacklevel=1)

    monkeypatch.setattr("cnnkit.commands.schema.schema", warns)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        outcome = call("schema")
    shows(outcome)
    assert outcome.err.startswith("warning: a\\u009B31mb")


def test_lines_break_between_words_on_a_terminal_and_nowhere_in_a_file(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    path = "/where/it-is/longer-than-a-line-of-the-terminal"
    said = f"epoch 1/30: loss 0.8920, validation loss 0.6138\nwriting to {path}"
    News().say(said)
    assert capsys.readouterr().err == f"{said}\n"
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    News().say(said)
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1/30: loss 0.8920, validation loss", "0.6138", "writing to", path,
    ]  # fmt: skip
