"""The built-in datasets, registered through the same hook as anybody else's."""

from cnnkit.base import Dataset
from cnnkit.datasets.digits import Digits
from cnnkit.datasets.idx import Idx
from cnnkit.datasets.image_folder import ImageFolder
from cnnkit.datasets.mnist import FashionMnist, Mnist
from cnnkit.datasets.npz import Npz
from cnnkit.datasets.table import Csv
from cnnkit.hookspecs import hookimpl

__all__ = ["Csv", "Digits", "FashionMnist", "Idx", "ImageFolder", "Mnist", "Npz"]


@hookimpl
def cnnkit_datasets() -> list[type[Dataset]]:
    """Return the datasets that come with cnnkit."""
    return [FashionMnist, Mnist, Digits, Idx, Npz, Csv, ImageFolder]
