"""What is said about a command line that cannot be understood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_TAKE_SET = ("run", "check", "show")
"""The verbs over whose specs --set lays values."""


def usage(error: Any, arguments: Sequence[str]) -> str:
    """Return what is wrong, in the words of the library for command lines, or in better ones.

    Args:
        error: what that library raised: its text, and the tokens that it is about.
        arguments: the whole command line.
    """
    verb = next(iter(getattr(error, "command_chain", None) or ()), "")
    advice = ""
    if verb in _TAKE_SET:
        advice = _alone(error, arguments) or _of_a_section(error, arguments)
    return f"error: {advice or error}"


def _alone(error: Any, arguments: Sequence[str]) -> str:
    """Explain `--set a=1 b=2`."""
    alone = [token for token in getattr(error, "unused_tokens", None) or () if "=" in token]
    if "--set" not in arguments or not alone or alone[0].startswith("-"):
        return ""
    again = " ".join(f"--set {token}" for token in alone)
    return f"every --set takes one KEY=VALUE, so {alone[0]} stands alone\n   = help: write {again}"


def _of_a_section(error: Any, arguments: Sequence[str]) -> str:
    """Explain `--epochs 3`, which is no option of the command but one of the spec."""
    given = getattr(getattr(error, "token", None), "keyword", None) or ""
    if not given.startswith("--") or not str(error).startswith("Unknown option"):
        return ""
    word, options = given.removeprefix("--").replace("-", "_"), _options()
    path = options.get(word) or (word if word in options.values() else "")
    if not path and "Did you mean" not in str(error):
        from cnnkit.spec.problems import did_you_mean

        path = options.get(did_you_mean(word, options) or "", "")
    if not path:
        return ""
    return (
        f"unknown option {given}, which the spec has, not the command\n"
        f"   = help: write --set {path}={_value(given, arguments)}"
    )


def _value(given: str, arguments: Sequence[str]) -> str:
    """Return what stands behind an option, as `--epochs=3` or `--epochs 3`."""
    for argument, after in zip(arguments, [*arguments[1:], "-"], strict=True):
        if argument.startswith(f"{given}="):
            return argument.partition("=")[2]
        if argument == given and not after.startswith("-"):
            return after
    return "..."


def _options() -> dict[str, str]:
    """Return the options of a spec and of its sections, each with its key path."""
    from cnnkit.plugins import load_plugins
    from cnnkit.spec.runspec import ModelSpec, RunSpec, TrainSpec

    registry = load_plugins()
    families = {"optimizer": "optimizers", "data": "datasets", "loss": "losses"}
    found = {name: name for name in RunSpec.model_fields}
    sections: list[tuple[str, Any]] = [("train", TrainSpec), ("model", ModelSpec)]
    for section, family in families.items():
        sections += [(section, entry.cls) for entry in registry.entries(family) if entry.built_in]
    for section, cls in sections:
        for name in cls.model_fields:
            found.setdefault(name, f"{section}.{name}")
    found.pop("type", None)
    return found
