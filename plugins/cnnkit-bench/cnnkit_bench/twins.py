"""Twin: a spec trained in cnnkit and in Keras, and what both reach."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from cnnkit import load_spec
from cnnkit.arrays import counted
from cnnkit.base import Split
from cnnkit.base.transform import BatchTransform
from cnnkit.runs.data import data_paths
from cnnkit.runs.prepare import Prepared, prepare
from cnnkit.runs.session import trainer_of
from cnnkit.specfile.runspec import RunSpec
from cnnkit.workers import Threads, physical_cores
from rich import box
from rich.console import Console
from rich.table import Table

from cnnkit_bench.case import Case
from cnnkit_bench.errors import BenchError
from cnnkit_bench.fit import figures
from cnnkit_bench.member import Member, OutError
from cnnkit_bench.network import Op
from cnnkit_bench.peers import PEERS
from cnnkit_bench.prepare import case_of, check_spec
from cnnkit_bench.progress import news

_DIFFERENCES = {
    "dropout": "dropout draws its masks from another generator",
    "batch_norm": "in Keras a batch's variance is divided by n, not n - 1, for the running one",
}
_MOMENTUM = (
    "Keras's sgd keeps the learning rate within the velocity, so that a change of rate comes slower"
)


@dataclass(frozen=True)
class Side:
    """What one of the two reached: figures on the test split, and seconds of training."""

    version: str
    figures: dict[str, float]
    seconds: float


def run(
    path: Path, overrides: list[str], library: str, data_dir: Path | None, *, as_json: bool
) -> None:
    """Train both, and print what they reach.

    Raises:
        SpecError, DataError, TrainingError: as in `cnnkit run`.
        BenchError: where Keras is missing, cannot follow the spec, or fails.
    """
    if PEERS[library].missing():
        extra = PEERS[library].extra
        raise BenchError(f"error: {library} is not installed\n"
                         f"   = help: pip install 'cnnkit-bench[{extra}]'")  # fmt: skip
    spec = load_spec(path, overrides)
    check_spec(spec)
    _check_training(spec)
    ready = prepare(spec, data_paths(spec, data_dir, _say))
    few = Split(ready.train.images[:1], ready.train.labels[:1])
    case = case_of(path, overrides, spec, ready.dataset, ready.model, few)
    sides = _train(spec, ready, case, library, data_dir)
    differences = [text for kind, text in _DIFFERENCES.items() if _has(case.ops, kind)]
    if getattr(spec.optimizer, "momentum", 0) and spec.optimizer.schedule.type != "constant":
        differences.append(_MOMENTUM)
    if as_json:
        found = {"spec": str(path), "dataset": ready.data.name, "epochs": spec.train.epochs}
        both = {"cnnkit": asdict(sides[0]), library: asdict(sides[1])}
        sys.stdout.write(json.dumps({**found, **both, "differences": differences}) + "\n")
    else:
        _show(spec, ready, sides, differences)


def _check_training(spec: RunSpec) -> None:
    """Refuse what changes training or prediction, and Keras is not told."""
    mixing = [one.type for one in spec.data.transforms if isinstance(one, BatchTransform)]
    told = [f"the transform {kind}" for kind in mixing]
    told += [f"the callback {one.type}" for one in spec.train.callbacks]
    told += ["[predict] average"] if spec.predict.average else []
    if told:
        raise BenchError(f"error: a twin cannot be given {told[0]}\n"
                         "   = help: leave it out of a copy of the spec")  # fmt: skip


def _train(
    spec: RunSpec, ready: Prepared, case: Case, library: str, data_dir: Path | None
) -> tuple[Side, Side]:
    threads = spec.train.threads or physical_cores()
    with news() as say, TemporaryDirectory(prefix="cnnkit-twin-") as folder:
        case.save(Path(folder))
        with Member(library, threads, Path(folder)) as member:
            try:
                say(f"building the network in {library}")
                member.greet()
                member.open("training", spec.train.batch, spec.optimizer.lr)
                say("training in cnnkit")
                ours = _ours(spec, ready, threads)
                say(f"training in {library}")
                return ours, Side(member.version, *member.fit(data_dir))
            except OutError as error:
                raise BenchError(f"error: {library}: {error}") from error


def _ours(spec: RunSpec, ready: Prepared, threads: int) -> Side:
    with Threads(threads) as pool:
        trainer = trainer_of(ready.spec, ready.model, pool)
        seconds = sum(epoch.seconds for epoch in trainer.run(ready.train, None))
        test = ready.data.test
        y = ready.model.predict(test.images, threads=pool)
    name = f"cnnkit {version('cnnkit')}, {spec.train.backend.type}"
    return Side(name, figures(spec, y, test.labels, len(ready.data.classes)), seconds)


def _has(ops: tuple[Op, ...], kind: str) -> bool:
    return any(op.type == kind or _has(op.body + op.shortcut, kind) for op in ops)


def _show(spec: RunSpec, ready: Prepared, sides: tuple[Side, Side], differences: list[str]) -> None:
    console = Console(markup=False, highlight=False, emoji=False)
    train, test = len(ready.train), len(ready.data.test)
    console.print(
        f"{spec.name} on {ready.data.name}: {train:,} images, batch {spec.train.batch}, "
        f"{counted(spec.train.epochs, 'epoch')}; figures of {test:,} test images"
    )
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("trained by")
    for title in (*sides[0].figures, "seconds"):
        table.add_column(title, justify="right", no_wrap=True)
    for side in sides:
        shown = (f"{value:.4f}" for value in side.figures.values())
        table.add_row(side.version, *shown, f"{side.seconds:.1f}")
    console.print(table)
    for text in differences:
        console.print(f"not alike: {text}")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
