"""Every spec of the corpus is refused in the words of its golden text, each problem placed.

`python tests/diagnostics/table.py` prints the corpus as a table.
"""

from __future__ import annotations

import re

import pytest
import tomli
from corpus import FOLDER, SPECS, Verdict, arguments, check
from kinds import KINDS
from table import layer, main, rows

NAMES = [spec.stem for spec in SPECS]
PRINTED = 20
NO_TYPE = {
    "layer-a-number", "layer-an-array", "layer-type-a-number", "layer-type-empty",
    "layer-without-type",
}  # fmt: skip
"""Specs with a layer that has no type to name, only a number."""


def verdict(name: str) -> Verdict:
    return check(FOLDER / f"{name}.toml")


def lines(file: str) -> list[str]:
    """The lines of a file as an editor numbers them."""
    text = (FOLDER / file).read_bytes().decode("utf-8", "replace")
    return [line.removesuffix("\r") for line in text.split("\n")]


@pytest.mark.parametrize("name", NAMES)
def test_the_text(name):
    found = verdict(name)
    assert found.code == 2
    assert found.text == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert "Traceback" not in found.text


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_has_a_place(name):
    found = verdict(name)
    assert found.report["problems"]
    for problem in found.report["problems"]:
        line, column, width = (problem[key] for key in ("line", "column", "width"))
        if problem["argument"] is None:
            file = problem["file"]
            assert file == f"{name}.toml" or (FOLDER / file).parent.name == "included"
            assert 1 <= line <= len(lines(file))
            source = lines(file)[line - 1]
        else:
            source = problem["argument"]
            assert source.removeprefix("--set ") in arguments(FOLDER / f"{name}.toml")
            assert line == 1
        assert problem["source_line"] == source
        assert 1 <= column <= max(len(source), 1) + 1
        assert width >= 1
        assert column + width <= max(len(source), 1) + 2
    assert [row.place for row in rows(name, found) if row.place is None] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_in_a_layer_names_it(name):
    for problem in verdict(name).report["problems"]:
        named = layer(problem)
        assert named is not None, problem["message"]
        assert named.count("layer ") == named.count("(") or name in NO_TYPE, problem["message"]


@pytest.mark.parametrize("name", NAMES)
def test_at_most_twenty_are_printed_and_the_rest_counted(name):
    text, count = verdict(name).text, len(verdict(name).report["problems"])
    alike = sum(map(int, re.findall(r"^ *= note: and in (\d+) more places?: ", text, re.M)))
    assert len(re.findall(r"^error: ", text, re.MULTILINE)) + alike == min(count, PRINTED + alike)
    said = re.findall(r"^\.\.\. and (\d+) more problems?$", text, re.MULTILINE)
    assert said == [str(count - alike - PRINTED)] * (count - alike > PRINTED)


@pytest.mark.parametrize("name", NAMES)
def test_problems_come_in_the_order_of_the_file(name):
    places = re.findall(rf"^ *--> {re.escape(name)}\.toml:(\d+):(\d+)$", verdict(name).text, re.M)
    numbers = [(int(line), int(column)) for line, column in places]
    assert numbers == sorted(numbers)
    problems = verdict(name).report["problems"]
    in_file = [p for p in problems if p["argument"] is None and p["file"] == f"{name}.toml"]
    every = [(p["line"], p["column"]) for p in in_file]
    if " more place" in verdict(name).text:  # of which the first is shown
        every = [place for place in every if place in numbers]
    assert every[:PRINTED] == numbers


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_is_shown(kind):
    says, names = KINDS[kind]
    for name in names.split():
        assert name in NAMES
        assert re.search(says, verdict(name).text), name


def test_there_are_enough():
    assert len(SPECS) >= 80
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(NAMES)
    assert {path.stem for path in FOLDER.glob("*.args")} <= set(NAMES)


def test_the_counts(capsys, promises):
    assert main() == 0
    last = capsys.readouterr().out.splitlines()[-1]
    problems = [p for name in NAMES for p in verdict(name).report["problems"]]
    inside = sum(layer(problem) != "" for problem in problems)
    assert last == (
        f"{len(NAMES)} specs of {len(KINDS)} kinds, {len(problems)} problems: {len(problems)} with "
        f"line and column, {inside} inside a layer, {inside} of these name it"
    )
    assert last in promises


def test_layers_are_what_the_specs_say():
    """The path of a problem is trusted above: hold the outermost layer against the text."""
    seen = 0
    for name in set(NAMES) - NO_TYPE:
        try:
            spec = tomli.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            continue
        if "format" in spec:  # whose layers are written out first
            continue
        for problem in verdict(name).report["problems"]:
            if problem["argument"] is None and layer(problem):
                given = spec["model"]["layers"][problem["path"][2]]
                kind = given if isinstance(given, str) else given["type"]
                number = problem["path"][2] + 1
                meant = re.match(rf"layer {number}(?: \((.*?)\))?", problem["message"])
                assert meant is not None
                assert (meant[1] or kind).split()[0] == kind or "did you mean" in verdict(
                    name
                ).text, name
                seen += 1
    assert seen > 80
