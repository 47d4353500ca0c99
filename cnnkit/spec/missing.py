"""What to say about a type that nobody offers."""

from __future__ import annotations

import re

from cnnkit.hookspecs import FAMILIES
from cnnkit.registry import Registry, canonical
from cnnkit.spec.problems import did_you_mean

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", re.ASCII)
ELSEWHERE = {
    ("layers", "prelu"): "cnnkit-prelu",
    ("layers", "gabor"): "cnnkit-gabor",
    ("layers", "separable_conv"): "cnnkit-mobile",
    ("layers", "inverted_residual"): "cnnkit-mobile",
    ("observers", "tensorboard"): "cnnkit-tensorboard",
}
"""Types of plugins that the project itself publishes."""


def help_for_unknown_type(name: str, family: str, registry: Registry) -> tuple[str, str]:
    """Return a note (the suggestion) and a help line for the unknown type `name`."""
    known = registry.types(family)
    meant = did_you_mean(name, known)
    note = f'did you mean "{meant}"?' if meant else ""
    kind = re.match(r"(avg|average|mean|min)[\s_-]*pool", name, re.IGNORECASE)
    if kind and meant == "pool":  # which takes the largest value by default
        word = "min" if kind[1].lower() == "min" else "mean"
        note = f'did you mean {{ type = "pool", kind = "{word}" }}?'
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


def _silent(bare: str, registry: Registry) -> str:
    """Return the plugin that offers nothing now and is called as the type is, "cnnkit-prelu"."""
    mute = (plugin.distribution for plugin in registry.plugins if plugin.error or plugin.blocked)
    return next((name for name in mute if canonical(name) == canonical(f"cnnkit-{bare}")), "")


def _about(source: str, bare: str, family: str, registry: Registry) -> str:
    """Say why the distribution `source` does not provide the type `bare`."""
    plugins = registry.installed(source)
    if not plugins:
        return f"provided by {source}, which is not installed: pip install {source}"
    plugin = next((p for p in plugins if p.error or p.blocked), plugins[0])
    if plugin.error:
        return f"provided by {plugin.owner}, which failed to load: {plugin.error}"
    if plugin.blocked:
        return f"provided by {plugin.owner}, which CNNKIT_PLUGINS leaves out"
    offered = sorted({e.type for p in plugins for e in p.entries if e.family == family})
    return f"{plugin.owner} offers {', '.join(offered) or f'no {family}'}"
