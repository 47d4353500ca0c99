"""The kit for backends."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from cnnkit.arrays import Arena, Array
from cnnkit.base import Backend, Loss
from cnnkit.base.backend import Fusing
from cnnkit.errors import ContractError
from cnnkit.meeting import Seat
from cnnkit.testing import loss as losses
from cnnkit.testing import options
from cnnkit.testing.chains import (
    CHAINS,
    SPECS,
    TOLERANCE,
    Arrays,
    Case,
    Stranger,
    apart,
    chain,
    copied,
    drawn,
    plain,
)
from cnnkit.testing.check import Fault, Kit, require, require_equal
from cnnkit.testing.layer_meeting import Listener, gathers, side_by_side
from cnnkit.testing.manners import manners
from cnnkit.testing.optimizer import Course
from cnnkit.testing.tools import HostileScratch, built_ins, require_same


class Trial:
    """A backend on trial: its steps for each chain are made once, as the engine does."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self._fusing = backend, dict[Any, Fusing]()

    def fuse(self, case: Case, training: bool = True) -> Fusing:
        """Return what turns a chain into the backend's steps."""
        fresh = Fusing(self.backend, np.dtype(case.dtype), training)
        return self._fusing.setdefault((case.dtype, training), fresh)

    def run(self, case: Case, given: Arrays | None = None, **how: Any) -> Arrays:
        """Return what the backend gives for a case."""
        return case.run(self.fuse(case, how.get("training", True)), given, **how)


_BOTH = (True, False)


def _small() -> Iterator[Case]:
    """Yield a case for each of the chains, in each dtype."""
    yield from (Case(*one) for one in product(CHAINS, TOLERANCE))


def _all() -> Iterator[Case]:
    """Yield the cases of chains and of whole networks, with one image and with odd numbers."""
    yield from (Case(*one) for one in product(CHAINS, TOLERANCE, (1, 17)))
    yield from (Case(*one) for one in product(SPECS, TOLERANCE, (3,)))


def _use(backend: Backend) -> None:
    backend.describe()
    for case, training, size in product((Case("conv, relu, pool"), Case("softmax")), _BOTH, (1, 0)):
        given = {n: one * (size if n in ("x", "dy") else 1) for n, one in drawn(case).items()}
        Trial(backend).run(case, given, training=training)


_first = Kit("backend", options.kit, case=Trial)
_NAMES = "return (name, layer) pairs as they came, or fused steps with the names they stand for"


@_first.check(_NAMES, needed=True)
def stands_for_every_layer(trial: Trial) -> None:
    """Every layer of a chain is in one step, by its name; one that the backend cannot know is
    left as it is."""
    for case, training in product(_all(), _BOTH):
        steps = chain(case.name).steps
        try:
            found = trial.fuse(case, training)(steps)
        except ContractError as error:
            what = f"fuse {error.did} for {case}"
            raise Fault(what, expected=error.expected, got=error.did) from error
        left = [name for name, step in found if name and isinstance(step, Stranger)]
        unknown = [name for name, layer in steps if isinstance(layer, Stranger)]
        require_equal(unknown, left, f"what the backend cannot know is not left alone in {case}")


kit = Kit("backend", _first, manners(_use), case=Trial)


@kit.check("compute into new arrays or ctx.scratch.empty(...)")
def backend_inputs_unmodified(trial: Trial) -> None:
    """Images, weights, dy and y are left as they were."""
    for case in _small():
        before, given = drawn(case), copied(drawn(case))
        y, back = case.forward(trial.fuse(case), given)
        kept = y.copy()
        back(given["dy"])
        for name, one in ({"y": kept} | before).items():
            require_same(one, (given | {"y": y})[name], f"{name} is changed by {case}")


@kit.check("compute what the layers compute one after the other")
def forward_as_the_layers(trial: Trial) -> None:
    """y is that of the layers on NumPy up to rounding, in training and in prediction."""
    for case, training in product(_all(), _BOTH):
        wanted, when = {"y": plain(case, training)["y"]}, "training" if training else "prediction"
        how = {"training": training, "wants_dx": training}
        y, _ = case.forward(trial.fuse(case, training), copied(drawn(case)), **how)
        _require_alike(wanted, {"y": y}, f"another y in {when} of {case}")


