"""MNIST and its relatives: four gzipped IDX files, or an archive of such."""

from abc import ABC
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Literal, cast

from cnnkit.base import Data, DataPaths, DatasetInfo
from cnnkit.datasets.arrays import assemble
from cnnkit.datasets.download import Remote
from cnnkit.datasets.files import exists
from cnnkit.datasets.idx import Role, parse_idx, read_idx
from cnnkit.datasets.labels import Part
from cnnkit.datasets.published import Published

if TYPE_CHECKING:
    from zipfile import ZipFile

_NAMES = (
    "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz",
)  # fmt: skip


def _four(*known: tuple[int, str] | tuple[int, str, str]) -> tuple[Remote, ...]:
    """Return the four files, of which size and hashes are known."""
    return tuple(Remote(name, *one) for name, one in zip(_NAMES, known, strict=True))


class FourFiles(Published, ABC):
    """Images and labels for training, then for test, each in a file. (1, 28, 28)"""

    def load(self, paths: DataPaths) -> Data:
        if paths.data_dir is not None and not exists(paths.data_dir):
            paths.say(f"there is no data folder {paths.data_dir}")
        found = [self.find(file, paths) for file in self.files]
        images, labels, *test = map(self._read, found, self.files)
        parts = {"train": (images, labels), "test": (test[0], test[1])}
        return assemble(self, parts, list(self.labels))

    def _read(self, path: Path, file: Remote) -> Part:
        """Read first: a damaged file is better explained by its damage than by its hash."""
        part = read_idx(path, "images" if "images" in path.name else "labels")
        self.verify(path, file)
        return part


class Mnist(FourFiles):
    """70 000 handwritten digits, 60 000 of them for training; 10 classes. (1, 28, 28)

    Source: LeCun, Cortes, Burges, The MNIST database of handwritten digits (1998),
    http://yann.lecun.com/exdb/mnist/.
    """

    type: Literal["mnist"] = "mnist"

    folders: ClassVar[tuple[str, ...]] = ("mnist", "MNIST/raw")
    files: ClassVar[tuple[Remote, ...]] = _four(
        (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
         "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
         "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
         "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
         "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    )  # fmt: skip
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    )
    labels: ClassVar[tuple[str, ...]] = tuple("0123456789")


class FashionMnist(FourFiles):
    """70 000 photographs of clothes, 60 000 of them for training; 10 classes. (1, 28, 28)

    Source: Xiao, Rasul, Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
    Learning Algorithms (2017), https://github.com/zalandoresearch/fashion-mnist, MIT licence.
    """

    type: Literal["fashion_mnist"] = "fashion_mnist"

    folders: ClassVar[tuple[str, ...]] = ("fashion_mnist", "FashionMNIST/raw", "fashion-mnist")
    files: ClassVar[tuple[Remote, ...]] = _four(
        (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
         "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
        (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
         "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
        (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
         "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
        (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
         "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
    )  # fmt: skip
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    )
    labels: ClassVar[tuple[str, ...]] = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip


class Kmnist(FourFiles):
    """70 000 cursive Japanese characters, 60 000 of them for training; 10 classes. (1, 28, 28)

    Source: Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto, Ha, Deep Learning for Classical
    Japanese Literature (2018), https://github.com/rois-codh/kmnist, licence CC BY-SA 4.0.
    """

    type: Literal["kmnist"] = "kmnist"

    folders: ClassVar[tuple[str, ...]] = ("kmnist", "KMNIST/raw")
    files: ClassVar[tuple[Remote, ...]] = _four(
        (18_165_135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
        (29_497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
        (3_041_136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
        (5_120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
    )  # fmt: skip
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    )
    labels: ClassVar[tuple[str, ...]] = (
        "o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo",
    )  # fmt: skip


_DIGITS, _CAPITALS = tuple("0123456789"), tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CASES = (*_DIGITS, *_CAPITALS, *"abdefghnqrt")
_SUBSETS = {
    "balanced": _CASES, "byclass": (*_DIGITS, *_CAPITALS, *map(str.lower, _CAPITALS)),
    "bymerge": _CASES, "digits": _DIGITS, "letters": _CAPITALS, "mnist": _DIGITS,
}  # fmt: skip


class Emnist(Published):
    """Handwritten digits and letters, in six subsets of 10 to 62 classes. (1, 28, 28)

    All are published in one archive of 562 MB.

    Source: Cohen, Afshar, Tapson, van Schaik, EMNIST: an extension of MNIST to handwritten letters
    (2017), https://www.nist.gov/itl/products-and-services/emnist-dataset.
    """

    type: Literal["emnist"] = "emnist"

    subset: Literal["balanced", "byclass", "bymerge", "digits", "letters", "mnist"] = "balanced"
    """Which of the published subsets: "balanced" has 131 600 images in 47 classes."""

    folders: ClassVar[tuple[str, ...]] = ("emnist", "EMNIST/raw")
    files: ClassVar[tuple[Remote, ...]] = (
        Remote(
            "gzip.zip", 561_753_746,
            "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
        ),
    )  # fmt: skip
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://biometrics.nist.gov/cs_links/EMNIST/",
        "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
    )

    def info(self, paths: DataPaths) -> DatasetInfo:
        names = _SUBSETS[self.subset]
        return DatasetInfo(self.shape, len(names), names, validation=False)

    def load(self, paths: DataPaths) -> Data:
        from zipfile import ZipFile

        path = self.find(self.files[0], paths)
        self.verify(path, self.files[0])
        with ZipFile(path) as archive:
            parts = {part: self._read(archive, path, part) for part in ("train", "test")}
        return assemble(self, parts, list(_SUBSETS[self.subset]))

    def _read(self, archive: "ZipFile", path: Path, part: str) -> tuple[Part, Part]:
        from gzip import GzipFile

        pair = []
        ranks: dict[Role, int] = {"images": 3, "labels": 1}
        for role, rank in ranks.items():
            name = f"gzip/emnist-{self.subset}-{part}-{role}-idx{rank}-ubyte.gz"
            with archive.open(name) as packed, GzipFile(fileobj=packed) as stream:
                pair.append(parse_idx(cast(BinaryIO, stream), path, role))
        images, labels = pair
        return Part(images.array.swapaxes(1, 2), path), labels  # they are published lying down
