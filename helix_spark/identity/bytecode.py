"""Compiled code, step by step, alike for each Python: later ones join instructions that often follow each other."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any

_SILENT = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "PUSH_NULL", "MAKE_CELL", "COPY_FREE_VARS"})
"""Instructions that say nothing that other ones do not say."""

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

_JUMPS = frozenset((*dis.hasjrel, *dis.hasjabs))
_BYTES_OF_A_STEP = 2


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step of compiled code.

    Attributes:
        name: of the operation.
        value: what it reads, assigns or loads: a name or a constant; of a jump the offset that it leads to.
        offset: where it stands in the code.
        line: in the file; 0 where none is known.
        is_target: True if a jump may lead to it.
        is_jump: True if it is one.
    """

    name: str
    value: object
    offset: int = 0
    line: int = 0
    is_target: bool = False
    is_jump: bool = False


@lru_cache(maxsize=256)
def instructions(code: CodeType) -> tuple[Instruction, ...]:
    """Return the steps of a code object, without the code inside it.

    >>> [one.value for one in instructions((lambda a, b: a + b).__code__) if one.name == "LOAD_FAST"]
    ['a', 'b']
    """
    found: list[Instruction] = []
    lines = {at: line or 0 for start, end, line in code.co_lines() for at in range(start, end, _BYTES_OF_A_STEP)}
    is_target = False
    for one in dis.get_instructions(code):
        is_target |= one.is_jump_target
        if one.opname in _SILENT:
            continue
        line, value = lines.get(one.offset, 0), one.argval
        steps = [(_SAME.get(one.opname, one.opname), value)]
        if one.opname in _SPLIT:
            steps = [*zip(_SPLIT[one.opname], value, strict=True)]
        elif one.opname == "RETURN_CONST":
            steps = [("LOAD_CONST", value), ("RETURN_VALUE", None)]
        elif one.opname == "KW_NAMES":
            steps = [("KW_NAMES", code.co_consts[one.arg or 0])]
        elif one.opname == "MAKE_FUNCTION" and _LOADS_FUNCTION_NAME:
            found.pop()
        for name, told in steps:
            found.append(Instruction(name, told, one.offset, line, is_target, one.opcode in _JUMPS))
            is_target = False
    return tuple(found)


_LOADS_FUNCTION_NAME = sys.version_info < (3, 11)
"""True if a function's qualified name is loaded before the function is made."""


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
    """Return all names that the signature of a code object's function shows, ``*rest`` and ``**more`` last."""
    collecting = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + collecting]


def is_compiled_in(code: CodeType, function: Any) -> bool:
    """Return whether code is that of a function which this one defines."""
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
