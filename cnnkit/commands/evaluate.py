"""`cnnkit evaluate`: judge a run on its test images, and print what `run` ends with, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from cnnkit.base import Data, DataPaths, Dataset, Epoch, Metric, Split, show
from cnnkit.base.transform import transformed_shape
from cnnkit.commands._console import News, emit, emit_json, facts, table
from cnnkit.commands._plugins import begin, with_backend
from cnnkit.errors import RunError
from cnnkit.examined import evaluate as judge
from cnnkit.model import Model
from cnnkit.plan import make_plan
from cnnkit.registry import Registry
from cnnkit.runs.data import data_paths, fallback_of, load_data, parts_of
from cnnkit.runs.directory import StoredRun, find_run
from cnnkit.runs.figures import confusion_rows, figure_rows, per_class
from cnnkit.runs.recorder import data_digest
from cnnkit.runs.remarks import after_training
from cnnkit.specfile.runspec import RunSpec
from cnnkit.workers import Threads, one_blas_thread

if TYPE_CHECKING:
    from rich.table import Table

_OF_THE_RUN = "model.", "loss.", "optimizer.", "data.transforms."
_UNUSED = "data.validation.", "data.folds.", "data.fold."
_ELSE = {
    "test": "others, such as with --set data.path=other.npz --set data.test=0.5",
    "validation": "its test images, without --split",
}


def evaluate(
    run: Path,
    /,
    *,
    split: Literal["test", "validation"] = "test",
    set: tuple[str, ...] = (),
    checkpoint: Literal["last", "best"] = "last",
    data_dir: Path | None = None,
    backend: str | None = None,
    json: bool = False,
) -> None:
    """Judge a run on its test images once more, or on others, class by class.

    Args:
        run: a run directory.
        split: the "test" images (the default), or those set aside, by which to choose what to set.
        set: KEY=VALUE laid over the run's spec, such as data.path=new.npz or predict.average=[];
            may be repeated.
        checkpoint: the weights after the "last" epoch (the default), or after the "best" one.
        data_dir: a folder of downloaded datasets; by default CNNKIT_DATA_DIR.
        backend: what computes; by default the run's own where it is installed, else numpy.
        json: print one JSON document.
    """
    news, registry = begin()
    stored = find_run(run)
    spec = spec_of(stored, registry, with_backend(set, backend))
    for note in filter(None, (stored.unfinished(), _other_backend(stored, spec))):
        news.say(note)
    model = Model.load(stored.checkpoint(checkpoint), registry, backend=spec.train.backend)
    if _sets(set, "predict"):
        model = replace(model, average=tuple(spec.predict.average))
    paths = data_paths(spec, data_dir, news.say, progress=news.screen.is_terminal)
    data, judged_on = _part(spec, stored, paths, model, set, split)
    figures = _judge(spec, model, judged_on, registry)
    remarks = _remarks(spec, stored, figures if split == "test" else {}, judged_on, news)
    classes = per_class(figures["confusion"], model.classes)
    if json:
        found = {"dataset": data.name, split: figures, "classes": classes, "remarks": remarks}
        emit_json({"run": str(run), "checkpoint": checkpoint, **found})
        return
    emit(_by_class(classes), "", results(data.name, len(judged_on), figures, model.classes, split))


def _part(
    spec: RunSpec, stored: StoredRun, paths: DataPaths, model: Model, set: Sequence[str], split: str
) -> tuple[Data, Split]:
    """Return the data, and the part of it that the run is judged on."""
    aside = split == "validation"
    if aside and _sets(set, "data"):
        raise RunError("of other data nothing was set aside; leave out --split, or --set data")
    data = data_of(spec, stored, paths, model, set, aside)
    if (judged_on := data.splits().get(split)) is None:
        raise RunError(f"{data.name} has no {split} images; judge the run on {_ELSE[split]}")
    return data, judged_on


def _by_class(classes: list[dict[str, Any]]) -> Table:
    figures = ("images", "precision", "recall", "F1")
    made = table("class", *figures, right=figures)
    for one in classes:
        shares = (f"{one[name]:.3f}" for name in ("precision", "recall", "f1"))
        made.add_row(one["class"], f"{one['images']:,}", *shares)
    return made


def spec_of(
    stored: StoredRun,
    registry: Registry,
    set: tuple[str, ...],
    takes: Sequence[str] = ("data", "metrics", "predict", "train.backend", "train.threads"),
) -> RunSpec:
    """Return a run's spec, with other data and the like where `set` says so.

    Args:
        takes: the key paths whose values count for a run that is trained.

    Raises:
        RunError: where another one is set, and would change nothing.
    """
    spec = stored.spec(registry, set)  # first: a key may be mistyped
    for one in set:
        path = one.partition("=")[0].strip() + "."
        transforms = path == "data." and "transforms" in spec.data.model_fields_set
        if path.startswith(_OF_THE_RUN) or transforms:
            why = "the network is the run's"
        elif path.startswith(_UNUSED) or not path.startswith(tuple(f"{key}." for key in takes)):
            why = "it changes nothing in a trained run"
        else:
            continue
        raise RunError(f"cannot set {one}: {why}; set data, such as data.path")
    return spec


def _other_backend(stored: StoredRun, spec: RunSpec) -> str:
    """Return a note where another backend than the run's judges it: figures may differ a little."""
    used, now = stored.facts("env.json").get("backend"), spec.train.backend.type
    if not isinstance(used, dict) or used.get("type") == now:
        return ""
    return f"note: the backend {used.get('type')} made this run, and {now} judges it"


