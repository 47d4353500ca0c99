"""What type checkers, `inspect.signature` and `help` say of components, which are pydantic's."""

from __future__ import annotations

import inspect
import pydoc
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest

import cnnkit
from cnnkit.base import Component, Layer, PairOrNone, Positive, default
from cnnkit.errors import OptionError
from cnnkit.hookspecs import FAMILIES
from cnnkit.layers import Conv, Pool, Residual
from cnnkit.plugins import load_plugins

ALL = [entry.cls for family in FAMILIES for entry in load_plugins().entries(family)]
FINE = """
import numpy as np

from cnnkit import Model, Trainer
from cnnkit.base import Layer
from cnnkit.datasets import Digits, ImageFolder
from cnnkit.initializers import Glorot, He
from cnnkit.layers import (
    Conv, Dense, Dropout, Flatten, Pool, Relu, Residual, Sequential, Sigmoid, Softmax,
)
from cnnkit.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from cnnkit.metrics import Accuracy, MacroF1
from cnnkit.optimizers import Adam, Sgd
from cnnkit.schedules import Constant, Cosine, Step
from cnnkit.transforms import Scale

sides: tuple[int, int] = Conv(filters=3, kernel=3).kernel
stride: tuple[int, int] | None = Pool(size=3, stride=2).stride
body: list[Layer] = Residual(body=["relu"]).body

Conv(filters=3, kernel=(3, 5), stride=2, padding="same", dilation=(1, 2), groups=3, bias="none")
Conv(filters=3, kernel=[3, 5], stride=[1, 2], padding=1)
Conv(filters=3, kernel=3, padding=(1, 2))
Conv(filters=3, kernel=3, padding=[[0, 1], [2, 3]])
Conv(filters=3, kernel=3, init="he", bias_init={"type": "uniform", "low": -0.1})
Conv(filters=3, kernel=3, init=He(distribution="uniform"), bias_init=Glorot())
Dense(units=3, bias="none", init="glorot")
Dropout(rate=0.5), Flatten(), Relu(), Sigmoid(units=1), Softmax(), Softmax(units=10, init=He())
Pool(), Pool(kind="mean", size=(2, 3), stride=None)
around = {"type": "conv", "filters": 3, "kernel": 1}
Residual(body=["relu", Conv(filters=3, kernel=1)], shortcut=[around])
Residual(body=body, shortcut=(Relu(), "relu"))
stack = [Relu(), Relu()]
Sequential(layers=stack, label="twice")

Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4, schedule="cosine")
Sgd(lr=1, schedule=Step(every=2, scale=0.5))
Adam(betas=(0.9, 0.99), schedule={"type": "cosine", "warmup": 1})
Constant(warmup=0.5), Cosine(floor=0.1)
CrossEntropy(label_smoothing=0.1), BinaryCrossEntropy(), MeanSquaredError()
Digits(transforms=["scale"], validation=0.2, only=[3, 8])
Digits(transforms=[Scale(low=0, high=1)], fallback=None)
ImageFolder(path="pictures", size=32, mode="grayscale", fallback="digits")

model = Model.build([Conv(filters=2, kernel=3), "relu", {"type": "softmax", "units": 3}], (1, 6, 6))
trainer = Trainer(model, CrossEntropy(), Adam(), metrics=[Accuracy(), MacroF1()], epochs=2)
loss: float = trainer.fit(np.zeros((4, 1, 6, 6)), np.zeros(4, int))[-1].train_loss
"""
WRONG = """
from cnnkit.layers import Conv, Dense, Pool, Residual
from cnnkit.optimizers import Sgd

Conv(filters=3, kernel="3")
Conv(filters="many", kernel=3)
Conv(filters=3, kernal=3)
Conv(filters=3)
Conv(filters=3, kernel=3, padding="smae")
Conv(filters=3, kernel=3, init=3)
Pool(size=2.5)
Dense(units=3, bias="untied")
Residual(body=[3])
Sgd(lr="fast")
Sgd(lr=0.1, schedule=0.5)
"""


