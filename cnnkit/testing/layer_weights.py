"""Checks of the trees of weights and gradients: names, shapes, memory; whatever the values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from safetensors.numpy import load, save

from cnnkit.arrays import flatten, unflatten
from cnnkit.testing.check import Kit, require, require_equal
from cnnkit.testing.probe import Probe
from cnnkit.testing.tools import require_close, require_same

kit = Kit("layer", case=Probe)


@kit.check('ask for weights by w["name"]')
def weights_round_trip(probe: Probe) -> None:
    """Weights survive flatten, a file and unflatten, and their order does not matter."""
    flat = flatten(probe.weights())
    loaded = load(save(flat))
    tree = unflatten({path: loaded[path] for path in reversed(list(flat))})
    what = "weights do not survive flatten and unflatten"
    fix = 'use plain names such as "W" and "b", without "/"'
    require_equal(sorted(flat), sorted(flatten(tree)), what, fix=fix)
    ctx = probe.context(False)
    one, two = (probe.forward(w=w, ctx=ctx)[0] for w in (probe.weights(), tree))
    require_same(one, two, "loaded weights give another output")


@kit.check("return it from backward under the weight's name, or declare it with learns=False")
def every_weight_has_gradient(probe: Probe) -> None:
    """backward returns a gradient for every weight that learns."""
    _require_none("no gradient for {}", probe, lambda wanted, got: wanted - got)


@kit.check("leave it out of the tree that backward returns: the optimizer would move it")
def no_other_gradients(probe: Probe) -> None:
    """backward returns no gradient for weights that do not learn, or for names that are none."""
    what = "a gradient for {}, which does not learn or is no weight at all"
    _require_none(what, probe, lambda wanted, got: got - wanted)


def _require_none(what: str, probe: Probe, wrong: Callable[[set[str], set[str]], set[str]]) -> None:
    wanted, got = {n for n, w in probe.declared().items() if w.learns}, set(probe.step().grads)
    names = sorted(wrong(wanted, got))
    expected, found = (f"gradients for {sorted(paths)}" for paths in (wanted, got))
    require(not names, what.format(", ".join(names)), expected=expected, got=found)


@kit.check("sum over the batch axis and every axis along which the weight is broadcast")
def gradients_shaped_like_weights(probe: Probe) -> None:
    """Every gradient has its weight's shape: no batch axis, nothing transposed."""
    grads = probe.step().grads
    for path, value in flatten(probe.weights()).items():
        what = f"the gradient of {path} is not shaped like {path}"
        require_equal(value.shape, grads.get(path, value).shape, what)


@kit.check("copy it, or let NumPy compute into a new array or ctx.scratch.empty(...)")
def gradients_own_their_memory(probe: Probe) -> None:
    """Gradients share no memory with anything else: shards are summed into them in place."""
    w, x, dy = probe.weights(), probe.x(1), probe.dy(1)
    one, two = probe.step(x, dy, w), probe.step(probe.x(1))
    others = {"x": x, "dy": dy, "y": one.y, **flatten(w)}
    for path, grad in one.grads.items():
        again = {"the same gradient of another step": two.grads[path]}
        shared = [n for n, a in {**others, **again}.items() if np.shares_memory(grad, a)]
        what = f"the gradient of {path} shares memory with {', '.join(shared)}"
        require(not shared, what, expected="an array of its own", got="a view")


@kit.check("skip dx alone")
def wants_dx_changes_no_gradient(probe: Probe) -> None:
    """Where nobody reads dx, the weights' gradients stay the same."""
    one, two = (probe.step(ctx=probe.context(wants_dx=wants)).grads for wants in (True, False))
    what = "the gradient of {name} depends on ctx.wants_dx"
    require_close(one, two, what, expected="the same gradients")
