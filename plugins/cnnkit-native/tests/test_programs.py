"""Programs that lie about sizes are refused, and whatever is accepted stays in its memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cnnkit_native.library import NativeError, Program, address
from cnnkit_native.plan import Plan
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.model import Model

LAYERS = [
    {"type": "conv", "filters": 16, "kernel": 3, "stride": 2, "padding": 1},
    "relu",
    {"type": "conv", "filters": 16, "kernel": 3},  # by Winograd's rule
    {
        "type": "residual",
        "body": [{"type": "conv", "filters": 16, "kernel": [2, 3], "padding": [[0, 1], [1, 1]]}],
    },
    {"type": "conv", "filters": 16, "kernel": 3, "stride": 2, "padding": 1, "groups": 16},
    {"type": "leaky_relu", "slope": 0.2},
    {"type": "conv", "filters": 16, "kernel": 3, "padding": 1, "groups": 16},
    "squeeze_excite",
    {"type": "pool", "kind": "max", "size": [2, 1]},
    {"type": "dense", "units": 5},
    "sigmoid",
    "softmax",
]
SHAPE, IMAGES, MOST = (3, 9, 9), 2, 1 << 18
STEPS = Model.build(LAYERS, SHAPE).network.steps
PLANS = [Plan(STEPS, SHAPE, back=True, wants_dx=True, many=many) for many in (False, True)]
PLAN = PLANS[0]
NUMBERS = PLAN.numbers()
WEIGHTS = [int(np.prod(shape)) for _, shape in PLAN.weights]


class Memory:
    """Arrays for a call, each with a strip before and after it that nobody may touch."""

    STRIP = 4096

    def __init__(self, *sizes):
        self._all = [np.full(size + 2 * self.STRIP, 7, np.float32) for size in sizes]
        self.spans = [n for a, size in zip(self._all, sizes, strict=True)
                      for n in (address(a) + 4 * self.STRIP, size)]  # fmt: skip

    def strips_are_whole(self):
        ends = [end for a in self._all for end in (a[: self.STRIP], a[-self.STRIP :])]
        return all((end == 7).all() for end in ends)


def run(program, fixed, per_image, images=IMAGES):
    x, y = int(np.prod(SHAPE)) * images, 5 * images
    memory = Memory(fixed + images * per_image, x, y, y, x, *WEIGHTS, *WEIGHTS)
    spaces = 2 * (5 + len(WEIGHTS))
    for back in (False, True):
        program.call(back, images, memory.spans if back else memory.spans[:spaces]).run()
    return memory


@pytest.mark.parametrize("plan", PLANS, ids=["few", "many"])
def test_what_the_plan_writes_is_taken(plan):
    assert run(Program(plan.numbers()), plan.fixed, plan.per_image).strips_are_whole()


@pytest.mark.parametrize("given_numbers", [p.numbers() for p in PLANS], ids=["few", "many"])
@given(
    changes=st.lists(
        st.tuples(
            st.integers(0, 1 << 20),
            st.one_of(
                st.integers(-3, 20),
                st.sampled_from([2**24, 2**24 + 1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63)]),
                st.integers(-(2**63), 2**63 - 1),
            ),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(deadline=None, max_examples=1500)
def test_corrupt_programs_stay_in_their_memory(given_numbers, changes):
    numbers = list(given_numbers)
    for place, value, by in changes:
        place %= len(numbers)
        wrapped = (numbers[place] + value if by else value) + 2**63
        numbers[place] = wrapped % 2**64 - 2**63
    try:
        program = Program(numbers)
    except NativeError:
        return
    fixed, per_image = numbers[:2]
    if fixed + IMAGES * per_image > MOST:
        return  # it asks for more memory, and nobody gives it
    try:
        memory = run(program, fixed, per_image)
    except NativeError:
        return
    assert memory.strips_are_whole()


@given(st.integers(0, len(NUMBERS)), st.lists(st.integers(0, 9), max_size=30))
@settings(deadline=None)
def test_programs_that_end_early_or_late_are_refused(end, more):
    numbers = NUMBERS[:end] + more
    if len(numbers) != len(NUMBERS):
        with pytest.raises(NativeError, match="a program was refused"):
            Program(numbers)


def test_calls_of_other_sizes_are_refused():
    program = Program(NUMBERS)
    x, y = int(np.prod(SHAPE)) * IMAGES, 5 * IMAGES
    sizes = [PLAN.fixed + IMAGES * PLAN.per_image, x, y, y, x, *WEIGHTS, *WEIGHTS]
    for place in {*range(len(sizes))} - {1}:  # x is not read again where a convolution padded it
        for size in (sizes[place] - 1, 0):
            memory = Memory(*sizes[:place], size, *sizes[place + 1 :])
            with pytest.raises(NativeError, match=r"a program was not run: .* (size|small)"):
                program.call(True, IMAGES, memory.spans).run()
            assert memory.strips_are_whole()
    memory = Memory(*sizes)
    for images in (0, -1, 2**21, 2**62):
        with pytest.raises(NativeError, match="images are none or too many"):
            program.call(True, images, memory.spans).run()
    with pytest.raises(NativeError, match="the call is of another length"):
        program.call(True, IMAGES, memory.spans[:-2]).run()


def test_all_checks_stand_in_one_place():
    """`check.cpp` looks at every number; the rest of the sources does what it is told."""
    source = Path(__file__).parent.parent / "src"
    if not source.exists():
        pytest.skip("the sources are not here")
    demanding = {p.name for p in source.iterdir() if "demand(" in p.read_text(encoding="utf-8")}
    assert demanding == {"check.cpp", "program.cpp"}
