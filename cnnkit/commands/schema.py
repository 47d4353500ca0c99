"""`cnnkit schema`: what specs may hold, as editors want to know it."""

from __future__ import annotations

import json
from pathlib import Path

from cnnkit.commands._console import News, emit
from cnnkit.commands._plugins import begin
from cnnkit.files.durable import write_durably
from cnnkit.registry import Registry
from cnnkit.specfile.schema import spec_schema

SCHEMA_FILE = "cnnkit.schema.json"
"""What specs call the schema beside them."""


def schema(*, out: Path | None = None) -> None:
    """Write the JSON Schema of specs, from what is installed: editors complete and check by it.

    A spec names it in its first line: #:schema ./cnnkit.schema.json

    Args:
        out: the file to write, such as cnnkit.schema.json; by default standard output.
    """
    news, registry = begin()
    text = schema_text(registry, news)
    if out is None:
        emit(text)
    else:
        write_durably(out, f"{text}\n".encode())
        news.say(f"wrote {out}")


def schema_text(registry: Registry, news: News) -> str:
    """Return the schema as JSON text."""
    return json.dumps(spec_schema(registry, news.warn), indent=2, ensure_ascii=False)
