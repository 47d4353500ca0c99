"""`run --overfit`: does a network learn one batch by heart, and if not, which layer does not?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cnnkit.commands._console import News, emit, emit_json
from cnnkit.errors import CnnkitError
from cnnkit.runs.data import data_paths
from cnnkit.runs.overfit import NEAR, Learned, learn, learn_unrecorded, one_batch
from cnnkit.runs.session import Session
from cnnkit.specfile.runspec import RunSpec


def refuse_beside(**flags: object) -> None:
    """Refuse flags that mean nothing for one batch.

    Raises:
        CnnkitError: naming those that are given.
    """
    if given := [f"--{name}" for name, value in flags.items() if value not in (None, False)]:
        raise CnnkitError(f"--overfit trains on one batch and stops: leave out {', '.join(given)}")


def overfit(
    spec: RunSpec, news: News, out: Path | None, data_dir: Path | None, allow: bool, json: bool
) -> int:
    """Train on one batch, say what came of it, and return the exit code.

    Args:
        out: a run directory to make; by default nothing is written.
        allow: whether the fallback may stand in for the data.
    """
    easy, off = one_batch(spec)
    found = _learned(easy, news, out, data_dir, allow)
    if off:
        news.say(f"switched off: {', '.join(off)}")
    left = [one.type for one in easy.data.transforms if one.random]
    if left:
        news.say(f"left on, as the shape of images may depend on it: {', '.join(left)}")
    if json:
        emit_json({"learned": found.by_heart, "loss": found.loss, "steps": found.steps,
                   "accuracy": found.accuracy, "switched_off": off, "left_on": left,
                   "moved": found.moved, "still": found.still})  # fmt: skip
    else:
        emit(*_told(found, spec, left))
    return int(not found.by_heart)


def _learned(
    spec: RunSpec, news: News, out: Path | None, data_dir: Path | None, allow: bool
) -> Learned:
    paths = data_paths(spec, data_dir, news.say, progress=news.screen.is_terminal)
    if out is None:
        return learn_unrecorded(spec, paths, allow)
    with Session(spec, paths, out=out, allow_fallback=allow) as session:
        found = learn(session.model, session.train, session.epochs())
        session.finish()
    return found


def _told(found: Learned, spec: RunSpec, left: list[str]) -> Iterator[str]:
    figures = f"loss {found.loss:.2g} after {found.steps} steps"
    if found.by_heart:
        yield f"learns one batch: {figures}"
        if spec.train.batch == 1:
            yield "that is one image; --set train.batch=32 asks for more"
        return
    if found.loss < NEAR:
        figures += f", but accuracy {found.accuracy:.2g} in prediction"
    yield f"does not learn one batch: {figures}"
    lr = spec.optimizer.lr
    if len(found.still) == len(found.moved):
        yield f"no layer learns: lr = {lr:g} hardly moves a weight, or no gradient comes through"
    else:
        for place in found.still:
            yield f"{place} does not learn: hardly any gradient reaches its weights"
    if not found.still and left:
        yield f"all layers learn: the batch changes at every step; leave out {' and '.join(left)}"
    elif not found.still:
        yield (f"all layers learn: lr = {lr:g} may be too high or too low, which `cnnkit lr` says, "
               "or the network too small")  # fmt: skip
