"""What the methods of every family must return, checked where it enters: one source for the
engine, which meets it, and for the kit, which goes looking for it.

Every function returns what it was given, or raises a ContractError that says what was expected.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from cnnkit.arrays import Array, Shape, Weights, flatten
from cnnkit.errors import ContractError

if TYPE_CHECKING:  # all of these are checked here
    from cnnkit.base.component import Component
    from cnnkit.base.dataset import Data, Split
    from cnnkit.base.layer import Layer
    from cnnkit.base.weight import Weight

_SHAPE = "a tuple of whole numbers > 0, such as (6, 12, 12), without the batch axis"


def checked_shape(layer: Component, got: Any, method: str = "output_shape") -> Shape:
    """Hold a shape rule's result to being plain sizes of one sample."""
    plain = isinstance(got, tuple) and all(type(n) is int and n > 0 for n in got)
    if not plain:
        _refuse(layer, method, _what(got), _SHAPE)
    shape: Shape = got
    return shape


def checked_forward(layer: Layer, x: Array, got: Any, shape: Shape) -> Any:
    """Hold `forward` to (y, backward), y an array (N, *shape) in the dtype of x."""
    _pair(layer, "forward", got, "(y, backward)")
    y = got[0]
    if isinstance(y, np.ndarray) and y.shape[:1] == x.shape[:1] and y.shape[1:] != shape:
        as_declared = f"shape {(len(x), *shape)} and dtype {x.dtype}"
        changed = f"output_shape(self, shape) that returns {y.shape[1:]} for {x.shape[1:]}"
        _refuse(layer, "forward", f"y: {_what(y)}", f"{as_declared}, or {changed}")
    _array(layer, "forward", "y", y, (len(x), *shape), x.dtype)
    if not callable(got[1]):
        _refuse(layer, "forward", f"{_what(got[1])} as backward", "a function dy -> (dx, grads)")
    return got


def checked_backward(layer: Layer, x: Array, w: Weights, got: Any, wants_dx: bool) -> Any:
    """Hold `backward` to (dx, gradients), shaped like x and like the weights."""
    _pair(layer, "backward", got, "(dx, gradients)")
    if wants_dx:
        _array(layer, "backward", "dx", got[0], x.shape, x.dtype)
    weights = flatten(w)
    if not isinstance(got[1], dict):
        _refuse(layer, "backward", f"{_what(got[1])} as gradients", "a dict, {} without weights")
    for path, grad in flatten(got[1]).items():
        if path not in weights:
            expected = f"only {', '.join(weights)}" if weights else "none, as it has no weights"
            _refuse(layer, "backward", f"a gradient for {path}", expected)
        _array(layer, "backward", f"the gradient of {path}", grad, weights[path].shape, x.dtype)
    return got


def checked_learning(
    layer: Layer, grads: Mapping[str, Array], weights: Mapping[str, Weight]
) -> None:
    """Hold `backward` to a gradient for each weight that is declared to learn, and for no other."""
    for path, weight in weights.items():
        if weight.learns and path not in grads:
            expected = "one for every weight that learns, or learns=False where it is declared"
            _refuse(layer, "backward", f"no gradient for {path}", expected)
        if path in grads and not weight.learns:
            what = f"a gradient for {path}, which is declared not to learn"
            _refuse(layer, "backward", what, "none for it, or learns=True")


def left_alone(layer: Layer, method: str, what: str, now: Array, before: Array) -> None:
    """Hold a method to leaving an array as it was; NaN counts as equal to NaN."""
    if now is not before and not np.array_equal(now, before, equal_nan=True):
        raise ContractError(layer, method, f"changed {what}", f"{what} left as it was")


def repeats(layer: Layer, y: Array, again: Array) -> None:
    """Hold `forward` to giving the same for the same input and random key."""
    if not np.array_equal(y, again, equal_nan=True):
        expected = "every random number from ctx.rng(), and no state on the layer"
        _refuse(layer, "forward", "two results for one input and one random key", expected)


def checked_steps(backend: Component, steps: Sequence[tuple[str, Any]], got: Any) -> Any:
    """Hold a backend to steps that stand for all layers of a chain, each once, by their names."""
    names = [name for name, _ in steps]
    try:
        stands_for = [n for name, step in got for n in ([name] if name else step.names)]
    except (TypeError, ValueError, AttributeError):
        _refuse(backend, "fuse", _what(got), '(name, layer) pairs, and ("", fused step with names)')
    if sorted(stands_for) != sorted(names):
        found = f"steps for {', '.join(stands_for) or 'no layer'}"
        _refuse(backend, "fuse", found, f"steps that stand for {', '.join(names)}, each once")
    return got


