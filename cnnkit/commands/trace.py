"""`cnnkit trace`: follow one image through a network, on a page."""

from __future__ import annotations

import shlex
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from cnnkit.arrays import FRESH, Array
from cnnkit.base import Data, DatasetInfo
from cnnkit.commands._console import News, emit
from cnnkit.commands._plugins import begin, read_spec
from cnnkit.commands.evaluate import data_of
from cnnkit.commands.predict import background_of, image_of
from cnnkit.errors import DataError
from cnnkit.examined import check_images
from cnnkit.model import Model
from cnnkit.plugins import plugin_words
from cnnkit.prediction import prepare
from cnnkit.registry import Registry
from cnnkit.report.judged import range_of
from cnnkit.report.page import write_page
from cnnkit.report.trace_page import summary_of, trace_page
from cnnkit.report.tracing import trace as trace_image
from cnnkit.runs.data import data_paths, load_data
from cnnkit.runs.directory import StoredRun, find_run
from cnnkit.specfile.checks import network_input
from cnnkit.specfile.load import recheck
from cnnkit.specfile.runspec import RunSpec

TRACE = "trace.html"


def trace(
    run: Path,
    image: str = "0",
    /,
    *,
    random: bool = False,
    out: Path | None = None,
    checkpoint: Literal["last", "best"] = "last",
    data_dir: Path | None = None,
) -> None:
    """Follow one image through a network: what every layer makes of it, what mattered in it, and
    the gradients on their way back; one page to open in any browser.

    Args:
        run: a run directory; or a spec, whose weights are then random.
        image: a picture, an .npy or .npz file of one image, or the index of a test image.
        random: take some test image.
        out: the file to write; by default trace.html in the run's folder, or for a spec, here.
        checkpoint: the weights after the "last" epoch (the default), or after the "best" one.
        data_dir: a folder of downloaded datasets; by default CNNKIT_DATA_DIR.
    """
    news, registry = begin()
    if run.is_dir():
        network = _of_run(find_run(run), registry, checkpoint)
    else:
        network = _of_spec(run, registry, data_dir, news)
    chosen = _chosen(network, image, random, data_dir, news)
    model = network.model
    low, high = (model.trained_on or range_of(chosen.image))[:2]
    words = ["cnnkit", "trace", str(run), image if chosen.index is None else str(chosen.index)]
    words += plugin_words()
    x = _entering(model, chosen.image)
    html = trace_page(
        model, trace_image(model, network.spec.loss, x, chosen.label), chosen.image, (low, high),
        source=chosen.source, label=chosen.label,
        about={"Network": network.words, "Layers": summary_of(model.layers)},
        command=" ".join(map(shlex.quote, words)),
    )  # fmt: skip
    path = out or (run / TRACE if run.is_dir() else Path(TRACE))
    write_page(path, html)
    emit(str(path))


def _entering(model: Model, image: Array) -> Array:
    """Return an image as it enters the first layer, (1, *input shape).

    Raises:
        DataError: where it does not fit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a file it is said by now; of one of many it is no news
        check_images(model, image[None])
    return np.array(prepare(image[None], model.transforms, model.dtype, None, FRESH))


@dataclass(frozen=True, slots=True)
class _Network:
    """What an image goes through: a run's network, or one with random weights and its data."""

    spec: RunSpec
    model: Model
    words: str
    background: str
    stored: StoredRun | None = None
    data: Data | None = None


def _of_run(stored: StoredRun, registry: Registry, checkpoint: Literal["last", "best"]) -> _Network:
    spec = stored.spec(registry)
    model = Model.load(stored.checkpoint(checkpoint), registry)
    words = f"{spec.name}, the {checkpoint} weights of {stored.path}"
    return _Network(spec, model, words, background_of(stored.path, registry), stored)


def _of_spec(path: Path, registry: Registry, data_dir: Path | None, news: News) -> _Network:
    """Draw the weights that a run of the spec would begin with."""
    spec = read_spec(path, (), registry, news)
    paths = data_paths(spec, data_dir, news.say, progress=news.screen.is_terminal)
    data, dataset = load_data(spec.data, paths, allow_fallback=True)
    info = DatasetInfo(data.train.images.shape[1:], len(data.classes))
    recheck(spec, dataset, info)
    model = Model.build(
        spec.model.layers, network_input(dataset, info), seed=spec.seed, dtype=spec.model.dtype,
        transforms=dataset.transforms, classes=data.classes,
        trained_on=range_of(data.train.images),
    )  # fmt: skip
    words = f"{spec.name} before any training: random weights, seed {spec.seed}"
    return _Network(spec, model, words, getattr(dataset, "background", "white"), data=data)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """An image, where it came from, and its label and index where it is a test image."""

    image: Array
    source: str
    label: int | None = None
    index: int | None = None


def _chosen(
    network: _Network, image: str, random: bool, data_dir: Path | None, news: News
) -> _Chosen:
    """Return the image that was asked for.

    Raises:
        DataError: where there is none, or it cannot be read.
    """
    if not random and (Path(image).exists() or not image.isdecimal()):
        found = image_of(network.model, Path(image), network.background, news)
        return _Chosen(found, image)
    data = network.data
    if data is None and network.stored is not None:
        paths = data_paths(network.spec, data_dir, news.say, progress=news.screen.is_terminal)
        data = data_of(network.spec, network.stored, paths, network.model)
    if data is None or not len(data.test):
        raise DataError("there are no test images to choose from; name a picture")
    index = int(np.random.default_rng().integers(len(data.test))) if random else int(image)
    if index >= len(data.test):
        raise DataError(
            f"{data.name} has no test image {index}\n"
            f"   = expected: 0 to {len(data.test) - 1}, or a file"
        )
    label = int(data.test.labels[index])
    return _Chosen(data.test.images[index], f"test image {index} of {data.name}", label, index)
