"""Causes: what a practitioner would say of how a run went, from its records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import floor, log10, sqrt

import numpy as np

from cnnkit.arrays import Array, counted
from cnnkit.base.place import spoken
from cnnkit.report.course import Course
from cnnkit.runs.vitals import FLAT

_LARGE, _SMALL = 4.0, 0.02
"""Mean or spread of what enters the first layer beyond which it is not scaled."""
_MOST, _UNEVEN = 0.75, 20
"""Share of one class, and times the images of the rarest, that are uneven."""
_DEAD, _SATURATED, _FADED = 0.6, 0.5, 0.003
"""Share of units, share of slopes, and of the largest gradient, that are worth a word."""
_LEAP, _STRIDE = 0.06, 0.012
"""Share of its weights that a first step, and a later one, moves where the rate is too high."""
_CRAWL, _SHORT, _WAY = 0.0004, 0.003, 0.4
"""The same where it is too low: in any run; and in one that moved less than `_WAY` of the weights
in all its steps, or a quarter of that where it learned nothing."""
_ASKED, _AMONG = 300, 3000
"""Images that are asked for their nearest one, and those that this may be."""
_NOTHING = 0.03
"""Of the way from guessing to certainty: what chance gives, too."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands out.

    Args:
        cause: a word for programs.
        said: what it is.
        evidence: figures that show it.
        advice: one thing to try.
    """

    cause: str
    said: str
    evidence: tuple[str, ...]
    advice: str


def causes(course: Course) -> list[Finding]:
    """Return what stands out, the likeliest cause first: what follows from it is left out."""
    found: list[Finding] = []
    for check, hidden_by in _CHECKS:
        if not any(one.cause in hidden_by for one in found):
            found += check(course)
    return found


def _unscaled(course: Course) -> Iterator[Finding]:
    given = next((look["input"] for look in course.looks if look.get("input")), None)
    if given is None or _SMALL <= max(abs(given["mean"]), given["std"]) <= _LARGE:
        return
    what = f"what enters the first layer has mean {given['mean']:.3g} and spread {given['std']:.3g}"
    yield Finding(
        "unscaled", "the data are not scaled",
        (f"{what}; weights are drawn for a mean near 0 and a spread near 1", *_outcome(course)),
        'transforms = ["scale"] under [data], or "standardize"',
    )  # fmt: skip


def _uneven(course: Course) -> Iterator[Finding]:
    counts = course.classes
    if len(counts) < 2 or (course.most <= _MOST and max(counts) <= _UNEVEN * min(counts)):
        return
    top, low = int(np.argmax(counts)), int(np.argmin(counts))
    shares = f"{counts[top]:,} images are of class {top} ({course.most:.0%})"
    right = "" if course.accuracy is None else f", and the network reached {course.accuracy:.1%}"
    yield Finding(
        "uneven", "the classes are uneven",
        (f"{shares}, {counts[low]:,} of class {low}",
         f"always guessing class {top} is right for {course.most:.1%}{right}"),
        'loss = { type = "cross_entropy", weights = "balanced" }, and macro_f1 among the metrics',
    )  # fmt: skip


def _born_dead(course: Course) -> Iterator[Finding]:
    if first := _silent(course, 0):
        yield Finding(
            "dead",
            f"dead units: {_first_dead(first)} gives nothing",
            (*(f"at the first step {line}" for line in first.values()), *_outcome(course)),
            "the defaults of init and bias_init in the layer before it",
        )


def _too_high(course: Course) -> Iterator[Finding]:
    updates = course.updates()
    first = next((share for epoch, share in updates if epoch == 0), 0.0)
    later = max((share for epoch, share in updates if epoch > 0), default=0.0)
    stuck, still = course.learned < _NOTHING, _silent(course, -1) or _flat(course)
    broke = "finite" in course.failure or "diverged" in course.failure
    leaps = first > _LEAP and (later > _STRIDE or stuck or still or broke)
    leaps = leaps or bool(first > 4 * _LEAP and later > _STRIDE / 2)
    leaps = leaps or bool(first > 0.6 * _LEAP and stuck and still)
    lr, usual = course.spec.optimizer.lr, _usual(course)
    unseen = not updates and lr > 10 * usual and course.learned < 0.9
    if not (leaps or unseen or broke):
        return
    said = [f"the run failed: {course.failure.partition(chr(10))[0]}"] if course.failure else []
    if leaps:
        said.append(f"the first step moved the weights by {first:.0%} of their size: 0.1 to 2 % is "
                    "usual")  # fmt: skip
    if course.looks:
        said += [f"at last {line}" for line in _silent(course, -1).values()]
    elif lr > 10 * usual:
        said.append(f"lr = {lr:g}, where {usual:g} is usual with {course.spec.optimizer.type}")
    try_ = _round(lr * _usual_share(course) / first) if leaps else min(usual, _round(lr / 10))
    yield Finding("rate_high", f"the learning rate is too high: lr = {lr:g}",
                  (*said, *_outcome(course)), f"lr = {try_:g}")  # fmt: skip


def _too_low(course: Course) -> Iterator[Finding]:
    first = next((share for epoch, share in course.updates() if epoch == 0), 0.0)
    shares = [share for epoch, share in course.updates() if epoch > 0]
    lr, usual = course.spec.optimizer.lr, _usual(course)
    way = sum(shares) / max(1, len(shares)) * course.steps * len(course.epochs)
    short = way < (_WAY if course.learned > _NOTHING else _WAY / 4)
    slow = shares and max(first, *shares) < (_SHORT if short else _CRAWL)
    unseen = not course.updates() and lr < usual / 20
    if course.learned > 0.9 or not (slow or unseen):
        return
    evidence = [f"lr = {lr:g}, where {usual:g} is usual with {course.spec.optimizer.type}"]
    if slow:
        steps = counted(course.steps * len(course.epochs), "step")
        evidence = [f"a step moves the weights by {100 * max(shares):.2g} % of their size at most: "
                    f"0.1 to 2 % is usual; all {steps} together by {100 * way:.2g} %"]  # fmt: skip
    more = usual if unseen or not max(shares) else lr * min(100, max(3.2, 0.01 / max(shares)))
    yield Finding("rate_low", f"the learning rate is too low: lr = {lr:g}",
                  (*evidence, *_outcome(course)), f"lr = {_round(more):g}")  # fmt: skip


def _labels(course: Course, sure: bool = False) -> Iterator[Finding]:
    """Yield that labels are others' where nothing is learned; `sure`: if data say so, too."""
    if not course.epochs or course.accuracy is None or course.most == 1:
        return
    share, count = course.most, sum(map(sum, course.test.get("confusion") or [[0]])) or 300
    losses, guess = course.losses("validation"), course.guessing
    chance = share + 3 * sqrt(share * (1 - share) / count)
    stuck = course.learned < _NOTHING if losses and guess else course.accuracy <= chance
    if not stuck:
        return
    alike = course.neighbours()
    if (sure and alike is None) or (alike or 0) > share + 3 * sqrt(share * (1 - share) / _ASKED):
        return  # what looks alike is called alike: then it is the network that cannot tell
    said = list(_outcome(course))
    if alike is not None:
        said.append(f"the most similar other image has the same label for {alike:.0%} of the images"
                    f"; the commonest class has {share:.0%}")  # fmt: skip
    yield Finding("labels", "the labels do not go with the images: shuffled, or of other images",
                  tuple(said), "look at images beside their labels: cnnkit look SPEC")  # fmt: skip


