"""Variables that a function fills when it is first called: ``if NLP is None: NLP = spacy.blank("en")``.

What has no identity makes its node "never reused". But what such a function made is told by its code, so it counts as
the None that was there before, and a second run in one process signs as the first one did. That holds only where
nothing else can have put it there: this process signed the function while the variable was None, all that the function
reaches is still the same, it is given nothing, and no other text of the project assigns a variable of that name.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from types import CodeType, FunctionType, ModuleType
from weakref import WeakKeyDictionary

from helix_spark.errors import Location
from helix_spark.identity.bytecode import instructions, nested, parameter_names
from helix_spark.identity.functions.source import read_lines
from helix_spark.identity.objects.origin import is_project_file
from helix_spark.identity.objects.references import Edge, Reference, Said
from helix_spark.identity.objects.unidentified import UnidentifiedVariableError
from helix_spark.identity.reach import Reached, reach

_Variable = tuple[int, str]
"""As in `Reference`."""

_signed_empty: WeakKeyDictionary[FunctionType, dict[_Variable, str]] = WeakKeyDictionary()
"""Digests of functions that fill variables, when these were None: as long as a function lives, an id is that of its
module's names or its class."""


def reach_lazily(
    roots: Sequence[Edge], *, node: str, where: Location | None, home: str, stages: dict[str, int] | None = None
) -> Reached:
    """Describe everything the roots reach, as `reach` does. A variable whose value has no identity (a lock, a session,
    a pool) counts as None. Unless code that is reached has made it, the result is never reused."""
    refused: dict[_Variable, UnidentifiedVariableError] = {}
    walk = partial(reach, node=node, where=where, home=home)
    while True:
        try:
            reached = walk(roots, stages=stages, empty=frozenset(refused))
        except UnidentifiedVariableError as error:
            if error.variable is None or error.variable in refused:
                raise
            refused[error.variable] = error
        else:
            break
    doubts = []
    for key in reached.empty:
        if (filler := _filler(key[1], reached.met)) is not None:
            holder = [Reference(one, "holder") for one in reached.met if isinstance(one, type) and id(one) == key[0]]
            now = walk([Reference(filler, "filler"), *holder], empty=frozenset(refused)).trace.digest
            before = _signed_empty.setdefault(filler, {})
            if key not in refused:
                before[key] = now
            elif before.get(key) == now and not _is_assigned_elsewhere(key[1], filler):
                continue
        if key in refused:
            doubts.append(refused[key])
    trace = reached.trace
    filled = frozenset(f"the variable `{name}`" for _, name in refused)
    told = (f"`{node}` runs, and is never reused: {one.told} ({one.remedy})" for one in doubts)
    return replace(reached, trace=replace(
        trace, said=trace.said | Said(caches=filled), random=(*(one.told for one in doubts), *trace.random),
        warnings=(*trace.warnings, *told),
    ))


def _filler(name: str, met: Iterable[object]) -> FunctionType | None:
    """Return the function that assigns a variable, if it is the only one and makes the value of no argument."""
    functions = [one for one in met if isinstance(one, FunctionType)]
    codes = [(one, code) for one in functions for code in (one.__code__, *nested(one.__code__))]
    assigning = [(one, code) for one, code in codes if any(_bases(code, name))]
    if len(assigning) != 1:
        return None
    filler, code = assigning[0]
    given = parameter_names(code)
    of_class = len(given) == 1 and all(base == given[0] for base in _bases(code, name))
    return filler if code is filler.__code__ and (not given or of_class) else None


def _bases(code: CodeType, name: str) -> Iterator[str]:
    """Yield for each assignment of a name the variable of which it is an attribute, or ``global``."""
    before: object = None
    for step in instructions(code):
        if step.value == name and step.name in ("STORE_GLOBAL", "STORE_ATTR"):
            yield "global" if step.name == "STORE_GLOBAL" else str(before)
        before = step.value


def _is_assigned_elsewhere(name: str, filler: FunctionType) -> bool:
    """Return whether other code than a function may have assigned a variable of a name, as far as texts tell."""
    code, main = filler.__code__, vars(sys.modules["__main__"])
    own = "".join(read_lines(code.co_filename))
    lines = range(code.co_firstlineno, max(line or 0 for _, _, line in code.co_lines()) + 1)
    cells = [str(cell) for cell in main["In"]] if isinstance(main.get("In"), list) else []
    if not own or (hasattr(sys, "ps1") and not cells):
        return True  # what is typed is kept nowhere
    others = ["".join(read_lines(file)) for file in _files() if file != code.co_filename]
    texts = [(own, True, lines), *((cell, filler.__globals__ is main, range(0)) for cell in cells if cell != own)]
    texts += [(text, False, range(0)) for text in others]
    return any(_may_assign(text, name, is_own, but) for text, is_own, but in texts if re.search(rf"\b{name}\b", text))


def _may_assign(text: str, name: str, is_own: bool, but: range) -> bool:
    """Return whether a text may assign something other than None to a variable or attribute of a name, or holds the
    name as a text or a keyword, by which other code may.

    Args:
        is_own: whether its variables are those of the module in question.
        but: lines that do not count.
    """
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError):
        return True
    empty: set[ast.AST] = set()
    for node in nodes:
        match node:
            case ast.Assign(targets=targets, value=ast.Constant(value=None)):
                empty |= set(targets)
            case ast.AnnAssign(target=target, value=ast.Constant(value=None)):
                empty.add(target)
    for node in nodes:
        match node:
            case ast.Name(id=found, ctx=ast.Store()) if is_own:
                pass
            case ast.Attribute(attr=found, ctx=ast.Store()) | ast.keyword(arg=found) | ast.Constant(value=found):
                pass
            case _:
                continue
        if found == name and node not in empty and node.lineno not in but:
            return True
    return False


def _files() -> Iterator[str]:
    """Yield the files of the project's modules."""
    for module in list(sys.modules.values()):
        file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
        if isinstance(file, str) and is_project_file(file):
            yield file
