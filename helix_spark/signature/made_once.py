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
from helix_spark.signature.bytecode import (
    Instruction,
    instructions,
    nested,
    parameter_names,
    same_code,
    texts_of,
)
from helix_spark.signature.functions.source import read_lines
from helix_spark.signature.objects.edges import Edge, Reference, Said
from helix_spark.signature.objects.origin import is_project_file
from helix_spark.signature.objects.unidentified import UnidentifiedVariableError
from helix_spark.signature.reach import Reached, reach


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

    def digest_of(filler: FunctionType, holder: Collection[object]) -> str:
        makers: list[Any] = [filler, *holder]
        return walk([Reference(one, one.__name__) for one in makers], empty=frozenset(refused)).trace.digest

    doubts = [
        refusal for key, refusal in refused.items() if not _is_made_by_code(key, reached.met, digest_of)
    ]
    for key in reached.empty.difference(refused):
        filler = _filler(key[1], reached.met)
        if filler is not None:
            _empty.setdefault(filler, {})[key] = _Empty(digest_of(filler, _holder(key, reached.met)), len(_cells()))
    filled = Said(caches=frozenset(f"the variable `{name}`" for _, name in refused))
    reached = replace(reached, trace=replace(reached.trace, said=reached.trace.said | filled)) if refused else reached
    return reached if not doubts else replace(reached, trace=replace(
        reached.trace, random=(*(one.told for one in doubts), *reached.trace.random),
        warnings=(*reached.trace.warnings, *(
            f"`{node}` runs, and is never reused: {one.told} ({one.remedy})" for one in doubts
        )),
    ))


def _is_made_by_code(
    key: tuple[int, str], met: Collection[object], digest_of: Callable[[FunctionType, Collection[object]], str]
) -> bool:
    """Whether the value that a variable has by now was made by code that is reached, as it is."""
    filler = _filler(key[1], met)
    before = _empty.get(filler, {}).get(key) if filler is not None else None
    if filler is None or before is None or before.digest != digest_of(filler, _holder(key, met)):
        return False
    others = _other_code(filler, key[1], before.cells, met)
    return all(code is not None and not may_fill(code, key[1]) for code in others)


def _holder(key: tuple[int, str], met: Collection[object]) -> list[type]:
    """The class whose variable it is; nothing for one of a module."""
    return [one for one in met if isinstance(one, type) and id(one) == key[0]]


def _filler(name: str, met: Collection[object]) -> FunctionType | None:
    """The function that fills a variable, if it is the only one and makes the value of nothing that it is given."""
    functions = [one for one in met if isinstance(one, FunctionType) and name in one.__code__.co_names]
    fillers = [(one, bases) for one in functions if (bases := bases_filled(one.__code__, name))]
    if len(fillers) != 1:
        return None
    filler, bases = fillers[0]
    given = parameter_names(filler.__code__)
    of_class = len(given) == 1 and all(base == given[0] for base in bases)
    return filler if not given or of_class else None


def bases_filled(code: CodeType, name: str) -> list[str]:
    """Of each assignment of something other than None to a variable or attribute of a name: of what it is an attribute,
    if that is a local; else nothing.

    >>> bases_filled(compile("K = None; K = 3; A.K = 4", "", "exec"), "K")
    ['', '']
    """
    found: list[str] = []
    before: list[Instruction] = []
    # While its body runs, a class has names of its own; it is then another class than the one that is there.
    of_module = code.co_name == "<module>"
    for step in instructions(code):
        reads = 1 if step.name == "STORE_ATTR" else 0
        stores = step.name in ("STORE_GLOBAL", "STORE_ATTR") or (step.name == "STORE_NAME" and of_module)
        if stores and step.value == name and not _is_none([*before, step][-2 - reads : len(before) + 1 - reads]):
            is_local = bool(reads) and before[-1].name in ("LOAD_FAST", "LOAD_DEREF")
            found.append(str(before[-1].value) if is_local else "")
        before.append(step)
    return found


def _is_none(steps: Sequence[Instruction]) -> bool:
    """Whether the second of two steps finds None where it takes a value, whichever way led to it."""
    return len(steps) == 2 and steps[0].name == "LOAD_CONST" and steps[0].value is None and not steps[1].is_target


def may_fill(code: CodeType, name: str) -> bool:
    """Whether code, without the code inside it, may give a variable of a name something else than None: by an
    assignment, or by the name as a text, ``setattr(module, "NAME", ...)``."""
    if bases_filled(code, name):
        return True
    steps = instructions(code)
    # An annotation, or the names that its methods assign, which Python itself writes into a class since 3.13.
    unsaid = [
        one for before, one, after in zip([None, *steps], steps, [*steps[1:], None], strict=False)
        if (before is not None and before.value == "__annotations__")
        or (after is not None and after.value == "__static_attributes__")
    ]
    said = [one for one in steps if one.name in ("LOAD_CONST", "KW_NAMES") and one not in unsaid]
    return any(name in texts_of(one.value) for one in said)


def _other_code(
    filler: FunctionType, name: str, cells: int, met: Collection[object]
) -> Iterator[CodeType | None]:
    """All code that may assign a variable; None for what cannot be read."""
    main, home = vars(sys.modules["__main__"]), filler.__globals__
    modules = list(_modules())
    if not any(names is home for names in (main, *(names for _, names in modules))) or _is_typed():
        yield None  # the text is nowhere to be read
    texts = ["".join(read_lines(file)) for file, _ in modules]
    texts += _cells()[max(cells - 1, 0) :]
    live = [one for value in (*met, *main.values()) for one in _functions_in(value)]
    found = [*(_compiled(text) for text in texts if name in text), *(one.__code__ for one in live)]
    for code in found:
        if code is None:
            yield None
        elif not same_code(code, filler.__code__):
            yield code
            yield from (one for one in nested(code) if not same_code(one, filler.__code__))


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
