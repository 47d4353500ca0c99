"""RunSpec: everything a spec may say, validated and frozen."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, SerializeAsAny

from cnnkit.arrays import Shape
from cnnkit.base import (
    Backend,
    Callback,
    Component,
    Dataset,
    Layers,
    Loss,
    Metric,
    Observer,
    Optimizer,
    Transform,
    child,
    default,
)
from cnnkit.base.component import PathText, Positive, Section, nothing
from cnnkit.registry import Registry
from cnnkit.source import Problem, Source
from cnnkit.tables import html_table, text_table


class ModelSpec(Section):
    """`[model]`: the stack of layers."""

    layers: Annotated[Layers, Field(min_length=1)]
    """The layers, first to last: tables with a `type`, or bare type names."""
    input: Annotated[list[Positive], Field(min_length=1, max_length=4)] | None = None
    """Shape of one image as [C, H, W]; without it, the dataset's."""
    dtype: Literal["float32", "float64"] = "float32"
    """Precision of weights and activations."""
    weights: PathText | None = None
    """Start from the weights of a run, of a checkpoint or of a file that Model.save wrote."""
    strict: bool = True
    """Whether these must be the weights of this very network; else those are taken whose names and
    shapes fit, and the others drawn."""


class CheckpointSpec(Section):
    """`[train] checkpoint`: when a run is saved besides the ends of its epochs, and what stays."""

    seconds: Annotated[float, Field(gt=0)] = 60.0
    """Save after the step at which so many seconds have passed since the last time."""
    steps: Positive | None = None
    """Save after so many steps, too."""
    keep: Positive | None = None
    """Keep the checkpoints of so many epochs, the last ones, as epoch-0003.safetensors."""


def _distinct(listed: list[Component]) -> list[Component]:
    for place, one in enumerate(listed):
        if one in listed[:place]:
            twice = "would tell everything" if one.family == "observers" else "would act"
            raise ValueError(f"{one.type} stands there twice, and {twice} twice")
    return listed


class TrainSpec(Section):
    """`[train]`: how long, in which portions, in which order."""

    epochs: Positive = 3
    """Passes over the training data."""
    batch: Positive = 32
    """Images per update of the weights."""
    shuffle: Literal["epoch", "once", "none"] = "epoch"
    """A new order for every epoch, one order for all, or the dataset's own."""
    shard: Positive | None = None
    """Images that one thread takes through the network at a time; decides the rounding of sums,
    so it never depends on the thread count. Without it, chosen from the batch."""
    threads: Annotated[int, Field(gt=0, le=1024)] | None = None
    """Worker threads; without it, the physical cores. Does not change results."""
    subset: Positive | None = None
    """Train on so many images only, each class its share, drawn by the seed: for a quick try."""
    backend: Annotated[SerializeAsAny[Backend], child("backends")] = default("numpy")
    """What computes: "numpy", or a faster one that a plugin brings; decides the rounding."""
    checkpoint: CheckpointSpec = Field(default_factory=lambda: CheckpointSpec())
    """When a run is saved besides the ends of its epochs, and of how many epochs the checkpoints
    stay, such as `{ seconds = 10, keep = 3 }`."""
    best: str | None = None
    """What the best checkpoint is best by on the validation split: "loss", or one of the metrics;
    by default accuracy, or the loss where that is not measured. Without validation images, by the
    training loss."""
    on_nonfinite: Literal["stop", "skip", "rollback"] = "stop"
    """What happens where a loss or gradient is not finite: the run ends; the step is left out; or
    the epoch begins again with half the learning rate, at most five times in a run."""
    callbacks: Annotated[
        list[Annotated[SerializeAsAny[Callback], child("callbacks")]], AfterValidator(_distinct)
    ] = Field(default_factory=nothing)
    """What may change training on its way, such as `["ema"]`, in the order it is called."""
    memory: Annotated[float, Field(gt=0)] | None = None
    """GiB that weights, optimizer and activations may take; without it, 80 % of the machine's."""


def _with_views(transforms: list[Transform]) -> list[Transform]:
    for one in transforms:
        if type(one).views is Transform.views:
            raise ValueError(f"{one.type} has no views to average over, as flip has")
    return transforms


