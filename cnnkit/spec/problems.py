"""What is said about a spec that cannot be used: where, what, and which word was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from cnnkit.spec.source import KeyPath


@dataclass(frozen=True, slots=True)
class Problem:
    """One diagnosis: `note` stands beside the caret, `trail` lists the shapes; any may be empty.

    `argument`, such as `--set train.epochs=abc`, stands for file and line; `column` counts in it.
    """

    message: str
    file: str = ""
    path: KeyPath = ()
    line: int | None = None
    column: int | None = None
    width: int = 1
    source_line: str = ""
    note: str = ""
    trail: str = ""
    help: str = ""
    argument: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON has them, the path as a list."""
        return asdict(self) | {"path": list(self.path)}


_MEANT = {
    "accuracy": "acc",
    "batch": "batchsize minibatch",
    "batchnorm": "bn norm normalization batchnormalization batchnorm1d batchnorm2d",
    "binary_cross_entropy": "bce bceloss",
    "confusion": "confusionmatrix",
    "cosine": "cos cosineannealing cosinedecay",
    "check": "validate lint verify",
    "conv": "convolution convolutional conv2d convolution2d convlayer",
    "cross_entropy": "crossentropyloss categoricalcrossentropy nll logloss",
    "dense": "linear fc fullyconnected affine innerproduct denselayer",
    "dropout": "drop dropout2d",
    "epochs": "nepochs numepochs",
    "evaluate": "eval test",
    "filters": "channels outchannels nfilters numfilters features",
    "flatten": "flat reshape view",
    "glorot": "xavier",
    "he": "kaiming",
    "kernel": "kernelsize ksize filtersize kernelshape",
    "lr": "learningrate stepsize eta alpha",
    "macro_f1": "f1 f1score fscore",
    "max": "maximum",
    "mean": "average avg",
    "mean_squared_error": "mse mseloss l2",
    "min": "minimum",
    "normal": "gaussian",
    "padding": "pad pads border",
    "pool": "maxpool maxpooling maxpool2d maxpooling2d avgpool avgpooling avgpool2d averagepool "
    "averagepooling averagepooling2d meanpool minpool pooling pool2d",
    "rate": "p prob probability droprate dropoutrate",
    "residual": "resblock skip shortcut resnetblock",
    "run": "train fit",
    "size": "poolsize window",
    "units": "neurons nodes hidden outfeatures outputs width",
}
_OTHERS = re.compile("[gsc]?elu|silu|[rs]?glu|conv[13]d|n?adam[wx]?|adamax|adagrad|m[sa]e")


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` was meant to be: a synonym, another spelling, a slip.

    A term of art that cnnkit does not have, gelu or conv3d, is no slip for one that it has.
    """
    plain, words = _plain(word), sorted(known)
    for candidate in words:
        if plain and (_plain(candidate) == plain or plain in _MEANT.get(candidate, "").split()):
            return candidate
    if not 1 < len(plain) <= 40 or _OTHERS.fullmatch(plain):
        return None
    scores = {candidate: _likeness(plain, _plain(candidate)) for candidate in words}
    best = max(scores, key=lambda candidate: scores[candidate], default="")
    return best if scores.get(best, 0) > 0.75 else None


def _plain(word: str) -> str:
    return re.sub(r"[\s_-]", "", word).casefold()


def _likeness(a: str, b: str) -> float:
    """Return difflib's ratio, raised if one letter is changed, dropped, added or swapped."""
    shorter = min(len(a), len(b))
    start = next((at for at in range(shorter) if a[at] != b[at]), shorter)
    c, d = a[start:], b[start:]
    swapped = c[:2] != "" and d == c[1::-1] + c[2:]
    slip = swapped or d == c[1:] or d[1:] == c
    if re.sub(r"\d", "", a) == re.sub(r"\d", "", b) and not slip:
        return 0  # float16 is another word than float64, as float23 is not
    if min(len(a), len(b)) < 3:  # too short for a letter to be another: lrr and rl, but not lt
        return 0.8 * slip
    return SequenceMatcher(None, a, b).ratio() + 0.3 * (slip or d[1:] == c[1:])
