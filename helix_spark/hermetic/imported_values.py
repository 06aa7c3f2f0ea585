"""The values that the author's modules had at the end of their imports. Spark's workers import these modules again and
have those values, whatever the driver has set since."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Container, Mapping
from contextlib import suppress
from functools import cache
from importlib.machinery import SourceFileLoader
from operator import is_
from types import CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from helix_spark.hermetic.asking import CodeOwner, is_authors, kind_of
from helix_spark.hermetic.memos import cached_properties

_MOST = 10_000
"""The most members of a container whose own members are noted, too: an import must not take noticeably longer."""

_Members = dict[object, object]
_Copies = dict[int, tuple[object, _Members]]
"""Objects with copies of their members, by the object's id."""


class _Noted(NamedTuple):
    """A module at the end of its import: its variables, the objects that they reach, and the other modules of which a
    variable had been set by then."""

    variables: _Members
    copies: _Copies
    set_before: frozenset[str]


_noted: WeakKeyDictionary[ModuleType, _Noted] = WeakKeyDictionary()


@cache
def note_imported_values() -> None:
    """Note the values of the author's modules when their imports end, and of those imported before; once a process."""
    original: Any = SourceFileLoader.exec_module

    def exec_module(self: Any, module: ModuleType) -> None:
        original(self, module)
        if kind_of(self.path) is CodeOwner.AUTHOR:
            _note(module)

    # Python leaves its import system's functions out of tracebacks.
    exec_module.__code__ = exec_module.__code__.replace(co_filename="<frozen importlib._bootstrap_external>")
    SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign]  # replaced on purpose
    for name, module in sys.modules.copy().items():
        if name != "__main__" and is_authors(name):
            _note(module)


def _note(module: ModuleType) -> None:
    set_before = frozenset(
        name for name, noted in _loaded().items()
        if (now := vars(sys.modules[name])) is not vars(module)
        and any(noted.variables.get(key, value) is not value for key, value in now.copy().items())
    )
    variables: _Members = {name: value for name, value in vars(module).items()}  # noqa: C416
    copies: _Copies = {}
    waiting = list(variables.values())
    while waiting:
        value = waiting.pop()
        if id(value) not in copies and (members := _members(value)) is not None:
            copies[id(value)] = value, members
            waiting += members.values() if len(members) <= _MOST else ()
    _noted[module] = _Noted(variables, copies, set_before)


def _loaded() -> dict[str, _Noted]:
    """Return what was noted of the modules that are still loaded, by name."""
    return {module.__name__: noted for module, noted in _noted.items() if sys.modules.get(module.__name__) is module}


def set_before(modules: Container[str]) -> dict[str, frozenset[str]]:
    """Return, of those of some modules that may have read set variables as they were imported, the modules of these."""
    return {name: noted.set_before for name, noted in _loaded().items() if noted.set_before and name in modules}


def modules_set(bound: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return the author's modules that have other variables or classes than at the end of their imports, or with other
    members, sorted. `bound` has the present values to look at, by module and qualified name."""
    by_value = getattr(sys.modules.get("pyspark.cloudpickle.cloudpickle"), "_PICKLE_BY_VALUE_MODULES", ())
    loaded, copies = _loaded(), _Copies()
    if not (imported := bound.keys() & loaded.keys() - by_value):
        return []
    for noted in reversed([*_noted.values()]):  # an object is as at the end of the first import that reached it
        copies |= noted.copies

    def is_set(module: str) -> bool:
        former = loaded[module].variables  # without modules of a package, and inner classes
        return _differ([(former.get(name, value), value) for name, value in bound[module].items()], copies)

    return sorted(filter(is_set, imported))


def _differ(waiting: list[tuple[object, object]], copies: _Copies) -> bool:
    """Return whether former and present values differ, or the present members of the former ones."""
    compared = set[int]()
    while waiting:
        before, now = waiting.pop()
        is_plain = type(before) is type(now) and type(now) in _PLAIN
        if before is not now and not (is_plain and repr(before) == repr(now)):  # 0.0 is not -0.0
            return True
        if id(before) in compared or id(before) not in copies:
            continue
        compared.add(id(before))
        old, new = copies[id(before)][1], _members(before) or {}
        if old.keys() != new.keys():
            return True
        if len(old) <= _MOST:
            waiting += [(value, new[name]) for name, value in old.items()]
        elif not all(map(is_, old.values(), new.values())):
            return True
    return False


_PLAIN = frozenset({bool, int, float, complex, str, bytes})
_WHOLE = _PLAIN | {type(None), ModuleType, CodeType}
_CONTAINERS: tuple[Any, ...] = (dict, list, tuple, set, deque)
_OF_FUNCTION = ("__code__", "__defaults__", "__kwdefaults__")


def _members(value: Any) -> _Members | None:
    """Return a copy of what code may set in an object; None for an object that is compared as a whole."""
    kind = type(value)
    if kind in _WHOLE:
        return None
    if kind is FunctionType:
        is_authors_own = kind_of(value.__code__.co_filename) is CodeOwner.AUTHOR
        return {name: getattr(value, name) for name in _OF_FUNCTION} | vars(value) if is_authors_own else None
    if issubclass(kind, type):  # Python and libraries set further special members when they need them
        return {name: member for name, member in type.__getattribute__(value, "__dict__").items()
                if type(member) is FunctionType or not name[0] == name[-1] == "_"
                } if is_authors(str(value.__module__)) else None
    home = str(kind.__module__)
    if home not in ("builtins", "collections", "types") and not is_authors(home):
        return None
    members: _Members = {}
    if (base := next((base for base in _CONTAINERS if issubclass(kind, base)), None)) is not None:
        members |= dict.items(value) if base is dict else enumerate(base.__iter__(value))
    with suppress(AttributeError):  # it has slots only
        members |= object.__getattribute__(value, "__dict__")
    for name, slot in (item for base in kind.__mro__ for item in vars(base).items()):
        with suppress(AttributeError):  # it is not set
            members |= {name: slot.__get__(value)} if type(slot) is MemberDescriptorType else {}
    for name in cached_properties(kind):
        members.pop(name, None)
    return members