class PredictSpec(Section):
    """`[predict]`: how the trained network is asked."""

    average: Annotated[
        list[Annotated[SerializeAsAny[Transform], child("transforms")]], AfterValidator(_with_views)
    ] = Field(default_factory=nothing)
    """Predictions are averaged over the views of these, such as `["flip"]`: the image and its
    mirror image; of several, over every pair. They are made behind all transforms, for the test
    split, `evaluate` and `predict`; the model keeps them. Of a fallback, those it is trained on."""


class PluginsSpec(Section):
    """`[plugins]`: what must be installed for the spec to mean what it says."""

    require: list[str] = Field(default_factory=nothing)
    """Distributions and versions, such as "cnnkit-prelu>=0.1"."""


def _metrics() -> list[Metric]:
    return ["accuracy", "macro_f1", "confusion"]  # type: ignore[list-item]  # names: see registry


class RunSpec(Section):
    """A whole spec. `cnnkit.load_spec` makes one from a TOML file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Names the run's folder: letters, digits, dot, dash and underscore."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Decides every random draw of the run."""
    data: Annotated[SerializeAsAny[Dataset], child("datasets")]
    """Where images and labels come from."""
    model: ModelSpec
    """The stack of layers."""
    loss: Annotated[SerializeAsAny[Loss], child("losses")]
    """What training makes small."""
    optimizer: Annotated[SerializeAsAny[Optimizer], child("optimizers")]
    """How gradients become new weights."""
    train: TrainSpec = Field(default_factory=lambda: TrainSpec())
    """How long, in which portions, in which order."""
    metrics: list[Annotated[SerializeAsAny[Metric], child("metrics")]] = Field(
        default_factory=_metrics
    )
    """Figures computed on the validation and test splits."""
    observers: Annotated[
        list[Annotated[SerializeAsAny[Observer], child("observers")]], AfterValidator(_distinct)
    ] = Field(default_factory=nothing)
    """Who is told what happens, such as `["csv"]`; what they do cannot change the run."""
    predict: PredictSpec = Field(default_factory=lambda: PredictSpec())
    """How the trained network is asked."""
    plugins: PluginsSpec = Field(default_factory=lambda: PluginsSpec())
    """What must be installed for the spec to mean what it says, such as
    `require = ["cnnkit-prelu>=0.1"]`."""

    _source: Source = PrivateAttr(default=Source())
    _registry: Registry = PrivateAttr(default_factory=Registry)
    _warnings: list[tuple[Problem, str]] = PrivateAttr(default_factory=nothing)

    def __str__(self) -> str:
        return text_table((), list(_rows(self)))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table((), list(_rows(self)))

    def read_as(self, source: Source, registry: Registry) -> Self:
        """Return the spec as one that was read from this text, with these types."""
        made = self.model_copy()
        made._source, made._registry = source, registry
        return made

    @property
    def source(self) -> Source:
        """The text this spec was read from, for error messages and the run directory."""
        return self._source

    @property
    def warnings(self) -> list[tuple[Problem, str]]:
        """What this spec says that can hardly be meant, and the text that shows where."""
        return self._warnings

    @property
    def registry(self) -> Registry:
        """The types this spec was read with."""
        return self._registry

    @property
    def input_shape(self) -> Shape | None:
        """The shape that `[model] input` gives, or None."""
        return tuple(self.model.input) if self.model.input else None


def _rows(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield what a spec says, defaults left out: key path, and value or component."""
    if isinstance(value, Section):
        for name in type(value).model_fields:
            if name in value.model_fields_set and (inner := getattr(value, name)) is not None:
                yield from _rows(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(one, Component) for one in value):
        for number, one in enumerate(value, start=1):
            yield f"{path} {number}", _told(one)
    else:
        yield path, _told(value)


def _told(value: Any) -> str:
    """Return a value as TOML has it, or nearly: of a component, the options that were given."""
    if isinstance(value, Component):
        names = [name for name in value.option_names() if name in value.model_fields_set]
        found = [(name, getattr(value, name)) for name in names]
        given = [f"{name} = {_told(one)}" for name, one in found if one is not None]
        return f"{value.type} ({', '.join(given)})" if given else value.type
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_told, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
