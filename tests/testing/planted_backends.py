"""Bugs in backends: a toy that runs conv and relu as one step, right and then wrong."""

from __future__ import annotations

import time
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided
from planted import planted

from cnnkit.arrays import FRESH
from cnnkit.base import Backend, Loss, Optimizer
from cnnkit.layers import BatchNorm, Conv, Relu


class Step:
    """A conv, its relu, and nothing kept but these."""

    def __init__(self, backend, steps):
        self.names, self.backend = tuple(name for name, _ in steps), backend
        self.layers = [layer for _, layer in steps]

    def forward(self, x, w, ctx):
        return self.backend.run(self, x, w, ctx)


class Pair(Backend):
    """Runs each conv with the relu behind it."""

    type: Literal["pair"] = "pair"

    def fuse(self, steps, dtype, training):
        made, last = [], None
        for name, layer in steps:
            if last is not None and isinstance(layer, Relu):
                made[-1] = "", self.step([made[-1], (name, layer)])
            else:
                made.append((name, layer))
            last = layer if isinstance(layer, Conv) else None
        return made

    def step(self, steps):
        return Step(self, steps)

    def run(self, step, x, w, ctx):
        name = step.names[0]
        y, back = step.layers[0].forward(x, w[name], ctx.child(name))
        z = self.cut(y, step, ctx)

        def backward(dz):
            dx, grads = back(self.slope(dz, z))
            return dx, {name: self.kept(grads, ctx)}

        return z, backward

    def cut(self, y, step, ctx):
        return np.maximum(y, 0, out=ctx.scratch.empty(y.shape, y.dtype))

    def slope(self, dz, z):
        return dz * (z > 0)

    def kept(self, grads, ctx):
        return grads


@planted("stands_for_every_layer")
class LosesTheRelu(Pair):
    """A step that does not say that it stands for the relu."""

    type: Literal["loses_the_relu"] = "loses_the_relu"

    def step(self, steps):
        step = Step(self, steps)
        step.names = step.names[:1]
        return step


@planted("stands_for_every_layer")
class WrongNames(Pair):
    """Names counted from 1."""

    type: Literal["wrong_names"] = "wrong_names"

    def step(self, steps):
        step = Step(self, steps)
        step.names = tuple(f"{i}_{layer.type}" for i, layer in enumerate(step.layers, start=1))
        return step


@planted("stands_for_every_layer")
class ReturnsNothing(Pair):
    """A missing return."""

    type: Literal["returns_nothing"] = "returns_nothing"

    def fuse(self, steps, dtype, training):
        super().fuse(steps, dtype, training)


@planted("stands_for_every_layer")
class TakesAll(Pair):
    """A step for whatever it is, layers that nobody can know among them."""

    type: Literal["takes_all"] = "takes_all"

    def fuse(self, steps, dtype, training):
        return [("", Step(self, [step])) for step in steps]

    def run(self, step, x, w, ctx):
        [name], [layer] = step.names, step.layers
        y, back = layer.forward(x, w.get(name, {}), ctx.child(name))

        def backward(dy):
            dx, grads = back(dy)
            return dx, {name: grads} if grads else {}

        return y, backward


@planted("meets_as_the_layers")
class NormsByShard(TakesAll):
    """Takes batch_norm for a layer like any other, and each shard for the whole batch."""

    type: Literal["norms_by_shard"] = "norms_by_shard"

    def fuse(self, steps, dtype, training):
        return [
            ("", Step(self, [step])) if isinstance(step[1], BatchNorm) else step for step in steps
        ]

    def run(self, step, x, w, ctx):
        return super().run(step, x, w, ctx._replace(meet=None))


@planted("forward_as_the_layers")
class LetsThrough(Pair):
    """A hundredth of what is negative gets through."""

    type: Literal["lets_through"] = "lets_through"

    def cut(self, y, step, ctx):
        return np.maximum(y, y * y.dtype.type(0.01))


@planted("forward_as_the_layers")
class OnlyLearns(Pair):
    """No relu in prediction."""

    type: Literal["only_learns"] = "only_learns"

    def cut(self, y, step, ctx):
        return super().cut(y, step, ctx) if ctx.training else y


