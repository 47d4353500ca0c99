"""Component: anything a spec can name by its `type`, its option types, and its children."""

import inspect
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Generic,
    NamedTuple,
    Protocol,
    TypeVar,
    get_args,
    get_origin,
)

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from cnnkit.base.place import KeyPath
from cnnkit.described import Described, Form

Synonyms = Mapping[str, str]
"""What others call a type or an option, in small letters without dashes: `{"pool": "maxpool
pooling"}`; and what they call the type with an option: `{'kind = "mean"': "avgpool meanpool"}`."""


_STRICT = ConfigDict(
    frozen=True,
    strict=True,
    extra="forbid",
    allow_inf_nan=False,
    validate_default=True,
    defer_build=True,
)


class Component(BaseModel, metaclass=Described):
    """A frozen, strictly validated set of options. Subclasses are abstract (a family) or final.

    A final class declares its name in specs as `type: Literal["relu"] = "relu"`, and describes
    every option by a docstring under the field. Options cannot change after validation; state
    lives in weight trees, never on a component.
    """

    model_config = _STRICT
    family: ClassVar[str] = ""
    synonyms: ClassVar[Synonyms] = {}
    common: ClassVar[frozenset[str]] = frozenset()
    """Options that every type of the family has; tables and messages tell of a type's own."""
    type: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse an option that would hide a method of the protocol.

        Raises:
            TypeError: naming the class and the option.
        """
        super().__init_subclass__(**kwargs)
        for name in inspect.get_annotations(cls):
            inherited = next((c for c in cls.__mro__[1:] if name in c.__dict__), None)
            if inherited is not None and callable(getattr(inherited, name)):
                raise TypeError(
                    f"{cls.__name__}: option {name!r} would hide the method "
                    f"{inherited.__name__}.{name}(); choose another name"
                )

    def __init__(self, /, **options: Any) -> None:
        """Validate the options.

        Raises:
            OptionError: with everything that is wrong with them, in the words of specs.
        """
        __tracebackhide__ = True
        try:
            super().__init__(**options)
        except ValidationError as error:
            from cnnkit.diagnosis.python import option_error  # imported when something is wrong

            raise option_error(type(self), options, error) from None

    # Validation must not go through it: a child's error belongs to its parent's.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def __repr_args__(self) -> Any:
        """Leave out options that every type has, and that nobody gave."""
        unsaid = self.common - self.model_fields_set
        return [(name, v) for name, v in super().__repr_args__() if name not in unsaid]

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse what is no option: kept on a component, all shards and threads would share it.

        Raises:
            AttributeError: saying where to keep it instead.
        """
        if name not in type(self).model_fields:
            raise AttributeError(
                f"{self.type} has no option {name!r}, and is frozen: keep it in a variable that "
                "backward reads, or in the weights"
            )
        super().__setattr__(name, value)

    @classmethod
    def option_names(cls) -> list[str]:
        """Return the names of the options, the type's own before those that all have."""
        names = [name for name in cls.model_fields if name != "type"]
        return sorted(names, key=lambda name: name in cls.common)

    @classmethod
    def type_name(cls) -> str:
        """Return the name that specs use, or "" for an abstract class."""
        field = cls.model_fields.get("type")
        default = field.default if field is not None else None
        return default if isinstance(default, str) else ""


Given = TypeVar("Given")
Kept = TypeVar("Kept")


class Option(Generic[Given, Kept]):
    """An option that constructors take as `Given`, and that validation turns into `Kept`.

    To a type checker it is a descriptor, as these alone tell the type that is set from the one that
    is read; pydantic sees `Kept`. They want a default written as `default(value)`.
    """

    if TYPE_CHECKING:

        def __get__(self, component: object, owner: object = None) -> Kept: ...

        def __set__(self, component: object, value: Given) -> None: ...

    else:

        def __class_getitem__(cls, types: tuple[Any, Any]) -> Any:
            given, kept = types
            return Annotated[kept, Form(given)]


def default(value: Any) -> Any:
    """Return the default of an option in any form in which it may be given; it is validated too."""
    return value


def nothing() -> list[Any]:
    """Return an empty list: pydantic takes longer to read the signature of `list` itself."""
    return []


_LARGEST = 2**31
_SIDE = {"type": "integer", "minimum": 1, "maximum": _LARGEST}


