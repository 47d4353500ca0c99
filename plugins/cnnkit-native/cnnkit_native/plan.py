"""A graph as a program: where each value lies, and the operations forward and back as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod

from cnnkit.arrays import Shape
from cnnkit_native.forms import BY_RESULT, COPY, RELU, SLOPE, bits
from cnnkit_native.graph import MULTIPLIES, Graph, Node, Op, Steps
from cnnkit_native.value import ARENA, DX, DY, Value, X, Y, compact, shared

CODES = ["CONV", "CONV_DX", "CONV_DW", "DEPTHWISE", "DEPTHWISE_DX", "DEPTHWISE_DW", "EACH", "SCALE",
         "SCALE_BACK", "POOL", "POOL_BACK", "SPLIT", "MERGE", "SOFTMAX", "SOFTMAX_BACK",
         "DENSE", "DENSE_DX", "DENSE_DW", "SQUARE", "SQUARE_DX", "SQUARE_DW"]  # fmt: skip
_LINE = 16  # floats in a cache line


@dataclass
class _Half:
    """Operations of one direction, and what they touch."""

    values: dict[Value, int] = field(default_factory=dict)
    records: list[list[int]] = field(default_factory=list)
    touches: list[list[Value]] = field(default_factory=list)  # by record

    def emit(
        self,
        code: str,
        x: Value,
        y: Value,
        op: Op | None = None,
        *,
        z: Value | None = None,
        also: Value | None = None,
        packed: Value | None = None,
        W: int = -1,
        b: int = -1,
        form: int = COPY,
    ) -> None:
        touched = [v for v in (x, y, z, also, packed) if v is not None]
        for value in touched:
            self.values.setdefault(value, len(self.values))
        at = self.values
        optional = [at[v] if v else -1 for v in (z, also, packed)]
        head = [CODES.index(code), at[x], at[y], optional[0], W,
                optional[1] if also else b, optional[2], form]  # fmt: skip
        op = op or Op("each", [], Node(1, 1, 1))
        sides = [op.filters, *op.kernel, *op.stride, *op.dilation, *op.corner, op.groups]
        self.records.append([*head, *sides, op.pool, int(_by_winograd(op, code)), bits(op.share)])
        self.touches.append(touched)

    def numbers(self) -> list[int]:
        flat = [len(self.values), len(self.records)]
        for value in self.values:
            flat += value.numbers()
        for record in self.records:
            flat += record
        return flat

    def groups(self) -> list[int]:
        """Return, for each record, the number of the run it belongs to: those that go image by
        image lie between those that take the batch as a whole."""
        number, group = [], 0
        for record in self.records:
            batched = record[0] >= CODES.index("DENSE")
            group += batched
            number.append(group)
            group += batched
        return number


class Plan:
    """The program of some steps for inputs of one shape.

    Args:
        steps: names and layers, all of them known.
        shape: of one input.
        back: whether a backward pass may follow.
        wants_dx: whether it has to give the input's gradient.
        many: whether it is for several images, whose convolutions may take the square form.

    Raises:
        Unplanned: where the layers have to run as they are.
    """

    def __init__(
        self, steps: Steps, shape: Shape, back: bool, wants_dx: bool, many: bool = False
    ) -> None:
        graph = self._graph = Graph(steps, shape, wants_dx and back, many)
        self.shape, self.weights = graph.shape, graph.weights
        self._back = back
        self._pitch: dict[Node, int] = {}
        for group in graph.classes():
            pitch = max(_least_pitch(op) for op in group)
            self._pitch |= {n: pitch for op in group for n in (op.inputs[0], op.out)}
        self._values: dict[Node, Value] = {graph.input: _of(X, graph.input)}
        self._where: dict[Op, Value] = {}
        self._forward, self._backward = _Half(), _Half()
        for op in graph.ops:
            self._run(op)
        if back:
            self._grads: dict[Node, list[Value]] = {graph.output: [_of(DY, graph.output)]}
            self._ready: dict[Node, Value] = {}
            for op in reversed(graph.ops):
                if op.out.learns:
                    self._run_back(op)
            if graph.input.learns:
                self._gradient(graph.input)
        self.fixed, self.per_image = self._place()

    def numbers(self) -> list[int]:
        """Return the program as the library reads it."""
        sizes = [prod(shape) for _, shape in self.weights]
        g = self._graph
        head = [self.fixed, self.per_image, len(sizes), *sizes, g.input.size, g.output.size]
        return [*head, *self._forward.numbers(), *self._backward.numbers()]

    # ------------------------------------------------------------------------------- forward

    def _value(self, node: Node) -> Value:
        """Return where the node's numbers go; room around them for whoever reads them padded."""
        if node not in self._values:
            if node is self._graph.output:
                self._values[node] = _of(Y, node)
            elif node.padded:
                rooms = [_room(op) for op in node.readers if op.kind == "conv"]
                self._values[node] = self._map(node, rooms)
            else:
                self._values[node] = _of(ARENA, node)
        return self._values[node]

    def _map(self, node: Node, rooms: Sequence[Sequence[int]]) -> Value:
        """Return a value of the node's pitch with at least these rows and columns around it."""
        above, below, left, right = (max(side) for side in zip((0, 0, 0, 0), *rooms, strict=True))
        pitch = self._pitch[node]
        # maps begin at cache lines: a vector across two takes twice as long to load or store
        plane = _rounded((node.H + max(above, below)) * pitch)
        first = _rounded(above * pitch + left)
        size = first + (node.C - 1) * plane + (node.H - 1 + below) * pitch + node.W + right
        return Value(ARENA, node.C, node.H, node.W, pitch, plane, first, size, bool(rooms))

    def _run(self, op: Op) -> None:
        emit, x, y = self._forward.emit, self._value(op.inputs[0]), self._value(op.out)
        if op.kind == "conv":
            untied = op.b >= 0 and len(self.weights[op.b][1]) == 3
            bare = self._map(op.out, []) if untied else y
            emit("CONV", x, bare, op, packed=self._packed(op), W=op.W, b=-1 if untied else op.b,
                 form=COPY if untied else op.form)  # fmt: skip
            if untied:
                emit("EACH", bare, y, W=op.b, form=op.form)
        elif op.kind == "square":
            emit("SQUARE", x, y, op, W=op.W, b=op.b, form=op.form)
        elif op.kind == "depthwise":
            emit("DEPTHWISE", x, y, op, packed=_planes(op), W=op.W, b=op.b, form=op.form)
        elif op.kind == "scale":
            emit("SCALE", x, y, z=self._value(op.inputs[1]))
        elif op.kind == "dense":
            emit("DENSE", x, y, W=op.W, b=op.b, form=op.form)
        elif op.kind == "pool":
            if self._back and op.pool != 2:
                self._where[op] = compact(ARENA, 1, 1, -(-op.out.size // 4))
            emit("POOL", x, y, op, z=self._where.get(op), form=op.form)
        elif op.kind == "add":
            emit("EACH", x, y, also=self._value(op.inputs[1]), form=op.form)
        elif op.kind in ("softmax", "split"):
            emit(op.kind.upper(), x, y, op)
        else:
            emit("EACH", x, y, op, form=op.form)

    def _packed(self, op: Op, code: str = "CONV") -> Value:
        """Return room for packed weights, and for what Winograd's rule needs."""
        size = prod(self.weights[op.W][1])
        if _by_winograd(op, code):
            x, y = (op.inputs[0], op.out) if code != "CONV_DX" else (op.out, op.inputs[0])
            size = _bands_room(op, x, y, self._pitch[op.out])
        return shared(size)

    def _sums(self, op: Op, dy: Value) -> Value | None:
        """Return room for a kernel gradient whose vectors lie across the filters; None where these
        are too few, and vectors lie along the map."""
        filters = op.filters // op.groups
        if filters % 16:
            return None
        size = prod(self.weights[op.W][1]) + filters * ((dy.H - 1) * dy.pitch + dy.W)
        if _by_winograd(op, "CONV_DW"):
            flipped = dy.H * dy.pitch * filters
            size = _bands_room(op, op.inputs[0], op.out, dy.pitch) + flipped
        return shared(size)

    # ---------------------------------------------------------------------------------- back

    def _run_back(self, op: Op) -> None:
        emit, x = self._backward.emit, op.inputs[0]
        dy = self._gradient(op.out)
        if op.W >= 0:
            self._weighed_back(op, dy)
        elif op.kind == "scale":
            s = op.inputs[1]
            emit("SCALE_BACK", dy, self._target(s)[0], z=self._value(x))
            if x.learns:
                emit("SCALE", dy, self._target(x)[0], z=self._value(s))
        elif op.kind == "pool":
            emit("POOL_BACK", dy, self._target(x)[0], op, z=self._where.get(op))
        elif op.kind == "split":
            emit("MERGE", dy, self._target(x)[0], op)
        elif op.kind == "softmax":
            emit("SOFTMAX_BACK", dy, self._target(x, rows=True)[0], z=self._value(op.out))
        elif op.kind == "each":
            at = self._value(op.out if op.form in BY_RESULT else x)
            emit("EACH", dy, self._target(x)[0], op, z=at, form=SLOPE + op.form)
        else:  # a copy, or a sum: its gradient is that of what went in
            for node in op.inputs:
                if node.learns:
                    self._grads.setdefault(node, []).append(dy)

    def _weighed_back(self, op: Op, dy: Value) -> None:
        emit, x = self._backward.emit, op.inputs[0]
        if op.kind == "conv":
            emit("CONV_DW", self._value(x), dy, op, W=op.W, b=op.b, packed=self._sums(op, dy))
            if x.learns:
                dx, mask = self._target(x, pitched=True, masks=True)
                emit("CONV_DX", dy, dx, op, z=mask, packed=self._packed(op, "CONV_DX"), W=op.W)
        elif op.kind == "square":
            emit("SQUARE_DW", self._value(x), dy, op, W=op.W, b=op.b)
            if x.learns:
                emit("SQUARE_DX", dy, self._target(x)[0], op, W=op.W)
        elif op.kind == "depthwise":
            emit("DEPTHWISE_DW", self._value(x), dy, op, W=op.W, b=op.b, packed=_planes(op))
            if x.learns:
                emit("DEPTHWISE_DX", dy, self._target(x)[0], op, W=op.W, packed=_planes(op))
        else:
            emit("DENSE_DW", self._value(x), dy, W=op.W, b=op.b)
            if x.learns:
                dx = self._target(x, rows=True)[0]
                turned = compact(ARENA, 1, 1, _rounded(dx.size) + _rounded(dy.size))
                emit("DENSE_DX", dy, dx, packed=turned, W=op.W)

    def _wanted(self, node: Node) -> tuple[Value, Value | None]:
        """Return where the operation that makes `node` wants its gradient, and the value where
        only positive numbers let a gradient through."""
        maker = node.maker
        if maker is None:
            return _of(DX, node), None
        relu = maker.form == RELU and maker.kind in MULTIPLIES
        mask = self._value(node) if relu else None
        if maker.kind == "conv" and node.padded:
            return self._map(node, [_room_back(maker)]), mask
        return _of(ARENA, node), mask

    def _target(
        self, node: Node, pitched: bool = False, masks: bool = False, rows: bool = False
    ) -> tuple[Value, Value | None]:
        """Return where a reader of `node` may write the gradient, and what to mask it with.

        That is where it is wanted in the end, or a value in between.

        Args:
            pitched: it writes maps of the node's pitch only.
            masks: it can mask.
            rows: it writes rows without gaps only.
        """
        wanted, mask = self._wanted(node)
        alone = len(node.readers) == 1 and node is not self._graph.output
        pitched = pitched and node.padded
        fits = (not pitched or wanted.framed) and not (rows and wanted.framed)
        if alone and fits and (mask is None or masks):
            self._ready[node] = wanted
            return wanted, mask
        between = self._map(node, []) if pitched else _of(ARENA, node)
        self._grads.setdefault(node, []).append(between)
        return between, None

    def _gradient(self, node: Node) -> Value:
        """Return the gradient at `node`, all readers' together, as its maker wants it."""
        if node in self._ready:
            return self._ready[node]
        wanted, mask = self._wanted(node)
        total, *more = self._grads[node]
        plain = mask is None and wanted.space == ARENA and not wanted.framed
        if plain and not more and total.pitch == total.W and total.plane == total.H * total.W:
            return total
        for part in more[:-1]:
            between = _of(ARENA, node)
            self._backward.emit("EACH", total, between, also=part)
            total = between
        last = more[-1] if more else None
        form = SLOPE + RELU if mask else COPY
        self._backward.emit("EACH", total, wanted, also=last, z=mask, form=form)
        return wanted

    def _place(self) -> tuple[int, int]:
        """Give every value its place in the arena: `fixed` numbers, and so many for each image.

        What lives within one run of operations that go image by image is there once, and gives
        its memory to others when it is no longer read; all else is there for each image.
        """
        uses: dict[Value, list[tuple[int, int, int]]] = {}  # (half, group, record)
        batched = set()
        for which, half in enumerate((self._forward, self._backward)):
            for at, (group, touched) in enumerate(zip(half.groups(), half.touches, strict=True)):
                for value in touched:
                    uses.setdefault(value, []).append((which, group, at))
                    if half.records[at][0] >= CODES.index("DENSE"):
                        batched.add(value)
        per_image, brief = 0, []
        for value, where in uses.items():
            if value.space != ARENA:
                continue
            if value in batched or len({w[:2] for w in where}) > 1:
                value.per_image, value.step = per_image, _rounded(value.size)
                per_image += value.step
            else:
                brief.append((value, where[0][:2], where[0][2], where[-1][2]))
        fixed = _share(brief)
        for value in uses:
            if value.step and value.space == ARENA:
                value.fixed = fixed
        return fixed, per_image


def _share(brief: Iterable[tuple[Value, tuple[int, int], int, int]]) -> int:
    """Place values in memory that those share which are not alive at once; return its size."""
    placed: list[tuple[Value, tuple[int, int], int, int]] = []
    for value, group, born, died in brief:
        if value.shared:  # from the first image to the last
            born, died = 0, 1 << 30
        rivals = [v for v, g, b, d in placed if g == group and b <= died and born <= d]
        for rival in sorted(rivals, key=lambda v: v.fixed):
            if value.fixed + value.size <= rival.fixed:
                break
            value.fixed = max(value.fixed, rival.fixed + _rounded(rival.size))
        placed.append((value, group, born, died))
    return max((v.fixed + _rounded(v.size) for v, *_ in placed), default=0)


def _by_winograd(op: Op, code: str) -> bool:
    """Tell if a convolution goes by Winograd's rule along the height: half the products, and two
    more passes over input and output, which 16 channels pay for."""
    if op.kind != "conv" or not code.startswith("CONV"):
        return False
    fits = op.kernel[0] == 3 and op.dilation[0] == 1 and op.groups == 1 and op.corner[0] <= 2
    return (
        fits
        and op.stride == (1, 1)
        and min(op.inputs[0].C, op.filters) >= 16
        and (op.filters % 16 == 0)
    )


def _bands_room(op: Op, x: Node, y: Node, pitch: int) -> int:
    """Return what the rule needs beside its maps, as `Bands` in program.h counts it."""
    bands = -(-y.H // 4) * pitch
    return 6 * (x.C * bands + 2 * pitch + y.C * bands + x.C * y.C * op.kernel[1])


def _planes(op: Op) -> Value:
    """Return room for a channel of a depthwise convolution, as `Planes` in kernels.h counts it."""
    down, across = op.shifts
    H, W = op.out.H + down, op.out.W + across
    parted = prod(op.stride) * H * W
    return shared(parted + (H + down) * W + 2 * across + W * op.stride[1])


def _rounded(size: int) -> int:
    return -(-size // _LINE) * _LINE


def _of(space: int, node: Node) -> Value:
    return compact(space, node.C, node.H, node.W)


def _room(op: Op) -> tuple[int, int, int, int]:
    """Return the rows above and below, the columns left and right that a convolution reads around
    its input."""
    (x,), y, (top, left) = op.inputs, op.out, op.corner
    down, across = op.shifts
    return (top, max(0, y.H - 1 + down - top - (x.H - 1)),
            left, max(0, y.W - 1 + across - left - (x.W - 1)))  # fmt: skip


def _room_back(op: Op) -> tuple[int, int, int, int]:
    """Return the same of what it reads around dy for dx."""
    (x,), y, (top, left) = op.inputs, op.out, op.corner
    down, across = op.shifts
    return (max(0, down - top), max(0, x.H - 1 + top - (y.H - 1)),
            max(0, across - left), max(0, x.W - 1 + left - (y.W - 1)))  # fmt: skip


def _least_pitch(op: Op) -> int:
    """Return the pitch at which one row's zeros to the right serve as the next one's to the left:
    for the input going forward, and for dy going back."""
    (x,), y = op.inputs, op.out
    _, _, left, right = _room(op)
    _, _, back_left, back_right = _room_back(op)
    return max(x.W + max(left, right), y.W + max(back_left, back_right))
