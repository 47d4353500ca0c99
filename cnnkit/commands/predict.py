"""`cnnkit predict`: name the classes of pictures or arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from csv import writer as csv_writer
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import predicted_classes, show
from cnnkit.commands._console import News, emit, emit_json, table
from cnnkit.commands._plugins import begin
from cnnkit.datasets.files import problem, some
from cnnkit.datasets.folders import Passed, pictures_below
from cnnkit.datasets.npz import npz_names, read_npy, read_npz
from cnnkit.datasets.pictures import Reader, amount, need_pillow, together
from cnnkit.errors import CnnkitError, DataError, RunError
from cnnkit.model import FAMILIES_OF_A_MODEL, Model
from cnnkit.registry import Registry
from cnnkit.runs.directory import Kind, find_run
from cnnkit.values import check_like
from cnnkit.workers import Threads

_ARRAYS = (".npy", ".npz")
_NAMES = ("images", "x_test", "x")
"""What images may be called in a file of several arrays; the first one found is taken."""
_PICTURES = "pixels of pictures are 0..255: save them as an array (.npy) in the range of training"


def predict(
    run: Path,
    files: list[Path],
    /,
    *,
    checkpoint: Literal["last", "best"] = "last",
    top: int = 1,
    csv: Path | None = None,
    backend: str = "numpy",
    quiet: bool = False,
    json: bool = False,
) -> int:
    """Name the classes of pictures or arrays.

    Files that cannot be used are listed at the end. The exit code is 2 where there are any.

    Args:
        run: a run directory, a checkpoint, or a file that Model.save wrote.
        files: pictures, folders of pictures, or arrays as .npy or .npz.
        checkpoint: the weights after the "last" epoch (the default), or after the "best" one.
        top: how many classes are named for each image, the most probable first.
        csv: a new file for the table, comma-separated.
        backend: what computes, whatever the model was trained with: numpy, or such as native.
        quiet: print no notes about pictures that were brought to the model's size.
        json: print one JSON document, with the probabilities of all classes.
    """
    news, registry = begin(quiet)
    if top < 1:
        raise CnnkitError(f"--top must be at least 1, got {top}")
    model = _model(run, checkpoint, registry, news, backend)
    found, failed = _judge(model, files, news, background_of(run, registry))
    rows = [row for one in found for row in _rows(one, model, top)]
    if csv is not None:
        _write_csv(csv, rows, news)
    if json:
        emit_json([*found, *(_LOST | {"file": str(f), "error": str(e)} for f, e in failed.items())])
    elif rows and csv is None:
        _print(rows)
    if failed:
        errors = list(dict.fromkeys(failed.values()))
        news.error(f"error: {together(errors, len(found) + len(failed))}")
    return CnnkitError.exit_code if failed else 0


_Row = tuple[str, str, float | None]
Found = dict[str, Any]
"""What is said of an image: a probability of None where the network gives none."""
_LOST: Found = dict.fromkeys(("index", "class", "class_index", "probability", "probabilities"))


def _judge(
    model: Model, files: list[Path], news: News, background: str
) -> tuple[list[Found], dict[Path, DataError]]:
    """Return what is said of each image, and what is wrong with the files that cannot be used."""
    shape, failed = _image_shape(model), dict[Path, DataError]()
    size = (shape[1], shape[2]) if len(shape) == 3 else None
    reader = Reader("grayscale" if shape[0] == 1 else "rgb", size, background)
    images: dict[Path, Array] = {}
    for file in _expanded(files, news, failed):
        try:
            if file.suffix in _ARRAYS:
                images[file] = _checked(_fit(read_array(file), shape, file), model, file, news)
            else:
                images[file] = _picture(file, shape, reader)[None]
        except DataError as error:
            failed[file] = error
    pictures = [file for file in images if file.suffix not in _ARRAYS]
    if pictures:
        where = str(pictures[0]) if len(pictures) == 1 else f"{len(pictures)} pictures"
        try:
            all_of_them = np.concatenate([images[file] for file in pictures])
            _checked(all_of_them, model, where, news, _PICTURES)
        except DataError as error:
            failed |= dict.fromkeys(pictures, error)
    for line in [*reader.notes(), *_changes(reader, shape)]:
        news.say(line)
    with Threads() as pool:
        found = [one for file in images if file not in failed
                 for one in _predict(model, file, images[file], pool)]  # fmt: skip
    return found, failed


def image_of(model: Model, file: Path, background: str, news: News) -> Array:
    """Return the one image in a picture or a file of arrays, as `predict` reads it.

    Raises:
        DataError: where it cannot be read, does not fit the model, or there are several.
    """
    shape = _image_shape(model)
    if file.suffix in _ARRAYS:
        images = _fit(read_array(file), shape, file)
        if len(images) != 1:
            raise problem(file, f"{file.name} holds {len(images)} images", expected="one")
    else:
        reader = Reader("grayscale" if shape[0] == 1 else "rgb", shape[1:], background)  # type: ignore[arg-type]
        images = _picture(file, shape, reader)[None]
        for line in [*reader.notes(), *_changes(reader, shape)]:
            news.say(line)
    image: Array = _checked(images, model, file, news)[0]
    return image


def _expanded(files: list[Path], news: News, failed: dict[Path, DataError]) -> list[Path]:
    """Return the files, with the pictures in folders in the place of these."""
    found: list[Path] = []
    for file in files:
        if not file.is_dir():
            found.append(file)
            continue
        passed = Passed(file)
        pictures = pictures_below(file, passed)
        passed.tell(news.say)
        if not pictures:
            failed[file] = problem(file, f"there are no pictures in {file.name}")
        found += pictures
    return found


def _changes(reader: Reader, shape: Shape) -> Iterator[str]:
    takes = f", as the model takes {show(shape)}"
    turned = "turned to grayscale" if shape[0] == 1 else "repeated in three channels"
    resized = f"resized to {shape[-2]}x{shape[-1]}"
    for names, done in ((reader.resized, resized), (reader.recoloured, turned)):
        if names:
            yield f"note: {amount(names)} {done}{takes}: {some(names, most=3)}"


def _rows(one: Found, model: Model, top: int) -> list[_Row]:
    """Return the image, class and probability of the `top` classes; the image on the first."""
    of_many = Path(one["file"]).suffix in _ARRAYS
    label = f"{one['file']}[{one['index']}]" if of_many else one["file"]
    rows = [(one["class"], one["probability"])]
    if top > 1 and one["probabilities"] is not None:
        ranked = sorted(one["probabilities"].items(), key=lambda pair: -pair[1])
        rows = ranked[:top]
    return [(label if not place else "", name, share) for place, (name, share) in enumerate(rows)]


def _print(rows: list[_Row]) -> None:
    made = table("image", "class", "probability", right=("probability",))
    for image, name, share in rows:
        made.add_row(image, name, "-" if share is None else f"{share:.4f}")
    emit(made)


def _write_csv(file: Path, rows: list[_Row], news: News) -> None:
    try:
        with file.open("x", encoding="utf-8", newline="") as stream:
            writer = csv_writer(stream)
            writer.writerow(("image", "class", "probability"))
            writer.writerows(rows)
        news.say(f"wrote {file}")
    except FileExistsError:
        raise RunError(f"{file} exists already and is left as it is; remove it first") from None
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror}") from error


def background_of(run: Path, registry: Registry) -> str:
    """Return what the run's own pictures were laid over."""
    try:
        data = find_run(run).spec(registry).data if run.is_dir() else None
    except CnnkitError:  # the model can do without what its data came from
        data = None
    return str(getattr(data, "background", "white"))


