"""What hangs on a component and its class, and whether using it changes that."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from cnnkit.base import Component
from cnnkit.testing.components import nested
from cnnkit.testing.failure import require


def require_no_state(component: Component, use: Callable[[], None]) -> None:
    """Demand that a second use leaves everything on the component as the first one left it."""
    use()
    before = _state(component)
    use()
    changed = [name for name, value in _state(component).items() if before.get(name) != value]
    require(
        not changed,
        f"state is kept in {', '.join(changed)}",
        expected="an unchanged component",
        got=f"another value of {changed[0]}" if changed else "",
        fix="keep what backward needs in local variables: its closure dies with it",
    )


def _state(component: Component) -> dict[str, object]:
    """Name everything that hangs on the component, on those inside it and on their classes."""
    state: dict[str, object] = {}
    for number, part in enumerate(nested(component)):
        private = part.__pydantic_private__ or {}
        for name, value in {**vars(part), **private}.items():
            # A cached_property sees the options only, so it may be kept.
            if not isinstance(getattr(type(part), name, None), cached_property):
                state[f"{part.type}.{name} ({number})"] = _Fingerprint(value)
        for cls in type(part).__mro__:
            if issubclass(cls, Component) and cls is not Component:
                state |= {f"{cls.__name__}.{n}": _Fingerprint(v) for n, v in _plain(cls).items()}
    return state


def _plain(cls: type) -> dict[str, Any]:
    """Return the class attributes that are not Python's or pydantic's own."""
    own = ("__", "_abc", "model_")
    return {name: value for name, value in vars(cls).items() if not name.startswith(own)}


class _Fingerprint:
    """Compares a value and the members of a container by identity; holding on to them, since a
    freed object's id may be given to the next one."""

    def __init__(self, value: Any) -> None:
        members = list(value) if isinstance(value, list | tuple | set | dict) else []
        self._held = [value, *members]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Fingerprint) and self._ids() == other._ids()

    def __hash__(self) -> int:
        return hash(self._ids())

    def _ids(self) -> tuple[int, ...]:
        return tuple(map(id, self._held))
