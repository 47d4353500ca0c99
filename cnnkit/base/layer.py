"""Layer: options in the body, state in the weight tree, arithmetic in kernels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, SerializeAsAny
from pydantic_core import PydanticCustomError

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base.component import Component, Option, Table, chain_name, child, listed
from cnnkit.base.context import Context
from cnnkit.base.context import generator as generator
from cnnkit.base.contract import checked_shape
from cnnkit.base.place import LAYER_NAME, spoken
from cnnkit.base.rules import with_options, with_rules
from cnnkit.base.weight import WeightTree
from cnnkit.errors import CnnkitError, ContractError, ShapeError

if TYPE_CHECKING:
    from cnnkit.base.backend import FusedStep


Backward = Callable[[Array], tuple[Array, Weights]]
"""dy -> (dx, gradients shaped like the weights)."""
Tap = Callable[["Layer", Array, Weights, Context], tuple[Array, Backward]]
"""Called by a chain in place of each layer's forward, which it calls itself: it may look at what
goes in and what comes out, there and in the backward function that it returns."""


class Layer(Component, ABC):
    """A pure function of (input, weights), with its derivative.

    By default a layer keeps its shape and owns no weights, so an activation is one method. This is
    the contract; `cnnkit.testing.check_layer` holds a layer to every line of it:

    - `output_shape` and `weights` follow from options and shape alone, and allocate nothing.
    - `forward` returns y and the function `backward`. It changes neither x nor w, keeps nothing on
      the layer, and draws from `ctx.rng()` only: threads may run one layer at the same time.
    - `backward(dy)` returns dx and the gradients: for each weight that learns an array of its own,
      of the weight's shape and under its name, and none for others. It changes neither dy, which
      a residual hands to two layers, nor x, w or y.
    - The closure may keep x, w, y and arrays of its own or from `ctx.scratch.empty`: they hold
      what they held until backward has run. What `ctx.scratch.temp` gives never leaves the
      function that asked for it.
    - Where `ctx.wants_dx` is false nobody reads dx: any array may take its place, of any shape.
      The gradients stay the same. It says nothing about the layers inside a container:
      `forward_chain` tells each of them whether somebody before it learns.
    - y, dx and gradients have the dtype of x, whatever its strides, and a sample's y and dx are
      the same in any batch, unless the layer says `couples_batch`.
    - Where samples meet through `ctx.gather` alone, the layer says `gathers` as well, and shards
      stay apart: each gives a part, such as its sums, gets everybody's, and goes on. y, dx and the
      gradients' sum are those of the whole batch, whatever the shards. Only such a layer may
      `ctx.renew` weights that do not learn, in training alone: a running mean, say.
    """

    family: ClassVar[str] = "layers"
    common: ClassVar[frozenset[str]] = frozenset({"name", "trainable", "lr_scale", "weight_decay"})
    name: Annotated[str, Field(pattern=LAYER_NAME.pattern)] | None = None
    """What it is called in its chain: in paths of weights, in messages and in `--set`."""
    trainable: bool = True
    """Whether its weights learn, and those of the layers inside it."""
    lr_scale: Annotated[float, Field(ge=0)] = 1.0
    """What the learning rate is multiplied by for its weights."""
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    """Weight decay for its weights, in the place of the optimizer's; biases stay without."""
    couples_batch: ClassVar[bool] = False
    """True where the samples of a batch meet; unless it gathers, it is given whole batches."""
    gathers: ClassVar[bool] = False
    """True where it leaves it to `ctx.gather` that they meet."""
    probabilities: ClassVar[bool] = False
    """True where each output row is a distribution over classes (>= 0, sum 1)."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """See to it that the options which all layers have do what they say in this one."""
        super().__init_subclass__(**kwargs)
        for name, wrap in (("weights", with_rules), ("lower", with_options)):
            if name in vars(cls):
                setattr(cls, name, wrap(vars(cls)[name]))

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape that comes out for `shape` going in; integers only.

        Raises:
            ShapeError: where the layer cannot take `shape`.
        """
        return shape

    def weights(self, shape: Shape) -> WeightTree:
        """Declare the arrays that inputs of `shape` need, by name: `{"slope": Weight((3,), 0.25)}`.

        The model draws them, saves them and hands them to forward under these names. A container
        returns what the layers inside declare, under their names.
        """
        return {}

    def lower(self) -> Layer:
        """Return what the engine runs: macros return the layers they stand for."""
        return self

    def macs(self, shape: Shape) -> int:
        """Return multiply-accumulates per sample for inputs of `shape` (0: negligible)."""
        return 0

    def kept(self, shape: Shape) -> int:
        """Return how many numbers per sample stay until backward has run, y among them."""
        return prod(self.output_shape(shape))

    def sees_all(self, shape: Shape) -> bool:
        """Tell if each value of a map that it gives depends on all of its input, as where it takes
        the mean of the map; read for receptive fields alone."""
        return False

    def changed(self, **options: Any) -> Self:
        """Return the layer with other options in the place of some of its own."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**given | options)

    @abstractmethod
    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        """Return `(y, backward)` for `x` of shape (N, *shape); modify neither x nor w."""


class LayerFault(Exception):  # noqa: N818  # a bug of the layer's, not an error cnnkit raises
    """An exception out of a layer, with the layer. Whoever knows the registry names its owner.

    Args:
        path: the layer's place, such as "2_residual/0_conv".
        layer: it, or the fused step that stands for it.
        phase: "forward" or "backward".
        cause: what it raised.
    """

    def __init__(
        self, path: str, layer: Layer | FusedStep, phase: str, cause: BaseException
    ) -> None:
        super().__init__(f"{spoken(path)} raised {type(cause).__name__} in {phase}: {cause}")
        self.path, self.layer, self.phase, self.cause = path, layer, phase, cause


NO_FAULT = (CnnkitError, LayerFault, MemoryError, FloatingPointError)
"""What passes through a chain of layers as it is: it was meant, or is located already."""


class Macro(Layer, ABC):
    """A layer whose whole meaning is `lower()`: the composition it stands for.

    Shapes, weights and derivatives all come from there, so a macro writes nothing else.
    """

    @abstractmethod
    def lower(self) -> Layer:
        """Return the layers this one stands for, lowered themselves; never `self`."""

    def output_shape(self, shape: Shape) -> Shape:
        return self.lower().output_shape(shape)

    def weights(self, shape: Shape) -> WeightTree:
        return self.lower().weights(shape)

    def macs(self, shape: Shape) -> int:
        return self.lower().macs(shape)

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        return self.lower().forward(x, w, ctx)


class Block(Layer, ABC):
    """A layer that stands for others, as a macro does, which depend on the shape of its input."""

    @abstractmethod
    def build(self, shape: Shape) -> Layer:
        """Return the layers it stands for, lowered, where `shape` goes in.

        Raises:
            ShapeError: where it cannot take `shape`.
        """

    @cached_property
    def _built(self) -> dict[Shape, Layer]:
        return {}

    def built(self, shape: Shape) -> Layer:
        """Return what `build` returns, made once for each shape."""
        if shape not in self._built:
            self._built[shape] = self.build(shape)
        return self._built[shape]

    def output_shape(self, shape: Shape) -> Shape:
        return self.built(shape).output_shape(shape)

    def weights(self, shape: Shape) -> WeightTree:
        return self.built(shape).weights(shape)

    def macs(self, shape: Shape) -> int:
        return self.built(shape).macs(shape)

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        return self.built(x.shape[1:]).forward(x, w, ctx)


def _distinct(layers: list[Layer]) -> list[Layer]:
    """Refuse two layers of one name in a chain: they would share weights."""
    first: dict[str | None, int] = {}
    for index, layer in enumerate(layers):
        if layer.name and first.setdefault(layer.name, index) != index:
            facts = {"name": layer.name, "index": index, "first": first[layer.name] + 1}
            text = "layers {first} and {index} are both called '{name}'"
            raise PydanticCustomError("same_name", text, facts)
    return layers


_Layers = Annotated[
    list[Annotated[SerializeAsAny[Layer], child("layers")]], AfterValidator(_distinct)
]
Layers = Option[Sequence[Layer | Table], Annotated[_Layers, listed]]
"""The option type of a container's children: tables or bare type names."""
Branches = Option[
    Sequence[Sequence[Layer | Table]], Annotated[list[Annotated[_Layers, listed]], listed]
]
"""The option type of chains side by side."""


