"""Mend a tree as its author probably meant it, so that one mistake does not hide the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from cnnkit.base.place import KeyPath
from cnnkit.diagnosis.explain import classify, explain, guess
from cnnkit.diagnosis.names import belongs_to_the_top, missing_options, option_meant, type_meant
from cnnkit.diagnosis.source import Draft
from cnnkit.source import Finding

_LAYER = "relu"
"""What takes the place of a layer that is beyond guessing."""
_HARMLESS = ("initializers", "schedules", "metrics", "observers", "callbacks")
"""Families on which neither shapes nor classes depend."""


@dataclass
class Mender:
    """Mends a draft, and keeps what it no longer tells of what was written.

    Args:
        renamed: from where an option is in the draft to where it was written.
        dropped: what was left out or replaced, since nobody can guess what was meant.
    """

    draft: Draft
    stand_ins: Mapping[str, Any]
    renamed: dict[KeyPath, KeyPath] = field(default_factory=dict)
    dropped: set[KeyPath] = field(default_factory=set)

    def mend(self, error: Mapping[str, Any]) -> None:
        """Change the tree so that `error` goes away."""
        path, kind = self.draft.real_path(error["loc"]), error["type"]
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
        """Return where what is at `path` in the draft was written."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.renamed:
                return self.renamed[path[:length]] + path[length:]
        return path

    def _rename(self, path: KeyPath) -> None:
        table, name = self.draft.at(path[:-1]), str(path[-1])
        is_misplaced = name not in self.draft.tree and belongs_to_the_top(self.draft, path)
        value = table.pop(path[-1])
        meant = option_meant(name, self.draft, path[:-1])
        if meant and meant not in table:
            table[meant] = value
            self.renamed[(*path[:-1], meant)] = self.written(path)
        elif is_misplaced:
            self.draft.tree[name] = value
            self.renamed[(name,)] = self.written(path)
        else:
            self.dropped.add(path)

    def _retype(self, path: KeyPath, facts: Mapping[str, Any]) -> None:
        meant, _ = type_meant(facts["name"], facts["family"], self.draft.registry)
        if not meant:
            self._drop(path, is_harmless=facts["family"] in _HARMLESS)
        elif isinstance(self.draft.at(path), dict):
            self.draft.at(path)["type"] = meant
        else:
            self.draft.at(path[:-1])[path[-1]] = meant

    def _revalue(self, path: KeyPath, error: Mapping[str, Any]) -> None:
        meant = guess(error, self.draft.at(path))
        if meant is None:
            self._drop(path)
        else:
            self.draft.at(path[:-1])[path[-1]] = meant

    def _drop(self, path: KeyPath, is_harmless: bool = False) -> None:
        """Leave out the option at `path`; put a stand-in in the place of a layer or section."""
        if not is_harmless:
            self.dropped.add(path)
        table = self.draft.table_of(path)
        if not path:
            return  # the options of a component that do not fit together
        if len(path) == 1:
            self.draft.tree.pop(str(path[0]), None)
            if path[0] in self.stand_ins:
                self.draft.tree[str(path[0])] = _copied(self.stand_ins[str(path[0])])
        elif self.draft.is_layer(path):
            self.draft.at(path[:-1])[path[-1]] = _LAYER
        else:
            option = path[: len(table) + 1]  # all of it, where an element alone is wrong
            self.draft.at(table).pop(option[-1], None)
            if not is_harmless:
                self.dropped.add(option)


_ROUNDS = 25
"""How many times a broken tree is mended before the collector settles for what it has."""
Judge = Callable[[Any, set[KeyPath]], list[Finding]]


