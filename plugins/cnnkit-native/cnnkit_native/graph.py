"""A run of layers as a graph of operations on maps: what there is to do, without any memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod

from cnnkit.arrays import Shape
from cnnkit.base import Layer
from cnnkit.layers import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gelu,
    GlobalPool,
    HardSwish,
    LeakyRelu,
    Pool,
    Relu,
    Residual,
    Sequential,
    Sigmoid,
    Silu,
    Softmax,
    SqueezeExcite,
    Tanh,
)
from cnnkit.layers.squeeze_excite import _gate
from cnnkit_native.forms import COPY, RELU, form_of

Path = tuple[str, ...]
Steps = Sequence[tuple[str, Layer]]

MULTIPLIES = "conv", "depthwise", "square", "dense", "add"
"""The operations that can cut at zero what they give."""
KINDS = {"max": 0, "min": 1, "mean": 2}
_LARGEST = 2**20
"""Numbers of a map or a kernel by the square form, which takes up to 45 times as many beside it."""
_MOST_CELLS = 254  # of a window: which one won is noted in a byte
_MOST_TAPS = 64  # of a depthwise kernel; larger ones go as any other convolution


class Unplanned(Exception):  # noqa: N818  # no error: the layers run as they are
    """The run of layers, on inputs of this shape, is nothing for a program."""


@dataclass(eq=False)
class Node:
    """What one operation makes and others read: (C, H, W), or a row as (1, 1, D).

    Args:
        maker: the operation that makes it; None for the input.
        readers: those that read it, as often as they do.
        learns: whether its gradient is wanted, by weights that come before it or by the caller.
        padded: whether it lies in memory with gaps.
    """

    C: int
    H: int
    W: int
    maker: Op | None = None
    readers: list[Op] = field(default_factory=list)
    learns: bool = False
    padded: bool = False

    @property
    def size(self) -> int:
        return self.C * self.H * self.W


@dataclass(eq=False)
class Op:
    """An operation.

    Args:
        kind: "conv", "depthwise", "square", "dense", "pool", "each", "add", "scale", "softmax",
            "split", or "copy".
        inputs, out: nodes.
        W, b: numbers of its weights, -1 for none.
        form: what is done to the result: COPY, RELU, or of "each" any form.
        share: what a leaky relu multiplies by.
        geometry: kernel or window, stride, dilation, padding (top, left), filters, groups.
    """

    kind: str
    inputs: list[Node]
    out: Node
    W: int = -1
    b: int = -1
    form: int = COPY
    share: float = 0.0
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    corner: tuple[int, int] = (0, 0)
    filters: int = 1
    groups: int = 1
    pool: int = 0

    @property
    def shifts(self) -> tuple[int, int]:
        """How many rows and columns of a phase the last tap lies from the first."""
        reach = ((k - 1) * d // s for k, d, s in zip(self.kernel, self.dilation, self.stride,
                                                     strict=True))  # fmt: skip
        down, across = reach
        return down, across


_OPTIONS: dict[type[Layer], str] = {
    Conv: "filters kernel stride padding dilation groups bias init bias_init",
    Dense: "units bias init bias_init",
    Pool: "kind size stride padding ceil count_padding",
    Relu: "",
    Flatten: "",
    Sigmoid: "units init bias_init",
    Tanh: "",
    LeakyRelu: "slope",
    HardSwish: "",
    Silu: "",
    Gelu: "form",
    GlobalPool: "kind",
    SqueezeExcite: "ratio",
    Softmax: "units init bias_init",
    Sequential: "layers label",
    Residual: "body shortcut",
    BatchNorm: "eps momentum",
}
"""The options that these kernels were written for; another one, set, means something else."""


def is_as_known(layer: Layer) -> bool:
    """Tell if nothing is set on a layer of a known class that came later than its kernel."""
    # what is common to all layers is about names and updates, and leaves the arithmetic alone
    known = {"type", *layer.common, *_OPTIONS[type(layer)].split()}
    others = ((n, f) for n, f in type(layer).model_fields.items() if n not in known)
    return all(
        getattr(layer, name) == field.get_default(call_default_factory=True)
        for name, field in others
    )


def knows(layer: Layer) -> bool:
    """Tell if `layer` can be part of a program. Its class counts, not what it derives from: a
    subclass may do otherwise."""
    kind = type(layer)
    if kind not in _OPTIONS or not is_as_known(layer):
        return False
    if isinstance(layer, Softmax | Sigmoid):
        return kind in (Softmax, Sigmoid) and layer.units is None
    if isinstance(layer, Pool):
        if layer.kind == "mean":  # that of what lies on the map
            return kind is Pool and not layer.count_padding
        return kind is Pool and prod(layer.size) <= _MOST_CELLS
    if isinstance(layer, Sequential):
        return kind is Sequential and all(map(knows, layer.layers))
    if isinstance(layer, Residual):
        return kind is Residual and all(map(knows, [*layer.body, *layer.shortcut]))
    return kind is not BatchNorm


class Graph:
    """The operations of a run of layers on inputs of `shape`, in order.

    Args:
        steps: names and layers, all of them known.
        shape: of one input.
        wants_dx: whether the input's gradient is wanted.
        many: whether convolutions may take the square form, which pays for several images.

    Raises:
        Unplanned: where a layer is given what no operation takes.
    """

    def __init__(self, steps: Steps, shape: Shape, wants_dx: bool, many: bool) -> None:
        self._many = many
        self.weights: list[tuple[Path, Shape]] = []
        self.ops: list[Op] = []
        self.input = Node(*_three(shape), learns=wants_dx)
        self.output, self.shape = self._chain(steps, self.input, shape, ())
        if not self.ops:
            self.output = self._copy(self.input)
        self._fuse_relus()
        self._part_strides()
        self._part_layouts()
        for op in self.ops:
            op.out.learns = op.W >= 0 or any(node.learns for node in op.inputs)

    def _chain(self, steps: Steps, x: Node, shape: Shape, path: Path) -> tuple[Node, Shape]:
        """Add the operations of `steps` on `x`; return what comes out, and its shape. A flatten
        changes only that: who reads rows looks at no axes."""
        for name, layer in steps:
            x = self._layer(layer, x, shape, (*path, name))
            shape = layer.output_shape(shape)
        return x, shape

    def _layer(self, layer: Layer, x: Node, shape: Shape, path: Path) -> Node:
        if isinstance(layer, Sequential):
            return self._chain(layer.steps, x, shape, path)[0]
        if isinstance(layer, Residual):
            return self._residual(layer, x, shape, path)
        if isinstance(layer, SqueezeExcite):
            weigh, _ = self._chain(_gate(shape[0], layer.ratio).steps, x, shape, path)
            return self._add(Op("scale", [x, weigh], _like(x)))
        if isinstance(layer, Flatten):
            return x
        op = Op("each", [x], Node(*_three(layer.output_shape(shape))))
        if isinstance(layer, Conv):
            self._convolve(op, layer, shape, path)
        elif isinstance(layer, Dense):
            op.kind = "dense"
            self._weigh(op, layer, shape, path)
        elif isinstance(layer, Pool | GlobalPool):
            _pool(op, layer, x)
        elif isinstance(layer, Softmax):
            op.kind = "softmax"
            if len(shape) != 1:
                raise Unplanned
        else:
            (op.form, op.share), op.out = form_of(layer), _like(x)
        return self._add(op)

    def _convolve(self, op: Op, layer: Conv, shape: Shape, path: Path) -> None:
        op.kind, op.kernel, op.stride = "conv", layer.kernel, layer.stride
        op.dilation, op.filters, op.groups = layer.dilation, layer.filters, layer.groups
        rows, columns = layer._geometry(shape).padding
        op.corner = rows[0], columns[0]
        self._weigh(op, layer, shape, path)
        if layer.bias == "untied":
            return
        alone = layer.groups == layer.filters == shape[0]
        if alone and prod(layer.kernel) <= _MOST_TAPS:
            op.kind = "depthwise"
        elif self._many and _is_square(op):
            op.kind = "square"

    def _residual(self, layer: Residual, x: Node, shape: Shape, path: Path) -> Node:
        body, _ = self._chain(Sequential(layers=layer.body).steps, x, shape, path)
        around = x
        if layer.shortcut:
            steps = Sequential(layers=layer.shortcut).steps
            around, _ = self._chain(steps, x, shape, (*path, "shortcut"))
        if (body.C, body.H, body.W) != (around.C, around.H, around.W):
            raise Unplanned  # one of them went through a flatten
        return self._add(Op("add", [body, around], _like(body)))

    def _weigh(self, op: Op, layer: Conv | Dense, shape: Shape, path: Path) -> None:
        for name, weight in layer.weights(shape).items():
            setattr(op, name, len(self.weights))
            self.weights.append(((*path, name), weight.shape))

    def _add(self, op: Op) -> Node:
        self.ops.append(op)
        op.out.maker = op
        for node in op.inputs:
            node.readers.append(op)
        return op.out

    def _copy(self, x: Node) -> Node:
        return self._add(Op("copy", [x], _like(x)))

    def _fuse_relus(self) -> None:
        """Give each relu to the operation before it, where nobody else reads that; and a relu
        before a max pool to the pool, which cuts fewer numbers."""
        for op in list(self.ops):
            if op.kind != "each" or op.form != RELU:
                continue
            before, after = op.inputs[0], op.out.readers
            maker = before.maker
            if op.out is not self.output and len(after) == 1 and _cuts(after[0]):
                pool = after[0]
                pool.form, pool.inputs = RELU, [before]
                before.readers = [pool if o is op else o for o in before.readers]
                self.ops.remove(op)
            elif maker and len(before.readers) == 1 and _takes_relu(maker):
                maker.form, maker.out = RELU, op.out
                op.out.maker = maker
                self.ops.remove(op)

    def _part_strides(self) -> None:
        """Turn a convolution with a stride into one without, over the phases of its map."""
        for op in [o for o in self.ops if o.kind == "conv" and o.stride != (1, 1)]:
            (x,), (top, left), (down, across) = op.inputs, op.corner, op.stride
            H, W = op.out.H + op.shifts[0], op.out.W + op.shifts[1]
            phases = Node(x.C * down * across, max(H, -(-(x.H + top) // down)),
                          max(W, -(-(x.W + left) // across)))  # fmt: skip
            split = Op("split", [x], phases, stride=op.stride, corner=op.corner)
            phases.maker, phases.readers = split, [op]
            x.readers = [split if o is op else o for o in x.readers]
            op.inputs, op.corner = [phases], (0, 0)
            self.ops.insert(self.ops.index(op), split)

    def _part_layouts(self) -> None:
        """Copy what one operation needs padded, or makes with gaps, and another needs in a row."""
        self._pad()
        for node in [self.input, *(op.out for op in self.ops)]:
            convs = [o for o in node.readers if o.kind == "conv"]
            rows = [o for o in node.readers if o.kind in ("dense", "softmax")]
            if node.maker is None and node.padded:
                self._between(node, convs)
            elif node.padded and (rows or node is self.output):
                copy = self._between(node, rows)
                if node is self.output:
                    self.output = copy

    def _between(self, node: Node, readers: Sequence[Op]) -> Node:
        """Put a copy of `node` before these of its readers."""
        copy = Op("copy", [node], _like(node))
        if node.maker is None:  # what its convolutions read is now the copy
            copy.out.padded, node.padded = node.padded, False
        copy.out.maker, copy.out.readers = copy, list(readers)
        for op in readers:
            op.inputs = [copy.out if n is node else n for n in op.inputs]
        node.readers = [o for o in node.readers if o not in readers] + [copy]
        place = self.ops.index(node.maker) + 1 if node.maker else 0
        self.ops.insert(place, copy)
        return copy.out

    def _pad(self) -> None:
        """Tell which nodes lie in memory with gaps: what convolutions make or read, unless these
        and all they share a pitch with are 1x1 and take a map as it is."""
        for group in self.classes():
            if not all(map(_is_pointwise, group)):
                for op in group:
                    op.inputs[0].padded = op.out.padded = True

    def classes(self) -> Iterator[list[Op]]:
        """Yield the convolutions that share a pitch: each one's input and output are alike."""
        convs = [op for op in self.ops if op.kind == "conv"]
        while convs:
            group = [convs.pop()]
            nodes = {group[0].inputs[0], group[0].out}
            while more := [o for o in convs if o.inputs[0] in nodes or o.out in nodes]:
                group += more
                nodes |= {n for o in more for n in (o.inputs[0], o.out)}
                convs = [o for o in convs if o not in more]
            yield group