def chain_shapes(layers: Sequence[Layer], shape: Shape, option: str) -> list[Shape]:
    """Return the shapes before, between and after `layers`.

    Raises:
        ShapeError: from the first layer that cannot take its input, with `option` and its index
            put before its path, its place ("layer 5 (conv)") and the trail of shapes.
    """
    shapes = [shape]
    for index, layer in enumerate(layers):
        try:
            shapes.append(checked_shape(layer, layer.output_shape(shapes[-1])))
        except ShapeError as error:
            place = called(layer, index)
            if error.place:
                chain = chain_name(type(layer), str(error.path[0]))
                place = f"{place} > {f'{chain} {error.place}'.strip()}"
            error.place = place
            inner = f": {error.trail}" if error.trail else ""
            error.trail = shape_trail(layers, shapes) + inner
            error.path = (option, index, *error.path)
            raise
    return shapes


def called(layer: Layer, index: int) -> str:
    """Return what messages call a layer of a chain: "layer 5 (conv)", "layer 5 (conv stem)"."""
    name = f" {layer.name}" if layer.name else ""
    return f"layer {index + 1} ({layer.type}{name})"


def forward_chain(
    steps: Iterable[tuple[str, Layer | FusedStep]], x: Array, weights: Weights, ctx: Context
) -> tuple[Array, Backward]:
    """Run named layers one after the other; the backward pass is the chain rule.

    This is the one loop over layers: whoever wants to look at them as they run puts a tap into the
    context, and a backend puts fused steps in their place. The gradients come back under the names
    of the layers that have any.

    Raises:
        LayerFault: what a layer raised, with the layer's place, or that of the first layer that a
            fused step stands for; cnnkit's own errors pass as is.
    """
    tape: list[tuple[str, Any, Backward]] = []
    wants_dx = ctx.wants_dx
    chain: Iterable[tuple[str, Any]] = steps if ctx.fuse is None else ctx.fuse(steps)
    for name, layer in chain:
        if name:
            own, here = weights.get(name, {}), ctx.child(name, wants_dx)
        else:
            own = {n: weights[n] for n in layer.names if n in weights}
            here = ctx if wants_dx == ctx.wants_dx else ctx._replace(wants_dx=wants_dx)
        try:
            if ctx.tap is None or not name:
                x, back = layer.forward(x, own, here)
            else:
                x, back = ctx.tap(layer, x, own, here)
        except NO_FAULT as error:
            raise _placed(error, _path(name, layer, ctx)) from error.__cause__
        except (Exception, SystemExit) as error:
            raise LayerFault(_path(name, layer, ctx), layer, "forward", error) from error
        # this layer learns, or somebody before it; in evaluation nobody does
        wants_dx = wants_dx or (ctx.training and bool(own) and getattr(layer, "trainable", True))
        if wants_dx:  # else backward ends before it, as the dx it would be given need not fit
            tape.append((name, layer, back))
    return x, lambda dy: _backward_chain(tape, dy, ctx)


