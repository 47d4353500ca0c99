"""Placed: the layers of a network with where they are, and what their options move there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnkit.arrays import Shape
from cnnkit.base import Layer, chain_shapes
from cnnkit.base.component import chains
from cnnkit.base.layer import Block, called
from cnnkit.base.place import KeyPath
from cnnkit.base.weight import declared
from cnnkit.errors import PluginError, ShapeError
from cnnkit.source import Finding

if TYPE_CHECKING:
    from cnnkit.specfile.runspec import RunSpec


_OUTER = len(("model", "layers", 0))
"""Steps to a layer that is in no other."""


class At(NamedTuple):
    """A layer, the shape it is given, and where it is."""

    layer: Layer
    shape: Shape
    path: KeyPath
    place: str


def placed(
    layers: Sequence[Layer], shape: Shape, path: KeyPath = ("model", "layers"), place: str = ""
) -> list[list[At]]:
    """Return the chain and those inside it, but for those of blocks, which build others. The layers
    of a sequential stand behind it, in the chain that it is in.

    Raises:
        ShapeError: where a layer cannot take its predecessor's output.
    """
    here, inside = list[At](), list[list[At]]()
    for index, before in enumerate(chain_shapes(layers, shape, "layers")[:-1]):
        layer = layers[index]
        at = At(layer, before, (*path, index), place + called(layer, index))
        here.append(at)
        for chain in chains(layer) if not isinstance(layer, Block) else ():
            inner = f"{at.place} > {chain.called} ".replace("  ", " ")
            with suppress(ShapeError):  # a plugin's container may give its chains another shape
                first, *others = placed(chain.layers, before, (*at.path, *chain.path), inner)
                inside += others
                if layer.type == "sequential":
                    here += first
                else:
                    inside.append(first)
    return [here, *inside]


def check_moves(spec: RunSpec, shape: Shape) -> list[Finding]:
    """Refuse options that move no weight, and a network of which none learns.

    An option may be that of every layer of a type, a default: where it moves weights of one of
    them, it may stand at the others.
    """
    try:
        return _check_moves(spec, shape)
    except PluginError:  # a layer declares what are no weights: check_memory names it
        return []


def _check_moves(spec: RunSpec, shape: Shape) -> list[Finding]:
    chain, *others = placed(spec.model.layers, shape)
    given = [(at, option) for one in (chain, *others) for at in one for option in _given(at.layer)]
    at_work = {_kind(*one) for one in given if _moves(*one)}
    idle = dict[KeyPath, Finding]()
    for at, option in given:
        if _kind(at, option) not in at_work:
            written = spec.source.origin((*at.path, option)).path  # one for many copies
            idle.setdefault(written, _idle(at, option))
    frozen = [at for at, option in given if option == "trainable" and _moves(at, option)]
    if frozen and not any(_learns(at) for at in chain if len(at.path) == _OUTER):
        message = "[model]: no weight of this network learns, so that there is nothing to train"
        help_ = "take trainable = false out of a layer that has weights"
        last = Finding((*frozen[-1].path, "trainable"), message, help=help_)
        return [*idle.values(), last]
    return [*idle.values()]


def _learns(at: At) -> bool:
    return any(one.learns for one in declared(at.layer.weights(at.shape)).values())


def _given(layer: Layer) -> list[str]:
    """Return which of the options about weights a layer was given, as other than the default;
    without weight decay is also as those are that it does not reach."""
    given = {"trainable": not layer.trainable, "lr_scale": layer.lr_scale != 1,
             "weight_decay": bool(layer.weight_decay)}  # fmt: skip
    return [option for option, is_given in given.items() if is_given]


def _kind(at: At, option: str) -> tuple[str, str, Any]:
    return at.layer.type, option, getattr(at.layer, option)


def _moves(at: At, option: str) -> bool:
    """Tell if any weight of a layer would be moved otherwise without the option; freezing holds
    running statistics, too."""
    if option == "trainable":
        return bool(declared(at.layer.weights(at.shape)))
    default = type(at.layer).model_fields[option].default
    return _ways(at.layer, at.shape) != _ways(at.layer.changed(**{option: default}), at.shape)


def _ways(layer: Layer, shape: Shape) -> list[Any]:
    """Return by what the weights of a layer that learn are moved."""
    return [
        (one.lr_scale, one.decays and one.weight_decay)
        for one in declared(layer.weights(shape)).values()
        if one.learns
    ]


def _idle(at: At, option: str) -> Finding:
    weights = declared(at.layer.weights(at.shape)).values()
    value = getattr(at.layer, option)
    said = str(value).lower() if isinstance(value, bool) else f"{value:g}"
    has = "no weights"
    if learning := [one for one in weights if one.learns]:
        decaying = any(one.decays for one in learning)
        has = "layers that decide themselves" if decaying else "no weights that decay"
    elif weights:
        has = "no weights that learn"
    message = f"{at.place} has {has}, so {option} = {said} changes nothing"
    return Finding((*at.path, option), message, help="take it out")
