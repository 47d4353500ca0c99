"""Rules: what the options that all layers have do to one, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any

from cnnkit.arrays import Shape
from cnnkit.base.component import slots
from cnnkit.base.weight import Weight, WeightTree

if TYPE_CHECKING:
    from cnnkit.base.layer import Layer


def with_rules(method: Any) -> Any:
    """Let what a layer declares learn as its options want, whoever wrote it."""

    @wraps(method)
    def weights(self: Layer, shape: Shape) -> WeightTree:
        # of a method that calls super's, the outermost alone
        if not _asked(self) or type(self).weights is not weights:
            return method(self, shape)  # type: ignore[no-any-return]
        lowered = self.lower()
        if type(lowered) is not type(self):
            return lowered.weights(shape)  # to which the options were handed on
        return _ruled(self, method(self, shape))  # type: ignore[no-any-return]

    return weights


def _asked(layer: Layer) -> dict[str, Any]:
    """Return those of the common options that a layer was given."""
    return {name: getattr(layer, name) for name in layer.model_fields_set & layer.common}


def _ruled(layer: Layer, tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _ruled(layer, inner) for name, inner in tree.items()}
    if not isinstance(tree, Weight):
        return tree  # not what an author should declare: whoever reads it will say so
    inner = tree.weight_decay  # of a layer inside, which comes first
    return replace(
        tree,
        learns=tree.learns and layer.trainable,
        lr_scale=tree.lr_scale * layer.lr_scale,
        weight_decay=layer.weight_decay if inner is None else inner,
    )


def with_options(method: Any) -> Any:
    """Let what a layer stands for keep its name and the like; freeze all inside a frozen one."""

    @wraps(method)
    def lower(self: Layer) -> Layer:
        made: Layer = method(self)
        if type(self).lower is not lower:
            return made
        asked = _asked(self)
        made = made.changed(**asked) if asked and made is not self else made
        return made if self.trainable else _frozen(made)

    return lower


def _frozen(layer: Any) -> Any:
    """Return a layer, or layers, of which nothing learns."""
    if isinstance(layer, list | tuple):
        return [_frozen(inner) for inner in layer]
    if layer is None:  # an option left out
        return None
    held = [o for o, slot in slots(type(layer)).items() if slot.family == "layers"]  # type: ignore[arg-type]
    return layer.changed(trainable=False, **{o: _frozen(getattr(layer, o)) for o in held})
