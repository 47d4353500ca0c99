"""Recognise what lies at a path: the options of the dataset that reads it."""

from __future__ import annotations

from collections import Counter
from math import isqrt
from pathlib import Path
from typing import Any

from cnnkit.arrays import Shape
from cnnkit.datasets.files import problem, some
from cnnkit.datasets.folders import PICKLED, Passed, entries, pictures, pictures_below
from cnnkit.datasets.npz import npz_shapes
from cnnkit.datasets.pictures import need_pillow
from cnnkit.datasets.table import Csv, Table

Options = dict[str, Any]
_TABLES = (".csv", ".tsv", ".csv.gz")
_EXPECTED = "a folder of pictures or of IDX files, an npz file or a table (csv)"
_LARGEST, _SIDE = 96, 64
"""Pictures with a longer side are resized to the second: they would take long to learn."""


def recognise(path: Path) -> Options:
    """Return the options, `type` among them, with which a dataset reads what lies at `path`.

    Raises:
        DataError: where there is nothing, or nothing that any of them reads.
    """
    name = path.name.lower()
    if path.is_dir():
        return _folder(path)
    if name.endswith(".npz"):
        return _npz(path)
    if name.endswith(_TABLES):
        return _table(path)
    raise problem(path, f"no dataset reads {path.name}", expected=_EXPECTED)


def _folder(path: Path) -> Options:
    folders, files = entries(path, Passed(path))
    names = [file.name for file in files]
    idx = _by_split([file for file in files if "ubyte" in file.name or "idx" in file.name])
    if "train" in idx:
        return {"type": "idx", **{
            f"{split}_{role}": str(path / name)
            for split, found in idx.items() for role, name in found.items()
        }}  # fmt: skip
    tables = [file for file in files if file.name.lower().endswith(_TABLES)]
    archives = [file for file in files if file.suffix == ".npz"]
    if not folders and not pictures(files, Passed(path)):
        train = [table for table in tables if "train" in table.name.lower()] or tables
        if len(archives) == 1 or (train and not archives):
            return recognise((archives or train)[0])
        what, got = f"no dataset reads what is in {path.name}", some(names) or "nothing"
        help = PICKLED if "data_batch_1" in names else ""
        raise problem(path, what, expected=_EXPECTED, got=got, help=help)
    found = pictures_below(path, Passed(path))
    flat = not [folder for folder in folders if pictures_below(folder, Passed(folder))]
    labels = {"labels": str(tables[0])} if flat and tables else {}
    return {"type": "image_folder", "path": str(path), **labels, **_pictures(found)}


def _pictures(paths: list[Path]) -> Options:
    """Return the options that fit the sizes and colours of pictures."""
    if not paths:
        return {}
    need_pillow(paths[0])
    from PIL import Image

    sizes, gray = Counter[tuple[int, int]](), True
    for path in paths:
        try:
            with Image.open(path) as image:
                sizes[image.height, image.width] += 1
                gray = gray and image.mode in ("1", "L", "LA")
        except OSError:  # what is damaged is said when it is read
            continue
    mode: Options = {"mode": "grayscale"} if gray else {}
    (height, width), _ = sizes.most_common(1)[0] if sizes else ((_SIDE, _SIDE), 0)
    if len(sizes) > 1 or max(height, width) > _LARGEST:
        mode["size"] = [_SIDE, _SIDE] if max(height, width) > _LARGEST else [height, width]
    return mode


def _by_split(files: list[Path]) -> dict[str, dict[str, str]]:
    """Return the names of images and labels by split, of files that are called so."""
    found: dict[str, dict[str, str]] = {}
    for file in files:
        role = "labels" if "label" in file.name else "images"
        found.setdefault(_split(file.name), {})[role] = file.name
    return {split: pair for split, pair in found.items() if len(pair) == 2}


def _split(name: str) -> str:
    name = name.lower()
    return (
        "test" if "test" in name or "t10k" in name else "validation" if "val" in name else "train"
    )


def _npz(path: Path) -> Options:
    options: Options = {"type": "npz", "path": str(path)}
    shapes = npz_shapes(path)
    splits: dict[str, dict[str, list[str]]] = {}
    for name, shape in shapes.items():
        role = "images" if len(shape) > 2 else "labels" if shape else ""
        splits.setdefault(_split(name), {}).setdefault(role, []).append(name)
    for split, roles in splits.items():
        if len(roles.get("images", [])) == len(roles.get("labels", [])) == 1:
            options |= {f"{split}_{role}": roles[role][0] for role in ("images", "labels")}
    if "train_images" not in options:
        got = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        what = f"the arrays in {path.name} are not one of images and one of labels for each split"
        raise problem(path, what, expected="such as x_train (N, H, W) and y_train (N,)", got=got)
    if "test_images" not in options:
        options["test"] = 0.2
    images, labels = shapes[options["train_images"]], shapes[options["train_labels"]]
    return options | _layout(images, max(labels))


def _layout(shape: Shape, count: int) -> Options:
    """Return the layout of so many images, where it cannot be told from the shape alone."""
    if shape[0] != count and shape[-1] == count:
        return {"layout": "hwcn"}
    if len(shape) == 4 and (shape[1] in (1, 3)) == (shape[3] in (1, 3)):
        return {"layout": "hwc" if shape[3] <= shape[1] else "chw"}
    return {}


def _table(path: Path) -> Options:
    table = Table(path)
    options: Options = {"type": "csv", "path": str(path)}
    other = path.with_name(path.name.replace("train", "test"))
    if other != path and other.is_file() and Table(other).width == table.width:
        options["test_path"] = str(other)
    columns = Csv(**options).columns(table)[1]
    pixels = table.packed(columns) or len(columns)
    is_square = isqrt(pixels) ** 2 == pixels
    return options | ({} if is_square or pixels % 3 else {"layout": "hwc"})