def _path(name: str, layer: Any, ctx: Context) -> str:
    """Return the place of a layer, or of the first one that a fused step stands for."""
    return ctx.child(name or layer.names[0]).path


def _placed(error: Exception, path: str) -> Exception:
    """Say in which layer a promise was broken, or memory ran out: the innermost counts."""
    if isinstance(error, ContractError | MemoryError):
        error.layer_path = getattr(error, "layer_path", "") or path  # type: ignore[union-attr]
    return error


def _backward_chain(
    tape: Sequence[tuple[str, Any, Backward]], dy: Array, ctx: Context
) -> tuple[Array, Weights]:
    grads: Weights = {}
    for name, layer, back in reversed(tape):
        try:
            dy, grad = back(dy)
        except NO_FAULT as error:
            raise _placed(error, _path(name, layer, ctx)) from error.__cause__
        except (Exception, SystemExit) as error:
            raise LayerFault(_path(name, layer, ctx), layer, "backward", error) from error
        if grad and getattr(layer, "trainable", True):
            grads.update({name: grad} if name else grad)
    return dy, grads


def shape_trail(layers: Sequence[Layer], shapes: Sequence[Shape]) -> str:
    """Return "input (1,12,12) -> 1 conv (6,12,12) -> 2 relu" up to the failing layer."""
    done = [
        f"{i} {layer.type} {show(after)}"
        for i, (layer, after) in enumerate(zip(layers, shapes[1:], strict=False), start=1)
    ]
    failing = f"{len(shapes)} {layers[len(shapes) - 1].type}"
    return " -> ".join([f"input {show(shapes[0])}", *done, failing])


def show(shape: Shape) -> str:
    """Return a shape as people write it: (6,12,12)."""
    return f"({','.join(map(str, shape))})"


def image_shape(shape: Shape) -> tuple[int, int, int]:
    """Return (C, H, W).

    Raises:
        ShapeError: where the shape is not an image.
    """
    if len(shape) != 3:
        way = "put it before any flatten or dense layer"
        if len(shape) == 2:  # no layer gives that
            way = f"give the images a channel, {show((1, *shape))}; of arrays, by x[:, None]"
        raise ShapeError(f"needs images of shape (C,H,W), but is given {show(shape)}", help=way)
    return shape[0], shape[1], shape[2]
