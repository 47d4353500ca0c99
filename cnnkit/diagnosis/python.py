"""What is wrong with options that are given in Python, in the words of specs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from cnnkit.diagnosis.problems import render, report
from cnnkit.diagnosis.repair import collect
from cnnkit.diagnosis.source import Draft
from cnnkit.errors import OptionError
from cnnkit.plugins import find_plugins, load_plugin
from cnnkit.registry import CORE, Registry
from cnnkit.source import Source


def option_error(
    cls: type[BaseModel], options: Mapping[str, Any], error: ValidationError
) -> OptionError:
    """Return an error that shows everything that is wrong with the options of a component, or a
    section."""
    own = [load_plugin(plugin) for plugin in find_plugins() if plugin.distribution == CORE]
    draft = Draft(cls, dict(options), Registry(own))  # types of plugins are given as classes
    problems = report(collect(draft, error), Source())
    return OptionError(render(problems), problems)