def checked_losses(loss: Component, y: Array, got: Any) -> Any:
    """Hold a loss to (losses (N,), function)."""
    _pair(loss, "forward", got, "(losses, a function that gives dy)")
    _array(loss, "forward", "losses", got[0], (len(y),), y.dtype)
    return got


def checked_dy(loss: Component, y: Array, got: Any) -> Array:
    """Hold a loss's function to a gradient shaped like y, in an array of its own."""
    dy = _array(loss, "forward's function", "dy", got, y.shape, y.dtype)
    if not dy.flags.writeable:
        _refuse(loss, "forward's function", "y itself", "a new array")
    return dy


def checked_images(transform: Component, x: Array, got: Any, shape: Shape) -> Array:
    """Hold a transform to images (N, *shape), uint8 or floats."""
    if not isinstance(got, np.ndarray) or got.dtype.kind not in "uf":
        _refuse(transform, "apply", _what(got), "an array of uint8 or floats")
    return _array(transform, "apply", "images", got, (len(x), *shape), got.dtype)


def checked_mix(transform: Component, x: Array, targets: Array, got: Any) -> Any:
    """Hold `apply_batch` to images and targets like those that it was given."""
    _pair(transform, "apply_batch", got, "(images, targets)")
    _array(transform, "apply_batch", "images", got[0], x.shape, x.dtype)
    _array(transform, "apply_batch", "targets", got[1], targets.shape, targets.dtype)
    return got


def checked_fit(component: Component, got: Any) -> Any:
    """Hold `fit` to a component of the same type."""
    if type(got) is not type(component):
        _refuse(component, "fit", _what(got), "the component itself, or one of its type")
    return got


def checked_draw(initializer: Component, got: Any, shape: Shape) -> Array:
    """Hold an initializer to finite floats of the shape."""
    array: Array = _array(initializer, "draw", "", got, shape, None)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        _refuse(initializer, "draw", f"{_what(array)}, not all of it finite numbers", "finite ones")
    return array


def checked_factor(schedule: Component, got: Any) -> float:
    """Hold a schedule to a finite number >= 0."""
    number = isinstance(got, int | float) and not isinstance(got, bool)
    if not number or not math.isfinite(got) or got < 0:
        _refuse(schedule, "factor", _what(got), "a finite number >= 0")
    return float(got)


def checked_figure(metric: Component, got: Any) -> Any:
    """Hold a metric to what JSON can hold: finite numbers, or lists and dicts of them."""
    try:
        if got is None or isinstance(got, str):
            raise TypeError
        json.dumps(got, allow_nan=False)
    except (TypeError, ValueError):
        _refuse(metric, "evaluate", _what(got), "finite plain numbers, or lists and dicts of them")
    return got


def checked_state(optimizer: Component, got: Any, weights: Mapping[str, Array]) -> Any:
    """Hold an optimizer's fresh state to {slot: {path: array like the weight}}."""
    if not isinstance(got, dict) or not all(isinstance(slot, dict) for slot in got.values()):
        _refuse(optimizer, "init_state", _what(got), "{slot: {path: array}}")
    for slot, arrays in got.items():
        if arrays.keys() != weights.keys():
            found = f"{slot!r} for {', '.join(arrays) or 'no weight'}"
            _refuse(optimizer, "init_state", found, f"an array for each of {', '.join(weights)}")
        for path, array in arrays.items():
            _array(optimizer, "init_state", f"{slot}/{path}", array, weights[path].shape, None)
    return got


def checked_update(
    optimizer: Component, got: Mapping[str, Array], given: Mapping[str, Array]
) -> None:
    """Hold `update` to leaving the arrays of the weights where they are."""
    if got.keys() != given.keys() or any(got[path] is not array for path, array in given.items()):
        expected = "every array changed in place, weights[path] -= ..."
        raise ContractError(optimizer, "update", "put other arrays into weights", expected)


def checked_memory(callback: Component, method: str, got: Any, where: str = "state") -> Any:
    """Hold a callback's state to a tree of arrays and plain numbers, as a checkpoint holds them."""
    if not isinstance(got, dict) or (not got and where != "state"):
        _left(callback, method, got, where, "dicts, which are empty nowhere but at the root")
    for name, value in got.items():
        here = f"{where}[{name!r}]"
        if not isinstance(name, str) or not name or "/" in name:
            _left(callback, method, value, here, 'names without "/"')
        elif isinstance(value, np.ndarray):
            if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
                _left(callback, method, value, here, "an array of real numbers or booleans")
        elif isinstance(value, dict):
            checked_memory(callback, method, value, here)
        elif type(value) not in (bool, int, float):  # a NumPy number would come back as another
            _left(callback, method, value, here, "an array, or a plain int, float or bool")
    return got


