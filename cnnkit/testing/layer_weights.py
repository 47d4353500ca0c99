"""Checks of the trees of weights and gradients: names, shapes, memory; whatever the values."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import load, save

from cnnkit.arrays import Shape, flatten, unflatten
from cnnkit.base import Layer
from cnnkit.testing.check import Kit, require
from cnnkit.testing.probe import Probe
from cnnkit.testing.tools import require_close, require_same

kit = Kit("layer")


@kit.check
def weights_round_trip(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Weights survive flatten, a file and unflatten, and their order does not matter."""
    probe = Probe(layer, shape, seed)
    flat = flatten(probe.weights())
    loaded = load(save(flat))
    again = flatten(unflatten({path: loaded[path] for path in reversed(list(flat))}))
    require(
        sorted(again) == sorted(flat),
        "weights do not survive flatten and unflatten",
        expected=str(sorted(flat)),
        got=str(sorted(again)),
        fix='use plain names such as "W" and "b", without "/"',
    )
    one, two = (
        probe.forward(probe.x(), tree, probe.context(False))[0]
        for tree in (probe.weights(), unflatten(again))
    )
    require_same(one, two, "loaded weights give another output", fix='ask for weights by w["name"]')


@kit.check
def every_weight_has_gradient(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """backward returns a gradient for every weight that learns."""
    wanted, got = _trained_and_graded(layer, shape, seed)
    missing = sorted(wanted - got)
    require(
        not missing,
        f"no gradient for {', '.join(missing)}",
        expected=f"gradients for {sorted(wanted)}",
        got=f"gradients for {sorted(got)}",
        fix="return it from backward under the weight's name, or declare it with learns=False",
    )


@kit.check
def no_other_gradients(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """backward returns no gradient for weights that do not learn, or for names that are none."""
    wanted, got = _trained_and_graded(layer, shape, seed)
    surplus = sorted(got - wanted)
    require(
        not surplus,
        f"a gradient for {', '.join(surplus)}, which does not learn or is no weight at all",
        expected=f"gradients for {sorted(wanted)}",
        got=f"gradients for {sorted(got)}",
        fix="leave it out of the tree that backward returns: the optimizer would move it",
    )


@kit.check
def gradients_shaped_like_weights(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Every gradient has its weight's shape: no batch axis, nothing transposed."""
    probe = Probe(layer, shape, seed)
    weights = probe.weights()
    step = probe.step(probe.x(), probe.dy(), weights, probe.context())
    for path, value in flatten(weights).items():
        got = step.grads.get(path, value).shape
        require(
            got == value.shape,
            f"the gradient of {path} is not shaped like {path}",
            expected=str(value.shape),
            got=str(got),
            fix="sum over the batch axis and every axis along which the weight is broadcast",
        )


@kit.check
def gradients_own_their_memory(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Gradients share no memory with anything else: shards are summed into them in place."""
    probe = Probe(layer, shape, seed)
    w, x, dy = probe.weights(), probe.x(1), probe.dy(1)
    one = probe.step(x, dy, w, probe.context())
    two = probe.step(probe.x(1), probe.dy(1), probe.weights(), probe.context())
    others = {"x": x, "dy": dy, "y": one.y, **flatten(w)}
    for path, grad in one.grads.items():
        again = {"the same gradient of another step": two.grads[path]}
        shared = [n for n, a in {**others, **again}.items() if np.shares_memory(grad, a)]
        require(
            not shared,
            f"the gradient of {path} shares memory with {', '.join(shared)}",
            expected="an array of its own",
            got="a view",
            fix="copy it, or let NumPy compute into a new array or ctx.scratch.empty(...)",
        )


@kit.check
def wants_dx_changes_no_gradient(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Where nobody reads dx, the weights' gradients stay the same."""
    probe = Probe(layer, shape, seed)
    x, dy, w = probe.x(), probe.dy(), probe.weights()
    with_dx, without = (
        probe.step(x, dy, w, probe.context(wants_dx=b)).grads for b in (True, False)
    )
    what = "the gradient of {name} depends on ctx.wants_dx"
    fix = "skip dx alone"
    require_close(with_dx, without, what, expected="the same gradients", fix=fix)


def _trained_and_graded(layer: Layer, shape: Shape, seed: int) -> tuple[set[str], set[str]]:
    probe = Probe(layer, shape, seed)
    step = probe.step(probe.x(), probe.dy(), probe.weights(), probe.context())
    return {path for path, weight in probe.declared().items() if weight.learns}, set(step.grads)
