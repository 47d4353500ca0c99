"""The vocabulary: one abstract class per file. Plugin authors import from here."""

from cnnkit.base.backend import Backend, FusedStep
from cnnkit.base.callback import Callback, Training
from cnnkit.base.component import Component, Pair, PairOrNone, Positive, Synonyms, child, default
from cnnkit.base.context import Context
from cnnkit.base.dataset import Data, DataPaths, Dataset, DatasetInfo, Split
from cnnkit.base.initializer import Fans, Init, Initializer
from cnnkit.base.layer import (
    Backward,
    Block,
    Branches,
    Layer,
    LayerFault,
    Layers,
    Macro,
    chain_shapes,
    forward_chain,
    image_shape,
    show,
)
from cnnkit.base.loss import Loss
from cnnkit.base.metric import Metric, predicted_classes
from cnnkit.base.observer import Epoch, Observer, RunInfo
from cnnkit.base.optimizer import Optimizer
from cnnkit.base.schedule import Schedule
from cnnkit.base.transform import BatchTransform, Transform
from cnnkit.base.weight import Weight, WeightTree

__all__ = [
    "Backend",
    "Backward",
    "BatchTransform",
    "Block",
    "Branches",
    "Callback",
    "Component",
    "Context",
    "Data",
    "DataPaths",
    "Dataset",
    "DatasetInfo",
    "Epoch",
    "Fans",
    "FusedStep",
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
    "PairOrNone",
    "Positive",
    "RunInfo",
    "Schedule",
    "Split",
    "Synonyms",
    "Training",
    "Transform",
    "Weight",
    "WeightTree",
    "chain_shapes",
    "child",
    "default",
    "forward_chain",
    "image_shape",
    "predicted_classes",
    "show",
]
