"""What verbs say about plugins, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cnnkit.commands import VERBS
from cnnkit.commands._console import News
from cnnkit.errors import CnnkitError, PluginError
from cnnkit.hookspecs import FAMILIES
from cnnkit.provenance import suppliers
from cnnkit.registry import Registry
from cnnkit.specfile.runspec import RunSpec

_OTHER_WORDS = {"check": "validate lint verify", "evaluate": "eval test", "run": "train fit"}
_ONE_OF_THEM = "uninstall one, or name the plugins to load in CNNKIT_PLUGINS"


def plugin_verb(registry: Registry, word: str) -> tuple[Callable[..., Any], str]:
    """Return the function that a plugin offers as the verb `word`, and its owner.

    Raises:
        PluginError: where several plugins offer it; it names them.
        CnnkitError: where nobody does; it names what was meant, and all verbs.
    """
    offers = {verb_name(name): offered for name, offered in registry.command_offers().items()}
    offered = offers.get(word, [])
    if len(offered) == 1:
        return offered[0][0], offered[0][1].owner
    if offered:
        owners = " and ".join(sorted(plugin.owner for _, plugin in offered))
        raise PluginError(
            f'the verb "{word}" is offered by {owners}, so neither is used; {_ONE_OF_THEM}'
        )
    from cnnkit.diagnosis.problems import did_you_mean

    verbs = [*VERBS, *(verb for verb in offers if verb not in VERBS)]
    meant = did_you_mean(word, verbs, _OTHER_WORDS)
    note = f'; did you mean "{meant}"?' if meant else ""
    raise CnnkitError(f'unknown verb "{word}"{note}\n   = help: verbs are {", ".join(verbs)}')


def verb_name(function: str) -> str:
    """Return the word that calls a plugin's function: its name, with dashes."""
    return function.replace("_", "-")


def warn_of_broken(registry: Registry, news: News) -> None:
    """Name every plugin that could not be loaded."""
    for plugin in registry.broken():
        news.warn(f"plugin {plugin.owner} {plugin.defect}; see `cnnkit plugins`")


def warn_of_rivals(spec: RunSpec, news: News) -> None:
    """Say which built-in types of the spec a plugin offers too; the spec means the built-in."""
    for used in suppliers(spec, spec.registry):
        family, _, name = used.partition("/")
        for rival in spec.registry.rivals(family, name):
            word = FAMILIES[family].__name__.lower()
            news.warn(
                f'{word} type "{name}" is the built-in one; {rival.owner} offers one too: '
                f'write type = "{rival.qualified}" to use it'
            )


def clashes(registry: Registry) -> Iterator[tuple[str, str]]:
    """Say which types are offered more than once, what their bare names mean, and the way out."""
    names = sorted({(entry.family, entry.type) for p in registry.plugins for entry in p.entries})
    for family, name in names:
        claims = registry.claims(family, name)
        if len(claims) > 1:
            ways = " or ".join(f'"{entry.qualified}"' for entry in claims)
            meaning = "means the built-in one" if claims[0].built_in else "is refused"
            what = f'several offer "{name}" in {family}, so the bare name {meaning}'
            yield what, f"write {ways}"


def unused_verbs(registry: Registry) -> Iterator[tuple[str, str]]:
    """Say which verbs of plugins cannot be called, and the way out."""
    for name, offers in registry.command_offers().items():
        owners, verb = " and ".join(sorted(plugin.owner for _, plugin in offers)), verb_name(name)
        if verb in VERBS:
            yield (
                f"the verb {verb} of {owners} is not used: it is a built-in one",
                "its author can give it another name",
            )
        elif len(offers) > 1:
            yield f"the verb {verb} is offered by {owners}, so neither is used", _ONE_OF_THEM


# What needs NumPy is imported where it is used: the doctor works where NumPy does not.
