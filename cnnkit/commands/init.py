"""`cnnkit init`: a first spec to change."""

from __future__ import annotations

import json
import re
from pathlib import Path

from cnnkit.base import DataPaths, Dataset
from cnnkit.commands._console import News
from cnnkit.commands._plugins import warn_of_broken
from cnnkit.commands.schema import SCHEMA_FILE, schema_text
from cnnkit.errors import CnnkitError, RunError
from cnnkit.plugins import load_plugins
from cnnkit.registry import Entry, Registry, blaming, complete

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SPEC = """\
#:schema ./{schema}
# Check it with `cnnkit check {file}`, look at the layers with `cnnkit show {file}`,
# train it with `cnnkit run {file}`. `cnnkit layers` lists the types, with their options.
name = "{name}"
seed = 0                          # decides every random draw: same spec, same seed, same weights

[data]                            # `cnnkit layers --family datasets` lists the types
type = {type}
{options}validation = 0.1                  # share of the training images that only judge progress

[model]                           # the input shape comes from the data
layers = [                        # first to last; shapes follow from one another
  {{ type = "conv", filters = 8, kernel = 3, padding = "same" }},
  "relu",                         # short for {{ type = "relu" }}
  {{ type = "pool", size = 2 }},    # halves height and width
  {{ type = "dense", units = 32 }}, # flattens its input
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


def init(name: str, /, *, data: str = "digits") -> None:
    """Write a commented spec NAME.toml to start from, and the schema that editors check it by.

    A spec that is there already is never overwritten.

    Args:
        name: of the spec; letters, digits, dot, dash and underscore.
        data: the type of its dataset; digits come with cnnkit and train in seconds.
    """
    news, registry = News(), load_plugins()
    warn_of_broken(registry, news)
    name = name.removesuffix(".toml")
    if not _NAME.fullmatch(name):
        raise CnnkitError(
            f"{name!r} is no name for a spec; expected letters, digits, dot, dash and underscore, "
            "at most 64, a letter or digit first"
        )
    file = Path(f"{name}.toml")
    entry = _entry(data, registry)
    _write_new(file, _starter(name, file, data, entry))
    blanks = f"fill in {', '.join(_required(entry))} of [data], then " * bool(_required(entry))
    news.say(f"wrote {file}: {blanks}train it with `cnnkit run {file}`")
    if not Path(SCHEMA_FILE).exists():
        _write_new(Path(SCHEMA_FILE), schema_text(registry, news) + "\n")
        news.say(f"wrote {SCHEMA_FILE}: editors with Tombi or Taplo complete and check specs by it")


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


def _starter(name: str, file: Path, data: str, entry: Entry) -> str:
    required = _required(entry)
    options = "".join(f'{option} = "{option}"   # yours goes here\n' for option in required)
    with blaming(entry):
        info = None if required else _dataset(entry).info(DataPaths())
    return _SPEC.format(
        schema=SCHEMA_FILE,
        file=file,
        name=name,
        type=json.dumps(data),
        options=options,
        units=info.classes if info else 10,
        classes="" if info else "  # one per class",
    )


def _required(entry: Entry) -> list[str]:
    fields = entry.cls.model_fields.items()
    return [option for option, field in fields if option != "type" and field.is_required()]


def _dataset(entry: Entry) -> Dataset:
    return complete(entry).model_validate({})  # type: ignore[return-value]  # its family's


def _entry(data: str, registry: Registry) -> Entry:
    """Return the entry of a dataset.

    Raises:
        CnnkitError: where nobody offers it.
    """
    entry = registry.entry("datasets", data)
    if entry is None:
        from cnnkit.diagnosis.names import help_for_unknown_type

        said = help_for_unknown_type(data, "datasets", registry)
        raise CnnkitError("; ".join(filter(None, [f"unknown dataset type {data!r}", *said])))
    return entry
