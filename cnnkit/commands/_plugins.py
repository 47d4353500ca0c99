"""How verbs begin: what is installed and what is wrong with it; and which verbs plugins have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cnnkit.commands import VERBS
from cnnkit.commands._console import News
from cnnkit.errors import CnnkitError, PluginError
from cnnkit.hookspecs import FAMILIES
from cnnkit.plugins import load_plugins
from cnnkit.provenance import suppliers
from cnnkit.registry import Registry
from cnnkit.source import Problem
from cnnkit.specfile.load import load_spec, warned
from cnnkit.specfile.runspec import RunSpec

_OTHER_WORDS = {"check": "validate lint", "evaluate": "eval test", "run": "train fit"}
_ONE_OF_THEM = "uninstall one, or name the plugins to load in CNNKIT_PLUGINS"


def begin(quiet: bool = False) -> tuple[News, Registry]:
    """Return where a verb prints its news, and what is installed; broken plugins are named."""
    news, registry = News(quiet), load_plugins()
    warn_of_broken(registry, news)
    return news, registry


def warn_of_broken(registry: Registry, news: News) -> None:
    """Name every plugin that could not be loaded."""
    for plugin in registry.broken():
        news.warn(f"plugin {plugin.owner} {plugin.defect}; see `cnnkit plugins`")


def read_spec(path: Path, set: tuple[str, ...], registry: Registry, news: News) -> RunSpec:
    """Load a spec, and say which of its built-in types a plugin offers too, and what can
    hardly be meant.

    Raises:
        SpecError: with all its problems.
    """
    spec = load_spec(path, set, registry=registry)
    for used in suppliers(spec, registry):
        family, _, name = used.partition("/")
        for rival in registry.rivals(family, name):
            word = FAMILIES[family].__name__.lower()
            news.warn(
                f'{word} type "{name}" is the built-in one; {rival.owner} offers one too: '
                f'write type = "{rival.qualified}" to use it'
            )
    for _, text in spec.warnings:
        news.error(text)
    return spec


def advise(spec: RunSpec, news: News) -> list[Problem]:
    """Say what a practitioner would change in a spec, and return it."""
    from cnnkit.specfile.advice import advice

    told = warned(advice(spec), spec.source)
    for _, text in told:
        news.error(text)
    return [problem for problem, _ in told]


def with_backend(
    set: tuple[str, ...], backend: str | None, subset: int | None = None
) -> tuple[str, ...]:
    """Return --set with what --backend and --subset say."""
    more = {"train.backend": backend, "train.subset": subset}
    return (*set, *(f"{key}={value}" for key, value in more.items() if value is not None))


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


def conflicts(registry: Registry) -> Iterator[tuple[str, str]]:
    """Say which types are offered more than once and which verbs cannot be called, and the way out
    of each."""
    for family, name in sorted({(e.family, e.type) for p in registry.plugins for e in p.entries}):
        claims = registry.claims(family, name)
        if len(claims) > 1:
            ways = " or ".join(f'"{entry.qualified}"' for entry in claims)
            meaning = "means the built-in one" if claims[0].built_in else "is refused"
            what = f'several offer "{name}" in {family}, so the bare name {meaning}'
            yield what, f"write {ways}"
    for name, offers in registry.command_offers().items():
        owners, verb = " and ".join(sorted(plugin.owner for _, plugin in offers)), verb_name(name)
        if verb in VERBS:
            what = f"the verb {verb} of {owners} is not used: it is a built-in one"
            yield what, "its author can give it another name"
        elif len(offers) > 1:
            yield f"the verb {verb} is offered by {owners}, so neither is used", _ONE_OF_THEM
