"""Model: a network with its weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializeAsAny

from cnnkit.arrays import Array, Shape, Weights, flatten, unflatten
from cnnkit.base import (
    Backend,
    Component,
    Layer,
    Layers,
    Transform,
    Weight,
    show,
)
from cnnkit.base.backend import Fusing
from cnnkit.base.component import Positive, Section, Table, child, nothing
from cnnkit.base.layer import Tap
from cnnkit.base.weight import declared, draw
from cnnkit.errors import PluginError, RunError, SpecError
from cnnkit.examined import Examined, check_images
from cnnkit.files.tensors import load_tensors, save_tensors
from cnnkit.layers.sequential import Sequential
from cnnkit.memory import check_prediction
from cnnkit.plugins import find_component, load_plugins
from cnnkit.prediction import Predictor, fit_transforms
from cnnkit.provenance import check_offered, missing_suppliers, other_versions, plain, suppliers
from cnnkit.registry import Registry
from cnnkit.summary import Summary, layer_rows
from cnnkit.values import Seen
from cnnkit.workers import Threads, one_blas_thread, shared_threads


class ModelFacts(Section):
    """What a saved model says of itself besides its weights."""

    layers: Annotated[Layers, Field(min_length=1)]
    """The layers as the spec had them."""
    transforms: list[Annotated[SerializeAsAny[Transform], child("transforms")]]
    """What is done to an image before the first layer."""
    average: list[Annotated[SerializeAsAny[Transform], child("transforms")]] = Field(
        default_factory=nothing
    )
    """What prediction averages over; not in files of 0.1."""
    input: list[Positive]
    """Shape of one image at the first layer."""
    classes: list[str]
    """A display name per class."""
    trained_on: Annotated[list[float], Field(min_length=2, max_length=3)] | None = None
    """Range of the pixel values before the transforms, and how bright the edges of the images are;
    not in files of 0.1."""


FAMILIES_OF_A_MODEL = ("layers", "transforms", "initializers")
"""What a model is made of; loss, optimizer and the like are the run's."""


def check_suppliers(made_with: Any, registry: Registry, where: str) -> None:
    """Hold what a file says about its plugins against the installed ones; another version warns.

    Raises:
        RunError: where a type cannot be had from the distribution it came from.
    """
    if not isinstance(made_with, dict):
        raise RunError(f"{where}: cannot rebuild the model: it does not say its plugins")
    missing = missing_suppliers(made_with, registry, FAMILIES_OF_A_MODEL)
    if missing:
        raise RunError(f"{where}: cannot rebuild the model: {'; '.join(missing)}")
    for sentence in other_versions(made_with, registry, FAMILIES_OF_A_MODEL):
        warnings.warn(f"{where}: {sentence}", stacklevel=3)


def check_weights(expected: Mapping[str, Weight], found: dict[str, Array], where: str) -> None:
    """Hold a file's weights against those that the layers declare.

    Raises:
        RunError: naming a weight of another shape, or dtypes that are not one float dtype.
    """
    want = {path: w.shape for path, w in expected.items()}
    have = {path: w.shape for path, w in found.items()}
    if want != have:
        wrong = sorted(p for p in want.keys() | have.keys() if want.get(p) != have.get(p))[0]
        raise RunError(
            f"{where}: weight {wrong} should have shape {want.get(wrong, 'none at all')}, "
            f"but has {have.get(wrong, 'none at all')}"
        )
    dtypes = {str(w.dtype) for w in found.values()}
    if len(dtypes) > 1 or not dtypes <= {"float32", "float64"}:
        raise RunError(
            f"{where}: weights are of dtype {', '.join(sorted(dtypes))}; expected float32 or "
            "float64, the same for all"
        )


def find_backend(backend: Backend | Table, registry: Registry | None = None) -> Backend:
    """Return a backend that is given as such, by its name, or as a table with options.

    Raises:
        PluginError: where nobody offers it; it says how to get it.
    """
    found: Backend = find_component("backends", backend, registry)
    return found


_WEIGHTS = "weights/"  # what their names start with in a file, apart from an optimizer's state


