"""Peers: the same network in other libraries, one file each. `PEERS` says how to get them."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec

from cnnkit_bench.peers.base import Peer


@dataclass(frozen=True)
class Kind:
    """A way to run the network.

    Args:
        home: "module:class" below cnnkit_bench.peers.
        needs: modules that must be installed.
        extra: the extra of cnnkit-bench that installs them.
        environment: set for its process.
        one_thread: True where there is nothing to choose.
    """

    home: str
    needs: tuple[str, ...] = ()
    extra: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    one_thread: bool = False

    def missing(self) -> bool:
        """Tell if something it needs is not installed; nothing is imported."""
        return any(find_spec(module) is None for module in self.needs)

    @property
    def cls(self) -> type[Peer]:
        """The class, imported now."""
        module, name = self.home.split(":")
        found: type[Peer] = getattr(import_module(f"cnnkit_bench.peers.{module}"), name)
        return found


_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}

OURS = "cnnkit"
PEERS: dict[str, Kind] = {
    OURS: Kind("ours:Cnnkit"),
    "torch": Kind("pytorch:Torch", ("torch",), "torch"),
    "torch-compile": Kind("pytorch:TorchCompiled", ("torch",), "torch"),
    "torch-channels-last": Kind("pytorch:TorchChannelsLast", ("torch",), "torch"),
    "keras-tensorflow": Kind(
        "keras:KerasTensorflow",
        ("keras", "tensorflow"),
        "keras",
        {"KERAS_BACKEND": "tensorflow", **_QUIET},
    ),
    "keras-jax": Kind(
        "keras:KerasJax", ("keras", "jax"), "keras", {"KERAS_BACKEND": "jax", **_QUIET}
    ),
    "onnxruntime": Kind("onnx:OnnxRuntime", ("onnx", "onnxruntime"), "onnx"),
    "loops": Kind("loops:Loops", one_thread=True),
}
"""name -> kind, in the order of the tables."""
