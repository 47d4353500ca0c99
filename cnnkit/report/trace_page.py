"""The page of a trace: every layer at work on one image, and what mattered in it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnkit.arrays import Array, Shape, flatten
from cnnkit.base import show
from cnnkit.base.place import spoken
from cnnkit.layers.sequential import Sequential
from cnnkit.model import Model
from cnnkit.report.how import CHANNELS, how, packed, script_facts, size_of
from cnnkit.report.inside import chosen, kernel_tile, map_tiles, of_all
from cnnkit.report.judged import percent
from cnnkit.report.page import headed, render
from cnnkit.report.png import Picture, largest, picture, pixels_of, signed
from cnnkit.report.tracing import Seen, Traced
from cnnkit.values import Range

_SCRIPT = 600_000
"""Characters of numbers that a page carries for its script; layers beyond explain no cells."""
_VECTOR, _ROW = 400, 25
"""Numbers of a flat layer that are shown, and how many in a row."""


def trace_page(
    model: Model,
    traced: Traced,
    image: Array,
    values: Range,
    *,
    source: str,
    label: int | None,
    about: dict[str, str],
    command: str,
    untrained: bool = False,
) -> str:
    """Return the page.

    Args:
        image: (C, H, W) as it was given, of values within `values`.
        source: what it is, in words.
        label: its class, if known.
        about: the network, by names of facts.
        command: what makes this page anew.
        untrained: whether the weights are drawn.
    """
    classes = model.classes
    truth = "" if label is None else classes[label]
    sections, script = _sections(traced)
    return render(
        "trace.html",
        title=_title(traced, classes, truth, untrained),
        source=source,
        truth=truth,
        about=about,
        image=picture(pixels_of(image, values), f"the image: {source}", most=224),
        scores=_scores(traced, classes),
        contributed=_contributed(traced, classes[traced.guess]),
        covered=_covered(traced, classes[traced.guess]),
        sections=sections,
        script=script,
        back=_way_back(traced),
        command=command,
    )


def _title(traced: Traced, classes: Sequence[str], truth: str, untrained: bool) -> str:
    guess = classes[traced.guess]
    says = "Untrained, the network says" if untrained else "The network says"
    sure = "" if traced.shares is None else f", {percent(float(traced.shares[traced.guess]))}"
    if not truth:
        return f"{says} {guess}{sure}"
    if truth == guess:
        return f"{says} {guess}{sure}, and is right"
    return f"{says} {guess}{sure}; it is {truth}"


def _scores(traced: Traced, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per class, or the ten highest of many; the highest first."""
    scores = traced.scores if len(traced.scores) > 1 else np.array([0.0, traced.scores[0]])
    order = traced.shares if traced.shares is not None else scores
    return [
        {
            "class": classes[k], "score": float(scores[k]), "guess": k == traced.guess,
            "share": None if traced.shares is None else float(traced.shares[k]),
        }
        for k in map(int, np.argsort(-order, kind="stable")[:10]) if k < len(classes)
    ]  # fmt: skip


def _contributed(traced: Traced, guess: str) -> list[Picture]:
    """Return what each pixel contributed to the guess, told in three ways."""
    found = []
    if traced.pixels.ndim == 3:
        slope = traced.pixels.sum(axis=0)
        found.append(_heat(slope, f"Gradient: where a brighter pixel speaks for {guess} (yellow), "
                                  "and where against it (blue)"))  # fmt: skip
    if traced.covered is not None:
        found.append(_heat(traced.covered, f"Occlusion: what {guess} loses where a patch of "
                           f"{traced.patch}×{traced.patch} pixels is covered"))  # fmt: skip
    if traced.cam is not None:
        found.append(_heat(traced.cam, f"Grad-CAM: where the maps of {spoken(traced.last_maps)} "
                                       f"speak for {guess}"))  # fmt: skip
    return found


def _heat(values: Array, caption: str) -> Picture:
    row, column = (int(n) for n in np.unravel_index(int(values.argmax()), values.shape))
    most = f"the most, {values.max():.3g}, in row {row + 1}, column {column + 1}"
    return picture(signed(values, largest(values)), f"{caption}; {most}", caption, most=224)


def _covered(traced: Traced, guess: str) -> str:
    if traced.covered is None or traced.shares is None:
        return "What each pixel contributed"
    row, column = np.unravel_index(int(traced.covered.argmax()), traced.covered.shape)
    lost = float(traced.covered.max())
    if lost < 0.005:
        return f"No single patch matters much: {guess} stays as likely whatever is covered"
    return (f"{guess} loses most, {lost:.0%} of probability, where row {int(row) + 1} and column "
            f"{int(column) + 1} are covered")  # fmt: skip


def described(shape: Shape) -> str:
    """Return a shape in words.

    >>> described((6, 28, 28)), described((1, 8, 8)), described((10,)), described((4, 3))
    ('6 maps of 28×28', '1 map of 8×8', '10 numbers', 'values of shape (4,3)')
    """
    if len(shape) == 3:
        return f"{shape[0]:,} map{'s' * (shape[0] != 1)} of {shape[1]}×{shape[2]}"
    if len(shape) == 1:
        return f"{shape[0]:,} number{'s' * (shape[0] != 1)}"
    return f"values of shape {show(shape)}"


