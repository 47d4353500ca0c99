"""What a component is made of is said by its annotations, and found by one walk."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, SerializeAsAny

import cnnkit
from cnnkit.base import Initializer, Layer, child
from cnnkit.base.component import Section, Slot, chain_name, slots, walk
from cnnkit.initializers import Glorot
from cnnkit.layers import Dense, Relu, Residual, Sequential
from cnnkit.plugins import load_plugins
from cnnkit.source import slot_at
from cnnkit.specfile.runspec import ModelSpec, RunSpec

Layers = list[Annotated[SerializeAsAny[Layer], child("layers")]]


class Gate(Layer):
    """Every kind of option that can hold a component, and some that do not."""

    type: Literal["gate"] = "gate"
    left: Layers
    right: Annotated[Layers, Field(min_length=1)]
    one: Annotated[SerializeAsAny[Layer], child("layers")] | None = None
    unmarked: tuple[Layer, ...] = ()
    inits: list[Annotated[SerializeAsAny[Initializer], child("initializers")] | float]
    size: tuple[int, int] = (1, 1)
    words: list[str] = Field(default_factory=list)

    def forward(self, x: Any, w: Any, ctx: Any) -> Any:
        return x, lambda dy: (dy, {})


class Optional(Layer):
    """A chain that a spec may leave out, and one that it may not."""

    type: Literal["optional"] = "optional"
    before: Layers = Field(default_factory=list)
    main: Layers

    def forward(self, x: Any, w: Any, ctx: Any) -> Any:
        return x, lambda dy: (dy, {})


def test_the_slots_of_a_class():
    assert slots(Gate) == {
        "left": Slot("layers", many=True, required=True),
        "right": Slot("layers", many=True, required=True),
        "one": Slot("layers"),
        "unmarked": Slot("layers", many=True),
        "inits": Slot("initializers", many=True, required=True),
    }
    assert slots(Relu) == {}
    assert slots(RunSpec)["model"] == Slot("", ModelSpec, required=True)


def test_every_component_with_its_path_parents_first():
    gate = Gate(left=["relu"], right=[Residual(body=["relu"])], one="relu", unmarked=(Relu(),),
                inits=[0.5, "glorot"])  # fmt: skip
    assert list(walk(gate)) == [
        ((), gate),
        (("left", 0), Relu()),
        (("right", 0), gate.right[0]),
        (("right", 0, "body", 0), Relu()),
        (("one",), Relu()),
        (("unmarked", 0), Relu()),
        (("inits", 1), Glorot()),
    ]
    assert list(walk([Relu(), 3])) == [((0,), Relu())]


def test_a_whole_spec():
    spec = cnnkit.load_spec("specs/residual.toml")
    found = dict(walk(spec))
    assert found["optimizer",] is spec.optimizer
    assert found["optimizer", "schedule"] is spec.optimizer.schedule
    assert found["data", "transforms", 0] is spec.data.transforms[0]
    layers = [path for path in found if path[:1] == ("model",)]
    assert [path for path in layers if len(path) == 3] == [
        ("model", "layers", index) for index in range(len(spec.model.layers))
    ]
    assert any(path[3:4] == ("body",) for path in layers)


@pytest.mark.parametrize(
    ("cls", "option", "name"),
    [
        (Sequential, "layers", ""),
        (Residual, "body", ""),
        (Residual, "shortcut", "shortcut"),
        (Optional, "before", "before"),
        (Optional, "main", ""),
        (Gate, "left", "left"),
        (Gate, "right", "right"),
        (Gate, "one", "one"),
        (Dense, "layers", ""),  # of what a macro stands for
    ],
)
def test_what_a_chain_is_called_by(cls, option, name):
    assert chain_name(cls, option) == name


TREE = {
    "data": {"type": "digits", "fallback": "digits"},
    "model": {"layers": [{"type": "residual", "body": ["relu", {}]}, {"type": "odd", "body": []}]},
    "optimizer": "sgd",
}


@pytest.mark.parametrize(
    ("path", "slot"),
    [
        ((), Slot("", RunSpec)),
        (("model",), Slot("", ModelSpec, required=True)),
        (("model", "layers"), Slot("layers", many=True, required=True)),
        (("model", "layers", 0), Slot("layers", required=True)),
        (("model", "layers", 99), Slot("layers", required=True)),
        (("model", "layers", 0, "body", 1), Slot("layers", required=True)),
        (("model", "layers", 0, "shortcut", 0), Slot("layers")),
        (("model", "layers", 0, "kernel"), None),
        (("model", "layers", 1, "body", 0), None),
        (("model", "input", 0), None),
        (("data", "fallback", "fallback"), Slot("datasets")),
        (("optimizer", "schedule"), Slot("schedules")),
        (("optimizer", "schedule", 0), None),
        (("nothing", "here"), None),
    ],
)
def test_what_may_stand_at_a_path_of_a_tree_that_may_be_wrong(path, slot):
    assert slot_at(RunSpec, TREE, path, load_plugins()) == slot


class Late(Section):
    """Names a class that is defined after it."""

    later: Later


class Later(Section):
    """Such a class."""


def test_a_class_that_was_not_known_yet():
    assert slots(Late) == {"later": Slot("", Later, required=True)}
