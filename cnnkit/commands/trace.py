"""`cnnkit trace`: follow one image through a network, on a page."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from cnnkit.arrays import FRESH, Array
from cnnkit.base import Data, DataPaths
from cnnkit.commands._console import News, emit
from cnnkit.commands._plugins import begin, read_spec
from cnnkit.commands.evaluate import data_of, spec_of
from cnnkit.commands.predict import background_of, image_of
from cnnkit.errors import DataError
from cnnkit.examined import check_images
from cnnkit.model import Model
from cnnkit.plugins import plugin_words
from cnnkit.prediction import prepare as transformed
from cnnkit.registry import Registry
from cnnkit.report.judged import range_of
from cnnkit.report.page import write_page
from cnnkit.report.subject import in_a_line
from cnnkit.report.trace_page import trace_page
from cnnkit.report.tracing import trace as trace_image
from cnnkit.runs.data import data_paths
from cnnkit.runs.directory import Kind, find_run
from cnnkit.runs.prepare import prepare
from cnnkit.specfile.runspec import RunSpec

_Files = Callable[[RunSpec], DataPaths]
TRACE = "trace.html"


def trace(
    run: Path,
    image: str = "0",
    /,
    *,
    set: tuple[str, ...] = (),
    random: bool = False,
    out: Path | None = None,
    checkpoint: Literal["last", "best"] = "last",
    data_dir: Path | None = None,
) -> None:
    """Follow one image through a network: what every layer makes of it, what mattered in it, and
    the gradients on their way back; one page to open in any browser.

    Args:
        run: a run directory; or a spec, before any training.
        image: a picture, an .npy or .npz file of one image, or the index of a test image.
        set: KEY=VALUE laid over the spec, such as model.layers.0.filters=8; may be repeated. Of a
            run, its data alone can be set.
        random: take some test image.
        out: the file to write; by default trace.html in the run's folder, or for a spec, here.
        checkpoint: the weights after the "last" epoch (the default), or after the "best" one.
        data_dir: a folder of downloaded datasets; by default CNNKIT_DATA_DIR.
    """
    news, registry = begin()
    files = partial(_paths, data_dir, news)
    if run.is_dir():
        network = _of_run(run, registry, set, checkpoint, files)
    else:
        network = _of_spec(read_spec(run, set, registry, news), files)
    model, chosen = network.model, _chosen(network, image, random, news)
    low, high = (model.trained_on or range_of(chosen.image))[:2]
    words = ["cnnkit", "trace", str(run), image if chosen.index is None else str(chosen.index),
             *(word for one in set for word in ("--set", one)), *plugin_words()]  # fmt: skip
    traced = trace_image(model, network.spec.loss, _entering(model, chosen.image), chosen.label)
    about = {"Network": network.words, "Layers": in_a_line(model.layers)}
    html = trace_page(model, traced, chosen.image, (low, high), source=chosen.source,
                      label=chosen.label, about=about, command=shlex.join(words),
                      untrained=network.untrained)  # fmt: skip
    path = out or (run / TRACE if run.is_dir() else Path(TRACE))
    write_page(path, html)
    emit(str(path))


def _paths(data_dir: Path | None, news: News, spec: RunSpec) -> DataPaths:
    return data_paths(spec, data_dir, news.say, progress=news.screen.is_terminal)


def _entering(model: Model, image: Array) -> Array:
    """Return an image as it enters the first layer, (1, *input shape).

    Raises:
        DataError: where it does not fit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a file it is said by now; of one of many it is no news
        check_images(model, image[None])
    return np.array(transformed(image[None], model.transforms, model.dtype, None, FRESH))


@dataclass(frozen=True, slots=True)
class _Network:
    """What an image goes through: a run's network, or one before any training; and its data, which
    are loaded when a test image is asked for."""

    spec: RunSpec
    model: Model
    words: str
    background: str
    data: Callable[[], Data]
    untrained: bool = False


def _of_run(
    run: Path, registry: Registry, set: tuple[str, ...], checkpoint: Kind, files: _Files
) -> _Network:
    stored = find_run(run)
    spec = spec_of(stored, registry, set, takes=["data"])
    model = Model.load(stored.checkpoint(checkpoint), registry)
    words = f"{spec.name}, the {checkpoint} weights of {stored.path}"
    return _Network(spec, model, words, background_of(stored.path, registry),
                    lambda: data_of(spec, stored, files(spec), model, set))  # fmt: skip


def _of_spec(spec: RunSpec, files: _Files) -> _Network:
    """Take the weights that a run of the spec would begin with."""
    ready = prepare(spec, files(spec))
    weights = f"random weights, seed {spec.seed}"
    weights = f"the weights of {ready.origin.file}" if ready.origin else weights
    words = f"{spec.name} before any training: {weights}"
    background = getattr(ready.dataset, "background", "white")
    drawn = ready.origin is None
    return _Network(ready.spec, ready.model, words, background, lambda: ready.data, drawn)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """An image, where it came from, and its label and index where it is a test image."""

    image: Array
    source: str
    label: int | None = None
    index: int | None = None


def _chosen(network: _Network, image: str, random: bool, news: News) -> _Chosen:
    """Return the image that was asked for.

    Raises:
        DataError: where there is none, or it cannot be read.
    """
    if not random and (Path(image).exists() or not image.isdecimal()):
        found = image_of(network.model, Path(image), network.background, news)
        return _Chosen(found, image)
    data = network.data()
    if not len(data.test):
        raise DataError("there are no test images to choose from; name a picture")
    index = int(np.random.default_rng().integers(len(data.test))) if random else int(image)
    if index >= len(data.test):
        raise DataError(
            f"{data.name} has no test image {index}\n"
            f"   = expected: 0 to {len(data.test) - 1}, or a file"
        )
    label = int(data.test.labels[index])
    return _Chosen(data.test.images[index], f"test image {index} of {data.name}", label, index)
