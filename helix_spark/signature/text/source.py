"""From a live code object to the syntax tree it was compiled from, with proof that it was.

A file may have been edited since it was imported, and what runs is what was imported. So the file is compiled again and
a tree counts only if it gives the very code that is live. Where none does, the code object itself is the truth.
"""

from __future__ import annotations
import __future__

import ast
import dis
import linecache
import tokenize
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType

from helix_spark.signature.parts import encode
from helix_spark.signature.text.bytecode import nested, parameter_names
from helix_spark.signature.text.expressions import nodes_in
from helix_spark.signature.text.forms import FunctionForm
from helix_spark.signature.text.normal_form import function_form
from helix_spark.signature.text.scopes import FunctionNode, function_scope

_POSITIONLESS = frozenset({"RESUME", "MAKE_CELL", "COPY_FREE_VARS", "RETURN_GENERATOR", "POP_TOP", "RETURN_VALUE"})


@dataclass(slots=True)
class _File:
    """One text, parsed and compiled once."""

    lines: list[str]
    nodes: dict[CodeType, FunctionNode] = field(default_factory=dict)
    forms: dict[tuple[int, bool, bool], FunctionForm] = field(default_factory=dict)


_FUTURE_FEATURES = 0
for _name in __future__.all_feature_names:
    _FUTURE_FEATURES |= getattr(__future__, _name).compiler_flag
"""Features that a notebook cell or doctest has from an earlier one, and so does not say itself."""

_files: dict[tuple[str, int], _File] = {}
"""By file name and future features. An entry is used as long as its code is the live code: no clock decides that."""


def form_of(code: CodeType, *, keep_names: bool = False, shows: bool = False) -> FunctionForm | None:
    """The normal form of the function a code object belongs to; None if its source is not to be had. Arguments as for
    `function_form`."""
    found = _find(code)
    if found is None:
        return None
    file, node = found
    key = (id(node), keep_names, shows)
    if key not in file.forms:
        file.forms[key] = function_form(node, keep_names=keep_names, shows=shows)
    return file.forms[key]


def node_of(code: CodeType) -> FunctionNode | None:
    """The syntax tree of the function a code object belongs to; None if its source is not to be had."""
    found = _find(code)
    return found[1] if found is not None else None


def own_variables(code: CodeType) -> frozenset[str]:
    """The variables of a function that hide what is around it: not those of its comprehensions, which Python keeps
    among the function's since 3.12. Of a function without source the parameters alone."""
    node = node_of(code)
    if node is None:
        return frozenset(parameter_names(code))
    scope = function_scope(node, None)
    return frozenset(scope.names) - scope.global_names - scope.nonlocal_names


def text_of(code: CodeType) -> str:
    """The source of the function a code object belongs to, decorators included, as it was when it was signed; empty if
    it is not to be had."""
    found = _find(code)
    if found is None:
        return ""
    file, node = found
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])
    return "".join(file.lines[first - 1 : node.end_lineno])


def bytecode_form(code: CodeType, doc: str | None) -> bytes:
    """The form of code without source: instructions, constants and names, without positions and docstring.

    Args:
        code: of the function.
        doc: the function's docstring, which the compiler leaves among the constants.
    """
    constants = list(code.co_consts)
    if constants and doc is not None and constants[0] == doc:
        constants[0] = None
    return encode(
        code.co_code,
        code.co_exceptiontable,
        str((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)),
        repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)),
        *(
            bytecode_form(constant, None) if isinstance(constant, CodeType) else _constant(constant)
            for constant in constants
        ),
    )


def _constant(value: object) -> str:
    if isinstance(value, frozenset):  # of constants; its own order is not the same in every process
        return f"frozenset {sorted(map(_constant, value))}"
    if isinstance(value, tuple):
        return f"tuple {list(map(_constant, value))}"
    return f"{type(value).__name__} {hex(value) if type(value) is int else repr(value)}"


def _find(code: CodeType) -> tuple[_File, FunctionNode] | None:
    key = (code.co_filename, code.co_flags & _FUTURE_FEATURES)
    file = _files.get(key)
    if file is not None and code in file.nodes:
        return file, file.nodes[code]
    lines = read_lines(code.co_filename)
    if not lines:
        return None
    if file is None or file.lines != lines:
        file = _files[key] = _parse(lines, code)
    if code in file.nodes:
        return file, file.nodes[code]
    # Lines above it may have come or gone since it was loaded; that alone makes no other function.
    moved = [(live, node) for live, node in file.nodes.items() if same_code(live, code)]
    return (file, moved[0][1]) if moved else None


def read_lines(filename: str) -> list[str]:
    """The file's lines as they are now, or as a notebook or doctest keeps them; empty if there are none."""
    if not Path(filename).is_file():
        return linecache.getlines(filename)
    try:
        with tokenize.open(filename) as stream:  # not through linecache, which goes by the clock
            return stream.readlines()
    except (OSError, SyntaxError, UnicodeDecodeError):  # gone, or not a text in the encoding it declares
        return []


def _parse(lines: list[str], live: CodeType) -> _File:
    """`live` is code that comes from the lines; it knows the file's name and the future features it was read with."""
    file = _File(lines)
    flags = live.co_flags & _FUTURE_FEATURES
    try:
        tree = ast.parse("".join(lines), live.co_filename)
        module = compile(tree, live.co_filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError):  # half-edited, or holds null bytes: then no live code comes from it
        return file
    nodes: dict[tuple[str, int], list[FunctionNode]] = {}
    for node in nodes_in(tree):
        if isinstance(node, ast.Lambda):
            nodes.setdefault(("<lambda>", node.lineno), []).append(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            nodes.setdefault((node.name, first), []).append(node)
    for code in nested(module):
        candidates = nodes.get((code.co_name, code.co_firstlineno), [])
        if len(candidates) > 1:
            candidates = _at_position(code, candidates)
        if candidates:
            file.nodes[code] = candidates[0]
    return file


def _at_position(code: CodeType, candidates: list[FunctionNode]) -> list[FunctionNode]:
    """Those of several functions that begin on one line whose body holds the code's instructions; innermost first."""
    spans = [
        (position[0], position[2], position[1], position[3])
        for operation, position in zip(code.co_code[::2], code.co_positions(), strict=False)
        if dis.opname[operation] not in _POSITIONLESS and None not in position
    ]
    if not spans:
        return []
    start = min((line or 0, column or 0) for line, column, _, _ in spans)
    end = max((line or 0, column or 0) for _, _, line, column in spans)
    holding = []
    for node in candidates:
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        last = body[-1]
        if (body[0].lineno, body[0].col_offset) <= start and end <= (last.end_lineno or 0, last.end_col_offset or 0):
            holding.append(node)
    return sorted(holding, key=lambda node: (node.lineno, node.col_offset), reverse=True)


def same_code(one: CodeType, other: CodeType) -> bool:
    """Whether two code objects differ in nothing but where they stand."""
    return (
        one.co_qualname == other.co_qualname
        and one.co_code == other.co_code
        and one.co_exceptiontable == other.co_exceptiontable
        and one.co_names == other.co_names
        and one.co_varnames == other.co_varnames
        and one.co_freevars == other.co_freevars
        and one.co_cellvars == other.co_cellvars
        and one.co_flags == other.co_flags
        and _signature(one) == _signature(other)
        and len(one.co_consts) == len(other.co_consts)
        and all(map(_same_constant, one.co_consts, other.co_consts))
    )


def _signature(code: CodeType) -> tuple[int, int, int]:
    return code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount


def _same_constant(one: object, other: object) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return same_code(one, other)
    return _constant(one) == _constant(other)
