"""Requirements: the distributions that `[plugins] require` asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnkit.registry import Plugin, Registry
from cnnkit.source import Finding

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def check_requirements(tree: dict[str, Any], registry: Registry) -> list[Finding]:
    """Return what is missing, broken, or of another version than the spec's tree asks for.

    What is not a list of strings is left to validation.
    """
    section = tree.get("plugins")
    lines = section.get("require") if isinstance(section, dict) else None
    if not isinstance(lines, list):
        return []
    findings = (_judge(i, line, registry) for i, line in enumerate(lines) if isinstance(line, str))
    return [finding for finding in findings if finding is not None]


def _judge(index: int, line: str, registry: Registry) -> Finding | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(line)
    except InvalidRequirement:
        return _finding(index, f"{line!r} is no requirement",
                        'expected such as "cnnkit-prelu>=0.1"', "")  # fmt: skip
    if wanted.marker and not wanted.marker.evaluate():
        return None
    if wanted.url:
        return _finding(index, f"{wanted.name} is asked for by its URL",
                        "expected a name and versions",
                        "a spec downloads nothing: install it first")  # fmt: skip
    plugins = registry.installed(wanted.name)
    if not plugins:
        return _finding(index, f"{wanted.name} is not installed, or is no plugin of cnnkit",
                        _expected(wanted), f'pip install "{line}"')  # fmt: skip
    return _judge_version(index, wanted, plugins[0]) or _judge_health(index, plugins)


def _judge_version(index: int, wanted: Requirement, plugin: Plugin) -> Finding | None:
    from packaging.version import InvalidVersion

    try:
        fits = wanted.specifier.contains(plugin.version, prereleases=True)
    except InvalidVersion:  # its metadata does not say
        fits = not wanted.specifier
    if fits:
        return None
    what = f"{plugin.owner} is installed, not the version asked for"
    help_ = f'pip install "{wanted.name}{wanted.specifier}"'
    return _finding(index, what, _expected(wanted), help_)


def _judge_health(index: int, plugins: list[Plugin]) -> Finding | None:
    for plugin in plugins:
        if plugin.blocked:
            return _finding(index, f"{plugin.owner} is {plugin.state}", "",
                            f"add {plugin.distribution} to it, or unset it")  # fmt: skip
        if plugin.error:
            return _finding(index, f"{plugin.owner} {plugin.defect}", "",
                            "see `cnnkit plugins --verbose`")  # fmt: skip
    return None


def _expected(wanted: Requirement) -> str:
    return f"expected {wanted.name}{wanted.specifier}"


def _finding(index: int, message: str, note: str, help_: str) -> Finding:
    return Finding(("plugins", "require", index), f"[plugins]: {message}", note, help_)
