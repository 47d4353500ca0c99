"""One JSON Schema for specs, made from the installed components: editors complete and check by it.

A schema sees structure alone: names, types and ranges. What depends on the data or on the layers
before, `cnnkit check` sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from cnnkit.base import Layer
from cnnkit.base.component import Section
from cnnkit.described import option_docs, own_doc
from cnnkit.errors import PluginError
from cnnkit.hookspecs import FAMILIES
from cnnkit.registry import Entry, Registry, blaming, complete, said
from cnnkit.specfile.runspec import RunSpec

_BASES = {cls.__name__: family for family, cls in FAMILIES.items()}
_TOML_INTEGERS = 2**63
"""Where TOML's integers end; a bound beyond them says nothing, and some tools cannot read it."""
_HEAD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "x-tombi-toml-version": "v1.1.0",  # tomli reads inline tables of several lines
    "title": "a cnnkit spec",
}

_HOLE = r"^\$\{[^}]+\}$"
_VARIABLE = {"title": "a variable", "type": "string", "pattern": _HOLE}
_LAYERS = {"type": "array", "items": {"$ref": "#/$defs/layers"}}
_BLOCK = {"type": "object", "additionalProperties": False, "required": ["layers"],
          "properties": {"layers": _LAYERS}}  # fmt: skip
_LANGUAGE = {
    "format": {"const": 1, "description": "Lets the spec use include, vars, blocks and repeat."},
    "include": {"type": "string", "description": "The file that this one is laid over."},
    "vars": {"type": "object", "description": 'Values that "${name}" stands for.'},
    "blocks": {"type": "object", "description": 'Layers that type = "repeat" stands for.',
               "additionalProperties": _BLOCK},
}  # fmt: skip

Schema = dict[str, Any]


def spec_schema(registry: Registry, warn: Callable[[str], None] = lambda line: None) -> Schema:
    """Return a JSON Schema (draft 2020-12) of the specs that can be written with `registry`.

    Args:
        warn: told of each plugin's type whose options pydantic cannot put into a schema; a spec
            may use it, but its options are not checked.
    """
    made = _Definitions(registry, warn)
    for name, option in RunSpec.model_fields.items():
        if isinstance(option.annotation, type) and issubclass(option.annotation, Section):
            section = {"title": f"[{name}]", **made.table(option.annotation, "spec")}
            made.known[f"spec.{option.annotation.__name__}"] = section
    for family in FAMILIES:
        made.known[family] = made.family(family)
    made.known["repeat"] = made.repeat()
    made.known["layers"]["anyOf"].append({"$ref": "#/$defs/repeat"})
    made.known["spec.ModelSpec"]["properties"]["defaults"] = made.defaults()
    whole = made.table(RunSpec, "spec")
    whole["properties"] = {**_LANGUAGE, **whole["properties"]}
    needed = {"required": whole.pop("required")}
    whole["anyOf"] = [needed, {"required": ["include"]}]  # the other file may have the rest
    return {**_HEAD, **whole, "$defs": dict(sorted({**made.known, "variable": _VARIABLE}.items()))}