@dataclass(frozen=True, eq=False)
class Model(Examined):
    """A stack of layers with weights that fit it.

    Args:
        layers: as written in the spec.
        network: the same, lowered: what runs.
        input_shape: shape of one image, (C, H, W), as it enters the first layer.
        weights: the weight tree.
        transforms: applied to images before the network.
        classes: a display name per class.
        trained_on: what the images it was made for look like before the transforms, if known.
        backend: computes predictions, and training unless the trainer is given another one.
        average: transforms over whose views, such as a flip's, prediction averages.
    """

    layers: tuple[Layer, ...]
    network: Sequential = field(repr=False)
    input_shape: Shape
    weights: Weights = field(repr=False)
    transforms: tuple[Transform, ...] = ()
    classes: tuple[str, ...] = ()
    trained_on: Seen | None = field(default=None, repr=False)
    backend: Backend = field(default_factory=lambda: find_backend("numpy"), repr=False)
    average: tuple[Transform, ...] = field(default=(), repr=False)

    @classmethod
    def build(
        cls,
        layers: Sequence[Layer | Table],
        input_shape: Shape,
        *,
        seed: int = 0,
        dtype: str = "float32",
        transforms: Sequence[Transform] = (),
        classes: Sequence[str] = (),
        trained_on: Seen | None = None,
        backend: Backend | Table = "numpy",
        average: Sequence[Transform] = (),
    ) -> Model:
        """Return a model with freshly drawn weights.

        Args:
            layers: first to last; a type's name stands for the layer with its default options.
            input_shape: of one image at the first layer, such as (1, 28, 28).
            classes: a display name per class; by default the numbers of the outputs.
            backend: computes predictions and training: a name such as "native", or the object.
            average: transforms with views, such as `Flip()`, over which prediction averages.

        Raises:
            ShapeError: where a layer cannot take its input, with the trail of shapes.
            ValueError: for another dtype than float32 and float64.
            PluginError: where nobody offers the backend; it says how to get it.
        """
        if dtype not in ("float32", "float64"):
            raise ValueError(f'dtype must be "float32" or "float64", got {dtype!r}')
        written = Sequential(layers=layers)
        network = written.lower()
        outputs = network.output_shape(input_shape)
        names = classes or [str(label) for label in range(max(2, outputs[0]))]
        tree = network.weights(input_shape)
        declared(tree)  # by anybody: checked before it is drawn
        weights = draw(tree, np.random.default_rng(seed), dtype)
        return cls(tuple(written.layers), network, input_shape, weights, tuple(transforms),
                   tuple(names), trained_on, find_backend(backend), tuple(average))  # fmt: skip

    def note_range(self, trained_on: Seen) -> None:
        """Remember the range of the pixel values that training sees, as it changes the weights."""
        object.__setattr__(self, "trained_on", trained_on)

    def fit_transforms(self, images: Array) -> None:
        """Let the transforms take what they need from the training images, unless they have it."""
        fitted = fit_transforms(self.transforms, images, self.dtype)
        object.__setattr__(self, "transforms", fitted)
        self.__dict__.pop("_predictor", None)

    def use(self, backend: Backend | Table) -> None:
        """Compute with another backend from now on.

        Raises:
            PluginError: where nobody offers it; it says how to get it.
        """
        object.__setattr__(self, "backend", find_backend(backend))
        for kept in ("_fuse", "_predictor"):
            self.__dict__.pop(kept, None)

    @property
    def output_shape(self) -> Shape:
        """The shape of what the network gives for one image."""
        return self.network.output_shape(self.input_shape)

    @cached_property
    def learning(self) -> frozenset[str]:
        """The paths of the weights that learn."""
        tree = declared(self.network.weights(self.input_shape))
        return frozenset(path for path, weight in tree.items() if weight.learns)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of weights and activations."""
        leaves = flatten(self.weights)
        return next(iter(leaves.values())).dtype if leaves else np.dtype(np.float32)

    def shapes(self) -> list[tuple[str, Shape]]:
        """Return (layer name, output shape) for every layer."""
        return [(row.path, row.shape) for row in self.summary()]

    def summary(self) -> Summary:
        """Return a row per layer: output shape, weights, MACs and bytes of activations; shown as a
        table."""
        rows = layer_rows(self.layers, self.input_shape, self.dtype.itemsize)
        return Summary(row for row in rows if row.depth == 0)

    def __repr__(self) -> str:
        return f"Model {show(self.input_shape)} -> {show(self.output_shape)}\n{self.summary()}"

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def predict(self, images: npt.ArrayLike, *, threads: Threads | None = None) -> Array:
        """Return the network's output, (N, K), in the model's dtype.

        Args:
            images: (N, *shape before the transforms), uint8 or float.
            threads: those to use; by default one per core, kept for the next call.

        Raises:
            DataError: where the images are no numbers, or do not have the model's shape.
        """
        x = np.asarray(images)
        check_images(self, x)
        with shared_threads(threads) as workers, one_blas_thread():
            return self._predictor(x, workers)

    @cached_property
    def _predictor(self) -> Predictor:
        return self.predictor(self.network.steps, self.average)

    @cached_property
    def _fuse(self) -> Fusing:
        return Fusing(self.backend, self.dtype, training=False)

    def predictor(
        self,
        steps: Sequence[tuple[str, Layer]],
        average: Sequence[Transform] = (),
        tap: Tap | None = None,
    ) -> Predictor:
        """Return what takes images through named layers of this model, with its backend."""
        facts = self.input_shape, self.weights, self.transforms, self.dtype, self._fuse
        return Predictor(steps, *facts, average, tap)

    def save(self, path: str | Path, *, types: Sequence[type[Component]] = ()) -> None:
        """Write the model to one file, durably.

        Args:
            types: classes that no installed plugin offers; `load` will ask for them again.

        Raises:
            PluginError: where the file could not be loaded again, as nobody offers a layer.
            RunError: where the file cannot be written; an older one stays intact.
        """
        tensors = {f"{_WEIGHTS}{name}": w for name, w in flatten(self.weights).items()}
        registry = load_plugins().offering(types)
        parts = [self.layers, self.transforms, self.average]
        check_offered(parts, registry)
        made_with = suppliers([*parts, self.backend], registry)
        facts = {"model": self.describe(registry), "plugins": made_with}
        save_tensors(Path(path), tensors, facts)

    def describe(self, registry: Registry) -> dict[str, Any]:
        """Return everything but the weights, as plain data; types of plugins are qualified."""
        return {
            "layers": plain(self.layers, registry),
            "transforms": plain(self.transforms, registry),
            "average": plain(self.average, registry),
            "input": list(self.input_shape),
            "classes": list(self.classes),
            "trained_on": list(self.trained_on) if self.trained_on else None,
        }

    @classmethod
    def load(
        cls,
        path: str | Path,
        registry: Registry | None = None,
        *,
        types: Sequence[type[Component]] = (),
        backend: Backend | Table = "numpy",
    ) -> Model:
        """Read a model that `save` wrote, or a checkpoint of a run.

        Args:
            types: the classes that were given to `save`, or to `load_spec`.
            backend: computes with it, whatever it was trained with.

        Raises:
            RunError: where the file is damaged, or needs a plugin that is not installed. One of
                another version than at the time of saving is a warning.
        """
        tensors, meta = load_tensors(Path(path))
        own = (name for name in tensors if name.startswith(_WEIGHTS))
        weights = {name.removeprefix(_WEIGHTS): tensors[name] for name in own}
        registry = (registry or load_plugins()).offering(types)
        check_suppliers(meta.get("plugins") or {}, registry, str(path))
        model = cls.restore(meta.get("model"), weights, str(path), registry)
        model.use(find_backend(backend, registry))
        return model

    @classmethod
    def restore(
        cls, facts: Any, weights: dict[str, Array], where: str, registry: Registry
    ) -> Model:
        """Return the model that `describe` described."""
        try:
            model = ModelFacts.model_validate(facts, context={"registry": registry})
            network = Sequential(layers=model.layers).lower()
            expected = declared(network.weights(tuple(model.input)))
        except (ValueError, SpecError, PluginError, RecursionError) as error:
            raise RunError(f"{where}: cannot rebuild the model: {error}") from None
        check_weights(expected, weights, where)
        check_prediction(model.layers, tuple(model.input), where)
        trained_on = tuple(model.trained_on) if model.trained_on else None
        ordered = unflatten({path: weights[path] for path in expected})
        return cls(tuple(model.layers), network, tuple(model.input), ordered,
                   tuple(model.transforms), tuple(model.classes), trained_on,
                   average=tuple(model.average))  # fmt: skip