def _pair(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


Positive = Annotated[int, Field(gt=0, le=_LARGEST)]
"""A whole number from 1 to 2**31."""

_Pair = Annotated[
    tuple[Positive, Positive],
    BeforeValidator(_pair),
    WithJsonSchema(
        {"anyOf": [_SIDE, {"type": "array", "items": _SIDE, "minItems": 2, "maxItems": 2}]}
    ),
]
Pair = Option[int | list[int] | tuple[int, int], _Pair]
"""A height and a width: `5` means `[5, 5]`."""
PairOrNone = Option[int | list[int] | tuple[int, int] | None, _Pair | None]
"""The same for an option that may be left out: `Pair | None` would not take `5` from mypy."""

Table = str | dict[str, Any]
"""A component as a spec has it: the name of its type, or a table with its options."""

listed = BeforeValidator(lambda value: list(value) if isinstance(value, tuple) else value)
"""Lets Python callers write a tuple where a spec has an array."""

SPEC_PATH = "a path in a spec"
"""Marks options that hold paths, so that a resolved spec can make them absolute."""


def _path(value: Any) -> Any:
    if isinstance(value, str) and re.search(r"[\x00-\x1f\x7f-\x9f]", value):  # as in "C:\temp"
        raise PydanticCustomError("control_character", "expected a path without control characters")
    return os.path.expanduser(value) if isinstance(value, str) else value  # noqa: PTH111


PathText = Annotated[
    str, BeforeValidator(_path), Field(min_length=1, pattern=r"^[^\x00]+$"), SPEC_PATH
]
"""A path, absolute or relative to the spec's folder; `~` is the home folder."""


def is_path(field: Any) -> bool:
    """Tell if a field holds a path; one that may be left out has its mark further inside."""
    inner = (getattr(one, "__metadata__", ()) for one in get_args(field.annotation))
    return SPEC_PATH in field.metadata or any(SPEC_PATH in marks for marks in inner)


class Lookup(Protocol):
    """What validation needs of a registry."""

    def find(self, family: str, name: str) -> type[Component]:
        """Return the class behind `name`, or raise PydanticCustomError("unknown_type")."""


class BuiltIns:
    """The lookup used where no registry travels along: options given in Python."""

    def find(self, family: str, name: str) -> type[Component]:
        module = import_module(f"cnnkit.{family}")
        classes: list[type[Component]] = getattr(module, f"cnnkit_{family}")()
        for cls in classes:
            if cls.type_name() == name:
                return cls
        raise PydanticCustomError(
            "unknown_type",
            "no built-in type '{name}' in {family}; third-party types need a registry "
            "(cnnkit.load_spec) or the class itself",
            {"name": name, "family": family},
        )


def resolver(family: str) -> Callable[[Any, ValidationInfo], Any]:
    """Return a validator that looks `type` up first and then validates that one class."""

    def resolve(value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, Component):
            return value
        table = {"type": value} if isinstance(value, str) else value
        if not isinstance(table, dict):
            raise PydanticCustomError("component_type", "expected a table with a type, or a name")
        name = table.get("type")
        if not isinstance(name, str):
            raise PydanticCustomError("missing_type", "the table does not say which type it is")
        lookup: Lookup = (info.context or {}).get("registry") or BuiltIns()
        cls = lookup.find(family, name)
        return cls.model_validate({**table, "type": cls.type_name()}, context=info.context)

    return resolve


@dataclass(frozen=True, slots=True)
class Child(BeforeValidator):
    """The mark of an option that holds a component, by which everybody finds it."""

    family: str = ""


def child(family: str) -> Child:
    """Mark a field that holds a component: `Annotated[SerializeAsAny[Layer], child("layers")]`."""
    return Child(resolver(family), family=family)


class Section(BaseModel, metaclass=Described):
    """A table of a spec: strict, frozen, and closed to unknown keys."""

    model_config = ConfigDict(**_STRICT, protected_namespaces=(), arbitrary_types_allowed=True)


class Slot(NamedTuple):
    """What an option holds: a component of a family, or a section; or a list of them (`many` is 1),
    or a list of such lists (2)."""

    family: str
    section: type[BaseModel] | None = None
    many: int = 0
    required: bool = False


@cache
def slots(cls: type[BaseModel]) -> dict[str, Slot]:
    """Return the options of a class that hold components or sections, read off the annotations."""
    if not cls.__pydantic_fields_complete__:  # it names a class that was defined after it
        cls.model_rebuild(raise_errors=False)
    found = {
        name: (field, _slot(field.annotation, field.metadata))
        for name, field in cls.model_fields.items()
    }
    return {n: s._replace(required=f.is_required()) for n, (f, s) in found.items() if s}


def _slot(annotation: Any, marks: Iterable[Any] = ()) -> Slot | None:
    for mark in marks:
        if isinstance(mark, Child):
            return Slot(mark.family)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _slot(inner[0], inner[1:])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if issubclass(annotation, Component):
            return Slot(annotation.family)
        return Slot("", annotation)
    found = next(filter(None, map(_slot, inner)), None)
    return found._replace(many=found.many + 1) if found and origin in (list, tuple) else found


def chain_name(cls: type[BaseModel], option: str) -> str:
    """Return what the layers of one of a container's chains are called by: the option's name.

    It is "" for its only chain, and for the only one that may not be left out, such as the body
    of a residual: their layers are the container's layers without saying.
    """
    chains = {name: slot for name, slot in slots(cls).items() if slot.family == "layers"}
    needed = [name for name, slot in chains.items() if slot.required]
    alone = [option] in (list(chains), needed)
    return "" if alone or option not in chains else option


class Chain(NamedTuple):
    """Layers one after the other inside a container.

    Args:
        path: the way to them from the container, `("body",)` or `("branches", 0)`.
        name: what the names of their weights begin with, "shortcut" or "0_branch"; mostly "".
        called: what messages call them, "shortcut" or "branch 1".
    """

    path: KeyPath
    name: str
    called: str
    layers: list[Any]


def chains(component: Component) -> Iterator[Chain]:
    """Yield the chains among a component's options; an option that holds one layer is one, too."""
    for option, slot in slots(type(component)).items():
        value, called = getattr(component, option), chain_name(type(component), option)
        if slot.family != "layers" or not value:
            continue
        if slot.many < 2:
            yield Chain((option,), called, called, value if slot.many else [value])
            continue
        for index, layers in enumerate(value):
            one = singular(option)
            name = "/".join(filter(None, [called, f"{index}_{one}"]))
            yield Chain((option, index), name, f"{called} {one} {index + 1}".strip(), layers)


def singular(option: str) -> str:
    """Return what one element of an option is called.

    >>> singular("branches"), singular("observers")
    ('branch', 'observer')
    """
    return re.sub("(?<=ch)es$|s$", "", option)


def walk(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Component]]:
    """Yield each component in a component, a section or a list of these, with its key path.

    Parents come before their children.
    """
    if isinstance(value, Component):
        yield path, value
    if isinstance(value, BaseModel):
        for name in slots(type(value)):
            yield from walk(getattr(value, name), (*path, name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from walk(item, (*path, index))
