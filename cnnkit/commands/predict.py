"""`cnnkit predict`: name the classes of pictures or arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import predicted_classes, show
from cnnkit.commands._console import News, emit, emit_json, table
from cnnkit.commands._plugins import begin
from cnnkit.datasets.files import problem
from cnnkit.datasets.image_folder import read_picture
from cnnkit.datasets.npz import npz_names, read_npy, read_npz, some
from cnnkit.errors import RunError
from cnnkit.model import Model
from cnnkit.registry import Registry
from cnnkit.runs.directory import Kind, find_run
from cnnkit.values import check_like
from cnnkit.workers import Threads

_ARRAYS = (".npy", ".npz")
_NAMES = ("images", "x_test", "x")
"""What images may be called in a file of several arrays; the first one found is taken."""


def predict(
    run: Path,
    files: list[Path],
    /,
    *,
    checkpoint: Literal["last", "best"] = "last",
    quiet: bool = False,
    json: bool = False,
) -> None:
    """Name the classes of pictures or arrays.

    Args:
        run: a run directory, a checkpoint, or a file that Model.save wrote.
        files: pictures (any format that Pillow reads), or arrays as .npy or .npz.
        checkpoint: the weights after the "last" epoch (the default), or after the "best" one.
        quiet: print no notes about pictures that were brought to the model's size.
        json: print one JSON document.
    """
    news, registry = begin(quiet)
    model = _model(run, checkpoint, registry, news)
    read = [(file, read_images(file, model, news)) for file in files]
    with Threads() as pool:
        found = [one for file, images in read for one in _predict(model, file, images, pool)]
    if json:
        emit_json(found)
        return
    made = table("image", "class", "probability", right=("probability",))
    for one in found:
        of_many = Path(one["file"]).suffix in _ARRAYS
        label = f"{one['file']}[{one['index']}]" if of_many else one["file"]
        share = "-" if one["probability"] is None else f"{one['probability']:.4f}"
        made.add_row(label, one["class"], share)
    emit(made)


def _model(run: Path, checkpoint: Kind, registry: Registry, news: News) -> Model:
    """Load the model of a run directory, a checkpoint or a file that `Model.save` wrote."""
    if not run.exists():
        raise RunError(
            f"there is no run {run}; expected a directory made by `cnnkit run`, or a model's file"
        )
    if not run.is_dir():
        return Model.load(run, registry)
    stored = find_run(run)
    if note := stored.unfinished():
        news.say(note)
    return Model.load(stored.checkpoint(checkpoint), registry)


def _predict(model: Model, file: Path, images: Array, pool: Threads) -> Iterator[dict[str, Any]]:
    """Yield what is said of each image; a probability of None where the network gives none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # read_images has said so, and of which file
        y, head = model.predict(images, threads=pool), model.layers[-1]
    highest: Array | None = y.max(axis=1) if head.probabilities else None
    if y.shape[1] == 1:  # one output: the probability of class 1
        highest = np.maximum(y[:, 0], 1 - y[:, 0]) if head.type == "sigmoid" else None
    for index, best in enumerate(map(int, predicted_classes(y))):
        yield {
            "file": str(file),
            "index": index,
            "class": model.classes[best] if best < len(model.classes) else str(best),
            "class_index": best,
            "probability": None if highest is None else float(highest[index]),
        }


def read_images(file: Path, model: Model, news: News) -> Array:
    """Return the images of `file`, (N, *shape), as the model takes them, untransformed.

    A picture is brought to the model's size and colours, with a note; an array never is.

    Raises:
        DataError: where the file cannot be read, or does not have the model's shape, or the model's
            transforms change shapes, so that it cannot be told, or it has no classes.
    """
    if len(model.output_shape) != 1:
        what, got = "it gives maps, not a number per class", f"shape {show(model.output_shape)}"
        raise problem("the model", what, got=got, help="call Model.predict from Python")
    shape = model.input_shape
    for transform in model.transforms:
        shape = transform.output_shape(shape)
    if shape != model.input_shape:
        what = "its transforms change the shape of images, so predict cannot tell which shape to "
        help = "call Model.predict from Python"
        raise problem("the model", f"{what}bring them to", help=help)
    is_array = file.suffix in _ARRAYS
    images = _fit(read_array(file), shape, file) if is_array else _picture(file, shape, news)[None]
    if model.trained_on and (unlikely := check_like(images, model.trained_on, str(file))):
        news.warn(unlikely)
    return images


def read_array(file: Path) -> Array:
    """Return the file's array as uint8 or float32, whatever its shape.

    Raises:
        DataError: where it cannot be read, or holds other numbers than images have.
    """
    is_npy = file.suffix == ".npy"
    array, _ = read_npy(file) if is_npy else read_npz(file, _member_name(file))
    if array.dtype.kind == "f":
        if np.isfinite(array).all():
            return array.astype(np.float32)
        raise problem(file, f"{file.name} holds NaN or infinity")
    if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 255:
        return array.astype(np.uint8)
    what, got = f"{file.name} does not hold images", f"{array.size} values of dtype {array.dtype}"
    raise problem(file, what, expected="whole numbers within 0..255, or floats", got=got)


def _member_name(file: Path) -> str:
    """Return the name of the array of images in an npz file."""
    names = npz_names(file)
    known = names if len(names) == 1 else [name for name in _NAMES if name in names]
    if known:
        return known[0]
    what = f"{file.name} holds several arrays, and none is called {_NAMES[0]}"
    help = f"save the images alone, or call them {_NAMES[0]}"
    raise problem(file, what, got=some(names) or "no arrays", help=help)


def _fit(array: Array, shape: Shape, file: Path) -> Array:
    """Return the array as (N, *shape): channels last or left out, and a single image, are fine."""
    for view in (array, array[None]):
        if view.shape[1:] == shape:
            return view
        if len(shape) == 3 and view.shape[1:] == (*shape[1:], shape[0]):
            return np.moveaxis(view, -1, 1)
        if len(shape) == 3 and shape[0] == 1 and view.shape[1:] == shape[1:]:
            return view[:, None]
    what = f"{file.name} does not hold images of the model's shape"
    expected, got = f"shape (N,{show(shape)[1:]}", f"shape {show(array.shape)}"
    help = "arrays are never resized: bring them to that shape first"
    raise problem(file, what, expected=expected, got=got, help=help)


def _picture(file: Path, shape: Shape, news: News) -> Array:
    """Return a picture (C, H, W) uint8, and say what was done to it."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        what = f"{file.name} is a picture, but the model takes inputs of shape {show(shape)}"
        raise problem(file, what, expected="an array as .npy or .npz")
    colours = read_picture(file, "rgb", None)
    is_gray = bool((colours == colours[0]).all())
    picture = read_picture(file, "grayscale" if shape[0] == 1 else "rgb", shape[1:])
    done = []
    if is_gray != (shape[0] == 1):
        done.append("repeated in three channels" if is_gray else "turned to grayscale")
    if colours.shape[1:] != shape[1:]:
        before, after = ("x".join(map(str, size[1:])) for size in (colours.shape, shape))
        done.append(f"resized from {before} to {after}")
    if done:
        news.say(f"note: {file}: {' and '.join(done)}, as the model takes {show(shape)}")
    return picture
