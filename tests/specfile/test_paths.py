"""Paths of a spec: `~` is the home folder, and control characters are refused where they stand."""

import numpy as np
import pytest
import tomli

from cnnkit import SpecError, load_spec
from cnnkit.cli import main
from cnnkit.specfile.resolved import resolved_toml

SPEC = """name = "n"
[data]
type = "npz"
path = {path}
[model]
input = [1, 4, 4]
layers = [{{ type = "softmax", units = 2 }}]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 0.1
[train]
epochs = 1
"""


@pytest.fixture
def spec(tmp_path):
    def write(path):
        file = tmp_path / "spec.toml"
        file.write_text(SPEC.format(path=path), encoding="utf-8")
        return file

    return write


@pytest.mark.parametrize(
    "path", [r'"C:\temp\new.npz"', r'"a\u0000b"', r'"a\u001Bb.npz"', r'"a\u007F"', r'"a\u009B"']
)
def test_control_characters_in_a_path_are_refused_with_the_line(path, spec):
    with pytest.raises(SpecError) as caught:
        load_spec(spec(path))
    (problem,) = caught.value.problems
    assert problem.line == 4
    assert "must be a path without control characters" in problem.message
    assert problem.help.startswith("write it in single quotes")
    assert str(caught.value).replace("\n", "").isprintable()


def test_the_same_holds_for_arguments_and_for_other_datasets(spec):
    file = spec("'x.npz'")
    with pytest.raises(SpecError, match="control characters") as caught:
        load_spec(file, ["data.path=a\tb"])
    assert caught.value.problems[0].argument == "--set data.path=a\tb"
    with pytest.raises(SpecError, match="control characters"):
        load_spec(file, ["data.type=image_folder", 'data.path="a\\nb"'])
    with pytest.raises(SpecError, match="name"):
        load_spec(file, ['name="a\\tb"'])


def test_the_advice_is_right(spec):
    assert load_spec(spec(r"'C:\temp\new.npz'")).data.path == r"C:\temp\new.npz"


def test_a_tilde_is_the_home_folder(spec, tmp_path, monkeypatch, capsys):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    x, y = np.arange(64 * 16, dtype=np.uint8).reshape(64, 1, 4, 4), np.arange(64) % 2
    np.savez(home / "x.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    file = spec('"~/x.npz"')
    assert load_spec(file).data.path == str(home / "x.npz")
    assert main(["run", str(file), "--quiet", "--out", str(tmp_path / "out")]) == 0
    assert str(home / "x.npz") in (tmp_path / "out" / "resolved.toml").read_text()
    capsys.readouterr()


def test_paths_that_may_be_left_out_become_absolute_too(tmp_path, four):
    """Else a run could neither be judged again nor gone on with."""
    files = "".join(f'{option} = "{name}"\n' for option, name in four.items())
    text = SPEC.replace('type = "npz"\npath = {path}\n', f'type = "idx"\n{files}').replace(
        "4, 4", "5, 4"
    )
    (tmp_path / "spec.toml").write_text(text.format())
    resolved = tomli.loads(resolved_toml(load_spec(tmp_path / "spec.toml")))
    assert {option: resolved["data"][option] for option in four} == {
        option: str(tmp_path / name) for option, name in four.items()
    }
