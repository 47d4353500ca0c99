"""`cnnkit predict`: name the classes of pictures or arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy

from cnnkit.arrays import Array, Shape
from cnnkit.base import predicted_classes, show
from cnnkit.commands._console import News, emit, emit_json, table
from cnnkit.commands._plugins import warn_of_broken
from cnnkit.commands._stored import load_model
from cnnkit.datasets.files import problem
from cnnkit.datasets.image_folder import read_picture
from cnnkit.datasets.npz import read_npz
from cnnkit.errors import DataError
from cnnkit.model import Model
from cnnkit.plugins import load_plugins
from cnnkit.workers import Threads

_NAMES = ("images", "x_test", "x")
"""What images may be called in a file of several arrays; the first one found is taken."""


def read_array(file: Path) -> Array:
    """Return the file's array as uint8 or float32, whatever its shape.

    Raises:
        DataError: where it cannot be read, or holds other numbers than images have.
    """
    array = _npy(file) if file.suffix == ".npy" else read_npz(file, _member_name(file)).array
    if array.dtype.kind == "f":
        if np.isfinite(array).all():
            return array.astype(np.float32)
        raise problem(file, f"{file.name} holds NaN or infinity")
    if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 255:
        return array.astype(np.uint8)
    raise problem(
        file,
        f"{file.name} does not hold images",
        expected="whole numbers within 0..255, or floats",
        got=f"{array.size} values of dtype {array.dtype}",
    )


def _npy(file: Path) -> Array:
    try:  # mapping allocates nothing, whatever size the header declares
        return np.asarray(npy.open_memmap(file, mode="r"))
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(file, error, "numpy.save") from error


def _member_name(file: Path) -> str:
    """Return the name of the array of images in an npz file."""
    try:
        with ZipFile(file) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, BadZipFile) as error:
        raise _unreadable(file, error, "numpy.savez") from error
    known = [name for name in _NAMES if name in names]
    if len(names) == 1 or known:
        return known[0] if known else names[0]
    raise problem(
        file,
        f"{file.name} holds several arrays, and none is called {_NAMES[0]}",
        got=", ".join(names) or "no arrays",
        help=f"save the images alone, or call them {_NAMES[0]}",
    )


def _unreadable(file: Path, error: Exception, writer: str) -> DataError:
    reason = getattr(error, "strerror", None) or str(error)
    expected = f"what {writer} writes"
    return problem(file, f"cannot read {file.name}: {reason}", expected=expected)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The images of one file, (N, *shape)."""

    file: Path
    images: Array
    is_array: bool

    def label(self, index: int) -> str:
        """Return what a person calls one of the images."""
        return f"{self.file}[{index}]" if self.is_array else str(self.file)


def read_inputs(file: Path, model: Model, news: News) -> Inputs:
    """Return the images of `file` as the model takes them, transforms not yet applied.

    A picture is brought to the model's size and colours, with a note; an array never is.

    Raises:
        DataError: where the file cannot be read, or does not have the model's shape.
    """
    shape = _taken(model)
    if file.suffix not in (".npy", ".npz"):
        return Inputs(file, _picture(file, shape, news)[None], is_array=False)
    images = _fit(read_array(file), shape, file)
    scales = any(transform.type == "scale" for transform in model.transforms)
    if scales and images.dtype.kind == "f" and 0 < images.max(initial=0) <= 1:
        news.warn(f"{file}: values lie within 0..1, but the model scales images of 0..255")
    return Inputs(file, images, is_array=True)


def _taken(model: Model) -> Shape:
    """Return the shape of an image before the transforms.

    Raises:
        DataError: where transforms change shapes, so that it cannot be told.
    """
    shape = model.input_shape
    for transform in model.transforms:
        shape = transform.output_shape(shape)
    if shape != model.input_shape:
        raise problem(
            "the model", "its transforms change the shape of images, so predict cannot tell which "
            "shape to bring them to", help="call Model.predict from Python",
        )  # fmt: skip
    return shape


