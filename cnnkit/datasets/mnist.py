"""MNIST."""

from __future__ import annotations

from typing import ClassVar, Literal

from cnnkit.datasets.published import Published


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
