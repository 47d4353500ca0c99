"""`cnnkit init`: a first spec to change."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np

from cnnkit.arrays import counted
from cnnkit.base import Data, DataPaths, Dataset, DatasetInfo, show
from cnnkit.commands._console import News
from cnnkit.commands._plugins import begin
from cnnkit.commands.schema import SCHEMA_FILE, schema_text
from cnnkit.errors import CnnkitError, DataError, RunError
from cnnkit.registry import Entry, Registry, blaming, complete
from cnnkit.values import Range, check_values, find_range, natural_range

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SPEC = """\
#:schema ./{schema}
# Check it with `cnnkit check {name}.toml`, look at the layers with `cnnkit show {name}.toml`,
# train it with `cnnkit run {name}.toml`. `cnnkit layers` lists the types, with their options.
name = "{name}"
seed = 0                          # decides every random draw: same spec, same seed, same weights

[data]                            # `cnnkit layers --family datasets` lists the types
type = {type}
{options}{validation}
[model]                           # the input shape comes from the data
layers = [                        # first to last; shapes follow from one another
  {{ type = "conv", filters = 8, kernel = 3, padding = "same" }},
  "relu",                         # short for {{ type = "relu" }}
{pool}  {{ type = "dense", units = 32 }}, # flattens its input
  "relu",
  {{ type = "softmax", units = {units} }},{classes}
]

[loss]
type = "cross_entropy"

[optimizer]
type = "adam"
lr = 0.003                        # the learning rate: too high and the loss jumps or explodes
schedule = {{ type = "cosine", warmup = 0.1 }}

[train]
epochs = 5
batch = 32                        # images per update of the weights
"""


_POOL = '  { type = "pool", size = 2 },    # halves height and width\n'
_VALIDATION = (
    "validation = 0.1                  # share of the training images that only judge progress\n"
)


def init(name: str, /, *, data: str = "digits") -> None:
    """Write a commented spec NAME.toml to start from, and the schema that editors check it by.

    A spec that is there already is never overwritten.

    Args:
        name: of the spec; letters, digits, dot, dash and underscore.
        data: the type of its dataset, or a path: a folder, an npz file or a table, which is looked
            at for all that the spec has to say. Digits come with cnnkit and train in seconds.
    """
    news, registry = begin()
    name = name.removesuffix(".toml")
    if not _NAME.fullmatch(name):
        raise CnnkitError(
            f"{name!r} is no name for a spec; expected letters, digits, dot, dash and underscore, "
            "at most 64, a letter or digit first"
        )
    entry, file = registry.entry("datasets", data), Path(f"{name}.toml")
    if entry is None and (Path(data).exists() or Path(data).name != data):
        text, first = _for_path(name, Path(data), registry, news)
    elif entry is None:
        from cnnkit.diagnosis.names import help_for_unknown_type

        meant, known = help_for_unknown_type(data, "datasets", registry)
        raise CnnkitError(
            f"there is no dataset type {data!r}, and no such file or folder\n"
            "   = expected: a type of dataset, or the path of a folder, an npz file or a table\n"
            f"   = got: {data}\n   = help: {'; '.join(filter(None, [meant, known]))}"
        )
    else:
        text, first = _for_type(name, data, entry)
    _write_new(file, text)
    news.say(f"wrote {file}: {first}train it with `cnnkit run {file}`")
    if not Path(SCHEMA_FILE).exists():
        _write_new(Path(SCHEMA_FILE), schema_text(registry, news) + "\n")
        news.say(f"wrote {SCHEMA_FILE}: editors with Tombi or Taplo complete and check specs by it")


def _for_type(name: str, data: str, entry: Entry) -> tuple[str, str]:
    """Return a spec for a type of dataset, and what is to be done first."""
    fields = entry.cls.model_fields.items()
    blanks = [option for option, field in fields if option != "type" and field.is_required()]
    info = None
    if not blanks:
        with blaming(entry):
            dataset: Dataset = complete(entry).model_validate({})  # type: ignore[assignment]
            info = dataset.info(DataPaths())
    options = "".join(f'{option} = "{option}"   # yours goes here\n' for option in blanks)
    first = f"fill in {', '.join(blanks)} of [data], then " if blanks else ""
    return _starter(name, data, options, info), first


def _for_path(name: str, path: Path, registry: Registry, news: News) -> tuple[str, str]:
    """Return a spec for the data at a path, which is read for it, and what was found."""
    from cnnkit.datasets.recognise import recognise

    if not path.exists():
        raise CnnkitError(f"there is nothing at {path}; --data takes a type of dataset, or a path")
    options = recognise(path)
    dataset = cast(Dataset, registry.find("datasets", options["type"]).model_validate(options))
    data = dataset.load(DataPaths(say=news.say))
    if scaled := _range(data, dataset):
        options["transforms"] = [{"type": "scale", "range": list(scaled)}]
    info = DatasetInfo(data.train.images.shape[1:], len(data.classes))
    lines = (f"{key} = {_toml(value)}\n" for key, value in options.items() if key != "type")
    found = f"{counted(len(data.train), 'image')} of {show(info.shape)} in "
    found += f"{counted(info.classes, 'class')}; "
    is_parted = data.validation is not None
    return _starter(name, options["type"], "".join(lines), info, is_parted), found


def _range(data: Data, dataset: Dataset) -> Range | None:
    """Return the range of the pixels, where it is not the one that the transforms map from."""
    images = [split.images for split in data.splits().values()]
    found = [find_range(one, data.name) for one in images]
    whole = min(low for low, _ in found), max(high for _, high in found)
    for tried in (None, natural_range(whole, np.dtype(float)), whole):
        scale = dataset.transforms[0].model_copy(update={"range": tried})
        first = dataset.transforms if tried is None else [scale]
        with suppress(DataError):
            for one in images:
                check_values(one, first, data.name)
            return tried
    return whole


def _toml(value: Any) -> str:
    """Return a value on one line; text and lists are written as in JSON."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(one)}' for key, one in value.items())} }}"
    return json.dumps(value)


def _starter(
    name: str, data: str, options: str, info: DatasetInfo | None, is_parted: bool = False
) -> str:
    return _SPEC.format(
        schema=SCHEMA_FILE,
        name=name,
        type=json.dumps(data),
        options=options,
        validation="" if is_parted else _VALIDATION,
        pool="" if info and min(info.shape[1:]) < 2 else _POOL,
        units=info.classes if info else 10,
        classes="" if info else "  # one per class",
    )


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise RunError(
            f"{path} exists already and is left as it is; choose another name, or remove it first"
        ) from None
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error