@kit.check("return {name: gradients} for every name that has weights, as its layer would")
def every_weight_has_its_gradient(trial: Trial) -> None:
    """backward returns a gradient for each weight that learns, by its layer's name, and no more."""
    for case in _all():
        wanted, got = sorted(plain(case)), sorted(trial.run(case))
        require_equal(wanted, got, f"gradients for other weights of {case}")


@kit.check("derive it again: backward through the last layer first, each with what it was given")
def backward_as_the_layers(trial: Trial) -> None:
    """dx and gradients are those of the layers on NumPy up to rounding."""
    for case in _all():
        _require_alike(plain(case), trial.run(case), f"another gradient of {case}")


@kit.check("leave out dx, not the gradients, where ctx.wants_dx is false")
def gradients_without_dx(trial: Trial) -> None:
    """The gradients are the same where nobody wants dx."""
    for case in _small():
        wanted = {n: one for n, one in plain(case).items() if n != "dx"}
        what = f"another gradient of {case} where nobody wants dx"
        _require_alike(wanted, trial.run(case, wants_dx=False), what)


@kit.check("make it contiguous first, or read the strides: np.ascontiguousarray(x)")
def backend_takes_any_strides(trial: Trial) -> None:
    """Images and dy may have any strides."""
    for case in _small():
        given = {n: _strided(a) if n in ("x", "dy") else a for n, a in drawn(case).items()}
        what = f"strides change the results of {case}"
        _require_alike(plain(case), trial.run(case, given), what)


def _strided(array: Array) -> Array:
    """Return an equal array with gaps, and its first axis the last in memory."""
    turned = np.repeat(np.moveaxis(array, 0, -1), 2, axis=-1)[..., ::2]
    return np.moveaxis(turned, -1, 0)


@kit.check("write all of an array from ctx.scratch; hand on empty() alone, never a temp()")
def backend_scratch(trial: Trial) -> None:
    """Scratch memory may hold anything, and temps anything again once another step asked."""
    for case in _small():
        scratch = HostileScratch()
        got = trial.run(case, then=scratch.spoil, scratch=scratch)
        _require_alike(plain(case), got, f"what scratch memory holds changes {case}")


@kit.check("keep what backward needs in its closure, and nothing but plans for shapes on the step")
def steps_keep_no_state(trial: Trial) -> None:
    """Other batches may come between forward and backward, of another size too."""
    for case in _small():
        others = [_images(case, part) for part in (_BACKWARDS, _ONE)]
        got = trial.run(case, then=partial(_run_all, trial, case, others))
        what = f"a batch between forward and backward changes {case}"
        _require_alike(plain(case), got, what)


_BACKWARDS, _ONE = slice(None, None, -1), slice(1)


@kit.check("put together by ctx.gather what the shards found, and renew by ctx.child(name).renew")
def meets_as_the_layers(trial: Trial) -> None:
    """Shards that gather give what the layers give for the whole batch, and renew it alike."""
    gathering = [name for name in CHAINS if any(gathers(layer) for _, layer in chain(name).steps)]
    for case in (Case(name, dtype, 5) for name, dtype in product(gathering, TOLERANCE)):
        fuse, listener = trial.fuse(case), Listener()
        wanted = case.run(None, meet=listener) | listener.renewed

        def run(shard: int, seat: Seat, case: Case = case, fuse: Fusing = fuse) -> Arrays:
            rows = slice(0, 2) if shard == 0 else slice(2, None)
            return case.run(fuse, _images(case, rows), meet=seat)

        what = f"shards that meet change the results of {case}"
        _require_alike(wanted, side_by_side(2, 2, run), what)


def _images(case: Case, part: slice) -> Arrays:
    """Return what a case is run on, in another order or with fewer images."""
    return {n: one[part] if n in ("x", "dy") else one for n, one in drawn(case).items()}


_TWICE = (slice(None), _BACKWARDS) * 2


def _run_all(trial: Trial, case: Case, several: list[Arrays]) -> None:
    for given in several:
        trial.run(case, given)


@kit.check("sum in one order, whatever is at hand; share no memory but ctx.scratch's")
def same_bits(trial: Trial) -> None:
    """Equal input gives equal bits, from call to call and with several threads at work."""
    turns = [(case, _images(case, part)) for case in _small() for part in _TWICE]
    wanted = [trial.run(case, copied(given)) for case, given in turns]
    with ThreadPoolExecutor(4) as pool:  # of which several run one step, on other images
        found = pool.map(lambda turn: trial.run(*turn, scratch=Arena()), turns)
        for (case, _), before, after in zip(turns, wanted, list(found), strict=True):
            for name, one in before.items():
                require_same(one, after[name], f"{name} of {case} changes from call to call")


