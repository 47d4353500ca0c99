"""ONNX Runtime: inference only."""

from __future__ import annotations

from typing import ClassVar

import onnx
import onnxruntime
from cnnkit.arrays import Array

from cnnkit_bench.case import Case
from cnnkit_bench.network import walk
from cnnkit_bench.peers.base import Mode, Peer
from cnnkit_bench.peers.onnx_ops import OnnxOps


class OnnxRuntime(Peer):
    """An ONNX graph with a free batch axis, on the CPU provider, all optimisations on."""

    modes: ClassVar[tuple[Mode, ...]] = ("inference",)

    def __init__(self, case: Case, threads: int) -> None:
        super().__init__(case, threads)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        model = _graph(case).SerializeToString()
        self._session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])

    def version(self) -> str:
        return f"onnxruntime {onnxruntime.__version__}"

    def start(self, lr: float) -> None:
        return

    def step(self, rows: slice) -> None:
        self._session.run(None, {"images": self.case.inputs[rows]})

    def outputs(self, count: int) -> Array:
        y: Array = self._session.run(None, {"images": self.case.inputs[:count]})[0]
        return y


def _graph(case: Case) -> onnx.ModelProto:
    table = OnnxOps(case.weights)
    out = walk(table, case.ops, "images")
    float32 = onnx.TensorProto.FLOAT
    images = onnx.helper.make_tensor_value_info("images", float32, ["N", *case.shape])
    result = onnx.helper.make_tensor_value_info(out, float32, None)
    graph = onnx.helper.make_graph(table.nodes, "cnnkit", [images], [result], table.weights)
    opset = onnx.helper.make_opsetid("", 20)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