def _remarks(
    spec: RunSpec, stored: StoredRun, test: dict[str, Any], judged_on: Split, news: News
) -> list[str]:
    """Say what there is to say of the figures."""
    try:
        epochs = [Epoch(**record) for record in stored.epochs()]
    except TypeError:  # records that are not whole: they serve remarks only
        epochs = []
    remarks = list(after_training(spec, epochs, test, judged_on))
    for remark in remarks:
        news.warn(remark)
    return remarks


def dataset_of(spec: RunSpec, stored: StoredRun) -> Dataset:
    """Return what the run was trained on: the spec's dataset, or the fallback that it fell to.

    A run that did not finish has not said which; it is asked for as `cnnkit run` would.
    """
    dataset = spec.data
    if not (stored.path / "summary.json").exists():
        return dataset
    used = stored.facts("summary.json").get("dataset")
    if not isinstance(used, str):
        raise RunError(f"{stored.path}/summary.json is damaged: it does not name its dataset")
    while dataset.type != used and (fallback := fallback_of(dataset)) is not None:
        dataset = fallback
    return dataset.model_copy(update={"fallback": None})


def data_of(
    spec: RunSpec,
    stored: StoredRun,
    paths: DataPaths,
    model: Model,
    set: Sequence[str] = (),
    set_aside: bool = False,
) -> Data:
    """Load what the run was trained on, or the spec's dataset whatever it fell to, where `set` asks
    for other data.

    Args:
        set_aside: whether the images that the run was validated on are set aside once more.
    """
    dataset = spec.data if _sets(set, "data") else dataset_of(spec, stored)
    data, dataset = load_data(dataset, paths, allow_fallback=True)
    shape = transformed_shape(model.transforms, data.test.images.shape[1:])
    if (shape, data.classes) != (model.input_shape, model.classes):
        raise RunError(
            f"{data.name} is not the data that the run was trained on: expected images of "
            f"{show(model.input_shape)} in the classes {', '.join(model.classes)}; got "
            f"{show(shape)} in the classes {', '.join(data.classes)}"
        )
    known = stored.facts("env.json").get("data")
    if isinstance(known, dict) and known.get("sha256") != data_digest(data):
        paths.say(f"WARNING: {data.name} is not, or not quite, what the run was trained on")
    return parts_of(data, dataset, spec.seed) if set_aside else data


def _sets(set: Sequence[str], section: str) -> bool:
    return any(one.partition("=")[0].partition(".")[0].strip() == section for one in set)


def _judge(spec: RunSpec, model: Model, judged_on: Split, registry: Registry) -> dict[str, Any]:
    metrics = list(spec.metrics)
    if not any(metric.type == "confusion" for metric in metrics):
        metrics.append(cast(Metric, registry.find("metrics", "confusion").model_validate({})))
    plan = make_plan(model.network, spec.loss).on(model.backend, model.dtype)
    with Threads(spec.train.threads) as pool, one_blas_thread():
        return judge(model, plan, metrics, judged_on, pool)


def results(
    dataset: str,
    images: int,
    test: dict[str, Any],
    classes: Sequence[str],
    part: str = "test",
    training: str = "",
) -> Table:
    """Return the table of what came out on the images of a part of the data.

    Args:
        images: how many they are; 0 where that is not known.
        test: loss and metrics.
        classes: a display name per class.
        part: of the data, "test" or "validation".
        training: what the training took.
    """
    made = facts()
    made.add_row("dataset", f"{dataset} ({images:,} {part} images)" if images else dataset)
    for name, value in figure_rows(test, part):
        made.add_row(name, value)
    if training:
        made.add_row("training", training)
    for number, (pair, count) in enumerate(confusion_rows(test.get("confusion"), classes)):
        made.add_row("" if number else "confused", f"{pair}: {count}")
    return made
