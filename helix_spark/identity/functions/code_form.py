"""The form of a function: what the compiler made of it, without how its author said it.

Comments, formatting, docstrings and the names of locals are gone. A name the function does not bind itself is a
numbered *slot*, so that the form says nothing of what the slot holds; `names` finds that out from the live function.
"""

from __future__ import annotations

import dis
import inspect
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise, takewhile
from types import CodeType
from typing import Any

from helix_spark.identity.bytecode import (
    Instruction,
    constant_text,
    instructions,
    nested_code,
    parameter_names,
    texts_of,
)

_KINDS = (
    inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
)
"""Flags of code that say what it does; others say how it was read."""

_SEES_LOCALS = frozenset({"locals", "vars", "dir", "eval", "exec", "globals"})
"""Builtins that can see the names of locals. Where one is used, renaming a local may change what the function does."""

_VARIABLES = frozenset({"LOAD_FAST", "LOAD_DEREF"})
_EXPRESSION = re.compile(r"[^\w\s'-]|\w\s+\w")
_WORD = re.compile(r"[A-Za-z_]\w*")
_REMEMBERED, _ARGUMENTS = 4096, 4


def key_step(key: str) -> str:
    """Return a key as a step of a path, which no attribute is called: ``['reg']``."""
    return f"[{key!r}]"


def path_text(path: Sequence[str]) -> str:
    """Return attributes and keys as they are written behind a name.

    >>> path_text(("model", key_step("reg"), "real"))
    ".model['reg'].real"
    """
    return "".join(step if step.startswith("[") else f".{step}" for step in path)