def _died(course: Course) -> Iterator[Finding]:
    if last := _silent(course, -1, _DEAD if course.learned < 0.9 else 0.9):
        yield Finding(
            "dead",
            f"dead units: {_first_dead(last)} gives nothing",
            (*(f"after the last epoch {line}" for line in last.values()), *_outcome(course)),
            "a lower learning rate, or leaky_relu in place of relu",
        )


def _failed(course: Course) -> Iterator[Finding]:
    if course.failure:
        yield Finding("failed", "the run failed", (course.failure.partition("\n")[0],),
                      "log.txt in the run's folder says where")  # fmt: skip


def _saturated(course: Course) -> Iterator[Finding]:
    if flat := _flat(course):
        lines = (f"{share:.0%} of what {spoken(path)} gives lies where its slope is below {FLAT:g}"
                 for path, share in flat.items())  # fmt: skip
        yield Finding("saturated", f"saturated: {spoken(next(iter(flat)))} passes no gradient",
                      (*lines, *_outcome(course)),
                      "the default init in the layer before it, or batch_norm")  # fmt: skip


def _vanishing(course: Course) -> Iterator[Finding]:
    sizes = {path: one["gradient"] for look in course.looks[:1]
             for path, one in look["weights"].items() if one["gradient"]}  # fmt: skip
    if course.learned > 0.5 or not sizes or min(sizes.values()) > _FADED * max(sizes.values()):
        return
    low, high = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    line = (f"over the weights' size, the first gradient is {sizes[low]:.1g} in {spoken(low)} and "
            f"{sizes[high]:.1g} in {spoken(high)}")  # fmt: skip
    yield Finding(
        "vanishing",
        f"the gradients vanish on their way to {spoken(low)}",
        (line, *_outcome(course)),
        "relu activations, batch_norm, or residual layers",
    )


def _overfit(course: Course) -> Iterator[Finding]:
    train, held = course.losses("train"), course.losses("validation")
    if len(held) < 3 or len(train) != len(held):
        return
    best = int(np.argmin(held))
    rose = len(held) - 1 - best >= 2 and held[-1] > 1.25 * held[best] and train[-1] < train[best]
    parted = held[-1] > max(4 * train[-1], 0.1 * (course.guessing or held[-1] * 10))
    if rose or parted:
        yield Finding(
            "overfit", "it learns the training images by heart (overfitting)",
            (f"validation loss {held[best]:.4g} after epoch {best + 1}, {held[-1]:.4g} at the end",
             f"training loss {train[best]:.4g} and {train[-1]:.4g}"),
            "dropout, weight decay, augmenting transforms, or fewer epochs",
        )  # fmt: skip