def _left(callback: Component, method: str, got: Any, where: str, expected: str) -> NoReturn:
    raise ContractError(callback, method, f"left {_what(got)} in {where}", expected)


def checked_rate(callback: Component, method: str, got: Any) -> float:
    """Hold the learning rate that a callback leaves to a finite number >= 0."""
    if type(got) not in (int, float) or not math.isfinite(got) or got < 0:
        _left(callback, method, got, "training.rate", "a finite plain number >= 0")
    return float(got)


def checked_stand_in(
    callback: Component, method: str, got: Any, weights: Mapping[str, Array]
) -> dict[str, Array]:
    """Hold weights that stand in for others to their paths, shapes and dtypes, and to be finite."""
    if not isinstance(got, dict | None):
        _refuse(callback, method, _what(got), "weights by path or as a tree, or None")
    found = flatten(got or {})
    for path, array in found.items():
        if path not in weights:
            _refuse(callback, method, f"weights for {path}", f"only {', '.join(weights)}")
        _array(callback, method, path, array, weights[path].shape, weights[path].dtype)
        if not np.isfinite(array).all():
            _refuse(callback, method, f"{path}, not all of it finite numbers", "finite ones")
    return found


def checked_data(dataset: Component, got: Any) -> Data:
    """Hold a dataset to splits of images (N, C, H, W) with labels (N,) of the classes it names."""
    if type(got).__name__ != "Data":
        _refuse(dataset, "load", _what(got), "a cnnkit.base.Data")
    classes = got.classes
    if not (isinstance(classes, tuple) and all(isinstance(name, str) for name in classes)):
        _refuse(dataset, "load", f"classes {_what(classes)}", "a tuple with a name per class")
    if twice := [name for name in classes if classes.count(name) > 1]:
        _refuse(dataset, "load", f"two classes named {twice[0]!r}", "a name of its own for each")
    first = got.train.images
    for name, split in {"train": got.train, **got.splits()}.items():
        _check_split(dataset, name, split, len(classes))
        shape, dtype = split.images.shape[1:], split.images.dtype
        for what, one, other in (("shape", first.shape[1:], shape), ("dtype", first.dtype, dtype)):
            if one != other:
                _refuse(dataset, "load", f"{name} images of {what} {other}", f"{one}, as in train")
    data: Data = got
    return data


def _check_split(dataset: Component, name: str, split: Split, classes: int) -> None:
    images, labels = split.images, split.labels
    if not isinstance(images, np.ndarray) or images.dtype.kind not in "uf" or images.ndim != 4:
        expected = "an array (N, C, H, W) of uint8 or floats"
        _refuse(dataset, "load", f"{name} images: {_what(images)}", expected)
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.ndim != 1:
        expected = "an array (N,) of whole numbers"
        _refuse(dataset, "load", f"{name} labels: {_what(labels)}", expected)
    if len(images) != len(labels) or not len(images):
        found = f"{len(images)} {name} images with {len(labels)} labels"
        _refuse(dataset, "load", found, "one label per image, and one image at least")
    if labels.min() < 0 or labels.max() >= classes:
        found = f"{name} labels from {labels.min()} to {labels.max()}"
        _refuse(dataset, "load", found, f"0 to {classes - 1}, as it names {classes} classes")


def _pair(component: Component, method: str, got: Any, expected: str) -> None:
    if not (isinstance(got, tuple) and len(got) == 2):
        _refuse(component, method, _what(got), expected)


def _array(
    component: Component, method: str, what: str, got: Any, shape: Shape, dtype: Any
) -> Array:
    if isinstance(got, np.ndarray) and got.shape == shape and dtype in (None, got.dtype):
        return got
    wanted = f"shape {shape}" + (f" and dtype {dtype}" if dtype is not None else "")
    raise ContractError(
        component, method, f"returned {what}{': ' if what else ''}{_what(got)}", wanted
    )


def _what(got: Any) -> str:
    if isinstance(got, np.ndarray):
        return f"an array of shape {got.shape} and dtype {got.dtype}"
    text = repr(got)
    return f"{text if len(text) <= 60 else text[:57] + '...'} of type {type(got).__name__}"


def _refuse(component: Component, method: str, got: str, expected: str) -> NoReturn:
    raise ContractError(component, method, f"returned {got}", expected)