@dataclass(frozen=True, slots=True)
class _Definitions:
    """The schema's `$defs` in the making: "layers" is any layer, "layers.relu" the table of one."""

    registry: Registry
    warn: Callable[[str], None]
    known: dict[str, Schema] = field(default_factory=dict)

    def family(self, family: str) -> Schema:
        """Return the choice between the types of a family; each gets a definition of its own.

        It is an anyOf, since editors complete by that and not by if and then.
        """
        choices, short = [], []
        for name, entry in self._entries(family):
            key = f"{family}.{name}"
            self.known[key] = made = self._component(entry, key, name)
            choices.append({"$ref": f"#/$defs/{key}"})
            if made["required"] == ["type"]:
                short += made["properties"]["type"].get("enum", [name])
        bare = {"title": "a type's name alone", "description": "Every option keeps its default."}
        names = [{**bare, "type": "string", "enum": short}] if short else []
        choices.append({"$ref": "#/$defs/variable"})
        return {"title": FAMILIES[family].__name__.lower(), "anyOf": names + choices}

    def repeat(self) -> Schema:
        """Return the table that stands for copies of a block."""
        common = self.table(Layer, "layers")["properties"]
        own: Schema = {
            "type": {"const": "repeat", "description": "Copies of a block."},
            "block": {"type": "string", "description": "The name of the block."},
            "times": _plain({"type": "integer", "minimum": 1, "maximum": 1000, "default": 1}, ""),
            "with": {"type": "object", "description": "Values of variables in these copies."},
        }
        properties = {**own, **{name: common[name] for name in sorted(Layer.common)}}
        return {"title": "repeat", "type": "object", "required": ["type", "block"],
                "additionalProperties": False, "properties": properties}  # fmt: skip

    def defaults(self) -> Schema:
        """Return the table of tables of options, each for all layers of a type."""
        names = [name for name, _ in self._entries("layers")]
        return {"type": "object", "description": "Options of every layer of a type.",
                "additionalProperties": False,
                "properties": {name: {"type": "object"} for name in names}}  # fmt: skip

    def _entries(self, family: str) -> Iterator[tuple[str, Entry]]:
        """Yield every class with the shortest name that finds it, sorted."""
        found = {}
        for entry in self.registry.entries(family):
            first = self.registry.claims(family, entry.type)
            if entry in self.registry.claims(family, entry.qualified):
                alone = first[0] == entry and (entry.built_in or len(first) == 1)
                found[entry.type if alone else entry.qualified] = entry
        yield from sorted(found.items())

    def _component(self, entry: Entry, key: str, name: str) -> Schema:
        try:
            with blaming(entry):
                schema = self.table(complete(entry), key)
        except PluginError as error:
            what = f"the options of {entry.type} of {entry.owner} are not in the schema"
            self.warn(f"{what}: {said(error.__cause__ or error)}")
            schema = {"type": "object", "properties": {}}
        required = [option for option in schema.get("required", []) if option != "type"]
        options = {option: v for option, v in schema["properties"].items() if option != "type"}
        schema["properties"] = {"type": self._type(entry, name), **options}
        return {"title": name, **schema, "required": ["type", *required]}

    def _type(self, entry: Entry, name: str) -> Schema:
        """Return what `type` may say; "cnnkit:relu" only where there is another relu to tell from.

        Nobody writes it otherwise, and completion would offer everything twice.
        """
        owner = {"description": f"{FAMILIES[entry.family].__name__} of {entry.owner}."}
        needless = entry.built_in and not self.registry.rivals(entry.family, entry.type)
        if needless or name == entry.qualified:
            return {"type": "string", **owner, "const": name}
        return {"type": "string", **owner, "enum": [name, entry.qualified]}

    def table(self, cls: type[BaseModel], key: str) -> Schema:
        """Return pydantic's schema of a class in our words; what it refers to is defined too."""
        made = cls.model_json_schema()
        for name, inner in made.pop("$defs", {}).items():
            if name not in _BASES:
                self.known.setdefault(f"{key}.{name}", _tidy(inner, key))
        schema: Schema = _tidy(made, key)
        schema["description"] = own_doc(cls)
        for name, text in option_docs(cls).items():
            if text and name in schema["properties"]:
                schema["properties"][name]["description"] = " ".join(text.split())
        return schema


def _tidy(value: Any, key: str) -> Any:
    """Return a schema without null, which TOML lacks, and without titles that repeat names."""
    if isinstance(value, list):
        return [_tidy(item, key) for item in value]
    if not isinstance(value, dict):
        return value
    options = {name: _tidy(inner, key) for name, inner in value.get("properties", {}).items()}
    rest = {name: _tidy(inner, key) for name, inner in value.items() if name != "properties"}
    return _plain(rest, key) | ({"properties": options} if options else {})


def _plain(schema: Schema, key: str) -> Schema:
    schema.pop("title", None)
    if schema.get("default", 0) is None:
        del schema["default"]
    if schema.get("type") == "integer" and "exclusiveMinimum" in schema:
        schema["minimum"] = schema.pop("exclusiveMinimum") + 1
    if schema.get("exclusiveMaximum", 0) >= _TOML_INTEGERS:
        del schema["exclusiveMaximum"]
    if schema.get("type") in ("integer", "number", "boolean", "array"):
        schema |= {"type": [schema["type"], "string"], "pattern": _HOLE}
    if "enum" in schema:
        words = {name: schema.pop(name) for name in ("type", "enum") if name in schema}
        schema["anyOf"] = [words, {"$ref": "#/$defs/variable"}]
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema["$ref"] = f"#/$defs/{_BASES.get(name) or f'{key}.{name}'}"
    if "anyOf" in schema:
        choices = [choice for choice in schema.pop("anyOf") if choice != {"type": "null"}]
        schema |= choices[0] if len(choices) == 1 else {"anyOf": choices}
    return schema
