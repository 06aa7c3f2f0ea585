"""The form of a function: its compiled code, without comments, formatting, docstrings and names of locals.

Its steps are the same in each Python; later ones fuse frequent pairs of instructions. A name that the function does not
bind itself is a numbered *slot*. The form does not cover the value of a slot; `names` resolves it in the live function.
"""

from __future__ import annotations

import dis
import inspect
import re
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise, takewhile
from types import CodeType

from helix_spark.identity.objects.encoder import canonical

_SILENT = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "PUSH_NULL", "MAKE_CELL", "COPY_FREE_VARS"})
"""Redundant instructions."""

_SPLIT = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"), "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
}
"""Fused instructions, since Python 3.13."""

_SAME = {
    "LOAD_FAST_CHECK": "LOAD_FAST", "LOAD_FAST_AND_CLEAR": "LOAD_FAST", "LOAD_FROM_DICT_OR_GLOBALS": "LOAD_NAME",
    "LOAD_METHOD": "LOAD_ATTR", "LOAD_CLASSDEREF": "LOAD_DEREF", "LOAD_FROM_DICT_OR_DEREF": "LOAD_DEREF",
    "CALL_FUNCTION": "CALL", "CALL_METHOD": "CALL", "CALL_FUNCTION_KW": "CALL_KW",
}
"""Instructions with the same effect as another one."""

_JUMPS = frozenset((*dis.hasjrel, *dis.hasjabs))

_ANNOUNCE_CALLS = frozenset({"LOAD_METHOD", "LOAD_GLOBAL"} if sys.version_info >= (3, 11) else ()) | (
    frozenset({"LOAD_ATTR"} if sys.version_info >= (3, 12) else ())
)
"""Instructions whose name, or the lowest bit of whose argument, announces a call."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step of compiled code: the name of the operation, and the name or constant that it reads, assigns or loads,
    or the target offset of a jump. The line is 0 if unknown. `is_called` is True if the value is loaded for a call and
    this Python announces that."""

    name: str
    value: object
    offset: int = 0
    line: int = 0
    is_target: bool = False
    is_jump: bool = False
    is_called: bool = False


@lru_cache(maxsize=256)
def instructions(code: CodeType) -> tuple[Instruction, ...]:
    """Return the steps of a code object, without nested code."""
    steps: list[Instruction] = []
    lines = {at: line or 0 for start, end, line in code.co_lines() for at in range(start, end, 2)}  # two bytes a step
    is_target = is_called = False
    for raw in dis.get_instructions(code):
        is_target |= raw.is_jump_target
        if raw.opname == "PUSH_NULL" and sys.version_info >= (3, 13):  # it follows the called value
            steps[-1] = replace(steps[-1], is_called=True)
        if raw.opname in _SILENT:
            is_called |= raw.opname == "PUSH_NULL" and sys.version_info < (3, 13)
            continue
        line, value = lines.get(raw.offset, 0), raw.argval
        operations = [(_SAME.get(raw.opname, raw.opname), value)]
        if raw.opname in _SPLIT:
            operations = [*zip(_SPLIT[raw.opname], value, strict=True)]
        elif raw.opname == "RETURN_CONST":
            operations = [("LOAD_CONST", value), ("RETURN_VALUE", None)]
        elif raw.opname == "KW_NAMES":
            operations = [("KW_NAMES", code.co_consts[raw.arg or 0])]
        elif raw.opname == "MAKE_FUNCTION" and sys.version_info < (3, 11):
            steps.pop()  # the function's qualified name
        is_called |= raw.opname in _ANNOUNCE_CALLS and (raw.opname == "LOAD_METHOD" or bool((raw.arg or 0) & 1))
        for name, operand in operations:
            steps.append(Instruction(name, operand, raw.offset, line, is_target, raw.opcode in _JUMPS, is_called))
            is_target = is_called = False
    return tuple(steps)