def words_of(text: str) -> list[str]:
    """Return the words of a text that may be an expression, which somebody may evaluate.

    >>> words_of("age > LIMIT"), words_of("age")
    (['age', 'LIMIT'], [])
    """
    return _WORD.findall(text) if _EXPRESSION.search(text) else []


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import statement binds a name to.

    Attributes:
        module: ``a.b`` of ``import a.b as x`` and of ``from a.b import c``.
        name: ``c`` of ``from a.b import c``; None for a module.
        level: number of leading dots.
    """

    module: str
    name: str | None = None
    level: int = 0


@dataclass(frozen=True, slots=True)
class Free:
    """A name the function does not bind, with the attributes read from it: ``helpers.sub.clean``.

    Attributes:
        base: the name.
        attributes: in order; a constant key that is read, as of ``CFG.model["reg"]``, is one of them: see `key_step`.
    """

    base: str | Imported
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Use:
    """A place where code reads something.

    Attributes:
        slot: which slot; None for attributes of what has none.
        names: of such attributes, one of the other: ``sparkSession.conf`` of `rows`.
        is_call: whether it is called there, and nothing else is done with it.
        text: of a slot the constant text that it is given first.
        line: in the file.
    """

    slot: int | None
    names: tuple[str, ...]
    is_call: bool
    text: str | None
    line: int


@dataclass(frozen=True, slots=True)
class CodeForm:
    """The form of one function.

    Attributes:
        text: the form itself; its slots are numbered in order of first appearance.
        free: what each slot is called.
        uses: the places where it reads slots and attributes, in order.
        texts: its texts.
        mentioned: those, and all names that it reads but for those of locals.
    """

    text: bytes
    free: tuple[Free, ...]
    uses: tuple[Use, ...]
    texts: tuple[str, ...]
    mentioned: frozenset[str]

    @property
    def passed(self) -> frozenset[int]:
        """The slots that are used in other ways than being called."""
        return frozenset(use.slot for use in self.uses if use.slot is not None and not use.is_call)


@lru_cache(maxsize=_REMEMBERED)
def form_of(code: CodeType) -> CodeForm:
    """Return the form of a function's code.

    >>> def form(source: str) -> bytes:
    ...     return form_of(eval(source).__code__).text
    >>> form("lambda rows: rows + K  # a comment") == form("lambda r: (r + J)")
    True
    >>> form("lambda a, b: a - b") == form("lambda a, b: b - a")
    False
    """
    all_code = (code, *nested_code(code))
    names = frozenset(name for one in all_code for name in one.co_names)
    loaded = [step.value for one in all_code for step in instructions(one) if step.name == "LOAD_CONST"]
    texts = [text for value in loaded for text in texts_of(value)]  # docstrings are no part of them
    words = None if names & _SEES_LOCALS else frozenset(word for text in texts for word in words_of(text))
    writer = _Writer(words)
    writer.write(_Scope(code))
    return CodeForm(
        "".join(writer.out).encode("utf-8", "surrogatepass"), tuple(writer.slots), tuple(writer.uses),
        tuple(dict.fromkeys(writer.texts)), names | frozenset(writer.texts) | writer.read,
    )


@dataclass(slots=True, eq=False)
class _Scope:
    """One code object while its form is written.

    Attributes:
        parent: of the code around it.
        bindings: the steps that bind a name by an import, each with what.
        imports: the names that it binds by one import and by nothing else.
        used: which of these are read.
    """

    code: CodeType
    parent: _Scope | None = None
    bindings: Mapping[int, Imported] = field(default_factory=dict)
    imports: Mapping[str, Imported] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def owner(self, name: str) -> _Scope | None:
        """Return the scope that binds a variable; None for what the function has from around it."""
        scope: _Scope | None = self
        while scope is not None and name not in scope.code.co_varnames + scope.code.co_cellvars:
            scope = scope.parent
        return scope


@dataclass(slots=True)
class _Writer:
    """Writes the form of one function as text, and notes its slots, uses and texts on the way.

    Attributes:
        words: which names of locals count; None for all.
    """

    words: frozenset[str] | None
    out: list[str] = field(default_factory=list)
    slots: dict[Free, int] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    numbers: dict[tuple[int, str], int] = field(default_factory=dict)
    scopes: list[_Scope] = field(default_factory=list)

    def write(self, scope: _Scope) -> None:
        self.scopes.append(scope)  # keeps it alive, so that its id stays its own
        code, steps = scope.code, instructions(scope.code)
        scope.bindings = _bindings(steps)
        scope.imports = _imports(code, steps, scope.bindings)
        shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _KINDS)
        self.out.append(f"{shape}[")
        for name in parameter_names(code):
            self.out.append(self.local(name, scope))
        kept: list[int] = []
        at = 0
        while at < len(steps):
            kept.append(steps[at].offset)
            at = self.step(steps, at, scope)
        self.jumps(code, steps, kept)
        for name, imported in scope.imports.items():
            if name not in scope.used:  # it is there for what it does
                self.out.append(f"Import {self.slot(Free(imported), code.co_firstlineno)};")
        self.out.append("]")

    def jumps(self, code: CodeType, steps: Sequence[Instruction], kept: Sequence[int]) -> None:
        """Write where jumps and exceptions lead: by how many steps there are before, whatever is in between."""
        for one in steps:
            if one.is_jump and isinstance(one.value, int):
                self.out.append(f"Jump {bisect_left(kept, one.offset)} {bisect_left(kept, one.value)};")
        for entry in _guarded(code):
            at = [bisect_left(kept, offset) for offset in (entry.start, entry.end, entry.target)]
            self.out.append(f"Try {at} {entry.depth} {entry.lasti};")

    def step(self, steps: Sequence[Instruction], at: int, scope: _Scope) -> int:
        """Write one step, or several that read one thing; return where the next one is."""
        step = steps[at]
        free = self.free(step, scope)
        if free is not None:
            return self.chain(free, steps, at, scope)
        self.out.append(f"{step.name} ")
        match step.name:
            case "LOAD_CONST" | "KW_NAMES":
                self.constant(step.value, steps[at + 1] if at + 1 < len(steps) else None, scope)
            case "LOAD_ATTR":
                self.attributes(steps, at)
            case "LOAD_FAST" if (name := _asked_by_name(steps, at, at + 1)) is not None:
                self.uses.append(Use(None, (name,), True, None, step.line))
                self.operand(step, scope)
            case "IMPORT_NAME" | "IMPORT_FROM" if at not in scope.bindings:
                pass  # what that binds is a slot
            case _:
                self.operand(step, scope)
        if at in scope.bindings and str(step.value) not in scope.imports:
            self.out.append(f" Import {self.slot(Free(scope.bindings[at]), step.line)}")
        self.out.append(";")
        return at + 1

    def operand(self, step: Instruction, scope: _Scope) -> None:
        name = str(step.value)
        if step.name.endswith(("_FAST", "_DEREF")):
            owner = scope.owner(name)
            if owner is not None:
                self.out.append(self.local(name, owner))
            else:
                self.out.append("__class__" if name == "__class__" else f"Slot {self.slot(Free(name), step.line)}")
        elif step.name in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            self.out.append(f"Slot {self.slot(Free(name), step.line)}")
        elif not step.is_jump:
            self.out.append(repr(step.value))

    def slot(self, free: Free, line: int, *, is_call: bool = False, text: str | None = None) -> int:
        number = self.slots.setdefault(free, len(self.slots))
        self.uses.append(Use(number, (), is_call, text, line))
        self.read.update(free.attributes)
        return number

    def local(self, name: str, owner: _Scope) -> str:
        number = self.numbers.setdefault((id(owner), name), len(self.numbers))
        return f"{number} {name}," if self.words is None or name in self.words else f"{number},"

    def free(self, step: Instruction, scope: _Scope) -> Free | None:
        """Return what a step reads that is not the function's own; None for any other step."""
        name = str(step.value)
        if step.name == "LOAD_GLOBAL":
            return Free(name)
        if step.name == "LOAD_NAME":
            # A class body reads a name from outside as long as it has not bound it: both count.
            self.out.append(f"Name {name};" if name in scope.code.co_names else "")
            return Free(name)
        if step.name not in _VARIABLES:
            return None
        owner = scope.owner(name)
        if owner is None:
            return Free(name) if name != "__class__" else None
        imported = owner.imports.get(name)
        if imported is None:
            return None
        owner.used.add(name)
        return Free(imported)

    def chain(self, free: Free, steps: Sequence[Instruction], at: int, scope: _Scope) -> int:
        path, after = _path(steps, at + 1)
        is_call = steps[at].calls or steps[after - 1].calls
        text = _text_after(steps, after)
        if path and path[-1] == "get" and is_call and text is not None:
            path = (*path, key_step(text))  # ``CFG.get("reg")`` depends on that key
        self.texts += [text for step in steps[at:after] if step.name == "LOAD_CONST" for text in texts_of(step.value)]
        slot = self.slot(Free(free.base, path), steps[at].line, is_call=is_call, text=text)
        self.out.append(f"Slot {slot};")
        if (name := _asked_by_name(steps, at, after)) is not None:  # ``getattr(helpers, "clean")``
            self.slot(Free(free.base, (*path, name)), steps[at].line)
        return after

    def attributes(self, steps: Sequence[Instruction], at: int) -> None:
        """Note the longest chain alone, and of the others that they are part of it."""
        self.out.append(str(steps[at].value))
        self.read.add(str(steps[at].value))
        if at and steps[at - 1].name == "LOAD_ATTR" and not steps[at].is_target:
            return
        end = at + 1
        while end < len(steps) and steps[end].name == "LOAD_ATTR" and not steps[end].is_target:
            end += 1
        names = tuple(str(one.value) for one in steps[at:end])
        self.uses.append(Use(None, names, steps[end - 1].calls, None, steps[at].line))

    def constant(self, value: object, after: Instruction | None, scope: _Scope) -> None:
        """Write a constant; of an inner function its form, and the name that whatever gets it may read."""
        bound = after.value if after is not None and after.name == "STORE_NAME" else None
        if isinstance(value, CodeType):
            self.out.append(f"{value.co_name} {parameter_names(value)}")
            self.write(_Scope(value, scope))
        elif bound == "__qualname__":
            self.out.append(str(value).rpartition(".")[2])
        elif bound != "__firstlineno__":
            self.texts += texts_of(value)
            self.out.append(constant_text(value))


