"""Which code assigns a variable of a module, or an attribute of a class."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import CodeType, FunctionType, ModuleType

from helix_spark.signature.text.bytecode import Instruction, instructions, parameter_names
from helix_spark.signature.text.scopes import function_scope
from helix_spark.signature.text.source import node_of

_OWN, _NAMED = frozenset({"LOAD_FAST", "LOAD_DEREF"}), frozenset({"LOAD_GLOBAL", "LOAD_NAME"})


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """Something that has a name in a module or a class.

    Attributes:
        holder: the id of the module's names, or of the class.
        name: the name.
        kind: the class; None for a module's variable.
    """

    holder: int
    name: str
    kind: type | None = None


@dataclass(frozen=True, slots=True)
class _Store:
    """An assignment.

    Attributes:
        name: of the variable or attribute.
        base: of what it is an attribute: a name, empty for anything else; None for a variable.
        is_own: whether that name is a local one.
        is_none: whether None is assigned.
    """

    name: str
    base: str | None
    is_own: bool
    is_none: bool


def assigns(code: CodeType, names: Mapping[str, object], variable: Variable) -> bool | None:
    """Whether code, without the code inside it, gives a variable something else than None; None if it may, for all that
    can be told.

    Args:
        names: those of the module that the code is of.
    """
    told = [_is_of(store, code, names, variable) for store in _fillings(code, variable.name)]
    return True if True in told else None if None in told or _has_as_text(code, variable.name) else False


def _has_as_text(code: CodeType, name: str) -> bool:
    """Whether code has a name as a text, beside that of an annotation: for ``setattr(module, "NAME", ...)``."""
    steps = list(pairwise(instructions(code)))
    # The names that its methods assign, which Python itself writes into a class since 3.13.
    listed = [one.value for one, after in steps if (after.name, after.value) == ("STORE_NAME", "__static_attributes__")]
    loaded = [one.value for one, _ in steps if one.name == "LOAD_CONST"]
    for one in code.co_consts:
        if isinstance(one, tuple | frozenset) and name in one:
            is_pythons = any(one is own for own in listed) and sum(one is value for value in loaded) == 1
            if not is_pythons:
                return True
    return any(
        one.name == "LOAD_CONST" and one.value == name and before.value != "__annotations__" for before, one in steps
    )


def _fillings(code: CodeType, name: str) -> list[_Store]:
    return [store for store in _stores(code) if store.name == name and not store.is_none]


def _stores(code: CodeType) -> Iterator[_Store]:
    before: list[Instruction] = []
    for step in instructions(code):
        match step.name:
            # While its body runs, a class has names of its own; it is then another class than the one that is there.
            case "STORE_GLOBAL" | "STORE_NAME" if step.name == "STORE_GLOBAL" or code.co_name == "<module>":
                yield _Store(str(step.value), None, False, _is_none(step, before[-1:]))
            case "STORE_ATTR":
                base = before[-1] if before else step
                own = base.name in _OWN
                name = str(base.value) if own or base.name in _NAMED else ""
                yield _Store(str(step.value), name, own, _is_none(base, before[-2:-1]))
        before.append(step)


def _is_none(reader: Instruction, before: Sequence[Instruction]) -> bool:
    """Whether an instruction finds None where it takes a value, whichever way led to it."""
    return bool(before) and before[0].name == "LOAD_CONST" and before[0].value is None and not reader.is_target


def _is_of(store: _Store, code: CodeType, names: Mapping[str, object], variable: Variable) -> bool | None:
    if store.base is None:
        return id(names) == variable.holder
    if store.is_own:
        return _is_of_own(store.base, code, names, variable)
    held = names.get(store.base)
    if isinstance(held, type | ModuleType):
        return id(vars(held) if isinstance(held, ModuleType) else held) == variable.holder
    return None if held is None else False


def _is_of_own(base: str, code: CodeType, names: Mapping[str, object], variable: Variable) -> bool | None:
    """Whether an attribute of a local is the variable: of the class of a class method, or of whatever may be it."""
    owner = names.get(code.co_qualname.rpartition(".")[0])
    if isinstance(owner, type) and base == code.co_varnames[0]:
        member = vars(owner).get(code.co_name)
        if isinstance(member, FunctionType | property):
            return False  # of the object
        if isinstance(member, classmethod):
            extends = variable.kind is not None and owner in variable.kind.__mro__
            return variable.kind is owner or (None if extends else False)
    return False if base == "self" else None


def takes_nothing(function: FunctionType, variable: Variable) -> bool:
    """Whether what a function gives a variable does not depend on what the function is given: that is nothing, or the
    variable is assigned once, and what it is assigned is made of no local.

    >>> def f():
    ...     global MODEL
    ...     MODEL = dict(a=1)
    >>> takes_nothing(f, Variable(id(f.__globals__), "MODEL"))
    True
    """
    code, stores = function.__code__, _fillings(function.__code__, variable.name)
    given = parameter_names(code)
    by_class = given and all(store.base == given[0] for store in stores)
    own = {given[0]} if by_class and _is_of_own(given[0], code, function.__globals__, variable) else set()
    if own.issuperset(given):
        return True
    node = node_of(code)
    if node is None:
        return False
    scope = function_scope(node, None)
    made = [value for value in _values(node, variable.name) if not _is_nothing(value)]
    names = {inner.id for value in made for inner in ast.walk(value) if isinstance(inner, ast.Name)}
    free = {name for name in names if scope.owner(name) is None or scope.imported(name) is not None}
    return len(stores) == len(made) == 1 and names <= free | own


def _values(node: ast.AST, name: str) -> Iterator[ast.expr]:
    """What is assigned to a name, or to an attribute of that name."""
    for inner in ast.walk(node):
        match inner:
            case ast.Assign(targets=[ast.Name(id=target) | ast.Attribute(attr=target)], value=value) if target == name:
                yield value
            case ast.AnnAssign(target=ast.Name(id=target) | ast.Attribute(attr=target), value=ast.expr() as value):
                if target == name:
                    yield value


def _is_nothing(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None
