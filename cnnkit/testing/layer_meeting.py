"""Checks of layers in which samples meet: shards that gather make what the whole batch makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnkit.arrays import Arena, Array
from cnnkit.base import Layer
from cnnkit.base.component import walk
from cnnkit.meeting import Meeting, Seat
from cnnkit.testing.check import Kit, require
from cnnkit.testing.probe import Probe
from cnnkit.testing.tools import require_close, require_same
from cnnkit.workers import Threads

kit = Kit("layer", case=Probe)

_SHARDS = (2, 3, 1)
_ADD = "add up what ctx.gather gives, weighed by the samples behind each part, in its order"


class Listener:
    """A shard's place that notes what a layer asks for; there is no other shard."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.renewed: dict[str, Array] = {}

    def gather(self, path: str, value: Any) -> list[Any]:
        self.calls.append("ctx.gather")
        return [value]

    def renew(self, path: str, value: Array) -> None:
        self.calls.append("ctx.renew")
        self.renewed[path] = value


def gathers(layer: Layer) -> bool:
    """Tell if shards meet anywhere in a layer."""
    return any(isinstance(inner, Layer) and inner.gathers for _, inner in walk(layer))


@kit.check("declare couples_batch = True and gathers = True on the class")
def meeting_is_declared(probe: Probe) -> None:
    """A layer that gathers or renews says so, and that samples meet in it."""
    listener = Listener()
    probe.step(ctx=probe.context()._replace(meet=listener))
    inside = [inner for _, inner in walk(probe.layer) if isinstance(inner, Layer)]
    is_declared = gathers(probe.layer) or not listener.calls
    require(
        is_declared and all(inner.couples_batch for inner in inside if inner.gathers),
        "samples meet, and the class does not declare it",
        expected="couples_batch and gathers, both True or both False",
        got=", ".join(dict.fromkeys(listener.calls)) or "gathers without couples_batch",
    )


@kit.check("renew in training alone, weights declared with learns=False, by arrays of their shape")
def renews_what_does_not_learn(probe: Probe) -> None:
    """ctx.renew is given weights that do not learn, in training, like the declared ones."""
    fixed = {path: w.shape for path, w in probe.declared().items() if not w.learns}
    for training in (True, False):
        listener = Listener()
        step = probe.step(ctx=probe.context(training)._replace(meet=listener))
        for path, value in _named(listener.renewed).items():
            is_like = isinstance(value, np.ndarray) and value.dtype == step.y.dtype
            is_right = training and path in fixed and is_like and value.shape == fixed[path]
            require(
                is_right,
                f"{path} is renewed {'in training' if training else 'in evaluation'}",
                expected=f"one of {fixed} in training, in the dtype of x, and none in evaluation",
                got=f"{type(value).__name__} of shape {np.shape(value)}",
            )


@kit.check(_ADD)
def gathered_shards_equal_batch(probe: Probe) -> None:
    """Shards that gather give y, dx and renewed weights of the whole batch, and gradients that add
    up to its gradients, to the bit the same whoever comes first."""
    if not gathers(probe.layer) or probe.is_random():
        return
    listener, (x, dy) = Listener(), (probe.x(sum(_SHARDS)), probe.dy(sum(_SHARDS)))
    whole = probe.step(x, dy, ctx=probe.context()._replace(meet=listener))
    wanted = whole.arrays() | _named(listener.renewed)
    first = _sharded(probe, x, dy, 1)
    what = "{name} of shards that gather is not {name} of the whole batch"
    require_close(wanted, first, what)
    for name, again in _sharded(probe, x, dy, 3).items():
        require_same(first[name], again, f"{name} depends on how many threads there are")


def _sharded(probe: Probe, x: Array, dy: Array, at_once: int) -> dict[str, Array]:
    w, ends = probe.weights(), np.cumsum(_SHARDS)[:-1]
    parts = list(zip(np.split(x, ends), np.split(dy, ends), strict=True))

    def run(shard: int, seat: Seat) -> dict[str, Array]:
        return probe.step(*parts[shard], w, probe.context()._replace(meet=seat)).arrays()

    return _named(side_by_side(len(parts), at_once, run))


def _named(arrays: dict[str, Array]) -> dict[str, Array]:
    """Return arrays by the names that messages use."""
    return {path.removeprefix("0_layer/"): value for path, value in arrays.items()}


def side_by_side(
    shards: int, at_once: int, run: Callable[[int, Seat], dict[str, Array]]
) -> dict[str, Array]:
    """Run shards in threads that may meet; return y and dx put together, the sums of all else, and
    what was renewed."""
    meeting, found = Meeting(shards, at_once), dict[int, dict[str, Array]]()

    def job(shard: int, arena: Arena) -> None:
        with meeting.attended():
            found[shard] = run(shard, meeting.seat(shard))

    with Threads(at_once) as threads:
        threads.run(shards, job, together=True)
    joined = {
        name: (np.concatenate if name in ("y", "dx") else np.add.reduce)(
            [found[shard][name] for shard in range(shards)]
        )
        for name in found[0]
    }
    return joined | meeting.renewed
