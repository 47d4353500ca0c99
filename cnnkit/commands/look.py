"""`cnnkit look`: see the data of a spec before any training."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit.arrays import Array
from cnnkit.commands._console import emit, emit_json, table
from cnnkit.commands._plugins import begin, read_spec
from cnnkit.plugins import plugin_words
from cnnkit.report.judged import range_of
from cnnkit.report.looking import Survey, look_page, samples, survey, transformed
from cnnkit.report.page import write_page
from cnnkit.report.png import pixels_of
from cnnkit.runs.data import data_paths, load_data, parts_of
from cnnkit.specfile.runspec import RunSpec

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_CLASSES, _SIDE = 20, 16
"""Classes whose images a terminal shows, and the widest of these, in characters."""


def look(
    spec: Path,
    /,
    *,
    set: tuple[str, ...] = (),
    html: Path | None = None,
    data_dir: Path | None = None,
    json: bool = False,
) -> None:
    """See the data of a spec before any training: images by class and part, values of pixels,
    duplicates, what may spoil a training, and in a terminal with colours an image of each class.

    Args:
        spec: a TOML file.
        set: KEY=VALUE laid over the spec, such as data.path=new.npz; may be repeated.
        html: a page to write, with images of every class before and after the transforms.
        data_dir: a folder of downloaded datasets; by default CNNKIT_DATA_DIR.
        json: print one JSON document.
    """
    news, registry = begin()
    loaded = read_spec(spec, set, registry, news)
    paths = data_paths(loaded, data_dir, news.say, progress=news.screen.is_terminal)
    data, dataset = load_data(loaded.data, paths, allow_fallback=True)
    found = survey(parts_of(data, dataset, loaded.seed), dataset, loaded)
    for line in found.warnings:
        news.warn(line)
    if html is not None:
        options = [word for one in set for word in ("--set", one)]
        words = ["cnnkit", "look", str(spec), *options, "--html", str(html), *plugin_words()]
        write_page(html, look_page(found, loaded, " ".join(map(shlex.quote, words))))
    if json:
        emit_json(_facts(found) | {"html": html and str(html)})
        return
    emit(_counts(found), "", _values(found), *_images(found, loaded))
    if html is not None:
        emit(f"\n{html}")


def _facts(found: Survey) -> dict[str, Any]:
    parts = list(found.data.splits())
    classes = [{"class": name, **dict(zip(parts, row.tolist(), strict=True))}
               for name, row in zip(found.data.classes, found.counts, strict=True)]  # fmt: skip
    return {"dataset": found.data.name, "classes": classes, "values": found.values,
            "warnings": found.warnings}  # fmt: skip


def _counts(found: Survey) -> Table:
    parts = list(found.data.splits())
    made = table("class", *parts, right=parts, total=("all", *(f"{n:,}" for n in
                 found.counts.sum(axis=0))))  # fmt: skip
    for name, row in zip(found.data.classes, found.counts, strict=True):
        made.add_row(name, *(f"{n:,}" for n in row))
    return made


def _values(found: Survey) -> Table:
    figures = ("lowest", "highest", "mean", "std", "duplicates")
    made = table("part", "images", *figures, right=figures)
    for part, facts in found.values.items():
        kind = f"{'x'.join(map(str, facts['shape']))} {facts['dtype']}"
        numbers = (f"{facts[name]:.4g}" if name in facts else "-" for name in figures)
        made.add_row(part, kind, *numbers)
    return made


def _images(found: Survey, spec: RunSpec) -> Iterator[Text | str]:
    """Yield an image of every class, as many side by side as fit; nothing without colours."""
    from cnnkit.commands._screen import Screen

    screen = Screen()
    if not screen.is_terminal or screen.color_system not in ("256", "truecolor"):
        return
    values = range_of(found.data.train.images)
    first = [(name, images) for name, images in samples(found, 1)[:_CLASSES] if len(images)]
    shown = [(name, _small(pixels_of(images[0], values))) for name, images in first]
    yield from _rows(shown, screen.width)
    if found.augments:
        seen = [(name, transformed(images, found.dataset, spec, 0)[0]) for name, images in first]
        yield "\nas training sees them"
        yield from _rows([(name, _small(pixels_of(image, (image.min(), image.max()))))
                          for name, image in seen], screen.width)  # fmt: skip


def _rows(shown: list[tuple[str, Array]], width: int) -> Iterator[Text | str]:
    """Yield pictures, as many side by side as fit."""
    wide = max((pixels.shape[1] for _, pixels in shown), default=1) + 2
    row = max(1, width // wide)
    for start in range(0, len(shown), row):
        yield ""
        yield _beside(shown[start : start + row], wide)


def _small(pixels: Array) -> Array:
    """Return a picture (H, W, 3) of at most _SIDE columns."""
    step = -(-pixels.shape[1] // _SIDE)
    thin = pixels[::step, ::step]
    return thin if thin.ndim == 3 else thin[..., None].repeat(3, axis=2)


def _beside(shown: list[tuple[str, Array]], wide: int) -> Text:
    """Return pictures side by side under their names: a half block shows two pixels."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    from cnnkit.commands._console import shown_text

    made = Text("".join(shown_text(name)[: wide - 2].ljust(wide) for name, _ in shown))
    rows = max(pixels.shape[0] for _, pixels in shown)
    for top in range(0, rows, 2):
        made.append("\n")
        for _, pixels in shown:
            pair = pixels[top : top + 2].tolist()
            for column in range(pixels.shape[1] if pair else 0):
                above, *below = [Color.from_rgb(*line[column]) for line in pair]
                made.append("▀", Style(color=above, bgcolor=below[0] if below else None))
            made.append(" " * (wide - (pixels.shape[1] if pair else 0)))
    return made