def collect(
    draft: Draft,
    first: ValidationError,
    judge: Judge = lambda spec, dropped: [],
    stand_ins: Mapping[str, Any] = MappingProxyType({}),
) -> list[Finding]:
    """Return every finding about a draft, which failed validation with `first`.

    One mistake must not hide the next, nor count twice: what the tree was mended by is followed
    further only where it is probably what was meant.

    Args:
        judge: says what else is wrong with the mended spec, given what was dropped from it.
        stand_ins: what takes the place of sections that are missing, or beyond guessing.
    """
    draft = replace(draft, tree=_copied(draft.tree))
    collector, error = _Collector(Mender(draft, stand_ins)), first
    for _ in range(_ROUNDS):
        collector.take(error.errors(include_url=False))
        try:
            spec = draft.root.model_validate(draft.tree, context={"registry": draft.registry})
        except ValidationError as again:
            error = again
            continue
        collector.add(judge(spec, collector.mender.dropped))
        break
    return collector.findings


def _copied(tree: Any) -> Any:
    """Copy tables and arrays; what else stands in options given in Python may not be copied."""
    if isinstance(tree, dict):
        return {key: _copied(value) for key, value in tree.items()}
    return [_copied(item) for item in tree] if isinstance(tree, list) else tree


class _Collector:
    def __init__(self, mender: Mender) -> None:
        self.mender = mender
        self.findings: list[Finding] = []
        self._seen: set[KeyPath] = set()

    def take(self, errors: Sequence[Mapping[str, Any]]) -> None:
        """Explain and mend `errors`."""
        draft = self.mender.draft
        errors = [classify(error, draft) for error in errors]
        places = [draft.real_path(error["loc"]) for error in errors]
        unknown: dict[KeyPath, list[KeyPath]] = {}  # by the table that they stand in
        for error in errors:
            if error["type"] == "extra_forbidden":
                unknown.setdefault(error["loc"][:-1], []).append(error["loc"])
        lacking: dict[KeyPath, list[str]] = {}
        causes: dict[KeyPath, Mapping[str, Any]] = {}  # both sides of a Pair may be wrong at once
        for path, error in zip(places, errors, strict=True):
            if _is_missing_option(error):
                if self._is_misspelt(path, error, unknown):
                    continue
                if self._is_new((*path, error["loc"][-1])):
                    lacking.setdefault(path, []).append(error["loc"][-1])
            elif self._is_new(path, is_table=isinstance(draft.at(path), dict)):
                self.add([explain(error, draft)])
            causes.setdefault(path, error)
        self.add([missing_options(draft, path, names) for path, names in lacking.items()])
        for path, error in causes.items():
            if draft.real_path(error["loc"]) == path:  # else its layer has been replaced
                self.mender.mend(error)

    def add(self, findings: Sequence[Finding]) -> None:
        """Keep findings about the draft as findings about what was written."""
        self.findings += [f._replace(path=self.mender.written(f.path)) for f in findings]

    def _is_new(self, path: KeyPath, is_table: bool = False) -> bool:
        """Tell if nothing was said about `path`, or done to it, that this may follow from."""
        known, dropped = self._seen, self.mender.dropped
        follows = (
            path in known
            or path in dropped
            or (is_table and any(p[: len(path)] == path for p in chain(known, dropped)))
        )
        self._seen.add(path)
        return not follows

    def _is_misspelt(
        self, table: KeyPath, error: Mapping[str, Any], unknown: Mapping[KeyPath, list[KeyPath]]
    ) -> bool:
        """Tell if an option is missing only since it was misspelt, or put into a section: that
        is reported already."""
        draft, loc = self.mender.draft, error["loc"]
        if not table:
            others = (path for paths in unknown.values() for path in paths)
            if any(u[-1] == loc[-1] and belongs_to_the_top(draft, u) for u in others):
                return True
        misspelt = (path[-1] for path in unknown.get(loc[:-1], ()))
        return loc[-1] in {option_meant(str(name), draft, table) for name in misspelt}


def _is_missing_option(error: Mapping[str, Any]) -> bool:
    return error["type"] == "missing" and isinstance(error["loc"][-1], str)
