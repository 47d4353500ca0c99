"""The built-in datasets, registered through the same hook as anybody else's."""

from cnnkit.base import Dataset
from cnnkit.datasets.cifar import Cifar10
from cnnkit.datasets.digits import Digits
from cnnkit.datasets.idx import Idx
from cnnkit.datasets.image_folder import ImageFolder
from cnnkit.datasets.mnist import Emnist, FashionMnist, Kmnist, Mnist
from cnnkit.datasets.npz import Npz
from cnnkit.datasets.table import Csv
from cnnkit.hookspecs import hookimpl

__all__ = [
    "Cifar10", "Csv", "Digits", "Emnist", "FashionMnist", "Idx", "ImageFolder", "Kmnist", "Mnist",
    "Npz",
]  # fmt: skip


@hookimpl
def cnnkit_datasets() -> list[type[Dataset]]:
    """Return the datasets that come with cnnkit."""
    return [
        FashionMnist, Mnist, Kmnist, Emnist, Cifar10, Digits, Idx, Npz, Csv, ImageFolder,
    ]  # fmt: skip