def _fit(array: Array, shape: Shape, file: Path) -> Array:
    """Return the array as (N, *shape): channels last or left out, and a single image, are fine."""
    for view in (array, array[None]):
        if view.shape[1:] == shape:
            return view
        if len(shape) == 3 and view.shape[1:] == (*shape[1:], shape[0]):
            return np.moveaxis(view, -1, 1)
        if len(shape) == 3 and shape[0] == 1 and view.shape[1:] == shape[1:]:
            return view[:, None]
    raise problem(
        file,
        f"{file.name} does not hold images of the model's shape",
        expected=f"shape (N,{show(shape)[1:]}",
        got=f"shape {show(array.shape)}",
        help="arrays are never resized: bring them to that shape first",
    )


def _picture(file: Path, shape: Shape, news: News) -> Array:
    """Return a picture (C, H, W) uint8, and say what was done to it."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise problem(
            file,
            f"{file.name} is a picture, but the model takes inputs of shape {show(shape)}",
            expected="an array as .npy or .npz",
        )
    colours = read_picture(file, "rgb", None)
    is_gray = bool((colours == colours[0]).all())
    picture = read_picture(file, "grayscale" if shape[0] == 1 else "rgb", shape[1:])
    done = []
    if is_gray != (shape[0] == 1):
        done.append("repeated in three channels" if is_gray else "turned to grayscale")
    if colours.shape[1:] != shape[1:]:
        done.append(f"resized from {_size(colours.shape)} to {_size(shape)}")
    if done:
        news.say(f"note: {file}: {' and '.join(done)}, as the model takes {show(shape)}")
    return picture


def _size(shape: Shape) -> str:
    return f"{shape[-2]}x{shape[-1]}"


@dataclass(frozen=True, slots=True)
class Prediction:
    """One image's class; `probability` is None where the network gives no probabilities."""

    file: str
    index: int
    class_name: str
    class_index: int
    probability: float | None

    def as_json(self) -> dict[str, Any]:
        """Return the fields under the names of the JSON output."""
        return {
            "file": self.file, "index": self.index, "class": self.class_name,
            "class_index": self.class_index, "probability": self.probability,
        }  # fmt: skip


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
    news, registry = News(quiet), load_plugins()
    warn_of_broken(registry, news)
    model = load_model(run, checkpoint, registry)
    read = [read_inputs(file, model, news) for file in files]
    with Threads() as pool:
        found = [p for inputs in read for p in _predict(model, inputs, pool)]
    if json:
        emit_json([one.as_json() for one in found])
        return
    made = table("image", "class", "probability", right=("probability",))
    for inputs in read:
        for one in found[: len(inputs.images)]:
            share = "-" if one.probability is None else f"{one.probability:.4f}"
            made.add_row(inputs.label(one.index), one.class_name, share)
        del found[: len(inputs.images)]
    emit(made)


def _predict(model: Model, inputs: Inputs, pool: Threads) -> list[Prediction]:
    y = model.predict(inputs.images, threads=pool)
    classes, shares = predicted_classes(y), _probabilities(model, y)
    return [
        Prediction(
            str(inputs.file), index, _name(model, int(best)), int(best),
            None if shares is None else float(shares[index]),
        )
        for index, best in enumerate(classes)
    ]  # fmt: skip


def _probabilities(model: Model, y: Array) -> Array | None:
    """Return the probability of every predicted class, (N,), where the head gives such."""
    if y.shape[1] == 1:  # one output: the probability of class 1
        is_probability = model.layers[-1].type == "sigmoid"
        return np.maximum(y[:, 0], 1 - y[:, 0]) if is_probability else None
    highest: Array = y.max(axis=1)
    return highest if model.layers[-1].probabilities else None


def _name(model: Model, index: int) -> str:
    return model.classes[index] if index < len(model.classes) else str(index)
