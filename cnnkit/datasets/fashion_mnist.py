"""Fashion-MNIST."""

from __future__ import annotations

from typing import ClassVar, Literal

from cnnkit.datasets.published import Published


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
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
