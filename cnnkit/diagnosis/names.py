"""What to say about names in a spec: options and types that are unknown, or missing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cnnkit.base.place import KeyPath
from cnnkit.described import option_docs
from cnnkit.diagnosis.problems import bare, did_you_mean
from cnnkit.diagnosis.source import Draft, toml_value
from cnnkit.hookspecs import FAMILIES
from cnnkit.registry import Registry, canonical
from cnnkit.source import Finding

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", re.ASCII)
ELSEWHERE = {
    ("layers", "prelu"): "cnnkit-prelu",
    ("layers", "gabor"): "cnnkit-gabor",
    ("layers", "separable_conv"): "cnnkit-mobile",
    ("layers", "inverted_residual"): "cnnkit-mobile",
    ("observers", "tensorboard"): "cnnkit-tensorboard",
    ("backends", "native"): "cnnkit-native",
}
"""Types of plugins that the project itself publishes."""


_LANGUAGE: dict[KeyPath, tuple[str, ...]] = {
    (): ("format", "include", "vars", "blocks"),
    ("model",): ("defaults",),
}
"""What a spec may say besides, once it says format = 1, by the table that holds it."""


def help_for_unknown_type(name: str, family: str, registry: Registry) -> tuple[str, str]:
    """Return a note (the suggestion) and a help line for the unknown type `name`."""
    known = registry.types(family)
    meant, option = type_meant(name, family, registry)
    note = f'did you mean "{meant}"?' if meant else ""
    note = f'did you mean {{ type = "{meant}", {option} }}?' if option else note
    if (family, name) == ("layers", "repeat"):
        return "", "a spec that begins with format = 1 can repeat a block"
    owner, colon, bare = name.rpartition(":")
    if colon and not (_DISTRIBUTION.fullmatch(owner) and bare):
        inner = did_you_mean(owner.strip(":") or bare, known) if not (owner and bare) else None
        note = f'did you mean "{inner}"?' if inner else ""
        return note, 'a type of one distribution is written "distribution:type"'
    source = owner or ELSEWHERE.get((family, bare)) or _silent(bare, registry)
    if source:
        said = _about(source, bare, family, registry)
        return "", said
    help_ = f"installed {family}: {', '.join(known)}"
    if other := next((f for f in FAMILIES if registry.claims(f, name)), ""):
        help_ = f'"{name}" is one of the {other}; {help_}'
    broken = sorted({plugin.owner for plugin in registry.broken()})
    if broken:
        help_ += f"; failed to load, see `cnnkit plugins`: {', '.join(broken)}"
    return note, help_


def type_meant(name: str, family: str, registry: Registry) -> tuple[str | None, str]:
    """Return the type that was meant by a name, and the option it then needs: "kind = ..."."""
    synonyms: dict[str, str] = {}
    for entry in registry.entries(family):
        for own, others in entry.cls.synonyms.items():
            if bare(name) in others.split() and "=" in own:
                return entry.type, own
            synonyms[own] = f"{synonyms.get(own, '')} {others}"
    return did_you_mean(name, registry.types(family), synonyms), ""


def option_meant(name: str, draft: Draft, table: KeyPath) -> str | None:
    """Return the option that was meant by a name, of those which the table at a path takes."""
    synonyms = getattr(draft.class_at(table), "synonyms", {})
    return did_you_mean(name, draft.options_at(table), synonyms)


def _silent(bare: str, registry: Registry) -> str:
    """Return the plugin that offers nothing now and is called as the type is, "cnnkit-prelu"."""
    mute = (plugin.distribution for plugin in registry.plugins if plugin.defect)
    return next((name for name in mute if canonical(name) == canonical(f"cnnkit-{bare}")), "")


def _about(source: str, bare: str, family: str, registry: Registry) -> str:
    """Say why the distribution `source` does not provide the type `bare`."""
    plugins = registry.installed(source)
    if not plugins and source.endswith(".py"):
        return f"provided by the plugin file {source}: name it with --plugin"
    if not plugins:
        return f"provided by {source}, which is not installed: pip install {source}"
    plugin = next((p for p in plugins if p.defect), plugins[0])
    if plugin.defect:
        return f"provided by {plugin.owner}, which {plugin.defect}"
    offered = sorted({e.type for p in plugins for e in p.entries if e.family == family})
    return f"{plugin.owner} offers {', '.join(offered) or f'no {family}'}"


def unknown_option(draft: Draft, path: KeyPath) -> Finding:
    """Return a finding about the option at `path`, which nothing there takes."""
    table, name = path[:-1], str(path[-1])
    known, meant = draft.options_at(table), option_meant(name, draft, table)
    section = _section_of(draft, name) if draft.is_spec and not meant else None
    note = f'did you mean "{meant}"?' if meant else f"belongs to [{section}]" if section else ""
    if not meant and belongs_to_the_top(draft, path):
        note = "belongs at the top, above the first [section]"
    if draft.is_spec and not meant and (word := did_you_mean(name, _LANGUAGE.get(table, ()))):
        note = "needs format = 1 at the top" if word == name else f'did you mean "{word}"?'
    if name == "activation" and draft.is_layer(table) and isinstance(draft.at(path), str):
        note = f"write {toml_value(draft.at(path))} after it, as a layer of its own"
    owner = draft.type_at(table) or (f"[{table[0]}]" if table else "a spec")
    common = getattr(draft.class_at(table), "common", ())
    own = [option for option in known if option not in common]
    help_ = f"{owner} takes {', '.join(own) or 'no options'}"
    word = "option" if table or not draft.is_spec else "section or option"
    return Finding(path, f"{draft.place(table)}unknown {word} {toml_value(name)}", note, help_,
                   at="key")  # fmt: skip


def belongs_to_the_top(draft: Draft, path: KeyPath) -> bool:
    """Tell if an option of the whole spec fell into a section, such as the last of the file.

    A layer with a name is no such case.
    """
    is_top = draft.is_spec and path[-1] in draft.root.model_fields and len(path) > 1
    return is_top and not isinstance(draft.at(path), dict) and (
        len(path) == 2 or path[-1] != "name"
    )  # fmt: skip


def unknown_type(draft: Draft, path: KeyPath, facts: Mapping[str, Any]) -> Finding:
    """Return a finding about the component at `path`, whose type nobody offers."""
    name, family = facts["name"], facts["family"]
    inner = (*path, "type") if isinstance(draft.at(path), dict) else path
    note, help_ = help_for_unknown_type(name, family, draft.registry)
    if not draft.is_spec:
        own = ", ".join(draft.registry.types(family))
        help_ = f"cnnkit's own {family}: {own}; what a plugin offers is given as an object"
    elif not note and help_.startswith("installed "):
        help_ += "; a file of your own is named with --plugin"
    one = FAMILIES[family].__name__.lower()
    return Finding(inner, f"{draft.place(path)}unknown {one} type {toml_value(name)}", note, help_)


def missing_type(draft: Draft, path: KeyPath) -> Finding:
    """Return a finding about the table at `path`, which does not say what it is."""
    table = draft.at(path)
    if "type" in table:
        got = toml_value(table["type"])
        return Finding((*path, "type"), f"{draft.place(path)}type must be a string, got {got}")
    family = draft.family_at(path)
    verb = "cnnkit layers" + f" --family {family}" * (family != "layers")
    help_ = f'add type = "..."; `{verb}` lists the types'
    return Finding(path, f"{draft.place(path)}the type is missing", help=help_, at="key")


def missing_options(draft: Draft, path: KeyPath, names: Sequence[str]) -> Finding:
    """Return one finding about all the options that the table at `path` lacks."""
    if draft.is_spec and not path:
        return _missing_sections(names)
    quoted = _listed([f'"{name}"' for name in names])
    words = f"the option {quoted} is" if len(names) == 1 else f"the options {quoted} are"
    cls = draft.class_at(path)
    doc = option_docs(cls).get(names[0], "") if cls and len(names) == 1 else ""
    explained = f" ({' '.join(doc.split()).rstrip('.')})" if doc else ""
    help_ = f"add {', '.join(f'{name} = ...' for name in names)}{explained}"
    return Finding(path, f"{draft.place(path)}{words} missing", help=help_, at="key")


def _missing_sections(names: Sequence[str]) -> Finding:
    words = [name if name == "name" else f"[{name}]" for name in names]
    what = 'add name = "..."' if words == ["name"] else f"add {_listed(words)}"
    help_ = f"{what}; `cnnkit init NAME` writes a whole spec to start from"
    return Finding((), f"the spec has no {_listed(words)}", help=help_, at="key")


def _section_of(draft: Draft, name: str) -> str | None:
    """Return the section that an option belongs to, if it is not where it was written."""
    # of the spec's own keys there may be thousands
    sections = (k for k in draft.root.model_fields if isinstance(draft.tree.get(k), dict))
    return next((s for s in sections if name in draft.options_at((s,))), None)


def _listed(words: Sequence[str]) -> str:
    """Join words as people do: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
