"""The vocabulary: one abstract class per file. Plugin authors import from here."""

from cnnkit.base.chain import Layers, chain_shapes, forward_chain, image_shape, show
from cnnkit.base.component import Component
from cnnkit.base.context import Context
from cnnkit.base.dataset import Data, Dataset, Places, Signature, Split
from cnnkit.base.epoch import Epoch
from cnnkit.base.fault import LayerFault
from cnnkit.base.initializer import Fans, Init, Initializer
from cnnkit.base.layer import Backward, Layer
from cnnkit.base.loss import Loss
from cnnkit.base.macro import Macro
from cnnkit.base.metric import Metric, predicted_classes
from cnnkit.base.observer import Observer, RunInfo
from cnnkit.base.optimizer import Optimizer
from cnnkit.base.options import Pair
from cnnkit.base.resolve import child
from cnnkit.base.schedule import Schedule
from cnnkit.base.transform import Transform

__all__ = [
    "Backward",
    "Component",
    "Context",
    "Data",
    "Dataset",
    "Epoch",
    "Fans",
    "Init",
    "Initializer",
    "Layer",
    "LayerFault",
    "Layers",
    "Loss",
    "Macro",
    "Metric",
    "Observer",
    "Optimizer",
    "Pair",
    "Places",
    "RunInfo",
    "Schedule",
    "Signature",
    "Split",
    "Transform",
    "chain_shapes",
    "child",
    "forward_chain",
    "image_shape",
    "predicted_classes",
    "show",
]