def with_nested(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those inside it, at any depth."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from with_nested(constant)


def texts_of(constant: object) -> Iterator[str]:
    if isinstance(constant, str):
        yield constant
    elif isinstance(constant, tuple | frozenset):
        for item in sorted(constant, key=repr) if isinstance(constant, frozenset) else constant:
            yield from texts_of(item)


def parameter_names(code: CodeType) -> tuple[str, ...]:
    """Return the names of all parameters of a code object, ``*args`` and ``**kwargs`` last."""
    collecting = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + collecting]


_KINDS = (
    inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
)
"""Flags of code that affect what it does."""

_SEES_LOCALS = frozenset({"locals", "vars", "dir", "eval", "exec", "globals"})
"""Builtins that see the names of locals. If one is used, renaming a local may change what the function does."""


def key_step(key: str) -> str:
    """Return a key as a step of a path, distinct from any attribute: ``['reg']``."""
    return f"[{key!r}]"


def path_text(path: Sequence[str]) -> str:
    """Return attributes and keys as written after a name: ``.model['reg'].real``."""
    return "".join(step if step.startswith("[") else f".{step}" for step in path)


def words_of(text: str) -> list[str]:
    """Return the words of a text that may be an expression, such as ``age > LIMIT``."""
    return re.findall(r"[A-Za-z_]\w*", text) if re.search(r"[^\w\s'-]|\w\s+\w", text) else []


@dataclass(frozen=True, slots=True)
class Imported:
    """The target of an import: ``a.b`` and ``c`` of ``from a.b import c``; the level counts leading dots."""

    module: str
    name: str | None = None
    level: int = 0


@dataclass(frozen=True, slots=True)
class Free:
    """A free name of a function, with attributes and keys (`key_step`) read from it, and whether it is only called."""

    base: str | Imported
    attributes: tuple[str, ...] = ()
    is_called: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """A read in code: of a slot, with the constant text of the first argument if it is called; or of a chain of
    attributes of a value without a slot (``sparkSession.conf`` of `rows`)."""

    slot: int | None
    names: tuple[str, ...]
    text: str | None
    line: int


@dataclass(frozen=True, slots=True)
class CodeForm:
    """The form of one function, the names of its slots in order of first appearance, and its reads of slots and
    attributes. `mentioned` has its texts, and all names that it reads except locals."""

    text: bytes
    free: tuple[Free, ...]
    uses: tuple[Use, ...]
    texts: tuple[str, ...]
    mentioned: frozenset[str]
    parameters: tuple[str, ...]


@lru_cache(maxsize=4096)
def form_of(code: CodeType) -> CodeForm:
    """Return the form of a function's code.

    >>> form_of((lambda rows: rows + K).__code__).text == form_of((lambda r: (r + J)).__code__).text
    True
    """
    all_code = tuple(with_nested(code))
    names = frozenset(name for part in all_code for name in part.co_names)
    loaded = [step.value for part in all_code for step in instructions(part) if step.name == "LOAD_CONST"]
    texts = [text for value in loaded for text in texts_of(value)]  # without docstrings
    words = None if names & _SEES_LOCALS else frozenset(word for text in texts for word in words_of(text))
    bound_inside = {name for part in all_code[1:] for name in (*part.co_varnames, *part.co_cellvars)}
    around = frozenset(code.co_freevars) - {"__class__"}
    writer = _Writer(words, around - bound_inside, _imports(all_code))
    writer.write(code)
    # Unused imports count as a whole, and so do names that inner code binds differently.
    bases: list[str | Imported] = [*sorted(around & bound_inside)]
    bases += [imported for imported in writer.imports.values() if all(free.base != imported for free in writer.slots)]
    for base in bases:
        writer.out.append(f"Slot {writer.slot(Free(base), code.co_firstlineno)};")
    return CodeForm(
        "".join(writer.out).encode("utf-8", "surrogatepass"), tuple(writer.slots), tuple(writer.uses),
        tuple(dict.fromkeys(writer.texts)), names | frozenset(writer.texts), parameter_names(code),
    )


