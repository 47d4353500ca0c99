"""What Python says of a class of options: signature, help and descriptions, less pydantic's own."""

# ruff: noqa: N805  # the methods of a metaclass are told classes
from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable
from functools import cache
from textwrap import indent
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
)  # fmt: skip

from pydantic import BaseModel, Field, PrivateAttr
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class Form:
    """The mark of an option that may be given in other types than it is kept in."""

    def __init__(self, given: Any) -> None:
        self.given = given


@dataclass_transform(kw_only_default=True, field_specifiers=(Field, PrivateAttr))
class Described(ModelMetaclass):
    # A docstring here would be hidden by the property __doc__, which is what classes have.

    @property
    def __doc__(cls: Any) -> str | None:  # type: ignore[override]
        """The docstring, with the options at its end: `help` finds their descriptions here only."""
        doc: str | None = vars(cls).get("__doc__")
        rows = [f"{k}: {indent(v, ' ' * 8).strip()}" for k, v in option_docs(cls).items() if v]
        if not doc or not rows:
            return doc
        return "\n    ".join([f"{inspect.cleandoc(doc)}\n\nOptions:", *rows])

    @property
    def __signature__(cls: Any) -> inspect.Signature:
        """The options, by the types in which they may be given; made anew for each who asks."""
        if not cls.__pydantic_fields_complete__:  # it names a class that was defined after it
            cls.model_rebuild(raise_errors=False)
        return inspect.Signature([_parameter(name, cls.model_fields[name]) for name in _names(cls)])

    @__signature__.setter
    def __signature__(cls, value: object) -> None:
        """Ignore pydantic's own, which comes when a class is first used."""

    def __dir__(cls) -> list[str]:
        hidden = set(dir(BaseModel))
        return [name for name in super().__dir__() if name[0] != "_" and name not in hidden]


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    empty = inspect.Parameter.empty
    value = empty if field.is_required() else field.get_default(call_default_factory=True)
    words = _Words(in_python(field.annotation, field.metadata))
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=words)


class _Words(str):
    """A type's name, shown without quotes."""

    __repr__ = str.__str__


def in_python(annotation: Any, marks: Iterable[Any] = ()) -> str:
    """Say what constructors take for an option, without modules and pydantic's marks.

    >>> in_python(Annotated[tuple[int, Literal["a"]], Form(list[int])] | None)
    'list[int] | None'
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    for mark in marks:
        if isinstance(mark, Form):
            return in_python(mark.given)
    if origin is Annotated:
        return in_python(inner[0], inner[1:])
    if origin in (Union, UnionType):
        return " | ".join(map(in_python, inner))
    if annotation in (None, NoneType, ...):
        return "..." if annotation is ... else "None"
    words = map(repr if origin is Literal else in_python, inner)
    name = getattr(origin or annotation, "__name__", None) or str(annotation).split(".")[-1]
    return f"{name}[{', '.join(words)}]" if inner else str(name)


@cache
def option_docs(cls: type[BaseModel]) -> dict[str, str]:
    """Return `{option: description}`, read from the docstrings under the fields."""
    docs: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if isinstance(owner, Described):
            docs |= _docstrings(owner)
    return {name: docs.get(name, "") for name in _names(cls)}


def _names(cls: type[BaseModel]) -> list[str]:
    """Return the options; of a component its own before those that all of its family have."""
    named = getattr(cls, "option_names", None)
    return named() if named else [name for name in cls.model_fields if name != "type"]


def _docstrings(cls: type) -> dict[str, str]:
    """Read the string literals that follow annotated fields; only `--help`-like callers pay."""
    try:
        source = inspect.getsource(sys.modules[cls.__module__])
    except (OSError, TypeError, KeyError):
        return {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            return {
                field.target.id: inspect.cleandoc(doc.value.value)
                for field, doc in zip(node.body, node.body[1:], strict=False)
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(doc, ast.Expr)
                and isinstance(doc.value, ast.Constant)
                and isinstance(doc.value.value, str)
            }
    return {}


def own_doc(cls: type) -> str:
    """Return a class's docstring, less the examples at its end: they speak to readers of Python."""
    return inspect.cleandoc(vars(cls).get("__doc__") or "").partition("\n\n>>> ")[0]