@kit.check("no fast maths: let NaN and infinity pass, as np.maximum and np.clip do")
def not_finite_passes(trial: Trial) -> None:
    """NaN or infinity in images, weights or dy comes out for the same images and weights."""
    for case, bad in product(_small(), (np.nan, np.inf)):
        for name in drawn(case):
            given = copied(drawn(case))
            given[name].reshape(-1)[given[name].size // 2] = bad
            with np.errstate(all="ignore"):
                wanted, got = _finite(case.run(None, given)), _finite(trial.run(case, given))
            require_equal(wanted, got, f"{bad} in {name} comes out elsewhere in {case}")


def _finite(arrays: Arrays) -> dict[str, Any]:
    """Say of y and dx for which images they are finite, and of gradients whether they are."""
    flat = {n: a.reshape(len(a) if n in ("y", "dx") else 1, -1) for n, a in arrays.items()}
    return {name: np.isfinite(array).all(axis=1).tolist() for name, array in flat.items()}


@kit.check("return the loss itself where it is not one that the backend knows")
def loss_as_the_layers(trial: Trial) -> None:
    """fuse_loss keeps what a loss means: losses and dy, up to rounding, in memory of their own."""
    known = [cls.model_validate({}) for cls in built_ins("losses").values()]
    plain = [one for one in known if isinstance(one, Loss)]
    plain += [fused for one in plain for _, fused in losses.fusions(one)]
    for one, dtype, outputs in product(plain, TOLERANCE, (2, 10)):
        fused = trial.backend.fuse_loss(one, np.dtype(dtype))
        y, labels = losses.case(outputs, 0, dtype)
        for logits in (y, y * dtype(900), _strided(y)):
            given, what = logits.copy(), f"another loss, {one.type} of {outputs} classes"
            got = losses.judge(fused, logits, labels)
            _require_alike(losses.judge(one, given, labels), got, what)
            require_same(given, logits, f"{one.type} changes the outputs y")
            own = not any(np.shares_memory(array, logits) for array in got.values())
            require(own, f"{one.type} returns a view of y", expected="new arrays", got="a view")


@kit.check("keep the names in its state; return the optimizer itself where it is not known")
def optimizer_as_the_layers(trial: Trial) -> None:
    """fuse_optimizer keeps what an optimizer means: its steps, and its state's names."""
    more: list[dict[str, Any]] = [
        {}, {"weight_decay": 0.1}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True},
    ]  # fmt: skip
    for cls, given, dtype in product(built_ins("optimizers").values(), more, TOLERANCE):
        if given.keys() <= cls.model_fields.keys():
            one: Any = cls.model_validate({"lr": 0.1, **given})
            fused = trial.backend.fuse_optimizer(one, np.dtype(dtype))
            wanted, got = (Course(each, 0, dtype).run(range(4)).arrays() for each in (one, fused))
            require_equal(sorted(wanted), sorted(got), f"the state of {one.type} is another")
            _require_alike(wanted, got, f"another step of {one.type}")


@kit.check('return words, such as {"instruction set": "avx2"}')
def describes_itself(trial: Trial) -> None:
    """describe returns words by words, for the doctor and the records of runs."""
    facts = dict(trial.backend.describe())
    words = all(isinstance(word, str) for pair in facts.items() for word in pair)
    require(words, "describe returns more than words", expected="{str: str}", got=repr(facts))


def _require_alike(wanted: Arrays, got: Arrays, what: str) -> None:
    found = apart(wanted, got)
    require(not found, what, expected="that of the layers, up to rounding", got=found)


def check_backend(backend: Backend) -> None:
    """Run every check on a backend; raise CheckFailure for the first that fails.

    Chains of all the built-in layers and the networks of the specs that come with cnnkit are run by
    the backend and as they are, on NumPy. Values may differ by 1e-4 of the largest in float32, by
    1e-9 in float64: so much may another order of sums, or Winograd's way to convolve.
    """
    __tracebackhide__ = True
    kit.run(backend)
