"""The verbs `cnnkit bench` and `cnnkit twin`; heavy imports wait until they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def bench(
    spec: Path,
    /,
    *,
    backend: str = "numpy",
    against: str = "",
    batch: str = "1,32,128",
    large: int = 1024,
    threads: str = "",
    repeats: int = 7,
    minutes: float = 3,
    steps: int | None = None,
    set: tuple[str, ...] = (),
    data_dir: Path | None = None,
    json: bool = False,
) -> None:
    """Time the network of a spec in cnnkit and in other libraries, side by side.

    Training (forward, backward, update with the spec's optimizer) at each batch size, inference
    at these and a large one. Libraries that are not installed are named, with how to get them.

    Args:
        spec: a TOML file.
        backend: what computes in cnnkit, such as numpy,native; the first is the measure.
        against: peers, separated by commas: torch, torch-compile, torch-channels-last,
            keras-tensorflow, keras-jax, onnxruntime, loops; without it, all.
        batch: batch sizes, separated by commas.
        large: one more batch size, for inference only; 0 for none.
        threads: thread counts to try with every peer, separated by commas; without it, 1 and all
            cores.
        repeats: rounds, at most; figures are medians over them.
        minutes: how long it may take; where that is too short, there are three rounds. 0 for as
            long as it takes.
        steps: steps per turn; without it, as many as take a fifth of a second.
        set: KEY=VALUE laid over the spec, such as optimizer.momentum=0; may be repeated.
        data_dir: folder of downloaded datasets; by default CNNKIT_DATA_DIR.
        json: print one JSON document.
    """
    from cnnkit_bench.request import Request
    from cnnkit_bench.run import run

    request = Request.parse(backend, against, batch, large, threads, repeats, minutes, steps)
    run(request, spec, list(set), data_dir, as_json=json)


def twin(
    spec: Path,
    /,
    *,
    library: Literal["keras-tensorflow", "keras-jax"] = "keras-tensorflow",
    set: tuple[str, ...] = (),
    data_dir: Path | None = None,
    json: bool = False,
) -> None:
    """Train the network of a spec in cnnkit and in Keras, and compare what they reach.

    The twin starts from the same weights, and is given the same batches in the same order, changed
    by the spec's transforms alike, and the learning rates of the spec's schedule. Both are judged
    on the test split, once. Nothing is written.

    Args:
        spec: a TOML file.
        library: what trains the twin.
        set: KEY=VALUE laid over the spec, such as train.epochs=1 or train.subset=2000; may be
            repeated.
        data_dir: folder of downloaded datasets; by default CNNKIT_DATA_DIR.
        json: print one JSON document.
    """
    from cnnkit_bench.twins import run

    run(spec, list(set), library, data_dir, as_json=json)
