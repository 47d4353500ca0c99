"""CIFAR-10, from its binary version: the one without pickles."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import Data, DataPaths
from cnnkit.datasets.arrays import assemble
from cnnkit.datasets.download import Remote
from cnnkit.datasets.labels import Part
from cnnkit.datasets.published import Published


class Cifar10(Published):
    """60 000 photographs, 50 000 of them for training; 10 classes. (3, 32, 32)

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009),
    https://www.cs.toronto.edu/~kriz/cifar.html.
    """

    type: Literal["cifar10"] = "cifar10"

    folders: ClassVar[tuple[str, ...]] = ("cifar10", "cifar-10")
    files: ClassVar[tuple[Remote, ...]] = (
        Remote(
            "cifar-10-binary.tar.gz", 170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    )  # fmt: skip
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://www.cs.toronto.edu/~kriz/",
        "https://cave.cs.toronto.edu/kriz/",
    )
    labels: ClassVar[tuple[str, ...]] = (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    shape: ClassVar[Shape] = (3, 32, 32)
    count: ClassVar[int] = 50_000

    def load(self, paths: DataPaths) -> Data:
        path = self.find(self.files[0], paths)
        self.verify(path, self.files[0])  # so that whatever the archive holds is as published
        batches = _batches(path)
        train = np.concatenate([batches[f"data_batch_{number}.bin"] for number in range(1, 6)])
        parts = {"train": _part(train, path), "test": _part(batches["test_batch.bin"], path)}
        return assemble(self, parts, list(self.labels), "chw")


def _batches(path: Path) -> dict[str, Array]:
    """Return the records of each batch: a label, then red, green and blue, row by row."""
    import tarfile  # most runs read no archive

    found = {}
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None and member.name.endswith(".bin"):
                found[Path(member.name).name] = np.frombuffer(stream.read(), np.uint8)
    return {name: records.reshape(-1, 1 + 3 * 32 * 32) for name, records in found.items()}


def _part(records: Array, path: Path) -> tuple[Part, Part]:
    images = records[:, 1:].reshape(-1, 3, 32, 32)
    return Part(images, path), Part(records[:, 0], path)