@dataclass(slots=True)
class _Writer:
    """Writes the form of one function as text, and collects its slots, uses and texts."""

    words: frozenset[str] | None
    """Names of locals that count; None if all do."""
    around: frozenset[str]
    """Variables of enclosing functions."""
    imports: Mapping[str, Imported]
    """Variables that one import binds and nothing else."""
    out: list[str] = field(default_factory=list)
    slots: dict[Free, int] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def write(self, code: CodeType) -> None:
        steps = instructions(code)
        bindings = _bindings(steps)
        shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _KINDS)
        self.out.append(f"{shape}[")
        for name in parameter_names(code):
            self.out.append(self.local(name, code))
        kept: list[int] = []
        at = 0
        while at < len(steps):
            step, after = steps[at], at + 1
            kept.append(step.offset)
            if (free := self.free(step, code)) is not None:
                after = self.chain(free, steps, at)
            else:
                self.out.append(f"{step.name} ")
                self.operand(steps, at, code)
            if at in bindings and str(step.value) not in self.imports:
                self.out.append(f" Import {self.slot(Free(bindings[at]), step.line)}")
            self.out.append(";")
            at = after
        # Targets are counted in steps, as offsets depend on the version of Python.
        for step in steps:
            if step.is_jump and isinstance(step.value, int):
                self.out.append(f"Jump {bisect_left(kept, step.offset)} {bisect_left(kept, step.value)};")
        # The exception table exists since Python 3.11; before, the steps contain it.
        for entry in getattr(dis.Bytecode(code), "exception_entries", ()):
            places = [bisect_left(kept, offset) for offset in (entry.start, entry.end, entry.target)]
            self.out.append(f"Try {places} {entry.depth} {entry.lasti};")
        self.out.append("]")

    def operand(self, steps: Sequence[Instruction], at: int, code: CodeType) -> None:
        step = steps[at]
        name = str(step.value)
        if step.name in ("LOAD_CONST", "KW_NAMES"):
            self.constant(step.value, steps[at + 1] if at + 1 < len(steps) else None)
        elif step.name.endswith(("_FAST", "_DEREF", "_CLOSURE")):
            is_around = step.name.endswith("_DEREF") and name in self.around
            self.out.append(f"Slot {self.slot(Free(name), step.line)}" if is_around else self.local(name, code))
        elif step.name in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            self.out.append(f"Slot {self.slot(Free(name), step.line)}")
        elif step.name == "LOAD_ATTR":
            self.out.append(name)
            if not (at and steps[at - 1].name == "LOAD_ATTR" and not step.is_target):  # not for a part of a chain
                chain = takewhile(lambda part: not part.startswith("["), (name, *_path(steps, at + 1)[0]))
                self.uses.append(Use(None, tuple(chain), None, step.line))
        elif not (step.is_jump or step.name in ("IMPORT_NAME", "IMPORT_FROM")):  # their bindings are slots
            self.out.append(repr(step.value))

    def slot(self, free: Free, line: int, text: str | None = None) -> int:
        number = self.slots.setdefault(free, len(self.slots))
        self.uses.append(Use(number, (), text, line))
        return number

    def local(self, name: str, code: CodeType) -> str:
        number = _places(code).get(name, name)
        return f"{number} {name}," if self.words is None or name in self.words else f"{number},"

    def free(self, step: Instruction, code: CodeType) -> Free | None:
        """Return the name from outside of the function that a step reads; None for any other step."""
        name = str(step.value)
        match step.name:
            case "LOAD_GLOBAL":
                return Free(name)
            case "LOAD_NAME":
                # A class body reads a name from outside until it binds it: both count.
                self.out.append(f"Name {name};")
                return Free(name)
            case "LOAD_DEREF" if name in self.around:
                return Free(name)
            case "LOAD_DEREF" if name in self.imports:
                return Free(self.imports[name])
            # Python 3.13 passes variables to inner functions with LOAD_FAST.
            case "LOAD_FAST" if name in self.imports and name not in (*code.co_cellvars, *code.co_freevars):
                return Free(self.imports[name])
        return None

    def chain(self, free: Free, steps: Sequence[Instruction], at: int) -> int:
        """Write the attributes and keys read from an outside name; return the index of the next step."""
        path, after = _path(steps, at + 1)
        # The first argument of a call, if all arguments are constants or locals.
        arguments = list(takewhile(lambda step: step.name in ("LOAD_CONST", "LOAD_FAST"), steps[after : after + 4]))
        call = [(step.name, step.value) for step in steps[after + len(arguments) : after + len(arguments) + 1]]
        is_passed = bool(arguments) and arguments[0].name == "LOAD_CONST" and call == [("CALL", len(arguments))]
        text = arguments[0].value if is_passed and isinstance(arguments[0].value, str) else None
        if path and path[-1] == "get" and text is not None:
            path = (*path, key_step(text))  # ``CFG.get("reg")`` depends on that key
        self.texts += [text for step in steps[at:after] if step.name == "LOAD_CONST" for text in texts_of(step.value)]
        # A called value is loaded first or last. A value that `:=` keeps may have other uses.
        is_called = (steps[at].is_called or steps[after - 1].is_called) and steps[after].name != "COPY"
        read = replace(free, attributes=path, is_called=is_called)
        self.out.append(f"Slot {self.slot(read, steps[at].line, text)}")
        return after

    def constant(self, value: object, after: Instruction | None) -> None:
        """Write a constant, or the form and name of an inner function."""
        bound = after.value if after is not None and after.name == "STORE_NAME" else None
        if isinstance(value, CodeType):
            self.out.append(f"{value.co_name} {parameter_names(value)}")
            self.write(value)
        elif bound == "__qualname__":
            self.out.append(str(value).rpartition(".")[2])
        elif bound != "__firstlineno__":
            self.texts += texts_of(value)
            self.out.append(canonical(value).hex())


