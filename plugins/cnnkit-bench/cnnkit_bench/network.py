"""The network of a spec as plain data, which every peer builds from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cnnkit.arrays import Shape
from cnnkit.base import Layer, chain_shapes
from cnnkit.base.place import spoken
from cnnkit.layers.batch_norm import BatchNorm
from cnnkit.layers.conv import Conv
from cnnkit.layers.dense import Dense
from cnnkit.layers.dropout import Dropout
from cnnkit.layers.global_pool import GlobalPool
from cnnkit.layers.padding import pads
from cnnkit.layers.pool import Pool
from cnnkit.layers.residual import Residual
from cnnkit.layers.sequential import Sequential

from cnnkit_bench.errors import CannotExpressError


@dataclass(frozen=True)
class Op:
    """One operation.

    Args:
        type: what it does; peers have a method of that name.
        name: the layer's path in the network, also where its weights are: "0_conv".
        shape: shape of its input, per image.
        options: plain numbers and words.
        body: the operations inside a container.
        shortcut: those on the way around a residual's body.
    """

    type: str
    name: str
    shape: Shape
    options: dict[str, Any] = field(default_factory=dict)
    body: tuple[Op, ...] = ()
    shortcut: tuple[Op, ...] = ()

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Op:
        """Undo `dataclasses.asdict`, after a way through JSON."""
        inner = {key: tuple(map(cls.from_json, facts[key])) for key in ("body", "shortcut")}
        return cls(facts["type"], facts["name"], tuple(facts["shape"]), facts["options"], **inner)


def export(network: Sequential, shape: Shape) -> tuple[Op, ...]:
    """Return the operations of a lowered network for images of `shape`.

    A layer without an equal among the operations becomes an operation of its own type, which no
    peer has a method for.
    """
    return _chain(network.layers, network.names, shape, "")


def _chain(
    layers: Sequence[Layer], names: Sequence[str], shape: Shape, prefix: str
) -> tuple[Op, ...]:
    shapes = chain_shapes(layers, shape, "layers")
    ops: list[Op] = []
    for layer, name, before in zip(layers, names, shapes, strict=False):
        ops += _ops(layer, f"{prefix}{name}", before)
    return tuple(ops)


def _ops(layer: Layer, name: str, shape: Shape) -> Sequence[Op]:
    if not layer.trainable:
        return [Op(f"other_{layer.type}", name, shape)]  # which no peer knows
    match layer:
        case Sequential():
            return _chain(layer.layers, layer.names, shape, f"{name}/")
        case Residual(project=False, drop=0):
            return [_residual(layer, name, shape)]
        case Conv():
            return _conv(layer, name, shape)
        case Pool(padding="valid", ceil=False):
            sides = {"size": layer.size, "stride": layer.stride or layer.size}
            return [Op(f"{layer.kind}_pool", name, shape, sides)]
        case Dense():
            return [Op("dense", name, shape, {"units": layer.units, "bias": layer.bias != "none"})]
        case BatchNorm():
            return [Op("batch_norm", name, shape, {"eps": layer.eps, "momentum": layer.momentum})]
        case GlobalPool():
            return [Op(f"global_{layer.kind}_pool", name, shape)]
        case Dropout(rate=0):
            return []
        case Dropout(of="values"):
            return [Op("dropout", name, shape, {"rate": layer.rate})]
        case Residual() | Pool() | Dropout():
            return [Op(f"other_{layer.type}", name, shape)]
    return [Op(layer.type, name, shape)]


def _conv(layer: Conv, name: str, shape: Shape) -> list[Op]:
    """Return the convolution; a bias per output position is an addition of its own."""
    _, H, W = shape
    options = {
        "filters": layer.filters,
        "kernel": layer.kernel,
        "stride": layer.stride,
        "padding": pads(layer.padding, (H, W), layer.kernel, layer.stride, layer.dilation),
        "dilation": layer.dilation,
        "groups": layer.groups,
        "bias": layer.bias == "tied",
    }
    ops = [Op("conv", name, shape, options)]
    if layer.bias == "untied":
        ops.append(Op("untied_bias", name, layer.output_shape(shape)))
    return ops


def _residual(layer: Residual, name: str, shape: Shape) -> Op:
    body = Sequential(layers=layer.body)
    around = Sequential(layers=layer.shortcut).names if layer.shortcut else ()
    return Op(
        "residual",
        name,
        shape,
        body=_chain(layer.body, body.names, shape, f"{name}/"),
        shortcut=_chain(layer.shortcut, around, shape, f"{name}/shortcut/"),
    )


def walk(table: object, ops: Sequence[Op], x: Any) -> Any:
    """Send `x` through `ops`, each a method of `table` that takes (x, op).

    Raises:
        CannotExpressError: where `table` has no such method.
    """
    for op in ops:
        method = getattr(table, op.type, None)
        if method is None:
            raise CannotExpressError(spoken(op.name))
        x = method(x, op)
    return x