def _sections(traced: Traced) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a section per layer, and what the script needs for all of them."""
    sections, arrays, layers = [], dict[str, Any](), list[dict[str, Any]]()
    known: list[tuple[str, Array]] = []
    spent = 0

    def key_of(array: Array, path: str) -> str:
        nonlocal spent
        for key, other in known:
            if other.shape == array.shape and np.array_equal(other, array):
                return key
        known.append((path, array))
        spent += size_of(array)
        if array.ndim == 3 and spent <= _SCRIPT:
            places = chosen(len(array), CHANNELS)
            arrays[path] = {"places": places, **packed(array[places])}
        return path

    for one in traced.seen:
        if isinstance(one.layer, Sequential):  # whose output is its last layer's
            continue
        before = key_of(one.x, "input" if not known else f"into {one.path}")
        own = key_of(one.y, one.path)
        facts = script_facts(one, own, before)
        layers.append({key: value for key, value in facts.items() if own in arrays})
        sections.append({"number": len(layers) - 1, "x": before, **_section(one)})
    return sections, {"arrays": arrays, "layers": layers}


def _section(one: Seen) -> dict[str, Any]:
    doc = (inspect.getdoc(type(one.layer)) or "").partition("\n\nOptions:")[0].split("\n\n")
    limit = largest(one.y)
    places = chosen(len(one.y), CHANNELS) if one.y.ndim == 3 else []
    tiles = map_tiles(one.path, one.y, places, limit) if places else [_flat(one, limit)]
    found = how(one)
    inputs = [term.channel for term in found.terms] if found else []
    return {
        "place": spoken(one.path),
        "head": headed(f"{spoken(one.path)} turns {described(one.x.shape)} into "
                       f"{described(one.y.shape)}"),
        "doc": doc[0],
        "formula": doc[1] if len(doc) > 1 and "=" in doc[1] else "",
        "stats": _stats(one.y),
        "shown": of_all(len(places), len(one.y), "maps") if places else "",
        "tiles": list(zip(places or [-1], tiles, strict=True)),
        "inputs": dict(zip(inputs, map_tiles(f"the input of {spoken(one.path)}", one.x, inputs,
                                             largest(one.x)), strict=True)),
        "shape": one.x.shape,
        "kernels": _kernels(one),
        "how": found,
    }  # fmt: skip


def _flat(one: Seen, limit: float) -> Picture:
    """Return a layer's numbers without places, row by row."""
    flat = one.y.reshape(-1)
    shown = flat[chosen(flat.size, _VECTOR)]
    columns = min(_ROW, len(shown)) or 1
    grid = np.zeros(-(-len(shown) // columns) * columns)
    grid[: len(shown)] = shown
    what = f"{of_all(len(shown), flat.size, 'numbers')}, row by row"
    alt = f"{spoken(one.path)}: {what}, from {flat.min():.3g} to {flat.max():.3g}"
    return picture(signed(grid.reshape(-1, columns), limit), alt, what)


def _stats(y: Array) -> str:
    zero = float((y == 0).mean())
    said = f"Values from {y.min():.3g} to {y.max():.3g}, mean {y.mean():.3g}"
    return f"{said}; {zero:.0%} are zero" if zero > 0.005 else said


def _kernels(one: Seen) -> list[Picture]:
    """Return the kernels behind the maps that are shown."""
    bank = one.weights.get("W") if isinstance(one.weights, dict) else None
    if not isinstance(bank, np.ndarray) or bank.ndim != 4 or bank.shape[0] != len(one.y):
        return []
    limit = largest(bank)
    return [
        picture(kernel_tile(bank[f], limit), f"kernel {f + 1} of {spoken(one.path)}: from "
                f"{bank[f].min():.2g} to {bank[f].max():.2g}", str(f + 1))
        for f in chosen(len(bank), CHANNELS)
    ]  # fmt: skip


def _way_back(traced: Traced) -> dict[str, Any]:
    """Return the sizes of the loss's gradients, from the last layer to the first."""
    rows = []
    passed = [(one, one.dy) for one in reversed(traced.seen)
              if one.dy is not None and not isinstance(one.layer, Sequential)]  # fmt: skip
    for one, dy in passed:
        own = list(one.grads.values())
        weights = flatten(one.weights)
        learned = float(np.sqrt(sum(float(np.square(g).sum()) for g in own)))
        size = float(np.sqrt(sum(float(np.square(weights[name]).sum()) for name in one.grads)))
        rows.append({
            "place": spoken(one.path), "dy": float(np.linalg.norm(dy)),
            "dW": learned if own else None, "ratio": learned / size if own and size else None,
        })  # fmt: skip
    most = max((float(np.linalg.norm(dy)) for _, dy in passed), default=0.0) or 1.0
    said = "No gradient came back"
    if rows:
        ends = f"{rows[0]['dy']:.3g} after {rows[0]['place']}, {rows[-1]['dy']:.3g} after "
        said = f"The gradient of the loss has size {ends}{rows[-1]['place']}"
    return {"said": said, "loss": traced.loss, "rows": rows, "most": most}
