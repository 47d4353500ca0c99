"""Memory: what a network takes to learn and to predict, told before anything is allocated."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from cnnkit.arrays import Shape, default_shard, size
from cnnkit.base import Layer, Optimizer
from cnnkit.base.component import chains, walk
from cnnkit.base.layer import Block, called
from cnnkit.base.place import KeyPath
from cnnkit.base.weight import count
from cnnkit.errors import PluginError, RunError, ShapeError
from cnnkit.kernels.conv.geometry import Problem
from cnnkit.kernels.conv.routes import choose
from cnnkit.layers.conv import Conv

GIB = 2**30
DEEPEST = 64
"""Containers in containers: more would exhaust the stack of whoever runs them."""
_BLOCK = 500_000  # numbers in a block of the routes that cut a shard into blocks of images


@dataclass(frozen=True, slots=True)
class Need:
    """What a layer takes, in numbers; of a container what it takes besides the layers inside.

    Args:
        path: the way to it in the network, ("layers", 2, "body", 0).
        place: what messages call it.
        weights: that it declares.
        kept: per image, until the way back is over; in prediction to the network's end.
        passing: per image, in training alone: gradients, and what is made again.
        worker: whatever the number of images.
    """

    path: KeyPath
    place: str
    weights: int
    kept: int
    passing: int
    worker: int = 0

    def training(self, images: int, shards: int, workers: int, slots: int) -> int:
        """Return its numbers where `images` of a batch's `shards` are in flight at once."""
        # themselves and the optimizer's, with the two copies of them while a checkpoint is saved;
        # each shard's gradient, and each worker's before it is kept
        copies = 3 * (1 + slots) + workers + (shards if shards > 1 else 0)
        each = self.kept + self.passing
        return copies * self.weights + images * each + workers * self.worker

    def predicting(self, images: int, workers: int) -> int:
        """Return its numbers where `images` are in flight at once, for all workers."""
        return self.weights + images * self.kept + workers * self.worker


def needs(
    layers: Sequence[Layer], shape: Shape, path: KeyPath = ("layers",), before: str = ""
) -> Iterator[Need]:
    """Yield what each layer of a chain takes, a container before the layers inside it.

    Args:
        layers: as the spec has them; macros count as what they stand for.
        shape: of one image that enters them.
        path: the way to the chain.
        before: what messages put before "layer 1 (conv)".

    Raises:
        ShapeError: where a layer cannot take its input.
        PluginError: where a layer declares what are no weights.
    """
    for index, layer in enumerate(layers):
        after = layer.output_shape(shape)
        place = f"{before}{called(layer, index)}"
        try:
            yield from _needs(layer, shape, after, (*path, index), place)
        except PluginError as error:
            own = layer.name or f"{index}_{layer.type}"
            error.layer_path = "/".join(filter(None, (own, error.layer_path)))
            raise
        shape = after


def _needs(layer: Layer, shape: Shape, after: Shape, path: KeyPath, place: str) -> Iterator[Need]:
    if (lowered := _stands_for(layer, shape)) is not layer:
        parts = list(needs([lowered], shape))
        total = {
            name: sum(getattr(part, name) for part in parts)
            for name in ("weights", "kept", "passing", "worker")
        }
        yield Need(path, place, **total)
        return
    dx = prod(shape)
    need = Need(path, place, count(layer.weights(shape)), layer.kept(shape), dx)
    inside = list(_inside(layer, shape, path, place))  # a container names what is wrong in it
    if isinstance(layer, Conv):
        need = _with_columns(need, layer, shape, after)
    yield replace(need, weights=max(0, need.weights - sum(n.weights for n in inside)))
    yield from inside


def _stands_for(layer: Layer, shape: Shape) -> Layer:
    """Return what a macro or a block comes to; other layers are what they are."""
    if isinstance(layer, Block):
        return layer.built(shape)
    lowered = layer.lower()
    return layer if type(lowered) is type(layer) else lowered


def _inside(layer: Layer, shape: Shape, path: KeyPath, place: str) -> Iterator[Need]:
    """Yield the needs of the layers in a container's options, each chain from its input on."""
    for chain in chains(layer):
        before = f"{place} > {f'{chain.called} ' * bool(chain.called)}"
        with suppress(ShapeError):  # a container that changes its input first: nobody can know
            yield from needs(chain.layers, shape, (*path, *chain.path), before)


