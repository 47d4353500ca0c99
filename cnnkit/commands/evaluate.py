"""`cnnkit evaluate`: judge a run on its test images, and print what `run` ends with, too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from cnnkit.base import Data, DataPaths, Dataset, Epoch, Metric, show
from cnnkit.base.transform import transformed_shape
from cnnkit.commands._console import News, emit, emit_json, facts, table
from cnnkit.commands._plugins import begin, with_backend
from cnnkit.errors import RunError
from cnnkit.examined import evaluate as judge
from cnnkit.model import Model
from cnnkit.plan import make_plan
from cnnkit.registry import Registry
from cnnkit.runs.data import data_paths, fallback_of, load_data
from cnnkit.runs.directory import StoredRun, find_run
from cnnkit.runs.figures import confusion_rows, figure_rows, per_class
from cnnkit.runs.recorder import data_digest
from cnnkit.runs.remarks import after_training
from cnnkit.specfile.runspec import RunSpec
from cnnkit.workers import Threads, one_blas_thread

if TYPE_CHECKING:
    from rich.table import Table


def evaluate(
    run: Path,
    /,
    *,
    set: tuple[str, ...] = (),
    checkpoint: Literal["last", "best"] = "last",
    data_dir: Path | None = None,
    backend: str | None = None,
    json: bool = False,
) -> None:
    """Judge a run on its test images once more, or on others, class by class.

    Args:
        run: a run directory.
        set: KEY=VALUE laid over the run's spec, such as data.path=new.npz; may be repeated.
        checkpoint: the weights after the "last" epoch (the default), or after the "best" one.
        data_dir: a folder of downloaded datasets; by default CNNKIT_DATA_DIR.
        backend: what computes; by default the run's own where it is installed, else numpy.
        json: print one JSON document.
    """
    news, registry = begin()
    stored = find_run(run)
    if note := stored.unfinished():
        news.say(note)
    spec = spec_of(stored, registry, with_backend(set, backend))
    if note := _other_backend(stored, spec):
        news.say(note)
    model = Model.load(stored.checkpoint(checkpoint), registry, backend=spec.train.backend)
    paths = data_paths(spec, data_dir, news.say, progress=news.screen.is_terminal)
    data = data_of(spec, stored, paths, model, bool(set))
    test = _judge(spec, model, data, registry)
    remarks = _remarks(spec, stored, test, data, news)
    classes = per_class(test["confusion"], model.classes)
    if json:
        found = {"dataset": data.name, "test": test, "classes": classes, "remarks": remarks}
        emit_json({"run": str(run), "checkpoint": checkpoint, **found})
        return
    emit(_by_class(classes), "", results(data.name, len(data.test), test, model.classes))


def _by_class(classes: list[dict[str, Any]]) -> Table:
    figures = ("images", "precision", "recall", "F1")
    made = table("class", *figures, right=figures)
    for one in classes:
        shares = (f"{one[name]:.3f}" for name in ("precision", "recall", "f1"))
        made.add_row(one["class"], f"{one['images']:,}", *shares)
    return made


def spec_of(stored: StoredRun, registry: Registry, set: tuple[str, ...]) -> RunSpec:
    """Return a run's spec, with other data where `set` says so."""
    for one in set:
        if one.partition("=")[0].partition(".")[0].strip() in ("model", "loss", "optimizer"):
            raise RunError(
                f"cannot set {one}: the network is the run's; set data, such as data.path"
            )
    return stored.spec(registry, set)


def _other_backend(stored: StoredRun, spec: RunSpec) -> str:
    """Return a note where another backend than the run's judges it: figures may differ a little."""
    used, now = stored.facts("env.json").get("backend"), spec.train.backend.type
    if not isinstance(used, dict) or used.get("type") == now:
        return ""
    return f"note: the backend {used.get('type')} made this run, and {now} judges it"


def _remarks(
    spec: RunSpec, stored: StoredRun, test: dict[str, Any], data: Data, news: News
) -> list[str]:
    """Say what there is to say of the figures."""
    try:
        epochs = [Epoch(**record) for record in stored.epochs()]
    except TypeError:  # records that are not whole: they serve remarks only
        epochs = []
    remarks = list(after_training(spec, epochs, test, data.test))
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
    spec: RunSpec, stored: StoredRun, paths: DataPaths, model: Model, others: bool = False
) -> Data:
    """Load what the run was trained on; or the spec's dataset whatever it fell to, where `others`
    were asked for."""
    dataset = spec.data if others else dataset_of(spec, stored)
    data, _ = load_data(dataset, paths, allow_fallback=True)
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
    return data


def _judge(spec: RunSpec, model: Model, data: Data, registry: Registry) -> dict[str, Any]:
    if not len(data.test):
        raise RunError(
            f"{data.name} has no test images; judge the run on others, such as with "
            "--set data.path=other.npz --set data.test=0.5"
        )
    metrics = list(spec.metrics)
    if not any(metric.type == "confusion" for metric in metrics):
        metrics.append(cast(Metric, registry.find("metrics", "confusion").model_validate({})))
    plan = make_plan(model.network, spec.loss).on(model.backend, model.dtype)
    with Threads(spec.train.threads) as pool, one_blas_thread():
        return judge(model, plan, metrics, data.test, pool)


def results(
    dataset: str, images: int, test: dict[str, Any], classes: Sequence[str], training: str = ""
) -> Table:
    """Return the table of what came out on the test images.

    Args:
        images: how many they are; 0 where that is not known.
        test: loss and metrics.
        classes: a display name per class.
        training: what the training took.
    """
    made = facts()
    made.add_row("dataset", f"{dataset} ({images:,} test images)" if images else dataset)
    for name, value in figure_rows(test):
        made.add_row(name, value)
    if training:
        made.add_row("training", training)
    for number, (pair, count) in enumerate(confusion_rows(test.get("confusion"), classes)):
        made.add_row("" if number else "confused", f"{pair}: {count}")
    return made
