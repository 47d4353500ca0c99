"""Thousands of problems take a moment, not minutes; those alike but for their places are one."""

import time

import pytest

from cnnkit import SpecError, load_spec
from cnnkit.registry import Registry

HEAD = """name = "n"
[data]
type = "digits"
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 0.1
[train]
epochs = 1
"""


def layers(*each):
    return "[model]\nlayers = [\n" + ",\n".join(each) + "\n]\n"


MANY = {
    "one unknown type": (layers(*['"aa"'] * 4000), 4000),
    "unknown types": (layers(*(f'"a{i}b"' for i in range(4000))), 4000),
    "unknown types inside": (
        layers(*['{ type = "residual", body = ["aa", "ab"] }'] * 2000), 4000,
    ),
    "missing options": (layers(*['"dense"'] * 4000), 4000),
    "missing types": (layers(*["{}"] * 4000), 4000),
    "wrong values": (layers(*['{ type = "dense", units = "x" }'] * 2000), 2000),
    "unknown options": (
        '[[model.layers]]\ntype = "relu"\n' + "".join(f"o{i} = 1\n" for i in range(4000)), 4000,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MANY)
def test_thousands_of_problems_take_seconds(kind, tmp_path):
    text, count = MANY[kind]
    path = tmp_path / "spec.toml"
    path.write_text(HEAD + text)
    started = time.process_time()
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    took = time.process_time() - started
    assert took < 8, took  # minutes, where time grows with the square; a shared processor is slow
    assert len(caught.value.problems) >= count
    assert len(str(caught.value)) < 20_000


def refused(tmp_path, *each):
    path = tmp_path / "spec.toml"
    path.write_text(HEAD + layers(*each))
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    return str(caught.value)


def test_equal_problems_are_one_with_the_lines_of_the_others(tmp_path):
    text = refused(tmp_path, *['"batchnorm"'] * 18, '{ type = "softmax", units = 10 }')
    assert text.count("error:") == 1
    assert "= note: and in 17 more places: lines 14, 15, 16, 17, 18, ..." in text


def test_two_are_one_wherever_they_stand(tmp_path):
    text = refused(tmp_path, '"aa"', '{ type = "residual", body = ["relu", "aa"] }', '"ab"')
    assert text.count("error:") == 2
    assert "and in 1 more place: line 14" in text


def test_what_differs_in_more_than_the_place_is_told_apart(tmp_path):
    wrong = [f'{{ type = "dense", units = {value} }}' for value in (0, -1, '"x"')]
    assert refused(tmp_path, *wrong).count("error:") == 3


@pytest.mark.parametrize("where", ["[train]", "[optimizer]"])
def test_the_registry_is_asked_as_often_for_many_as_for_few(where, tmp_path, monkeypatch):
    """Looking a type up for every section and every unknown key took most of the time."""
    asked, find = [], Registry.find
    monkeypatch.setattr(Registry, "find", lambda *args: asked.append(args) or find(*args))
    counts = []
    for many in (3, 300):
        keys = f"{where}\n" + "".join(f"o{i} = 1\n" for i in range(many))
        path = tmp_path / "spec.toml"
        path.write_text(HEAD.replace(f"{where}\n", keys) + layers('"relu"'))
        with pytest.raises(SpecError) as caught:
            load_spec(path)
        assert len(caught.value.problems) >= many
        counts.append(len(asked))
        asked.clear()
    assert counts[0] == counts[1]
