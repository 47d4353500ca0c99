"""The kit's own words: failure texts, the order of checks, and the pytest decorator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from planted import Gain
from planted_numbers import Transposed, WrongFactor
from planted_purity import InPlace

from cnnkit.base import DataPaths
from cnnkit.base.component import walk
from cnnkit.layers import Sequential
from cnnkit.specfile.load import load_spec
from cnnkit.testing import (
    CheckFailure,
    chains,
    check_layer,
    failures,
    layer_checks,
    parametrize_layer_checks,
)
from cnnkit.testing.tools import built_ins

SHIPPED = sorted((Path(__file__).parents[2] / "specs").glob("*.toml"))


def check_named(name):
    return next(check for check in layer_checks() if check.name == name)


def test_a_failure_says_what_where_expected_got_and_fix():
    with pytest.raises(CheckFailure) as caught:
        check_named("input_unmodified")(InPlace(), (1, 1, 2))
    assert str(caught.value) == (
        "check input_unmodified: forward changes its input\n"
        "  for:      in_place(), shape (1, 1, 2)\n"
        "  expected: the same values, bit for bit\n"
        "  got:      [0, 0, 0, 0] 0.102968 became 0.100454 (6 of 6 differ)\n"
        "  fix:      compute into a new array or ctx.scratch.empty(...), "
        "never `x *= ...` or out=x"
    )


def test_a_wrong_factor_is_named():
    with pytest.raises(CheckFailure) as caught:
        check_named("input_gradient")(WrongFactor(start=2.0), (2, 3), 5)
    assert caught.value.what == "dx is not the derivative of forward (in training)"
    assert caught.value.got.endswith(", 2 times the slope")
    assert caught.value.subject == "wrong_factor(start=2.0), shape (2, 3), seed 5"


def test_a_crash_is_a_failure_of_the_check_that_met_it():
    class Broken(Gain):
        """Raises."""

        def forward(self, x, w, ctx):
            raise RuntimeError("no such kernel")

    with pytest.raises(CheckFailure) as caught:
        check_named("silent")(Broken(), (2,))
    assert str(caught.value) == (
        "check silent: raised RuntimeError\n"
        "  for:      gain(), (2,)\n"
        "  expected: no error\n"
        "  got:      no such kernel\n"
        f"  fix:      mend {__file__}:{Broken.forward.__code__.co_firstlineno + 1}, which raised it"
    )
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_nothing_goes_unchecked():
    names = [check.name for check in layer_checks()]
    assert len(names) == len(set(names)) >= 24
    assert all(check.purpose.endswith(".") for check in layer_checks())


def test_failures_lists_all():
    assert [failure.check for failure in failures(Transposed(), (2, 3, 3))] == ["input_gradient"]
    assert failures(Gain(), (2, 3)) == []


def test_the_checks_do_not_depend_on_the_class_alone():
    with pytest.raises(CheckFailure, match="input_gradient"):
        check_layer(Transposed, (2, 3, 3))


class Remembers(Gain):
    """Keeps x on itself, as layers of other libraries do."""

    type: Literal["remembers"] = "remembers"

    def forward(self, x, w, ctx):
        self.x = x
        return super().forward(x, w, ctx)


def test_where_no_step_runs_the_rest_is_skipped():
    names = [check.name for check in layer_checks()]
    left = len(names) - names.index("a_step_runs") - 1
    (failure,) = failures(Remembers(), (2,))
    assert failure.check == "a_step_runs"
    assert str(failure).splitlines()[-1] == f"  skipped:  the {left} checks that need it"


def test_each_skipped_case_says_why():
    @parametrize_layer_checks([(Gain(), (2,)), (Remembers(), (2, 3))])
    def marked(layer, shape, check):
        raise NotImplementedError

    outcomes = {}
    for cell in marked.pytestmark[0].args[1]:
        layer, shape, check = cell.values
        try:
            check(layer, shape)
        except (CheckFailure, pytest.skip.Exception) as outcome:
            outcomes[cell.id] = type(outcome).__name__, str(outcome).splitlines()[0]
    first, *rest = outcomes.items()
    assert first[0] == "remembers-1-a_step_runs"
    assert first[1] == ("CheckFailure", "check a_step_runs: raised AttributeError")
    assert {said for _, said in rest} == {("Skipped", "a_step_runs failed for remembers-1")}
    assert len(rest) > 40


def test_a_layer_that_keeps_state_fails_in_few_lines(tmp_path):
    """It took 5,448 lines: a traceback for each check of each case."""
    here = [str(Path(__file__).parent), *sys.path]
    (tmp_path / "test_remembers.py").write_text(
        "from test_kit import Remembers\n"
        "from cnnkit.testing import parametrize_layer_checks\n"
        "@parametrize_layer_checks([(Remembers(), (2, 3, 4)), (Remembers(), (5,))])\n"
        "def test_layers(layer, shape, check):\n"
        "    check(layer, shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(here),
            "COLUMNS": "80",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.count("\nSKIPPED [") == 2  # a line for each case
    assert len(done.stdout.splitlines()) < 150


@parametrize_layer_checks([(Gain(), (2, 3)), (Gain(start=0.5), (4,))])
def test_layers(layer, shape, check):
    check(layer, shape)


@parametrize_layer_checks(
    [(WrongFactor(), (2, 3))], expected_failures={"input_gradient": "a planted bug"}
)
def test_expected_failures(layer, shape, check):
    check(layer, shape)


def test_the_decorator_makes_one_case_of_each_check():
    @parametrize_layer_checks([(Gain(), (2,))], {"input_gradient": "why"})
    def marked(layer, shape, check):
        raise NotImplementedError

    (mark,) = marked.pytestmark
    assert mark.args[0] == ("layer", "shape", "check")
    assert [cell.id for cell in mark.args[1]] == [f"gain-0-{c.name}" for c in layer_checks()]
    (xfail,) = [m for cell in mark.args[1] for m in cell.marks]
    assert xfail.kwargs == {"strict": True, "raises": CheckFailure, "reason": "why"}


def test_an_unknown_expected_failure_is_refused():
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole text follows
        parametrize_layer_checks([], {"input_gradeint": "typo"})
    assert str(refused.value) == (
        "no layer check is called 'input_gradeint'; did you mean 'input_gradient'?"
    )


def lowered(layers):
    """Return what a chain runs, without the numbers it starts from; a `sequential` is what it
    holds, whatever it is called."""
    return list(flat(Sequential(layers=layers).lower().model_dump()["layers"]))


def flat(layers):
    for layer in layers:
        held = {name: list(flat(layer[name])) for name in ("body", "shortcut") if name in layer}
        if layer["type"] == "sequential":
            yield from flat(layer["layers"])
        else:
            yield {name: v for name, v in {**layer, **held}.items() if "init" not in name}


@pytest.mark.parametrize("spec", SHIPPED, ids=lambda spec: spec.name)
def test_backends_are_tried_on_the_networks_of_the_shipped_specs(spec):
    loaded = load_spec(spec)
    wanted = lowered(loaded.model.layers)
    shapes = [shape for layers, shape in chains.SPECS.values() if lowered(layers) == wanted]
    assert shapes == [loaded.data.info(DataPaths()).shape]


def test_backends_are_tried_on_every_layer():
    tried = [chains.chain(name) for name in chains.CHAINS]
    written = [Sequential(layers=layers) for layers, _ in chains.CHAINS.values()]
    types = {layer.type for _, layer in [*walk(tried), *walk(written)]}
    assert types >= built_ins("layers").keys()
