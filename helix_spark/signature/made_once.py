"""Variables that a function fills when it is first called: ``if NLP is None: NLP = spacy.blank("en")``.

What it makes there often cannot be identified, and need not be: the code that makes it is signed. So it counts as the
None that was there before, and a second run in one process signs as the first one did.

That would be wrong of a value that came from elsewhere, that was made of what the function is given, or by other code
than is there now. So it holds only where this process has signed that very function while the variable was None, all
that the function reaches is still the same, and no other code of the project, nor a cell that a notebook has run since
then, assigns the variable. What is done to the value afterwards is not seen.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from helix_spark.errors import Location
from helix_spark.signature.objects.edges import Edge, Reference
from helix_spark.signature.objects.origin import is_project_file
from helix_spark.signature.objects.unidentified import UnidentifiedVariableError
from helix_spark.signature.reach import Reached, reach
from helix_spark.signature.text.assignments import Variable, assigns, takes_nothing
from helix_spark.signature.text.bytecode import nested
from helix_spark.signature.text.source import read_lines, same_code


@dataclass(frozen=True, slots=True)
class _Empty:
    """How things were when a variable was None.

    Attributes:
        digest: of the function that fills it, with all that this one reaches; of a class's variable the class besides.
        cells: how many cells a notebook had run, the one that ran then included.
    """

    digest: str
    cells: int


_empty: WeakKeyDictionary[FunctionType, dict[tuple[int, str], _Empty]] = WeakKeyDictionary()
"""By the function that fills them: as long as it lives, an id is that of its module's names or its class."""


def reach_made_once(
    roots: Sequence[Edge], *, node: str, where: Location | None, home: str, stages: dict[str, int] | None = None
) -> Reached:
    """As `reach`, which refuses what cannot be identified: a lock, a session, a pool, a generator that goes on.

    Where a variable holds such a thing, it counts as None; and unless code that is reached has made it, the result is
    chance, as nobody knows what it is made of.
    """
    refused: dict[tuple[int, str], UnidentifiedVariableError] = {}
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

    def digest_of(filler: FunctionType, variable: Variable) -> str:
        makers: list[FunctionType | type] = [filler] if variable.kind is None else [filler, variable.kind]
        return walk([Reference(one, one.__name__) for one in makers], empty=frozenset(refused)).trace.digest

    doubts = [
        refusal for key, refusal in refused.items() if not _is_made_by_code(key, reached.met, digest_of)
    ]
    for key in reached.empty.difference(refused):
        variable = _variable(key, reached.met)
        filler = _filler(variable, reached.met)
        if filler is not None:
            _empty.setdefault(filler, {})[key] = _Empty(digest_of(filler, variable), len(_cells()))
    return reached if not doubts else replace(reached, trace=replace(
        reached.trace, random=(*(one.told for one in doubts), *reached.trace.random),
        warnings=(*reached.trace.warnings, *(
            f"`{node}` runs, and is never reused: {one.told} ({one.remedy})" for one in doubts
        )),
    ))


def _is_made_by_code(
    key: tuple[int, str], met: Collection[object], digest_of: Callable[[FunctionType, Variable], str]
) -> bool:
    """Whether the value that a variable has by now was made by code that is reached, as it is."""
    variable = _variable(key, met)
    filler = _filler(variable, met)
    before = _empty.get(filler, {}).get(key) if filler is not None else None
    if filler is None or before is None or before.digest != digest_of(filler, variable):
        return False
    return all(
        code is not None and assigns(code, names, variable) is False
        for code, names in _other_code(filler, variable.name, before.cells, met)
    )


def _variable(key: tuple[int, str], met: Collection[object]) -> Variable:
    kind = next((one for one in met if isinstance(one, type) and id(one) == key[0]), None)
    return Variable(*key, kind)


def _filler(variable: Variable, met: Collection[object]) -> FunctionType | None:
    """The function that fills a variable, if it is the only one and makes the value of nothing that it is given."""
    functions = [one for one in met if isinstance(one, FunctionType) and variable.name in one.__code__.co_names]
    fillers = [one for one in functions if assigns(one.__code__, one.__globals__, variable)]
    return fillers[0] if len(fillers) == 1 and takes_nothing(fillers[0], variable) else None


def _other_code(
    filler: FunctionType, name: str, cells: int, met: Collection[object]
) -> Iterator[tuple[CodeType | None, Mapping[str, object]]]:
    """All code that may assign a variable, and the names of its module; None for what cannot be read."""
    main, home = vars(sys.modules["__main__"]), filler.__globals__
    modules = list(_modules())
    if not any(names is home for names in (main, *(names for _, names in modules))) or _is_typed():
        yield None, home  # the text is nowhere to be read
    texts: list[tuple[str, Mapping[str, object]]] = [("".join(read_lines(file)), names) for file, names in modules]
    texts += [(cell, main) for cell in _cells()[max(cells - 1, 0) :]]
    live = [one for value in (*met, *main.values()) for one in _functions_in(value)]
    found: list[tuple[CodeType | None, Mapping[str, object]]] = [
        *((_compiled(text), names) for text, names in texts if name in text),
        *((one.__code__, one.__globals__) for one in live),
    ]
    for code, names in found:
        if code is None:
            yield None, names
        elif not same_code(code, filler.__code__):
            yield code, names
            yield from ((one, names) for one in nested(code) if not same_code(one, filler.__code__))


def _functions_in(value: object) -> Iterator[FunctionType]:
    """A function, or those of a class that a notebook or script itself defines."""
    is_class = issubclass(type(value), type) and vars(value).get("__module__") == "__main__"
    found: list[Any] = [value, *(vars(value).values() if is_class else ())]
    for one in found:
        inner = one.__func__ if type(one) in (classmethod, staticmethod) else one
        if type(inner) is FunctionType:
            yield inner


def _modules() -> Iterator[tuple[str, Mapping[str, object]]]:
    """The files of the project's modules, and the names in them."""
    for module in list(sys.modules.values()):
        file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
        if isinstance(file, str) and is_project_file(file):
            yield file, vars(module)


def _is_typed() -> bool:
    """Whether somebody types what runs, and no notebook keeps it."""
    return hasattr(sys, "ps1") and not _cells()


def _cells() -> Sequence[str]:
    """The cells that a notebook has run, as IPython keeps them."""
    cells = vars(sys.modules["__main__"]).get("In")
    return [str(cell) for cell in cells] if isinstance(cells, list) else []


def _compiled(text: str) -> CodeType | None:
    try:
        code: CodeType = compile(text, "<text>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    return code
