"""Mend a tree as its author probably meant it, so that one mistake does not hide the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from cnnkit.base import Places
from cnnkit.diagnosis.explain import explain, guess, sort
from cnnkit.diagnosis.names import belongs_to_the_top, missing_options, options_at
from cnnkit.diagnosis.problems import did_you_mean
from cnnkit.diagnosis.source import at, is_layer, real_path, table_of
from cnnkit.registry import Registry
from cnnkit.source import Finding, KeyPath
from cnnkit.specfile.checks import check_classes, check_network, known_signature
from cnnkit.specfile.runspec import RunSpec

_STAND_INS: dict[str, Any] = {
    "name": "unnamed",
    "data": {"type": "digits"},
    "model": {"layers": ["relu"]},
    "loss": {"type": "mean_squared_error"},
    "optimizer": {"type": "sgd", "lr": 0.1},
}
"""What takes the place of a section that is missing, or beyond guessing."""
_LAYER = "relu"
"""What takes the place of such a layer."""
_HARMLESS = ("initializers", "schedules", "metrics", "observers")
"""Families on which neither shapes nor classes depend."""


@dataclass
class Mender:
    """Mends a copy of a spec's tree, and keeps what the copy no longer tells of the spec.

    Args:
        renamed: from where an option is in the copy to where it was written.
        dropped: what was left out or replaced, since nobody can guess what was meant.
    """

    tree: dict[str, Any]
    registry: Registry
    renamed: dict[KeyPath, KeyPath] = field(default_factory=dict)
    dropped: set[KeyPath] = field(default_factory=set)

    def mend(self, error: Mapping[str, Any]) -> None:
        """Change the tree so that `error` goes away."""
        path, kind = real_path(self.tree, error["loc"]), error["type"]
        match kind:
            case "extra_forbidden":
                self._rename(path)
            case "unknown_type":
                self._retype(path, error["ctx"])
            case "missing" if not path:
                self._drop((error["loc"][0],))
            case "missing" | "missing_type" | "type_clash" | "component_type" | "wrong_default":
                self._drop(path)
            case _:
                self._revalue(path, error)

    def written(self, path: KeyPath) -> KeyPath:
        """Return where what is at `path` in the copy stands in the spec."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.renamed:
                return self.renamed[path[:length]] + path[length:]
        return path

    def _rename(self, path: KeyPath) -> None:
        table, name = at(self.tree, path[:-1]), str(path[-1])
        is_misplaced = name not in self.tree and belongs_to_the_top(self.tree, path)
        value = table.pop(path[-1])
        meant = did_you_mean(name, options_at(self.tree, path[:-1], self.registry))
        if meant and meant not in table:
            table[meant] = value
            self.renamed[(*path[:-1], meant)] = self.written(path)
        elif is_misplaced:
            self.tree[name] = value
            self.renamed[(name,)] = self.written(path)
        else:
            self.dropped.add(path)

    def _retype(self, path: KeyPath, facts: Mapping[str, Any]) -> None:
        meant = did_you_mean(facts["name"], self.registry.types(facts["family"]))
        if not meant:
            self._drop(path, is_harmless=facts["family"] in _HARMLESS)
        elif isinstance(at(self.tree, path), dict):
            at(self.tree, path)["type"] = meant
        else:
            at(self.tree, path[:-1])[path[-1]] = meant

    def _revalue(self, path: KeyPath, error: Mapping[str, Any]) -> None:
        meant = guess(error, at(self.tree, path))
        if meant is None:
            self._drop(path)
        else:
            at(self.tree, path[:-1])[path[-1]] = meant

    def _drop(self, path: KeyPath, is_harmless: bool = False) -> None:
        """Leave out the option at `path`; put a stand-in in the place of a layer or section."""
        if not is_harmless:
            self.dropped.add(path)
        table = table_of(self.tree, path)
        if len(path) == 1:
            self.tree.pop(str(path[0]), None)
            if path[0] in _STAND_INS:
                self.tree[str(path[0])] = deepcopy(_STAND_INS[str(path[0])])
        elif is_layer(path):
            at(self.tree, path[:-1])[path[-1]] = _LAYER
        else:
            option = path[: len(table) + 1]  # all of it, where an element alone is wrong
            at(self.tree, table).pop(option[-1], None)
            if not is_harmless:
                self.dropped.add(option)


_ROUNDS = 25
"""How many times a broken tree is mended before the collector settles for what it has."""
_APART = ("validation", "fallback")
"""Options of a dataset on which neither the shape of its images nor its classes depend."""


