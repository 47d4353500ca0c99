"""Component: anything a spec can name by its `type`."""

from __future__ import annotations

import ast
import inspect
import sys
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Component(BaseModel):
    """A frozen, strictly validated set of options. Subclasses are abstract (a family) or final.

    A final class declares its name in specs as `type: Literal["relu"] = "relu"`, and describes
    every option by a docstring under the field. Options cannot change after validation; state
    lives in weight trees, never on a component.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        defer_build=True,
    )
    family: ClassVar[str] = ""
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
    def type_name(cls) -> str:
        """Return the name that specs use, or "" for an abstract class."""
        field = cls.model_fields.get("type")
        default = field.default if field is not None else None
        return default if isinstance(default, str) else ""

    @classmethod
    def option_docs(cls) -> dict[str, str]:
        """Return `{option: description}`, read from the docstrings under the fields."""
        docs: dict[str, str] = {}
        for owner in reversed(cls.__mro__):
            if issubclass(owner, Component) and owner is not Component:
                docs.update(attribute_docstrings(owner))
        return {name: docs.get(name, "") for name in cls.model_fields if name != "type"}


def attribute_docstrings(cls: type) -> dict[str, str]:
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


def without_examples(doc: str) -> str:
    """Return a docstring less the examples at its end: they speak to readers of Python."""
    return doc.partition("\n\n>>> ")[0]
