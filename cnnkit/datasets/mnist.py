"""MNIST and its drop-in relatives: four gzipped IDX files with published hashes."""

from __future__ import annotations

from abc import ABC
from pathlib import Path
from typing import ClassVar, Literal

from cnnkit.base import Data, DataPaths, Dataset, DatasetInfo
from cnnkit.datasets.arrays import assemble
from cnnkit.datasets.download import cache_folder, download
from cnnkit.datasets.files import ANEW, digest, exists, problem
from cnnkit.datasets.idx import Role, read_idx
from cnnkit.datasets.labels import Part
from cnnkit.errors import DataUnavailable


class Published(Dataset, ABC):
    """A subclass says where the files are published and how to know them. (1, 28, 28)

    Each file is looked for in `<data_dir>/<folder>`, in `data_dir` itself and in the cache, and
    is downloaded into the cache where none of them has it.
    """

    folders: ClassVar[tuple[str, ...]]
    """Names of the folder that may hold the files; the cache uses the first."""
    sha256: ClassVar[tuple[str, str, str, str]]
    """Hashes of the four files, in the order of `names`."""
    mirrors: ClassVar[tuple[str, ...]]
    """Addresses that a file's name is appended to, tried in this order."""
    labels: ClassVar[tuple[str, ...]]
    """Display names of the classes."""
    names: ClassVar[tuple[str, str, str, str]] = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )

    def info(self, paths: DataPaths) -> DatasetInfo:
        return DatasetInfo((1, 28, 28), len(self.labels))

    def load(self, paths: DataPaths) -> Data:
        if paths.data_dir is not None and not exists(paths.data_dir):
            paths.say(f"there is no data folder {paths.data_dir}")
        found = zip(self.names, self.sha256, strict=True)
        files = [self._find(name, sha256, paths) for name, sha256 in found]
        images, labels, *test = map(self._read, files, self.sha256)
        parts = {"train": (images, labels), "test": (test[0], test[1])}
        return assemble(self, parts, list(self.labels))

    def _find(self, name: str, sha256: str, paths: DataPaths) -> Path:
        try:
            found = self.local(name, sha256, paths)
            return found or download(self.mirrors, self._cached(name, paths), sha256, paths)
        except DataUnavailable as error:
            if paths.data_dir is None:
                raise
            looked = f"{', '.join(self.names)} in {' and '.join(map(str, self._folders(paths)))}"
            raise DataUnavailable(f"{error}\n   = note: looked for {looked}") from error

    def _cached(self, name: str, paths: DataPaths) -> Path:
        return cache_folder(paths) / self.folders[0] / name

    def _folders(self, paths: DataPaths) -> list[Path]:
        """Return the folders in which the user may have the files."""
        data_dir = paths.data_dir
        return [data_dir / name for name in self.folders] + [data_dir] if data_dir else []

    def local(self, name: str, sha256: str, paths: DataPaths) -> Path | None:
        """Return where a file lies already, or None where it has to be downloaded."""
        for folder in self._folders(paths):
            if exists(folder / name):
                return folder / name
        cached = self._cached(name, paths)
        return cached if exists(cached) and digest(cached) == sha256 else None

    def _read(self, path: Path, sha256: str) -> Part:
        """Read first: a damaged file is better explained by its damage than by its hash."""
        role: Role = "images" if "images" in path.name else "labels"
        part = read_idx(path, role)
        if (found := digest(path)) != sha256:
            what = f"{path.name} is intact, but is not the one published as {self.type}"
            expected, got = f"sha256 {sha256}", f"sha256 {found}"
            help = f'{ANEW}; for files of your own use type = "idx"'
            raise problem(path, what, expected=expected, got=got, help=help)
        return part


class Mnist(Published):
    """70 000 handwritten digits, 60 000 of them for training; 10 classes. (1, 28, 28)

    Source: LeCun, Cortes, Burges, The MNIST database of handwritten digits (1998),
    http://yann.lecun.com/exdb/mnist/.
    """

    type: Literal["mnist"] = "mnist"

    folders: ClassVar[tuple[str, ...]] = ("mnist",)
    sha256: ClassVar[tuple[str, str, str, str]] = (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    )
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    )
    labels: ClassVar[tuple[str, ...]] = tuple("0123456789")


class FashionMnist(Published):
    """70 000 photographs of clothes, 60 000 of them for training; 10 classes. (1, 28, 28)

    Source: Xiao, Rasul, Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
    Learning Algorithms (2017), https://github.com/zalandoresearch/fashion-mnist, MIT licence.
    """

    type: Literal["fashion_mnist"] = "fashion_mnist"

    folders: ClassVar[tuple[str, ...]] = ("fashion_mnist", "fashion-mnist")
    sha256: ClassVar[tuple[str, str, str, str]] = (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    )
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    )
    labels: ClassVar[tuple[str, ...]] = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
