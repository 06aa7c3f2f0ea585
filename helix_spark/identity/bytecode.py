"""What compiled code says, told alike whichever Python compiled it.

Later Pythons join instructions that often follow each other and compile comprehensions into the function around them,
so nothing else here reads instructions.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from types import CodeType
from typing import Any

_SILENT = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "MAKE_CELL", "COPY_FREE_VARS", "LOAD_CLOSURE"})
"""What says nothing that other steps do not say: which variables a function shares with those inside it, these name."""

_SPLIT = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
}
"""Two in one, since Python 3.13."""

_SAME = {
    "LOAD_FAST_CHECK": "LOAD_FAST", "LOAD_FAST_AND_CLEAR": "LOAD_FAST", "LOAD_FROM_DICT_OR_GLOBALS": "LOAD_NAME",
    "LOAD_METHOD": "LOAD_ATTR", "LOAD_CLASSDEREF": "LOAD_DEREF", "LOAD_FROM_DICT_OR_DEREF": "LOAD_DEREF",
    "CALL_FUNCTION": "CALL", "CALL_METHOD": "CALL", "CALL_FUNCTION_KW": "CALL_KW",
}
"""Others that do what these do."""

_REMEMBERED = 256
"""So many code objects are read once: the same is looked at for its imports, by those around it, and for its form."""

_JUMPS = frozenset((*dis.hasjrel, *dis.hasjabs))


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step of compiled code.

    Attributes:
        name: of the operation.
        value: what it reads, assigns or loads: a name or a constant; of a jump the offset that it leads to.
        offset: where it stands in the code.
        line: in the file; 0 where none is known.
        is_target: whether a jump may lead to it.
        is_jump: whether it is one.
        calls: whether what it reads is called.
    """

    name: str
    value: object
    offset: int = 0
    line: int = 0
    is_target: bool = False
    is_jump: bool = False
    calls: bool = False


@lru_cache(maxsize=_REMEMBERED)
def instructions(code: CodeType) -> tuple[Instruction, ...]:
    """Return the steps of a code object, without the code inside it.

    >>> [one.value for one in instructions((lambda a, b: a + b).__code__) if one.name == "LOAD_FAST"]
    ['a', 'b']
    >>> [(one.value, one.calls) for one in instructions((lambda: len(K)).__code__) if one.name == "LOAD_GLOBAL"]
    [('len', True), ('K', False)]
    """
    found: list[Instruction] = []
    pushed = is_target = False
    shared = {*code.co_cellvars, *code.co_freevars}  # which Python 3.13 hands to inner functions as it loads locals
    for step in _steps(code):
        is_target = is_target or step.is_target
        if step.name == "PUSH_NULL":
            if found and found[-1].name.startswith("LOAD_") and not is_target and _PUSHES_AFTER:
                found[-1] = replace(found[-1], calls=True)
            pushed = not _PUSHES_AFTER
        elif step.name == "MAKE_FUNCTION" and not _MARKS_CALLED:
            found[-1] = step  # in the place of the function's name, which no later Python loads
        elif step.name not in _SILENT and not (step.name == "LOAD_FAST" and step.value in shared):
            changed = is_target != step.is_target or (pushed and not step.calls)
            found.append(replace(step, is_target=is_target, calls=step.calls or pushed) if changed else step)
            pushed = is_target = False
    return tuple(found)


_PUSHES_AFTER = "CALL_KW" in dis.opmap
"""Whether what is called is loaded before the mark that says so: since Python 3.13."""


_MARKS_CALLED = sys.version_info >= (3, 11)
"""Whether it is marked at all. Python 3.10 tells by the depth of the stack alone, see `called_by_depth`."""

_WIDTH = 2
"""Bytes of a step."""


