"""Model: a network with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, Shape, Weights, flatten, unflatten
from cnnkit.base import Layer, Transform
from cnnkit.blas import one_blas_thread
from cnnkit.errors import RunError, SpecError
from cnnkit.files import load_tensors, save_tensors
from cnnkit.layers.sequential import Sequential
from cnnkit.plugins import load_plugins
from cnnkit.pool import Pool, shared_pool
from cnnkit.registry import Registry
from cnnkit.restored import check_count, check_suppliers, check_weights
from cnnkit.shards import check_images, run_shards
from cnnkit.spec.resolved import plain, suppliers
from cnnkit.spec.runspec import ModelFacts
from cnnkit.summary import Row, summarise

_WEIGHTS = "weights/"  # what their names start with in a file, apart from an optimizer's state


@dataclass(frozen=True, eq=False)
class Model:
    """A stack of layers with weights that fit it.

    Args:
        layers: as written in the spec.
        network: the same, lowered: what runs.
        input_shape: shape of one image, (C, H, W), as it enters the first layer.
        weights: the weight tree.
        transforms: applied to images before the network.
        classes: a display name per class.
    """

    layers: tuple[Layer, ...]
    network: Sequential = field(repr=False)
    input_shape: Shape
    weights: Weights = field(repr=False)
    transforms: tuple[Transform, ...] = ()
    classes: tuple[str, ...] = ()

    @classmethod
    def build(
        cls,
        layers: Sequence[Layer],
        input_shape: Shape,
        *,
        seed: int = 0,
        dtype: str = "float32",
        transforms: Sequence[Transform] = (),
        classes: Sequence[str] = (),
    ) -> Model:
        """Return a model with freshly drawn weights.

        Raises:
            ShapeError: where a layer cannot take its input, with the trail of shapes.
            ValueError: for another dtype than float32 and float64.
        """
        if dtype not in ("float32", "float64"):
            raise ValueError(f'dtype must be "float32" or "float64", got {dtype!r}')
        network = Sequential(layers=list(layers)).lower()
        network.output_shape(input_shape)
        drawn = network.init_weights(input_shape, np.random.default_rng(seed))
        weights = unflatten(
            {path: np.ascontiguousarray(w, dtype) for path, w in flatten(drawn).items()}
        )
        return cls(tuple(layers), network, input_shape, weights, tuple(transforms), tuple(classes))

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of weights and activations."""
        leaves = flatten(self.weights)
        return next(iter(leaves.values())).dtype if leaves else np.dtype(np.float32)

    def shapes(self) -> list[tuple[str, Shape]]:
        """Return (layer name, output shape) for every layer."""
        return [(row.path, row.shape) for row in self.summary()]

    def summary(self) -> list[Row]:
        """Return a row per layer: output shape, weights, MACs and bytes of activations."""
        size = self.dtype.itemsize
        return summarise(self.network, self.layers, self.input_shape, self.weights, size)

    def predict(self, images: npt.ArrayLike, *, pool: Pool | None = None) -> Array:
        """Return the network's output, (N, K), in the model's dtype.

        Args:
            images: (N, *shape before the transforms), uint8 or float.
            pool: worker threads to use; by default one per core, kept for the next call.

        Raises:
            DataError: where the images are no numbers, or do not have the model's shape.
        """
        x = np.asarray(images)
        check_images(self, x)
        with shared_pool(pool) as workers, one_blas_thread():
            return run_shards(self.network.steps, self, x, workers)

    def save(self, path: str | Path) -> None:
        """Write the model to one file, durably.

        Raises:
            RunError: where the file cannot be written; an older one stays intact.
        """
        tensors = {f"{_WEIGHTS}{name}": w for name, w in flatten(self.weights).items()}
        registry = load_plugins()
        made_with = suppliers([self.layers, self.transforms], registry)
        facts = {"model": self.describe(registry), "plugins": made_with}
        save_tensors(Path(path), tensors, facts)

    def describe(self, registry: Registry) -> dict[str, Any]:
        """Return everything but the weights, as plain data; types of plugins are qualified."""
        return {
            "layers": plain(self.layers, registry),
            "transforms": plain(self.transforms, registry),
            "input": list(self.input_shape),
            "classes": list(self.classes),
        }

    @classmethod
    def load(cls, path: str | Path, registry: Registry | None = None) -> Model:
        """Read a model that `save` wrote, or a checkpoint of a run.

        Raises:
            RunError: where the file is damaged, or needs a plugin that is not installed. One of
                another version than at the time of saving is a warning.
        """
        tensors, meta = load_tensors(Path(path))
        own = (name for name in tensors if name.startswith(_WEIGHTS))
        weights = {name.removeprefix(_WEIGHTS): tensors[name] for name in own}
        registry = registry or load_plugins()
        check_suppliers(meta.get("plugins") or {}, registry, str(path))
        return cls.restore(meta.get("model"), weights, str(path), registry)

    @classmethod
    def restore(
        cls, facts: Any, weights: dict[str, Array], where: str, registry: Registry
    ) -> Model:
        """Return the model that `describe` described."""
        try:
            model = ModelFacts.model_validate(facts, context={"registry": registry})
            network = Sequential(layers=model.layers).lower()
            check_count(network.weight_count(tuple(model.input)), weights, where)
            expected = network.init_weights(tuple(model.input), np.random.default_rng(0))
        except (ValueError, SpecError) as error:
            raise RunError(f"{where}: cannot rebuild the model: {error}") from None
        check_weights(flatten(expected), weights, where)
        ordered = unflatten({path: weights[path] for path in flatten(expected)})
        return cls(tuple(model.layers), network, tuple(model.input), ordered,
                   tuple(model.transforms), tuple(model.classes))  # fmt: skip
