"""Files that `cnnkit predict` is given, as images of the model's shape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import show
from cnnkit.commands._arrays import read_array
from cnnkit.commands._console import News
from cnnkit.datasets.image_file import read_picture
from cnnkit.datasets.problems import problem
from cnnkit.model import Model


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
