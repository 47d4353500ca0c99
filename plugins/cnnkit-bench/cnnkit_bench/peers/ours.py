"""cnnkit itself, by the road that `cnnkit run` and `Model.predict` take."""

from __future__ import annotations

import time
from importlib.metadata import version

import numpy as np
from cnnkit import load_spec
from cnnkit.arrays import Array, replace_leaves
from cnnkit.base import Dataset, Split
from cnnkit.model import Model
from cnnkit.runs.overfit import one_batch
from cnnkit.runs.session import trainer_of
from cnnkit.specfile.runspec import RunSpec
from cnnkit.workers import Threads

from cnnkit_bench.case import Case
from cnnkit_bench.peers.base import Peer


class Cnnkit(Peer):
    """Trains by epochs of `Trainer.fit`, predicts by `Model.predict`.

    Images come as the dataset has them, so their conversion to float32 and their gathering in the
    spec's order are part of the time.
    """

    def __init__(self, case: Case, threads: int) -> None:
        super().__init__(case, threads)
        self._pool = Threads(threads)

    def version(self) -> str:
        return f"cnnkit {version('cnnkit')}, numpy {np.__version__}"

    def start(self, lr: float) -> None:
        spec = load_spec(self.case.spec, [
            *self.case.overrides,
            f"train.batch={self.batch}",
            f"optimizer.lr={lr!r}",
            "optimizer.schedule=constant",
            "train.epochs=2",  # one to warm up, one to time
        ])  # fmt: skip
        layers = one_batch(spec)[0].model.layers if self.still else spec.model.layers
        self._model = Model.build(
            layers,
            self.case.shape,
            seed=spec.seed,
            dtype=spec.model.dtype,
            transforms=self._dataset(spec).transforms,
            backend=spec.train.backend,
        )
        copies = {path: w.copy() for path, w in self.case.weights.items()}
        replace_leaves(self._model.weights, copies)
        if self.mode == "training":
            self._trainer = trainer_of(spec, self._model, self._pool)

    def _dataset(self, spec: RunSpec) -> Dataset:
        dataset = spec.data
        while dataset.type != self.case.dataset and dataset.fallback:
            dataset = dataset.fallback
        return dataset

    def step(self, rows: slice) -> None:
        if self.mode == "inference":
            self._model.predict(self.case.images[rows], threads=self._pool)
        else:
            self._epoch([rows])

    def turn(self, steps: int, warm: int = 0) -> float:
        """Time an epoch of `steps` batches, or `steps` predictions.

        A warm epoch is as long as the timed one: both are epochs of one `fit`, as in a run.
        """
        if self.mode == "inference":
            return super().turn(steps, warm)
        return self._epoch([self._rows() for _ in range(steps)], warm=bool(warm))

    def _epoch(self, portions: list[slice], warm: bool = False) -> float:
        images = np.concatenate([self.case.images[rows] for rows in portions])
        labels = np.concatenate([self.case.labels[rows] for rows in portions])
        started = time.perf_counter()
        epochs = self._trainer.run(Split(images, labels), None)
        if warm:
            next(epochs)
            started = time.perf_counter()
        next(epochs)
        seconds = time.perf_counter() - started
        epochs.close()
        return seconds

    def outputs(self, count: int) -> Array:
        return self._model.predict(self.case.images[:count], threads=self._pool)