def collect(
    tree: dict[str, Any], first: ValidationError, registry: Registry, places: Places
) -> list[Finding]:
    """Return every finding about `tree`, which failed validation with `first`.

    One mistake must not hide the next, nor count twice: what the tree was mended by is followed
    further only where it is probably what was meant.
    """
    collector = _Collector(Mender(deepcopy(tree), registry))
    error = first
    for _ in range(_ROUNDS):
        collector.take(error.errors(include_url=False))
        try:
            spec = RunSpec.model_validate(collector.mender.tree, context={"registry": registry})
        except ValidationError as again:
            error = again
            continue
        collector.check(spec, places)
        break
    return collector.findings


class _Collector:
    def __init__(self, mender: Mender) -> None:
        self.mender = mender
        self.findings: list[Finding] = []
        self._seen: set[KeyPath] = set()

    def take(self, errors: Sequence[Mapping[str, Any]]) -> None:
        """Explain and mend `errors`."""
        tree, registry = self.mender.tree, self.mender.registry
        errors = [sort(error, tree, registry) for error in errors]
        places = [real_path(tree, error["loc"]) for error in errors]
        lacking: dict[KeyPath, list[str]] = {}
        causes: dict[KeyPath, Mapping[str, Any]] = {}  # both sides of a Pair may be wrong at once
        for path, error in zip(places, errors, strict=True):
            if _is_missing_option(error):
                if self._is_misspelt(path, error, errors):
                    continue
                if self._is_new((*path, error["loc"][-1])):
                    lacking.setdefault(path, []).append(error["loc"][-1])
            elif self._is_new(path, is_table=isinstance(at(tree, path), dict)):
                self._add(explain(error, tree, registry))
            causes.setdefault(path, error)
        for path, names in lacking.items():
            self._add(missing_options(tree, path, names, registry))
        for path, error in causes.items():
            if real_path(tree, error["loc"]) == path:  # else its layer has been replaced
                self.mender.mend(error)

    def check(self, spec: RunSpec, places: Places) -> None:
        """Judge what can be trusted of the mended spec: shapes, loss, memory."""
        dropped = self.mender.dropped
        data_is_known = not any(p[0] == "data" and p[1:2] not in _options(_APART) for p in dropped)
        signature = known_signature(spec.data, places) if data_is_known else None
        in_model = [path for path in dropped if path[0] == "model" and path[1:] != ("dtype",)]
        trusted = min((_layer_index(path) for path in in_model), default=None)
        judge_loss = not any(path[0] == "loss" for path in dropped)
        findings = check_classes(spec.data, places) if data_is_known else []
        findings += check_network(spec, spec.data, signature, trusted, judge_loss)
        for finding in findings:
            self._add(finding)

    def _add(self, finding: Finding) -> None:
        self.findings.append(replace(finding, path=self.mender.written(finding.path)))

    def _is_new(self, path: KeyPath, is_table: bool = False) -> bool:
        """Tell if nothing was said about `path`, or done to it, that this may follow from."""
        known = self._seen | self.mender.dropped
        follows = path in known or (is_table and any(p[: len(path)] == path for p in known))
        self._seen.add(path)
        return not follows

    def _is_misspelt(
        self, table: KeyPath, error: Mapping[str, Any], errors: Sequence[Mapping[str, Any]]
    ) -> bool:
        """Tell if an option is missing only since it was misspelt, or put into a section: that
        is reported already."""
        tree, registry, loc = self.mender.tree, self.mender.registry, error["loc"]
        known = options_at(tree, table, registry)
        unknown = [e["loc"] for e in errors if e["type"] == "extra_forbidden"]
        if not table and any(u[-1] == loc[-1] and belongs_to_the_top(tree, u) for u in unknown):
            return True
        misspelt = (u[-1] for u in unknown if u[:-1] == loc[:-1])
        return loc[-1] in {did_you_mean(str(name), known) for name in misspelt}


def _is_missing_option(error: Mapping[str, Any]) -> bool:
    return error["type"] == "missing" and isinstance(error["loc"][-1], str)


def _options(names: Sequence[str]) -> Iterator[KeyPath]:
    return ((name,) for name in names)


def _layer_index(path: KeyPath) -> int:
    """Return the index of the outermost layer that `path` leads through; 0 for all of them."""
    return path[2] if len(path) > 2 and isinstance(path[2], int) else 0
