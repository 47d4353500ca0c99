"""A page: one HTML file that needs no other, from a template and whatever the data say."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit import __version__
from cnnkit.errors import RunError
from cnnkit.files.durable import write_durably
from cnnkit.stdout import visible

if TYPE_CHECKING:
    from jinja2 import Environment

_MARK = b'<meta name="generator" content="cnnkit '
"""What a page of ours begins with, so that no other file is ever replaced."""


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["version"] = __version__
    made.filters["number"] = number
    made.filters["headed"] = headed
    return made


def _shown(value: Any) -> Any:
    """Let text from files move nothing: controls and marks of direction become escapes."""
    return visible(value, keep="\n\t") if type(value) is str else value


def number(value: Any) -> str:
    """Return a figure as tables show it: thousands apart, four digits that count."""
    if not isinstance(value, int | float):
        return "–" if value is None else str(value)
    if isinstance(value, int) or (abs(value) >= 1000 and value == round(value)):
        return f"{int(value):,}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def headed(said: str) -> str:
    """Return a text with a capital first; str.capitalize lowers the rest, names of layers too."""
    return said[:1].upper() + said[1:]


def render(template: str, **content: Any) -> str:
    """Return a page; all text in `content` is escaped."""
    return _environment().get_template(template).render(**content)


def write_page(path: Path, html: str) -> None:
    """Put a page at `path`, in the place of an older page only.

    Raises:
        RunError: where something else is there, or it cannot be written.
    """
    try:
        if path.exists():
            with path.open("rb") as file:
                if _MARK not in file.read(500):
                    what = f"{path} exists already and is no page of cnnkit's"
                    raise RunError(f"{what}; choose another --out, or remove it first")
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error
    write_durably(path, html.encode(errors="backslashreplace"))