def _with_columns(need: Need, layer: Conv, shape: Shape, after: Shape) -> Need:
    """Add what the route of a convolution takes: padded maps, columns, gradients per image."""
    geometry = layer._geometry(shape)
    (C, H, W), (F, Ho, Wo), (kh, kw) = shape, after, geometry.kernel
    (top, bottom), (left, right) = geometry.padding
    padded = C * (H + top + bottom) * (W + left + right)
    cells, kernels = Ho * (W + max(left, right)), need.weights
    wants = [True, False] if need.path[-1] else [False]  # nobody reads the first layer's dx
    route = max(
        (choose(Problem(shape, F, geometry, wants_dx)).name for wants_dx in wants),
        key=["pointwise", "winograd", "shift", "last", "columns", "unroll"].index,
    )  # the hungriest
    columns = C * kh * kw * (cells if route == "unroll" else Ho * Wo)  # every window
    kept, passing, worker = 0, 0, 0
    match route:
        case "pointwise":
            passing = kernels
        case "winograd":
            worker = 4 * _BLOCK + 8 * kernels
            kept = 9 * C * Ho * Wo // 4
        case "shift":  # by blocks of images, one at least
            block = max(_BLOCK, (kh * F + kw * C) * cells)
            kept, passing, worker = padded, kernels, 2 * block + 2 * kernels
        case "unroll":
            kept, passing, worker = columns + padded, kernels + F * cells, 2 * kernels
        case _:
            kept, passing, worker = columns + padded, kernels, 2 * kernels
            passing += columns * wants[0]
    return replace(need, kept=need.kept + kept, passing=need.passing + passing, worker=worker)


def training_bytes(
    found: Sequence[Need],
    layers: Sequence[Layer],
    optimizer: Optimizer,
    *,
    batch: int,
    shard: int | None = None,
    threads: int | None = None,
    copies: int = 0,
    rollback: bool = False,
    itemsize: int = 4,
) -> list[int]:
    """Return what each of `found` takes in training; all that it could go back to, too.

    Args:
        copies: of all weights, kept for callbacks.
    """
    shard = min(batch, shard or default_shard(batch))
    shards = -(-batch // shard)
    workers = min(threads or os.cpu_count() or 1, shards)
    if any(isinstance(one, Layer) and one.couples_batch for _, one in walk(list(layers))):
        workers = shards  # every shard waits for all others
    images, kept = min(batch, workers * shard), _slot_count(optimizer) + copies
    kept += (1 + kept) * rollback  # weights and state as the epoch began
    shards += optimizer.waits + (optimizer.accumulate > 1)  # the sum, and what is to be added
    return [itemsize * need.training(images, shards, workers, kept) for need in found]


def _slot_count(optimizer: Optimizer) -> int:
    """Return how many numbers an optimizer keeps of each weight; two where it does not say."""
    try:
        state = optimizer.init_state({"weight": np.zeros(1, np.float32)})
        return sum(array.size for slot in state.values() for array in slot.values())
    except Exception:  # an author's code: training will name it
        return 2


def check_prediction(layers: Sequence[Layer], shape: Shape, where: str) -> None:
    """Refuse a network of which an image for each core takes more memory than there is.

    Raises:
        RunError: naming the layer that takes the most; or where containers are nested too deep.
    """
    if any(len(path) > 2 * DEEPEST for path, _ in walk(list(layers))):
        raise RunError(f"{where}: its layers are nested more than {DEEPEST} deep")
    workers, found, limit = os.cpu_count() or 1, list(needs(layers, shape)), memory_limit()
    taken = [4 * need.predicting(workers, workers) for need in found]
    if sum(taken) > limit:
        worst = max(range(len(taken)), key=taken.__getitem__)
        raise RunError(
            f"{where}: {found[worst].place} takes about {size(taken[worst])} of the "
            f"{size(sum(taken))} of memory that an image for each core needs; the limit is "
            f"{size(limit)}"
        )


def memory_limit() -> float:
    """Return the bytes that a network may take: four fifths of the machine's memory."""
    return 0.8 * physical_memory()


def physical_memory() -> int:
    """Return the memory in bytes of the machine, or of the container around this process; a guess
    where nobody says."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        found = 8 * GIB
    try:
        return min(found, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # "max", or another system
        return found