@planted("forward_as_the_layers")
class LosesTheEdge(Pair):
    """The last column of odd maps is not computed, as where a loop takes two at a time."""

    type: Literal["loses_the_edge"] = "loses_the_edge"

    def cut(self, y, step, ctx):
        z = super().cut(y, step, ctx)
        z[..., z.shape[-1] // 2 * 2 :] = 0
        return z


@planted("forward_as_the_layers")
class InSingle(Pair):
    """float32 whatever was asked for."""

    type: Literal["in_single"] = "in_single"

    def cut(self, y, step, ctx):
        return super().cut(y.astype(np.float32), step, ctx).astype(y.dtype)


@planted("every_weight_has_its_gradient")
class ForgetsTheBias(Pair):
    """No gradient for b."""

    type: Literal["forgets_the_bias"] = "forgets_the_bias"

    def kept(self, grads, ctx):
        return {"W": grads["W"]}


@planted("every_weight_has_its_gradient")
class NamelessGradients(Pair):
    """The conv's gradients without its name."""

    type: Literal["nameless_gradients"] = "nameless_gradients"

    def run(self, step, x, w, ctx):
        y, back = super().run(step, x, w, ctx)

        def backward(dy):
            dx, grads = back(dy)
            return dx, grads[step.names[0]]

        return y, backward


@planted("backward_as_the_layers")
class TakesTheKink(Pair):
    """A gradient where relu has cut: z >= 0 is true of everything."""

    type: Literal["takes_the_kink"] = "takes_the_kink"

    def slope(self, dz, z):
        return dz * (z >= 0)


@planted("backward_as_the_layers")
class WrongOrder(Pair):
    """The gradients of the two axes of a kernel in each other's place."""

    type: Literal["wrong_order"] = "wrong_order"

    def kept(self, grads, ctx):
        kernels = grads["W"]
        square = kernels.shape[-1] == kernels.shape[-2]
        return grads | {"W": kernels.swapaxes(-1, -2).copy() if square else kernels}


@planted("gradients_without_dx")
class NoDxNoGradients(Pair):
    """The whole way back left out where nobody wants dx."""

    type: Literal["no_dx_no_gradients"] = "no_dx_no_gradients"

    def kept(self, grads, ctx):
        return {name: one * ctx.wants_dx for name, one in grads.items()}


@planted("backend_inputs_unmodified")
class CutsDy(Pair):
    """dy *= mask."""

    type: Literal["cuts_dy"] = "cuts_dy"

    def slope(self, dz, z):
        dz *= z > 0
        return dz


@planted("backend_inputs_unmodified")
class ShiftsImages(Pair):
    """Images used as memory, once they are not needed any more."""

    type: Literal["shifts_images"] = "shifts_images"

    def run(self, step, x, w, ctx):
        result = super().run(step, x.copy(), w, ctx)
        x *= 0.5
        return result


@planted("backend_takes_any_strides")
class ReadsMemory(Pair):
    """Images read from memory as if they were contiguous, as C code does."""

    type: Literal["reads_memory"] = "reads_memory"

    def run(self, step, x, w, ctx):
        strides = np.empty(x.shape, x.dtype).strides
        return super().run(step, as_strided(x, x.shape, strides), w, ctx)


@planted("backend_scratch")
class ReturnsATemp(Pair):
    """y in memory that the next step takes."""

    type: Literal["returns_a_temp"] = "returns_a_temp"

    def cut(self, y, step, ctx):
        return np.maximum(y, 0, out=ctx.scratch.temp("pair.y", y.shape, y.dtype))


@planted("backend_scratch")
class TrustsMemory(Pair):
    """Only what is positive is written, as fresh memory holds zeros anyway."""

    type: Literal["trusts_memory"] = "trusts_memory"

    def cut(self, y, step, ctx):
        z = y * 0 if ctx.scratch is FRESH else ctx.scratch.empty(y.shape, y.dtype)
        np.copyto(z, y, where=~(y <= 0))
        return z


@planted("steps_keep_no_state")
class KeepsY(Pair):
    """y kept on the step for backward."""

    type: Literal["keeps_y"] = "keeps_y"

    def cut(self, y, step, ctx):
        step.kept = super().cut(y, step, ctx)
        return step.kept

    def run(self, step, x, w, ctx):
        z, back = super().run(step, x, w, ctx)
        return z, lambda dz: back(dz * (step.kept[: len(dz)] > 0))


@planted("same_bits")
class SharesMemory(Pair):
    """One array for all threads, in use for a moment only."""

    type: Literal["shares_memory"] = "shares_memory"

    def cut(self, y, step, ctx):
        step.work = np.maximum(y, 0)
        time.sleep(1e-4)
        return step.work if step.work.shape == y.shape else np.maximum(y, 0)


@planted("same_bits")
class SumsAnyhow(Pair):
    """Sums in the order in which threads happen to end."""

    type: Literal["sums_anyhow"] = "sums_anyhow"

    def kept(self, grads, ctx):
        tiny = np.finfo(grads["W"].dtype).eps * (time.perf_counter_ns() % 7)
        return {name: one * (1 + one.dtype.type(tiny)) for name, one in grads.items()}


@planted("not_finite_passes")
class SwallowsNaN(Pair):
    """Zero for whatever is not greater than zero, NaN among it."""

    type: Literal["swallows_nan"] = "swallows_nan"

    def cut(self, y, step, ctx):
        return np.where(y > 0, y, y.dtype.type(0))


@planted("not_finite_passes")
class Saturates(Pair):
    """The largest number for infinity."""

    type: Literal["saturates"] = "saturates"

    def cut(self, y, step, ctx):
        return np.clip(y, 0, np.finfo(y.dtype).max)


class Averaged(Loss):
    """A loss of which dy is divided by the images."""

    type: Literal["averaged"] = "averaged"
    inner: Loss

    def forward(self, y, labels):
        losses, gradient = self.inner.forward(y, labels)
        return losses, lambda: gradient() / len(y)


@planted("loss_as_the_layers")
class AveragesDy(Pair):
    """dy of the mean loss, which the engine divides once more."""

    type: Literal["averages_dy"] = "averages_dy"

    def fuse_loss(self, loss, dtype):
        return Averaged(inner=loss)


class Plain(Optimizer):
    """Steps against the gradient."""

    type: Literal["plain"] = "plain"
    inner: Optimizer

    def init_state(self, weights):
        return self.inner.init_state(weights)

    def update(self, weights, grads, state, lr, step):
        for path, grad in grads.items():
            weights[path] -= weights[path].dtype.type(lr) * grad


@planted("optimizer_as_the_layers")
class ForgetsMomentum(Pair):
    """The same step for every optimizer."""

    type: Literal["forgets_momentum"] = "forgets_momentum"

    def fuse_optimizer(self, optimizer, dtype):
        return Plain(lr=optimizer.lr, inner=optimizer)


@planted("describes_itself")
class CountsBits(Pair):
    """A number among the facts."""

    type: Literal["counts_bits"] = "counts_bits"

    def describe(self):
        return {"bits": 512}