def _underfit(course: Course) -> Iterator[Finding]:
    train = course.losses("train")
    if course.learned > 0.5 or len(train) < 2:
        return
    still = train[-1] < 0.95 * train[-2]
    if still and course.learned > 0.3:
        return
    said = "it was still learning when it ended" if still else "it learns too little (underfitting)"
    line = f"training loss {train[-2]:.4g} in the last epoch but one, {train[-1]:.4g} in the last"
    yield Finding("unfinished" if still else "underfit", said, (line, *_outcome(course)),
                  "more epochs" if still else "more filters, units or layers")  # fmt: skip


_ROOTS = ("unscaled", "labels", "dead", "rate_high", "saturated", "vanishing", "rate_low")
Check = Callable[[Course], Iterator[Finding]]
_CHECKS: Sequence[tuple[Check, tuple[str, ...]]] = (
    (_unscaled, ()),
    (_uneven, ()),
    (partial(_labels, sure=True), ("unscaled", "uneven")),
    (_born_dead, _ROOTS[:2]),
    (_too_high, _ROOTS[:3]),
    (_failed, _ROOTS[:4]),
    (_saturated, _ROOTS[:4]),
    (_vanishing, _ROOTS[:5]),
    (_too_low, (*_ROOTS, "uneven")),
    (_labels, (*_ROOTS, "uneven")),
    (_died, _ROOTS),
    (_overfit, _ROOTS),
    (_underfit, (*_ROOTS, "uneven", "overfit")),
)
"""In order of precedence, each with the causes that explain what it would find."""


def _silent(course: Course, look: int, most: float = _DEAD) -> dict[str, str]:
    """Return a line for each layer more than a share of whose units give 0 alone, in the first look
    or the last."""
    if not course.looks or (look == 0 and course.looks[0]["epoch"] != 0):
        return {}
    return {path: f"{one['silent']} of {one['units']} units of {spoken(path)} give 0 for every "
            "image looked at" for path, one in course.looks[look]["activations"].items()
            if one["units"] >= 4 and one["silent"] > most * one["units"]}  # fmt: skip


def _flat(course: Course) -> dict[str, float]:
    """Return the share of slopes that are next to 0, of the layers where they are most."""
    acts = course.looks[-1]["activations"] if course.looks else {}
    return {path: one["flat"] for path, one in acts.items() if (one["flat"] or 0) > _SATURATED}


def _first_dead(lines: dict[str, str]) -> str:
    return spoken(next(iter(lines)))


def _outcome(course: Course) -> Iterator[str]:
    """Yield what came out, against guessing."""
    said = []
    if losses := course.losses("train"):
        said.append(f"training loss {losses[0]:.4g} in epoch 1, {losses[-1]:.4g} in the last")
    if held := course.losses("validation"):
        said.append(f"validation loss {min(held):.4g} at best")
    if said and course.guessing:
        yield f"{', '.join(said)}; guessing by frequency gives {course.guessing:.4g}"
    elif said:
        yield ", ".join(said)
    if course.accuracy is not None and course.most:
        yield f"accuracy {course.accuracy:.1%} at best; the commonest class has {course.most:.1%}"


def _usual(course: Course) -> float:
    return 0.05 if course.spec.optimizer.type == "sgd" else 0.001


def _usual_share(course: Course) -> float:
    """Return the share of its weights that a first step moves at a rate that suits."""
    return 0.005 if course.spec.optimizer.type == "sgd" else 0.01


def _round(rate: float) -> float:
    """Return the next 1, 2 or 5 of a power of ten below.

    >>> _round(0.0031), _round(0.5)
    (0.002, 0.5)
    """
    if rate <= 0:
        return 0.001
    power = 10.0 ** floor(log10(rate) + 1e-9)
    return float(
        f"{max(step for step in (1, 2, 5) if step * power <= rate * 1.0000001) * power:.1g}"
    )


def alike(images: Array, labels: Array) -> float:
    """Return for which share of some images the most similar other one has the same label.

    Args:
        images: (N, *shape), at least two.
    """
    order = np.random.default_rng(0).permutation(len(images))[:_AMONG]
    x = images[order].reshape(len(order), -1).astype(np.float32)
    x -= x.mean(axis=0)
    asked = x[:_ASKED]
    apart = (x**2).sum(axis=1) - 2 * asked @ x.T  # squared distances, but for what is asked for
    apart[np.arange(len(asked)), np.arange(len(asked))] = np.inf
    return float((labels[order][apart.argmin(axis=1)] == labels[order][: len(asked)]).mean())