def mypy(text: str, folder: Path) -> list[str]:
    """Return what `mypy --strict` finds in a user's file: "5: error: ..."."""
    pytest.importorskip("mypy")
    (folder / "calls.py").write_text(text.lstrip(), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--hide-error-context", "calls.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return re.findall(r"calls.py:(\d+: error: .*)", done.stdout)


@pytest.mark.slow
def test_what_the_docs_say_passes_mypy_strict(tmp_path: Path) -> None:
    assert mypy(FINE, tmp_path) == []


@pytest.mark.slow
def test_what_they_do_not_say_is_refused_by_mypy_and_at_run_time(tmp_path: Path) -> None:
    lines = WRONG.strip().splitlines()
    wrong = [number for number, line in enumerate(lines, 1) if "=" in line]
    found = mypy(WRONG, tmp_path)
    assert sorted({int(error.partition(":")[0]) for error in found}) == wrong
    assert 'did you mean "kernel"' in "".join(found)
    names: dict[str, object] = {}
    exec("\n".join(lines[:2]), names)  # noqa: S102  # the text above
    for number in wrong:
        with pytest.raises(OptionError):
            exec(lines[number - 1], names)  # noqa: S102


def test_what_the_docs_say_runs() -> None:
    exec(FINE, {})  # noqa: S102  # the text above


class Mine(Layer):
    """As anybody would write it."""

    type: Literal["mine"] = "mine"
    side: PairOrNone = default(None)
    """Of it."""
    weights_of: Annotated[dict[str, Positive], "a mark"] | None = None

    def forward(self, x, w, ctx): ...


COMMON = (
    "name: str | None = None, trainable: bool = True, lr_scale: float = 1.0, "
    "weight_decay: float | None = None"
)


def test_signatures_say_what_may_be_given() -> None:
    assert str(inspect.signature(Conv)) == (
        "(*, filters: int, kernel: int | list[int] | tuple[int, int], "
        "stride: int | list[int] | tuple[int, int] = (1, 1), "
        "padding: Literal['same', 'valid'] | int | Sequence[int] | Sequence[Sequence[int]]"
        " = 'valid', dilation: int | list[int] | tuple[int, int] = (1, 1), groups: int = 1, "
        "bias: Literal['tied', 'untied', 'none'] = 'tied', "
        "init: Initializer | str | dict[str, Any] = 'he', "
        f"bias_init: Initializer | str | dict[str, Any] = 'zeros', {COMMON})"
    )
    assert str(inspect.signature(Residual)) == (
        "(*, body: Sequence[Layer | str | dict[str, Any]], "
        "shortcut: Sequence[Layer | str | dict[str, Any]] = [], "
        f"project: bool = False, drop: float = 0.0, {COMMON})"
    )
    side = "side: int | list[int] | tuple[int, int] | None = None"
    own = f"{side}, weights_of: dict[str, int] | None = None"
    assert str(inspect.signature(Mine)) == f"(*, {own}, {COMMON})"
    Mine(side=3)  # pydantic now makes a signature of its own
    assert str(inspect.signature(Mine)).startswith(f"(*, {side}")
    assert str(inspect.signature(Component)) == "()"


@pytest.mark.parametrize("cls", [*ALL, Mine, cnnkit.RunSpec])
def test_help_shows_options_and_no_machinery(cls: type) -> None:
    shown = pydoc.plain(pydoc.render_doc(cls))
    machinery = re.findall(r".*(?:model_|__|_abc|Annotated|FieldInfo|construct).*", shown)
    assert machinery == []
    assert shown.count("pydantic") <= 1  # in the order of the bases


def test_help_explains_the_options() -> None:
    shown = pydoc.plain(pydoc.render_doc(Pool))
    assert " |      size: Side of the window, or [height, width].\n" in shown
    assert " |  output_shape(self, shape: " in shown


def test_help_of_the_package_starts_with_a_quickstart() -> None:
    shown = pydoc.plain(pydoc.render_doc(cnnkit)).partition("DESCRIPTION\n")[2]
    quickstart = shown.partition("`cnnkit layers`")[0].strip().splitlines()
    assert len(quickstart) == 9
    assert quickstart[0] == "import cnnkit"
    for name in cnnkit.__all__:
        assert re.search(rf"\b{name}\b", shown), name
    assert not re.search(r"model_|FieldInfo", shown)
