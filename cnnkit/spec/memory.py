"""How much memory training needs, judged before anything is allocated."""

from __future__ import annotations

import os
from math import prod
from typing import TYPE_CHECKING

from cnnkit.arrays import Shape
from cnnkit.spec.findings import Finding
from cnnkit.spec.shard import shard_size

if TYPE_CHECKING:
    from cnnkit.spec.runspec import RunSpec

_GIB = 2**30


def check_memory(spec: RunSpec, shapes: list[Shape]) -> list[Finding]:
    """Compare a rough need for memory with the limit, before anything is allocated.

    Weights count three times (themselves, two slots of the optimizer), and once more for the
    gradient of every shard; activations three times (themselves, their gradients, scratch), for
    the images in flight.
    """
    itemsize = 8 if spec.model.dtype == "float64" else 4
    layers = spec.model.layers
    counts = [a.weight_count(s) for a, s in zip(layers, shapes, strict=False)]
    images = spec.train.batch
    copies = 3 + -(-images // (spec.train.shard or shard_size(images)))
    needs = [
        itemsize * (copies * n + 3 * images * prod(s))
        for n, s in zip(counts, shapes[1:], strict=True)
    ]
    limit = spec.train.memory * _GIB if spec.train.memory else 0.8 * physical_memory()
    if sum(needs) <= limit:
        return []
    worst = max(range(len(needs)), key=needs.__getitem__)
    return [
        Finding(
            ("model", "layers", worst),
            f"layer {worst + 1} ({layers[worst].type}) takes about {_size(needs[worst])} of the "
            f"{_size(sum(needs))} of memory that training needs with a batch of {images}",
            note=f"the limit is {_size(limit)}",
            help="use fewer units or filters, a smaller batch, or raise [train] memory (GiB)",
        )
    ]


def _size(count: float) -> str:
    """Return a number of bytes as people write it.

    >>> _size(2000), _size(3 * 2**30)
    ('2.0 KiB', '3.0 GiB')
    """
    units = ["bytes", "KiB", "MiB", "GiB"]
    while count >= 1024 and len(units) > 1:
        count, units = count / 1024, units[1:]
    return f"{count:.1f} {units[0]}" if count < 1e6 else f"{count:.1e} {units[0]}"


def physical_memory() -> int:
    """Return the machine's memory in bytes; a guess where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 8 * _GIB