@lru_cache(maxsize=4096)
def _places(code: CodeType) -> dict[str, int]:
    names = dict.fromkeys((*code.co_varnames, *code.co_cellvars, *code.co_freevars))
    return {name: place for place, name in enumerate(names)}


def _path(steps: Sequence[Instruction], at: int) -> tuple[tuple[str, ...], int]:
    """Return the chain of attributes and constant keys read from an index on, and the index after it."""
    path: list[str] = []
    while at < len(steps) and not steps[at].is_target:
        step, after = steps[at], steps[at + 1] if at + 1 < len(steps) else None
        looks_up = after is not None and after.name == "BINARY_SUBSCR" and not after.is_target
        if step.name == "LOAD_ATTR":
            path.append(str(step.value))
            at += 1
        elif isinstance(step.value, str) and step.name == "LOAD_CONST" and looks_up:
            path.append(key_step(step.value))
            at += 2
        else:
            break
    return tuple(path), at


def _bindings(steps: Sequence[Instruction]) -> dict[int, Imported]:
    """Return the imports that bind names, by the index of the step that binds."""
    bindings: dict[int, Imported] = {}
    imported, names = Imported(""), None
    for at, (before, step) in enumerate(pairwise(steps), start=1):
        if step.name == "IMPORT_NAME":
            level = steps[at - 2].value
            imported, names = Imported(str(step.value), None, level if isinstance(level, int) else 0), before.value
        elif step.name.startswith("STORE_") and before.name == "IMPORT_NAME":
            bindings[at] = replace(imported, module=imported.module.partition(".")[0])
        elif step.name.startswith("STORE_") and before.name == "IMPORT_FROM":
            bindings[at] = imported if names is None else replace(imported, name=str(before.value))
    return bindings


def _imports(all_code: Sequence[CodeType]) -> dict[str, Imported]:
    """Return the variables of a function and its inner functions that one import binds and nothing else."""
    bound = defaultdict[str, set[Imported | None]](set)
    for code in all_code:
        for name in parameter_names(code):
            bound[name].add(None)
        steps = instructions(code)
        bindings = _bindings(steps)
        for at, step in enumerate(steps):
            if step.name.startswith(("STORE_", "DELETE_")):
                is_local = step.name in ("STORE_FAST", "STORE_DEREF")
                bound[str(step.value)].add(bindings.get(at) if is_local else None)
    return {name: only for name, (only, *further) in bound.items() if only is not None and not further}