def _path(steps: Sequence[Instruction], at: int) -> tuple[tuple[str, ...], int]:
    """Return the attributes and constant keys that are read one of the other from a place on, and where they end."""
    path: list[str] = []
    while at < len(steps) and not steps[at].is_target:
        step, after = steps[at], steps[at + 1] if at + 1 < len(steps) else None
        if step.name == "LOAD_ATTR":
            path.append(str(step.value))
            at += 1
        elif isinstance(step.value, str) and step.name == "LOAD_CONST" and _looks_up(after):
            path.append(key_step(step.value))
            at += 2
        else:
            break
    return tuple(path), at


def _looks_up(step: Instruction | None) -> bool:
    return step is not None and step.name == "BINARY_SUBSCR" and not step.is_target


def _asked_by_name(steps: Sequence[Instruction], at: int, after: int) -> str | None:
    """Return the attribute that the builtin `getattr` is asked for of what is read between two places."""
    before = steps[at - 1] if at else None
    is_asked = before is not None and before.calls and (before.name, before.value) == ("LOAD_GLOBAL", "getattr")
    return _text_after(steps, after, before=1) if is_asked else None


def _text_after(steps: Sequence[Instruction], at: int, before: int = 0) -> str | None:
    """Return the constant text that a call is given first, if the text is not put together.

    Args:
        before: how many arguments have been given already.
    """
    given = list(takewhile(lambda step: step.name in ("LOAD_CONST", "LOAD_FAST"), steps[at : at + _ARGUMENTS]))
    after = steps[at + len(given)] if at + len(given) < len(steps) else None
    if not given or given[0].name != "LOAD_CONST" or after is None:
        return None
    is_call = (after.name, after.value) == ("CALL", len(given) + before)
    return given[0].value if is_call and isinstance(given[0].value, str) else None


