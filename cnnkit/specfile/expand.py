"""The spec language: `[vars]`, `[blocks]` with repeats, and `[model.defaults]`.

A spec that begins with `format = 1` may use it. It is one step over plain tables: what it gives is
validated as any other spec is, and where everything was written is kept beside it.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from operator import floordiv, mul
from typing import Any, Literal, NamedTuple

from cnnkit.base import Layer
from cnnkit.base.component import is_path
from cnnkit.base.place import KeyPath
from cnnkit.registry import Registry
from cnnkit.source import Expanded, Finding, Origin, Source
from cnnkit.specfile.components import components
from cnnkit.specfile.overrides import Waiting
from cnnkit.specfile.runspec import RunSpec

Tree = dict[str, Any]
At = Literal["key", "value"]
_HOLE = re.compile(r"\$\{\s*([A-Za-z_]\w*)\s*(?:(\*|//)\s*(\d{1,9})\s*)?\}", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w{0,29}", re.ASCII)
_REPEAT = ("times", "block", "with")
_MOST, _TIMES, _DEEPEST = 20_000, 1000, 200
"""Values that blocks and variables are written out to, copies of a block, and steps of a path:
what needs more is no spec, but a slip or a trap."""


class _Scope(NamedTuple):
    """What names mean at one place: the variables, with where each is set, and what led here."""

    values: Mapping[str, tuple[Any, KeyPath]] = {}
    uses: tuple[tuple[str, KeyPath], ...] = ()
    blocks: tuple[str, ...] = ()


class _TooMuch(Exception):  # noqa: N818  # it ends the expansion, and is caught there
    pass


def expand(tree: Tree, source: Source, registry: Registry) -> Expanded:
    """Write out a spec's tables, or none of them where that would be too much; `source` tells which
    file says what."""
    work = _Expansion(tree, source, registry, Waiting(registry))
    try:
        plain = work.whole()
    except _TooMuch:
        work.origins = {}
        plain = {}
    found = [_placed(finding, {**tree, **plain}, registry) for finding in work.findings]
    unknown = frozenset({finding.path for finding in found} | work.unknown)
    made = source._replace(origins=work.origins, late=work.waiting.laid())
    found = found or work.waiting.lost  # what they name may be what is missing
    return Expanded(plain, made, found, unknown)


def _placed(finding: Finding, tree: Tree, registry: Registry) -> Finding:
    """Say in which layer or section it is."""
    from cnnkit.diagnosis.source import Draft

    draft = Draft(RunSpec, tree, registry)
    path = draft.real_path(finding.path)
    table = path if draft.is_layer(path) else draft.table_of(path)
    return finding._replace(message=draft.place(table) + finding.message)


class _Expansion:
    """The work on one spec.

    A path `at` leads through what is made, a path `written` through the files.
    """

    def __init__(self, tree: Tree, source: Source, registry: Registry, waiting: Waiting) -> None:
        self.tree, self.source, self.registry, self.waiting = tree, source, registry, waiting
        self.origins: dict[KeyPath, Origin] = {}
        self.findings: list[Finding] = []
        self.unknown: set[KeyPath] = set()
        self._used: set[KeyPath] = set()  # variables and blocks, by where they are
        self._asked: set[str] = set()  # names of variables
        self._given: dict[KeyPath, tuple[KeyPath, str]] = {}  # to which blocks, by repeats
        self._copies: Counter[KeyPath] = Counter()  # by their name in a list
        self._made = 0

    def whole(self) -> Tree:
        """Return all of the spec, written out."""
        self._written = {name: self._table(name) for name in ("vars", "blocks")}
        blocks = self._written["blocks"].items()
        self._blocks = {name: block for name, block in blocks if self._is_sound(name, block)}
        scope = _Scope(values := {})
        for name, value in self._written["vars"].items():
            path = ("vars", name)
            if not _NAME.fullmatch(name):
                self._refuse(path, f'"{name}" is no name for a variable', _LETTERS, at="key")
            values[name] = self._value(value, path, path, scope), path
        rest = {k: v for k, v in self.tree.items() if k not in ("vars", "blocks")}
        if isinstance(model := rest.get("model"), dict) and "defaults" in model:
            rest["model"] = {k: v for k, v in model.items() if k != "defaults"}
        plain: Tree = self._value(rest, (), (), scope)
        self._apply_defaults(plain, scope)
        if self.waiting.laid():  # what only they put out of use is used in the files
            twin = _Expansion(self.tree, self.source, self.registry, Waiting(None))
            with suppress(_TooMuch):
                twin.whole()
            self._used |= twin._used
        if not self.findings:
            self._refuse_unused()
        self._place_paths(plain)
        return plain

    def _table(self, name: str) -> Tree:
        """Return [vars] or [blocks]; an empty one where it is no table."""
        found = self.tree.get(name, {})
        if isinstance(found, dict):
            return found
        self._refuse((name,), f"{name} must be a table", f"write [{name}] on a line of its own")
        return {}

    def _is_sound(self, name: str, block: Any) -> bool:
        path: KeyPath = ("blocks", name)
        if not _NAME.fullmatch(name) or name.startswith("_"):
            self._refuse(path, f'"{name}" is no name for a block', _LETTERS, at="key")
        elif not isinstance(block, dict) or not isinstance(block.get("layers"), list):
            self._refuse(path, "a block must have layers", "write layers = [...] below its name")
        elif odd := [key for key in block if key != "layers"]:
            self._unknown((*path, odd[0]), "option", odd[0], ["layers"], "a block takes layers")
        else:
            return True
        return False

    def _refuse(
        self, path: KeyPath, message: str, help_: str = "", note: str = "", at: At = "value"
    ) -> None:
        self.findings.append(Finding(path, message, note, help_, at=at))

    def _unknown(self, path: KeyPath, what: str, name: str, known: Any, help_: str) -> None:
        at: At = "key" if what == "option" else "value"
        self._refuse(path, f'unknown {what} "{name}"', help_, _meant(name, known), at)

    def _too_much(self, written: KeyPath, message: str) -> None:
        self.findings = []
        self._refuse(written, message, "repeat fewer of them")
        raise _TooMuch

    def _value(self, value: Any, at: KeyPath, written: KeyPath, scope: _Scope) -> Any:
        """Return a value with everything in it written out."""
        if len(at) > _DEEPEST:
            self._too_much(written[:3], "tables, arrays and blocks are nested too deep")
        if scope.uses:
            self._count(1, scope.uses[-1][1])
        if isinstance(value, str):
            return self._text(value, at, written, scope)
        if isinstance(value, dict):
            return {k: self._value(v, (*at, k), (*written, k), scope) for k, v in value.items()}
        return self._list(value, at, written, scope) if isinstance(value, list) else value

    def _count(self, more: int, written: KeyPath) -> None:
        self._made += more
        if self._made > _MOST:
            self._too_much(written, f"written out, this spec has more than {_MOST:,} values")

    def _text(self, text: str, at: KeyPath, written: KeyPath, scope: _Scope) -> Any:
        """Return a string, or the value of the variable that it is."""
        if "${" not in text:
            return text
        match = _HOLE.fullmatch(text)
        if match is None:
            self._refuse(at, "a string is one variable, or none", _HOLES, "cannot be read")
            return text
        name, operator, by = match.groups()
        self._asked.add(name)
        if name not in scope.values:
            self._refuse_name(name, at, scope)
            return text
        value, place = scope.values[name]
        self._used.add(place)
        if isinstance(value, str) and "${" in value:  # what is wrong there was said
            self.unknown.add(at)
            return value
        self._count(_size(value), written)
        uses = (f"{name} = {_shown(value)}, from", place), *scope.uses
        self.origins[at] = Origin(written, uses)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if operator is None:
            return deepcopy(value)
        if is_whole and int(by):
            return (mul if operator == "*" else floordiv)(value, int(by))
        wrong = "0 divides nothing" if is_whole else f"{name} is no whole number"
        self._refuse(at, f"cannot compute {text[2:-1].strip()}: {wrong}", _HOLES)
        return value

    def _refuse_name(self, name: str, at: KeyPath, scope: _Scope) -> None:
        if name in self._written["vars"]:
            self._refuse(at, f'the variable "{name}" is set further down', _ABOVE)
        else:
            known = ", ".join(scope.values) or "none"
            self._unknown(at, "variable", name, scope.values, f"variables here: {known}")

    def _list(self, items: list[Any], at: KeyPath, written: KeyPath, scope: _Scope) -> list[Any]:
        made: list[Any] = []
        for index, item in enumerate(self.waiting.begin(at, items)):
            self.waiting.reach(at, len(made))
            if len(made) != index:
                self.origins[*at, len(made)] = Origin((*written, index), scope.uses)
            self._item(item, made, at, (*written, index), scope)
        self.waiting.end(at, items, made)
        return made

    def _item(
        self, item: Any, made: list[Any], at: KeyPath, written: KeyPath, scope: _Scope
    ) -> None:
        """Add what one item of a list is written out to."""
        here = (*at, len(made))
        if isinstance(item, dict) and item.get("type") == "repeat":
            self._repeat(item, made, at, written, scope)
            return
        self._refuse_block(item, here)
        if self.waiting.at(at) and isinstance(item, dict) and "name" in item:
            name = self._value(item["name"], (*here, "name"), (*written, "name"), scope)
            item = self.waiting.lay({**item, "name": name}, here)
        made.append(self._value(item, here, written, scope))

    def _refuse_block(self, item: Any, at: KeyPath) -> None:
        """Refuse the name of a block in the place of a type."""
        kind = item.get("type") if isinstance(item, dict) else item
        is_block = isinstance(kind, str) and kind in self._blocks
        if is_block and kind not in self.registry.types("layers"):
            help_ = f'write {{ type = "repeat", block = "{kind}" }}'
            self._refuse(at, f'"{kind}" is a block, and no type', help_)

    def _repeat(
        self, table: Tree, made: list[Any], at: KeyPath, written: KeyPath, scope: _Scope
    ) -> None:
        """Add copies of a block to the layers made so far, or the repeat itself if it is wrong."""
        here = (*at, len(made))
        self.origins[here] = Origin(written, scope.uses)
        options = self._value({**table, "type": ""}, here, written, scope)
        if not self._is_repeat(options, here, scope):
            self.unknown.add(here)
            made.append({"type": "repeat"})
            return
        block, times = options.pop("block"), options.pop("times", 1)
        self._used.add(("blocks", block))
        inner = self._inner(block, options.pop("with", {}), here, scope)
        name = options.pop("name", block)
        one = times == 1 and "name" in table
        for _ in range(times):
            here = (*at, len(made))
            self._copies[*at, str(name)] += 1
            self.origins[here] = Origin(written, scope.uses)
            layers = ("blocks", block, "layers")
            self.origins[*here, "layers"] = Origin(layers, inner.uses)
            copy = name if one or not isinstance(name, str) else f"{name}_{self._copies[*at, name]}"
            whole = {**options, "type": "sequential", "name": copy, **self._blocks[block]}
            rest = self.waiting.lay(whole, here)
            if not isinstance(rest, dict) or "layers" not in rest:  # another layer in its place
                self._item(rest, made, at, written, scope)
                continue
            inside = self._value(rest.pop("layers"), (*here, "layers"), layers, inner)
            rest = rest if rest is whole else self._value(rest, here, written, inner)
            made.append({**rest, "layers": inside})

    def _inner(self, block: str, given: Tree, at: KeyPath, scope: _Scope) -> _Scope:
        """Return what names mean inside a block."""
        written = self.origins[at].path
        places = {name: (*written, "with", name) for name in given}
        for name, place in places.items():
            self._given.setdefault(place, ((*at, "with", name), block))
        hidden = (scope.values[name][1] for name in given if name in scope.values)
        self._used.update(hidden)
        values = {**scope.values, **{name: (v, places[name]) for name, v in given.items()}}
        use = f'block "{block}", repeated at', written
        return _Scope(values, (use, *scope.uses), (*scope.blocks, block))

    def _is_repeat(self, options: Tree, at: KeyPath, scope: _Scope) -> bool:
        """Tell if the options of a repeat are sound; say why they are not."""
        before = len(self.findings)
        for key in options.keys() - {*_REPEAT, *Layer.common, "type"}:
            known = [*_REPEAT, *Layer.common]
            self._unknown((*at, key), "option", key, known, "repeat takes times, block and with")
        block, times, given = options.get("block"), options.get("times", 1), options.get("with", {})
        if not isinstance(block, str):
            self._refuse(at, 'the option "block" is missing', 'add block = "..."')
        elif block not in self._written["blocks"]:
            names = ", ".join(self._blocks) or "none"
            self._unknown((*at, "block"), "block", block, self._blocks, f"blocks: {names}")
        elif block in scope.blocks:
            way = " > ".join([*scope.blocks[scope.blocks.index(block) :], block])
            self._refuse((*at, "block"), "a block cannot hold itself", "", way)
        if not isinstance(times, int) or isinstance(times, bool) or not 1 <= times <= _TIMES:
            wrong = f"times must be a whole number from 1 to {_TIMES:,}, got {_shown(times)}"
            self._refuse((*at, "times"), wrong)
        if not isinstance(given, dict):
            self._refuse((*at, "with"), "with must be a table", "such as { width = 32 }")
        return len(self.findings) == before and block in self._blocks

    def _apply_defaults(self, plain: Tree, scope: _Scope) -> None:
        """Give every layer of a type the options that [model.defaults] has for it."""
        model = self.tree.get("model")
        found = model.get("defaults", {}) if isinstance(model, dict) else {}
        if not (isinstance(found, dict) and all(isinstance(v, dict) for v in found.values())):
            help_ = "write [model.defaults.conv] on a line of its own, and options below it"
            self._refuse(("model", "defaults"), "defaults must be tables of options", help_)
            return
        seen = set()
        for path, holder, _, family in components(plain, self.registry) if found else ():
            value = holder[path[-1]]
            kind = value.get("type") if isinstance(value, dict) else value
            if family != "layers" or not isinstance(kind, str):
                continue
            seen.add(kind)
            table = holder[path[-1]] = value if isinstance(value, dict) else {"type": kind}
            layer = self._origin(path)
            for option, default in found.get(kind, {}).items():
                place, written = (*path, option), ("model", "defaults", kind, option)
                if option == "type":
                    self._refuse(written, "a default cannot be the type", "take it out", at="key")
                elif option not in table:
                    uses = (f"the default of every {kind}, such as the one at", layer.path)
                    inner = _Scope(scope.values, (uses, *layer.uses))
                    self.origins[place] = Origin(written, inner.uses)
                    table[option] = self._value(default, place, written, inner)
        self._check_unused(found, scope)
        for kind in found.keys() - seen:
            path = ("model", "defaults", kind)
            if self._is_own(path) or kind not in self.registry.types("layers"):
                self._unused(path, f'no layer is of type "{kind}"', seen)

    def _check_unused(self, defaults: Tree, scope: _Scope) -> None:
        """Refuse variables that are not there in defaults that no layer takes."""
        used = {origin.path for origin in self.origins.values()}
        for path in (("model", "defaults", k, o) for k, table in defaults.items() for o in table):
            if path not in used:
                self._value(defaults[path[2]][path[3]], path, path, scope)

    def _origin(self, path: KeyPath) -> Origin:
        return self.source._replace(origins=self.origins).origin(path)

    def _is_own(self, path: KeyPath) -> bool:
        """Tell if the file itself says it, or a `--set`, and none of the files it includes."""
        return self.source.file_of(path) is self.source

    def _refuse_unused(self) -> None:
        """Refuse variables and blocks that are used nowhere: their names may be misspelt."""
        for kind, names in (("vars", self._asked), ("blocks", set(self._blocks))):
            for path in ((kind, name) for name in self._written[kind]):
                if self._is_own(path) and path not in self._used:
                    self._unused(path, f'"{path[1]}" is used nowhere', names)
        for place, (at, block) in self._given.items():
            if place not in self._used:
                self._unused(at, f'block "{block}" uses no variable "{at[-1]}"', self._asked)

    def _unused(self, path: KeyPath, message: str, known: set[str]) -> None:
        meant = _meant(str(path[-1]), known - {path[-1]})
        self._refuse(path, message, "take it out", meant, "key")

    def _place_paths(self, plain: Tree) -> None:
        """Let paths in included files start from the folders of these."""
        set_ = self.source._replace(overrides=self.waiting.laid())
        for path, holder, cls, _ in components(plain, self.registry) if self.source.laid else ():
            table = holder[path[-1]]
            for name, field in cls.model_fields.items() if cls and isinstance(table, dict) else ():
                if is_path(field) and isinstance(table.get(name), str) and (
                    set_.override_of((*path, name)) is None
                ):  # fmt: skip
                    written = self._origin((*path, name)).path
                    if not self._is_own(written) and self.source.override_of(written) is None:
                        folder = self.source.file_of(written).folder
                        table[name] = str(folder / os.path.expanduser(table[name]))  # noqa: PTH111


_ABOVE = "a variable may use those that are set above it"
_LETTERS = "use at most 30 letters, digits and underscores, a letter first"
_HOLES = 'write "${name}", "${name * 2}" or "${name // 2}", by whole numbers alone'


def _meant(name: str, known: Any) -> str:
    from cnnkit.diagnosis.problems import did_you_mean

    meant = did_you_mean(name, known)
    return f'did you mean "{meant}"?' if meant else ""


def _size(value: Any) -> int:
    """Return how many values there are in a value, itself included."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_size, inside))


def _shown(value: Any) -> str:
    text = "a table" if isinstance(value, dict) else json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."
