"""Looking at data before any training: counts, values, duplicates, images of each class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnkit.arrays import FRESH, Array, counted
from cnnkit.base import Data, Dataset, Split
from cnnkit.base.context import generator
from cnnkit.errors import DataError
from cnnkit.prediction import prepare
from cnnkit.report.inside import chosen
from cnnkit.report.judged import range_of
from cnnkit.report.page import render
from cnnkit.report.png import Picture, picture, pixels_of
from cnnkit.runs.oddities import oddities
from cnnkit.specfile.runspec import RunSpec
from cnnkit.values import check_values

_OF_A_CLASS, _DRAWS, _CLASSES, _MEASURED = 6, 3, 30, 2000
"""Images shown of a class, draws of an augmentation, classes shown on a page, and training images
that are transformed to see what comes out."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is to know of a dataset.

    Args:
        data: with its validation part set aside as for training.
        dataset: that supplied it: the spec's, or its fallback.
        counts: images (classes, parts).
        values: what the pixels of each part are, by names of figures.
        warnings: what may spoil a training, a line for each.
    """

    data: Data
    dataset: Dataset
    counts: Array
    values: dict[str, dict[str, Any]]
    warnings: list[str]

    @property
    def augments(self) -> bool:
        """Whether training sees images changed at random."""
        return any(transform.random for transform in self.dataset.transforms)


def survey(data: Data, dataset: Dataset, spec: RunSpec) -> Survey:
    """Look at a dataset whose validation part is set aside."""
    parts, classes = data.splits(), len(data.classes)
    counts = [np.bincount(split.labels, minlength=classes) for split in parts.values()]
    values = {name: {**_values(split.images), **duplicates(split)}
              for name, split in parts.items()}  # fmt: skip
    warnings = [line.removeprefix("warning: ") for line in oddities(data, dataset.transforms)]
    warnings += [*_relabelled(values), *_out_of_range(data, dataset)]
    some = data.train.images[chosen(len(data.train), _MEASURED)]
    values["transformed"] = _values(transformed(some, dataset, spec))
    return Survey(data, dataset, np.stack(counts, axis=1), values, warnings)


def _values(images: Array) -> dict[str, Any]:
    """Return dtype, shape of one, and range, mean and standard deviation of the pixels."""
    wide = images.astype(np.float64, copy=False) if images.size < 2**24 else images
    facts: dict[str, Any] = {"images": len(images), "shape": images.shape[1:],
                             "dtype": str(images.dtype)}  # fmt: skip
    if images.size:
        facts |= {"lowest": float(images.min()), "highest": float(images.max()),
                  "mean": float(wide.mean()), "std": float(wide.std())}  # fmt: skip
    return facts


def duplicates(split: Split) -> dict[str, int]:
    """Count images that are there before, pixel for pixel, and those of them with other labels."""
    first: dict[bytes, int] = {}
    other = 0
    for image, label in zip(split.images, split.labels.tolist(), strict=True):
        other += first.setdefault(image.tobytes(), label) != label
    return {"duplicates": len(split) - len(first), "with another label": other}


def _out_of_range(data: Data, dataset: Dataset) -> Iterator[str]:
    """Yield what is wrong with the values of a part, unless that is said of another one."""
    said = set[str]()
    for name, split in data.splits().items():
        try:
            check_values(split.images, dataset.transforms, f"{name} images of {data.name}")
        except DataError as error:
            if (what := str(error).partition(": ")[2]) not in said:
                yield str(error)
            said.add(what)


def _relabelled(values: dict[str, dict[str, Any]]) -> Iterator[str]:
    for part, facts in values.items():
        if count := facts.get("with another label"):
            what = "image has" if count == 1 else "images have"
            yield f"{count:,} {part} {what} another label than the same image before"


def transformed(images: Array, dataset: Dataset, spec: RunSpec, draw: int | None = None) -> Array:
    """Return images as the network sees them; as in training, for the number of a random draw."""
    rng = None if draw is None else generator((spec.seed, 0, draw, 0), "transforms")
    dtype = np.dtype(spec.model.dtype)
    return np.array(prepare(images, dataset.transforms, dtype, rng, FRESH))


def samples(found: Survey, most: int = _OF_A_CLASS) -> list[tuple[str, Array]]:
    """Return training images (n, C, H, W) of every class, spread evenly over the split."""
    train = found.data.train
    rows = [np.flatnonzero(train.labels == k) for k in range(len(found.data.classes))]
    return [(name, train.images[where[chosen(len(where), most)]])
            for name, where in zip(found.data.classes, rows, strict=True)]  # fmt: skip


def look_page(found: Survey, spec: RunSpec, command: str) -> str:
    """Return the page."""
    parts, counts = list(found.data.splits()), found.counts
    most = max(1, int(counts[:, 0].max()))
    columns = list(dict.fromkeys(name for facts in found.values.values() for name in facts))
    shown = samples(found)
    few = chosen(len(shown), _CLASSES)
    return render(
        "look.html",
        title=_title(found),
        about={"Dataset": found.data.name, "Spec": spec.name,
               "Transforms": " → ".join(t.type for t in found.dataset.transforms) or "none"},
        warnings=found.warnings,
        parts=parts,
        classes=[(name, list(map(int, row)), int(row[0]) / most)
                 for name, row in zip(found.data.classes, counts, strict=True)],
        totals=list(map(int, counts.sum(axis=0))),
        balance=_balance(found.data.classes, counts[:, 0]),
        columns=columns,
        values=[(name, [_shown(facts.get(c)) for c in columns])
                for name, facts in found.values.items()],
        augments=found.augments,
        few=f"{len(few)} of {len(shown)}" if len(few) < len(shown) else "",
        rows=[_rows(*shown[k], found, spec) for k in few],
        command=command,
    )  # fmt: skip


def _title(found: Survey) -> str:
    count, classes = int(found.counts.sum()), len(found.data.classes)
    return f"{found.data.name}: {counted(count, 'image')} of {counted(classes, 'class')}"


def _balance(classes: Sequence[str], counts: Array) -> str:
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[least] == counts[most]:
        return f"Every class has {counted(int(counts[most]), 'image')} to train on"
    return (f"{classes[most]} has the most images to train on ({counts[most]:,}), "
            f"{classes[least]} the fewest ({counts[least]:,})")  # fmt: skip


def _shown(value: Any) -> Any:
    return "×".join(map(str, value)) if isinstance(value, tuple) else value


def _rows(name: str, images: Array, found: Survey, spec: RunSpec) -> dict[str, Any]:
    """Return a class's images as they are, transformed, and augmented."""
    values = range_of(found.data.train.images)
    rows = {"as they are": _tiles(images, values, f"{name}, as it is")}
    if len(images) and found.dataset.transforms:
        after = transformed(images, found.dataset, spec)
        rows["transformed"] = _tiles(after, _full(after), f"{name}, transformed")
        if found.augments:
            draws = np.concatenate([transformed(images[:2], found.dataset, spec, draw)
                                    for draw in range(_DRAWS)])  # fmt: skip
            rows["as training sees them"] = _tiles(draws, _full(draws), f"{name}, as in training")
    return {"name": name, "rows": rows}


def _full(images: Array) -> tuple[float, float]:
    return float(images.min()), float(images.max())


def _tiles(images: Array, values: tuple[float, float], alt: str) -> list[Picture]:
    return [picture(pixels_of(image, values), alt, most=64) for image in images]
