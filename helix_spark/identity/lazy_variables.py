"""Variables that a function fills when it is first called: ``if NLP is None: NLP = spacy.blank("en")``.

What has no identity makes its node "never reused". But what such a function made is told by its code, so it counts as
the None that was there before, and a second run in one process signs as the first one did. That holds only where
nothing else can have put it there: this process signed the function while the variable was None, all that the function
reaches is still the same, it has no parameters, no other text of its module has the variable's name, and none of the
project has it as an attribute, a text or a keyword.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from types import FunctionType, ModuleType
from weakref import WeakKeyDictionary

from helix_spark.errors import Location
from helix_spark.identity.bytecode import instructions, nested_code, parameter_names
from helix_spark.identity.functions.source import read_lines
from helix_spark.identity.objects.origin import is_project_file
from helix_spark.identity.objects.references import Edge, Reference
from helix_spark.identity.reach import CodeTrace, Variable, Walk

_signed_empty: WeakKeyDictionary[FunctionType, dict[Variable, str]] = WeakKeyDictionary()
"""Digests of functions that fill variables, when these were None: as long as a function lives, an id is that of its
module's names."""


def reach(
    roots: Sequence[Edge], *, node: str, where: Location | None, home: str, stages: dict[str, int] | None = None
) -> CodeTrace:
    """Describe everything the roots reach. A variable whose value has no identity (a lock, a session, a pool) counts as
    None. Unless code that is reached has made it, the result is never reused.

    Args:
        roots: where to start, in order.
        node, where, home, stages: as for `Walk`.

    Raises:
        SignatureError: something cannot be identified.
    """
    refused: dict[Variable, tuple[str, str]] = {}
    begin = partial(Walk, node=node, where=where, home=home, stages=stages, refused=refused)
    known = -1
    while known < len(refused):
        known = len(refused)
        walk = begin()
        trace = walk.reach(roots)
    doubts = dict(refused)
    for variable in walk.empty:
        if (filler := _filler(variable, walk.functions)) is not None:
            now = begin(stages=None).reach([Reference(filler, "filler")]).digest
            before = _signed_empty.setdefault(filler, {})
            if variable not in refused:
                before[variable] = now
            elif before.get(variable) == now and not _is_assigned_elsewhere(variable[1], filler):
                del doubts[variable]
    warnings = (f"`{node}` runs, and is never reused: {why} ({remedy})" for why, remedy in doubts.values())
    return replace(
        trace, random=(*(why for why, _ in doubts.values()), *trace.random), warnings=(*trace.warnings, *warnings)
    )


def _filler(variable: Variable, functions: Iterable[FunctionType]) -> FunctionType | None:
    """Return the function that assigns a variable of a module, if it is the only one and has no parameters."""
    step = ("STORE_GLOBAL", variable[1])
    assigning = [
        (one, code) for one in functions if id(one.__globals__) == variable[0]
        for code in (one.__code__, *nested_code(one.__code__))
        if any((each.name, each.value) == step for each in instructions(code))
    ]
    match assigning:
        case [(filler, code)] if code is filler.__code__ and not parameter_names(code):
            return filler
    return None


def _is_assigned_elsewhere(name: str, filler: FunctionType) -> bool:
    """Return whether other code than a function may have assigned a variable of its module, as far as texts tell."""
    code, main = filler.__code__, vars(sys.modules["__main__"])
    cells = [str(cell) for cell in main["In"]] if isinstance(main.get("In"), list) else []
    own = read_lines(code.co_filename)
    if not own or (hasattr(sys, "ps1") and not cells):
        return True  # what is typed is kept nowhere
    last = max(line or 0 for _, _, line in code.co_lines())
    cells = [cell for cell in cells if cell != "".join(own)]
    beside = ["".join(own[: code.co_firstlineno - 1]), "".join(own[last:])]
    elsewhere = ["".join(read_lines(file)) for file in _project_files() if file != code.co_filename]
    if filler.__globals__ is main:
        beside += cells
    else:
        elsewhere += cells
    empty = r"\s*(:[^=\n]*)?=\s*None\s*([#;]|$)"
    named = re.compile(rf"\b{name}\b(?!{empty})", re.MULTILINE)
    # By other modules as an attribute, a text or a keyword.
    reached = re.compile(rf"[.'\"]{name}\b(?!{empty})|[(,]\s*{name}\s*=(?!=)", re.MULTILINE)
    return any(map(named.search, beside)) or any(map(reached.search, elsewhere))


def _project_files() -> Iterator[str]:
    for module in list(sys.modules.values()):
        file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
        if isinstance(file, str) and is_project_file(file):
            yield file