def _cuts(op: Op) -> bool:
    """Tell if a relu may go behind `op`, a max pool."""
    return op.kind == "pool" and op.pool == KINDS["max"] and op.form == COPY


def _takes_relu(op: Op) -> bool:
    return (op.kind in MULTIPLIES and op.form == COPY) or _cuts(op)


def _is_square(op: Op) -> bool:
    """Tell if Winograd's square form can compute a convolution."""
    (x,), y, (top, left) = op.inputs, op.out, op.corner
    plain = op.kernel == (3, 3) and op.stride == op.dilation == (1, 1) and op.groups == 1
    sides = top, left, y.H + 2 - x.H - top, y.W + 2 - x.W - left
    small = max(x.size, y.size, x.C * y.C) <= _LARGEST
    return plain and small and max(sides) <= 2 and x.C % 16 == op.filters % 16 == 0


def _pool(op: Op, layer: Pool | GlobalPool, x: Node) -> None:
    op.kind, op.pool = "pool", KINDS[layer.kind]
    if isinstance(layer, Pool):
        op.kernel, op.stride = layer.size, layer.stride or layer.size
        rows, columns = layer._padding((x.C, x.H, x.W))
        op.corner = rows[0], columns[0]
        return
    op.kernel = op.stride = x.H, x.W
    op.out = Node(x.C, 1, 1)
    if layer.kind == "max" and x.H * x.W > _MOST_CELLS:
        raise Unplanned


def _is_pointwise(op: Op) -> bool:
    """Tell if a convolution reads its map in the order in which it lies."""
    (x,) = op.inputs
    return op.kernel == op.stride == (1, 1) and (x.H, x.W) == (op.out.H, op.out.W)


def _like(node: Node) -> Node:
    return Node(node.C, node.H, node.W)


def _three(shape: Shape) -> tuple[int, int, int]:
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    return 1, 1, prod(shape)