def _steps(code: CodeType) -> Iterator[Instruction]:
    lines = {at: line or 0 for start, end, line in code.co_lines() for at in range(start, end, _WIDTH)}
    called = frozenset[int]() if _MARKS_CALLED else called_by_depth(code)
    for one in dis.get_instructions(code):
        line = lines.get(one.offset, 0)
        if one.opname in _SPLIT:
            for place, (name, value) in enumerate(zip(_SPLIT[one.opname], one.argval, strict=True)):
                yield Instruction(name, value, one.offset, line, one.is_jump_target and not place)
        elif one.opname == "RETURN_CONST":
            yield Instruction("LOAD_CONST", one.argval, one.offset, line, one.is_jump_target)
            yield Instruction("RETURN_VALUE", None, one.offset, line)
        else:
            value = code.co_consts[one.arg or 0] if one.opname == "KW_NAMES" else one.argval
            calls = one.opname == "LOAD_METHOD" or "NULL" in one.argrepr or one.offset in called
            name = _SAME.get(one.opname, one.opname)
            yield Instruction(name, value, one.offset, line, one.is_jump_target, one.opcode in _JUMPS, calls)


def called_by_depth(code: CodeType) -> frozenset[int]:
    """Return where Python 3.10 loads what is called, and nothing else is done with it: what lies on the stack below the
    arguments of a call. Not where an argument is a choice: what is called counts as handed around there."""
    found: set[int] = set()
    steps = [*dis.get_instructions(code)]
    for at, call in enumerate(steps):
        taken = _taken_by_call(call)
        while taken > 1 and not (steps[at].is_jump_target or steps[at - 1].opcode in _JUMPS):
            at -= 1
            taken -= dis.stack_effect(steps[at].opcode, steps[at].arg)
        if taken == 1 and not steps[at].is_jump_target and steps[at - 1].opname.startswith("LOAD_"):
            found.add(steps[at - 1].offset)
    return frozenset(found)


def _taken_by_call(step: dis.Instruction) -> int:
    """Return how much a call takes from the stack, what is called with it; 0 of other steps, and of methods' calls."""
    match step.opname:
        case "CALL_FUNCTION":
            return (step.arg or 0) + 1
        case "CALL_FUNCTION_KW":
            return (step.arg or 0) + 2
        case "CALL_FUNCTION_EX":
            return 2 + ((step.arg or 0) & 1)
    return 0


def nested_code(code: CodeType) -> Iterator[CodeType]:
    """Yield the code objects inside one, at any depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from nested_code(constant)


def texts_of(constant: object) -> Iterator[str]:
    """Yield the texts in a constant of code."""
    if isinstance(constant, str):
        yield constant
    elif isinstance(constant, tuple | frozenset):
        for one in sorted(constant, key=repr) if isinstance(constant, frozenset) else constant:
            yield from texts_of(one)


def parameter_names(code: CodeType) -> tuple[str, ...]:
    """Return all names that the signature of a code object's function shows.

    >>> def f(a, /, b, *rest, c=1, **more): d = a
    >>> parameter_names(f.__code__)
    ('a', 'b', 'c', 'rest', 'more')
    """
    collecting = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + collecting]


def is_compiled_in(code: CodeType, function: Any) -> bool:
    """Return whether code is that of a function which this one defines.

    >>> def f(): return lambda: 1
    >>> is_compiled_in(f().__code__, f), is_compiled_in(f.__code__, f)
    (True, False)
    """
    return any(one is code for one in function.__code__.co_consts)


def constant_text(value: object) -> str:
    """Return the type and source of a constant, the same in every process.

    >>> constant_text(1), constant_text(1.0), constant_text(frozenset({2, 1}))
    ('int 0x1', 'float 1.0', "frozenset ['int 0x1', 'int 0x2']")
    """
    if isinstance(value, frozenset):  # its own order is not the same in every process
        return f"frozenset {sorted(map(constant_text, value))}"
    if isinstance(value, tuple):
        return f"tuple {list(map(constant_text, value))}"
    # Integers of more than 4300 digits have no decimal text; hexadecimal has no such limit.
    return f"{type(value).__name__} {hex(value) if type(value) is int else repr(value)}"
