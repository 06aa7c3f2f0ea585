"""What compiled code says, told alike whichever Python compiled it.

Later Pythons join instructions that often follow each other and compile comprehensions into the function around them,
so nothing else here reads instructions or tells by a code object which names are a function's own.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

_SILENT = frozenset({"CACHE", "EXTENDED_ARG", "NOP"})

_SPLIT = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
}
"""Two in one, since Python 3.13."""

_SAME = {
    "LOAD_FAST_CHECK": "LOAD_FAST", "LOAD_FAST_AND_CLEAR": "LOAD_FAST", "LOAD_FROM_DICT_OR_GLOBALS": "LOAD_NAME",
}
"""Others that read a variable of the same sort, since Python 3.12."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step of compiled code.

    Attributes:
        name: of the operation.
        value: what it reads, assigns or loads: a name or a constant; None for others.
        is_target: whether a jump may lead to it.
    """

    name: str
    value: object
    is_target: bool = False


def instructions(code: CodeType) -> Iterator[Instruction]:
    """The steps of a code object, without the code inside it.

    >>> [one.value for one in instructions((lambda a, b: a + b).__code__) if one.name == "LOAD_FAST"]
    ['a', 'b']
    """
    for one in dis.get_instructions(code):
        if one.opname in _SILENT:
            continue
        if one.opname in _SPLIT:
            for place, (name, value) in enumerate(zip(_SPLIT[one.opname], one.argval, strict=True)):
                yield Instruction(name, value, one.is_jump_target and not place)
        elif one.opname == "RETURN_CONST":
            yield Instruction("LOAD_CONST", one.argval, one.is_jump_target)
            yield Instruction("RETURN_VALUE", None)
        else:
            yield Instruction(_SAME.get(one.opname, one.opname), one.argval, one.is_jump_target)


def nested(code: CodeType) -> Iterator[CodeType]:
    """The code objects inside one, at any depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from nested(constant)


def global_names(code: CodeType) -> Iterator[str]:
    """The globals that a code object or one nested in it reads, in order.

    >>> list(global_names(compile("lambda x: len(x) + K", "", "eval")))
    ['len', 'K']
    """
    for one in (code, *nested(code)):
        for step in instructions(one):
            if step.name in ("LOAD_GLOBAL", "LOAD_NAME") and isinstance(step.value, str):
                yield step.value


def parameter_names(code: CodeType) -> tuple[str, ...]:
    """All names that the signature of a code object's function shows.

    >>> def f(a, /, b, *rest, c=1, **more): d = a
    >>> parameter_names(f.__code__)
    ('a', 'b', 'c', 'rest', 'more')
    """
    collecting = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + collecting]


def variables_within(code: CodeType) -> frozenset[str]:
    """The names of all variables of a function, of its comprehensions and of the functions inside it.

    >>> sorted(variables_within((lambda a: [b for b in a]).__code__) - {".0"})
    ['a', 'b']
    """
    return frozenset(name for one in (code, *nested(code)) for name in (*one.co_varnames, *one.co_cellvars))
