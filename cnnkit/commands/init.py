"""`cnnkit init`: a first spec to change."""

from __future__ import annotations

import json
import re
from pathlib import Path

from cnnkit.base import DataPaths, Dataset
from cnnkit.commands._plugins import begin
from cnnkit.commands.schema import SCHEMA_FILE, schema_text
from cnnkit.errors import CnnkitError, RunError
from cnnkit.registry import Entry, blaming, complete

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SPEC = """\
#:schema ./{schema}
# Check it with `cnnkit check {name}.toml`, look at the layers with `cnnkit show {name}.toml`,
# train it with `cnnkit run {name}.toml`. `cnnkit layers` lists the types, with their options.
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
    news, registry = begin()
    name = name.removesuffix(".toml")
    if not _NAME.fullmatch(name):
        raise CnnkitError(
            f"{name!r} is no name for a spec; expected letters, digits, dot, dash and underscore, "
            "at most 64, a letter or digit first"
        )
    entry = registry.entry("datasets", data)
    if entry is None:
        from cnnkit.diagnosis.names import help_for_unknown_type

        said = help_for_unknown_type(data, "datasets", registry)
        raise CnnkitError("; ".join(filter(None, [f"unknown dataset type {data!r}", *said])))
    fields = entry.cls.model_fields.items()
    blanks = [option for option, field in fields if option != "type" and field.is_required()]
    file = Path(f"{name}.toml")
    _write_new(file, _starter(name, data, entry, blanks))
    first = f"fill in {', '.join(blanks)} of [data], then " if blanks else ""
    news.say(f"wrote {file}: {first}train it with `cnnkit run {file}`")
    if not Path(SCHEMA_FILE).exists():
        _write_new(Path(SCHEMA_FILE), schema_text(registry, news) + "\n")
        news.say(f"wrote {SCHEMA_FILE}: editors with Tombi or Taplo complete and check specs by it")


def _starter(name: str, data: str, entry: Entry, blanks: list[str]) -> str:
    info = None
    if not blanks:
        with blaming(entry):
            dataset: Dataset = complete(entry).model_validate({})  # type: ignore[assignment]
            info = dataset.info(DataPaths())
    return _SPEC.format(
        schema=SCHEMA_FILE,
        name=name,
        type=json.dumps(data),
        options="".join(f'{option} = "{option}"   # yours goes here\n' for option in blanks),
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
