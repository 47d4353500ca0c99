"""Published: a dataset whose files are known by their hashes, and downloaded where they lack."""

from __future__ import annotations

import os
from abc import ABC
from pathlib import Path
from typing import ClassVar

from cnnkit.arrays import Shape
from cnnkit.base import DataPaths, Dataset, DatasetInfo
from cnnkit.datasets.download import Remote, cache_folder, download
from cnnkit.datasets.files import ANEW, digest, exists, problem
from cnnkit.errors import DataUnavailable


class Published(Dataset, ABC):
    """A subclass says where the files are published and how to know them.

    Each file is looked for, packed or unpacked, in `<data_dir>/<folder>`, in `data_dir` itself, in
    the cache and where Keras keeps it, and is downloaded into the cache where none of them has it.
    """

    folders: ClassVar[tuple[str, ...]]
    """Names of the folder that may hold the files; the cache uses the first."""
    files: ClassVar[tuple[Remote, ...]]
    """The files, in the order in which they are read."""
    mirrors: ClassVar[tuple[str, ...]]
    """Addresses that a file's name is appended to, tried in this order."""
    labels: ClassVar[tuple[str, ...]]
    """Display names of the classes."""
    shape: ClassVar[Shape] = (1, 28, 28)
    """Of an image."""
    count: ClassVar[int] = 60_000
    """Training images."""

    def info(self, paths: DataPaths) -> DatasetInfo:
        names = self.labels
        return DatasetInfo(self.shape, len(names), names, self.count, validation=False)

    def find(self, file: Remote, paths: DataPaths) -> Path:
        """Return where a file lies, downloading it where nobody has it.

        Raises:
            DataUnavailable: where it cannot be had.
        """
        try:
            cached = self._cached(file.name, paths)
            return self.local(file, paths) or download(self.mirrors, cached, file, paths)
        except DataUnavailable as error:
            if paths.data_dir is None:
                raise
            names = ", ".join(one.name for one in self.files)
            looked = f"{names} in {' and '.join(map(str, self._folders(paths)))}"
            raise DataUnavailable(f"{error}\n   = note: looked for {looked}") from error

    def local(self, file: Remote, paths: DataPaths) -> Path | None:
        """Return where a file lies already, or None where it has to be downloaded."""
        names = [file.name, *[file.name.removesuffix(".gz")] * bool(file.plain)]
        for folder in self._folders(paths):
            for name in names:
                if exists(folder / name):
                    return folder / name
        keras = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras", "datasets")
        for path in (self._cached(file.name, paths), keras / self.folders[-1] / file.name):
            if exists(path) and digest(path) == file.sha256:
                return path
        return None

    def verify(self, path: Path, file: Remote) -> None:
        """Demand that a file is the published one, packed or unpacked.

        Raises:
            DataError: where its hash is another.
        """
        expected = file.hash(path)
        if (found := digest(path)) != expected:
            what = f"{path.name} is intact, but is not the one published as {self.type}"
            help = f'{ANEW}; for files of your own use type = "idx"'
            got = f"sha256 {found}"
            raise problem(path, what, expected=f"sha256 {expected}", got=got, help=help)

    def _cached(self, name: str, paths: DataPaths) -> Path:
        return cache_folder(paths) / self.folders[0] / name

    def _folders(self, paths: DataPaths) -> list[Path]:
        """Return the folders in which the user may have the files."""
        data_dir = paths.data_dir
        return [data_dir / name for name in self.folders] + [data_dir] if data_dir else []