def _model(run: Path, checkpoint: Kind, registry: Registry, news: News, backend: str) -> Model:
    """Load the model of a run directory, a checkpoint or a file that `Model.save` wrote."""
    if not run.exists():
        raise RunError(
            f"there is no run {run}; expected a directory made by `cnnkit run`, or a model's file"
        )
    if not run.is_dir():
        return Model.load(run, registry, backend=backend)
    stored = find_run(run)
    if note := stored.unfinished():
        news.say(note)
    stored.need_plugin_files(registry, FAMILIES_OF_A_MODEL)
    return Model.load(stored.checkpoint(checkpoint), registry, backend=backend)


def _predict(model: Model, file: Path, images: Array, pool: Threads) -> Iterator[Found]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # _checked has said so, and of which file
        y, head = model.predict(images, threads=pool), model.layers[-1]
    shares: Array | None = y if head.probabilities and y.shape[1] > 1 else None
    if y.shape[1] == 1 and head.type == "sigmoid":  # one output: the probability of class 1
        shares = np.column_stack([1 - y[:, 0], y[:, 0]])
    names = [*model.classes, *map(str, range(len(model.classes), max(2, y.shape[1])))]
    for index, best in enumerate(map(int, predicted_classes(y))):
        share = None if shares is None else [float(one) for one in shares[index]]
        yield {
            "file": str(file),
            "index": index,
            "class": names[best],
            "class_index": best,
            "probability": share and share[best],
            "probabilities": share and dict(zip(names, share, strict=False)),
        }


def _image_shape(model: Model) -> Shape:
    """Return the shape of an image as the model takes it, untransformed.

    Raises:
        DataError: where its transforms change shapes, so that it cannot be told, or it has no
            classes.
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
    return shape


def _checked(images: Array, model: Model, where: Path | str, news: News, *help: str) -> Array:
    """Hold the values of images against those that the model was trained on."""
    if model.trained_on and (unlikely := check_like(images, model.trained_on, str(where), *help)):
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
    if array.dtype.kind in "biu" and array.size and array.min() >= 0 and array.max() <= 255:
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


def _picture(file: Path, shape: Shape, reader: Reader) -> Array:
    """Return a picture (C, H, W) uint8, brought to the model's size and colours."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        what = f"{file.name} is a picture, but the model takes inputs of shape {show(shape)}"
        raise problem(file, what, expected="an array as .npy or .npz")
    need_pillow(file)
    return reader.read(file)
