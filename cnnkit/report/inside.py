"""Inside: a network's kernels, what its layers make of an image, and what each layer costs."""

from __future__ import annotations

import warnings
from typing import Any

from cnnkit.arrays import Array, flatten, size
from cnnkit.base import Data, show
from cnnkit.base.place import spoken
from cnnkit.engine.profile import Timing, profile
from cnnkit.model import Model
from cnnkit.plan import make_plan
from cnnkit.report.page import headed
from cnnkit.report.png import Picture, beside, largest, picture, pixels_of, signed
from cnnkit.specfile.runspec import RunSpec
from cnnkit.values import Range

_BANKS, _KERNELS, _CHANNELS, _MAPS, _STRIPS = 2, 16, 8, 8, 16
_MOST_MACS = 200_000_000
"""Multiply-accumulates per image above which timing the layers would keep people waiting."""


def chosen(count: int, most: int) -> list[int]:
    """Return at most `most` of `count` places, spread evenly.

    >>> chosen(3, 8), chosen(64, 4)
    ([0, 1, 2], [0, 16, 32, 48])
    """
    return list(range(count)) if count <= most else [i * count // most for i in range(most)]


def of_all(shown: int, count: int, what: str) -> str:
    """Return "8 of 64 maps", or "6 maps" where all are shown."""
    return f"{count:,} {what}" if shown == count else f"{shown} of {count:,} {what}"


def banks(model: Model) -> dict[str, Array]:
    """Return the kernels (F, C, h, w) among the weights, by layer."""
    return {
        path.rpartition("/")[0]: w for path, w in flatten(model.weights).items()
        if w.ndim == 4 and w.shape[2] * w.shape[3] > 1 and path in model.learning
    }  # fmt: skip


def kernel_tile(kernel: Array, limit: float) -> Array:
    """Return a kernel (C, h, w) as colours, its channels side by side."""
    return beside([signed(kernel[c], limit) for c in chosen(len(kernel), _CHANNELS)])


def kernels(model: Model) -> list[tuple[str, list[Picture]]]:
    """Return the kernels of the first layers that have any."""
    found = []
    for path, bank in list(banks(model).items())[:_BANKS]:
        filters, channels = bank.shape[:2]
        places = chosen(filters, _KERNELS)
        few = chosen(channels, _CHANNELS)
        limit = largest(bank)
        title = f"{spoken(path)}: {of_all(len(places), filters, 'kernels')} of "
        title = headed(title) + f"{bank.shape[2]}×{bank.shape[3]}"
        if channels > 1:
            title += f", {of_all(len(few), channels, 'channels')} each side by side"
        tiles = [
            picture(kernel_tile(bank[f], limit), f"kernel {f + 1} of {spoken(path)}, values from "
                    f"{bank[f].min():.2g} to {bank[f].max():.2g}", str(f + 1))
            for f in places
        ]  # fmt: skip
        found.append((title, tiles))
    return found


def map_tiles(path: str, maps: Array, places: list[int], limit: float) -> list[Picture]:
    """Return maps (C, H, W) of a layer as pictures."""
    return [
        picture(signed(maps[c], limit), f"map {c + 1} of {spoken(path)}: values from "
                f"{maps[c].min():.3g} to {maps[c].max():.3g}", str(c + 1), most=64)
        for c in places
    ]  # fmt: skip


def strips(model: Model, data: Data, values: Range) -> tuple[str, list[Any]]:
    """Return a heading and, for one test image, a strip of every layer's maps."""
    image = data.test.images[0]
    name = data.classes[int(data.test.labels[0])]
    first = picture(pixels_of(image, values), f"test image 0: {name}", name)
    rows: list[Any] = [("What goes in", [first])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one image may be unlike all: that is no news
        given = model.activations(image[None])
    all_maps = [(path, batch[0]) for path, batch in given.items()
                if batch.ndim == 4 and batch.shape[2] * batch.shape[3] > 1]  # fmt: skip
    few = chosen(len(all_maps), _STRIPS)
    for path, maps in (all_maps[i] for i in few):
        places = chosen(len(maps), _MAPS)
        title = f"{headed(spoken(path))}: {of_all(len(places), len(maps), 'maps')} of "
        title += f"{maps.shape[1]}×{maps.shape[2]}"
        rows.append((title, map_tiles(path, maps, places, largest(maps))))
    layers = (
        "the layers" if len(few) == len(all_maps) else of_all(len(few), len(all_maps), "layers")
    )
    return f"What {layers} make of one test image ({name})", rows


def layer_table(model: Model, spec: RunSpec) -> dict[str, Any]:
    """Return a row per layer, with its time where that is quickly measured."""
    rows = model.summary()
    macs = sum(row.macs for row in rows)
    times: dict[str, Timing] = {}
    if macs <= _MOST_MACS:
        repeats = 3 if macs > _MOST_MACS / 100 else 10
        plan = make_plan(model.network, spec.loss)
        times = {t.path: t for t in profile(model, plan, spec.train.batch, repeats)}
    whole = sum(t.forward + t.backward for t in times.values()) or 1.0
    table = [
        {
            "place": row.place, "type": row.layer.type, "shape": show(row.shape),
            "weights": row.weights, "macs": row.macs, "memory": size(row.memory),
            **_time(times.get(row.path), whole),
        }
        for row in rows
    ]  # fmt: skip
    said = f"{sum(row.weights for row in rows):,} weights, {macs:,} multiplications an image"
    if times:
        slowest = max(times.values(), key=lambda t: t.forward + t.backward)
        share = (slowest.forward + slowest.backward) / whole
        name = "The loss" if slowest.path == "loss" else headed(spoken(slowest.path))
        said = f"{name} takes {share:.0%} of the time of a training step"
    total = {
        "weights": sum(row.weights for row in rows),
        "macs": macs,
        "memory": size(sum(row.memory for row in rows)),
        "time": whole if times else None,
    }
    return {"said": said, "rows": table, "total": total, "loss": _time(times.get("loss"), whole)}


def _time(timing: Timing | None, whole: float) -> dict[str, Any]:
    if timing is None:
        return {"forward": None, "backward": None, "share": 0.0}
    share = (timing.forward + timing.backward) / whole
    return {"forward": timing.forward * 1e6, "backward": timing.backward * 1e6, "share": share}