def _bindings(steps: Sequence[Instruction]) -> dict[int, Imported]:
    found: dict[int, Imported] = {}
    whole, names = Imported(""), None
    for at, (before, step) in enumerate(pairwise(steps), start=1):
        if step.name == "IMPORT_NAME":
            whole, names = Imported(str(step.value), None, _number(steps[at - 2].value)), steps[at - 1].value
            if names == ("*",):
                found[at] = whole
        elif step.name.startswith("STORE_") and before.name == "IMPORT_NAME":
            found[at] = replace(whole, module=whole.module.partition(".")[0])
        elif step.name.startswith("STORE_") and before.name == "IMPORT_FROM":
            found[at] = whole if names is None else replace(whole, name=str(before.value))
    return found


def _number(level: object) -> int:
    return level if isinstance(level, int) else 0


def _imports(code: CodeType, steps: Sequence[Instruction], bindings: Mapping[int, Imported]) -> dict[str, Imported]:
    """Return the variables of a function that are bound by one import and by nothing else."""
    stored = Counter(parameter_names(code))
    for one in (*steps, *(one for inner in nested_code(code) for one in instructions(inner))):
        if one.name.startswith(("STORE_", "DELETE_")):
            stored[str(one.value)] += 1
    names: dict[str, list[Imported]] = {}
    for at, imported in bindings.items():
        if steps[at].name in ("STORE_FAST", "STORE_DEREF"):
            names.setdefault(str(steps[at].value), []).append(imported)
    return {name: found[0] for name, found in names.items() if len(found) == stored[name] and len({*found}) == 1}


def _guarded(code: CodeType) -> list[Any]:
    # Which tells of them since Python 3.11; before, steps of the code itself lead there.
    return list(getattr(dis.Bytecode(code), "exception_entries", ()))
