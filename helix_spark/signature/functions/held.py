"""What is random, or read, in code of packages that the project holds as a value: ``{"csv": pd.read_csv}``, a field's
``default_factory=time.time``, ``partial(random.gauss, 0, 1)``. Whoever calls it does so by a name that says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, partialmethod
from types import NoneType
from typing import Any

from helix_spark.signature.functions.outside import outside_uses
from helix_spark.signature.functions.randomness import random_uses, stages_in
from helix_spark.signature.objects.edges import Edge, Reference, dotted
from helix_spark.signature.objects.identity import identity
from helix_spark.signature.objects.spark_objects import spark_classes
from helix_spark.signature.text.forms import Argument, Call

_NOT_CALLED = frozenset({"annotation", "annotations", "base", "metaclass", "class", "by", "subclass", "depends_on"})
"""Roles in which code is looked at, or is declared by the author to count as it is."""

_CONSTANTS = frozenset({NoneType, bool, int, float, str, bytes})


@dataclass(frozen=True, slots=True)
class Held:
    """What one thing holds, in sentences."""

    random: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()


NOTHING_HELD = Held()


def held_uses(reference: Reference, edges: Sequence[Edge]) -> Held:
    """What is random, or read, in what a thing refers to.

    Args:
        reference: to the thing.
        edges: to what it refers to, but for what was looked at with its calls.
    """
    named = [(name, edge.held) for edge in edges if edge.held and (name := dotted(edge)) is not None]
    called = [name for name, role in named if role not in _NOT_CALLED]
    if not called:
        return NOTHING_HELD
    place = reference.place()
    random = [name for name in called if any(random_uses([(name, 0)], ()))]
    read = [name for name in called if any(outside_uses([(name, 0)], ()))]
    return Held(
        tuple(f"{place} is or holds {_plain(name)}" for name in random),
        tuple(f"{place} is or holds {_plain(name)}" for name in read),
    )


def partial_uses(reference: Reference, held: partial[Any] | partialmethod[Any]) -> Held:
    """The same of a function of a package that was given some of its arguments."""
    known = identity(held.func)
    if known is None:
        return NOTHING_HELD
    place, name = reference.place(), known[1]
    keywords = tuple((keyword, _argument(value)) for keyword, value in held.keywords.items())
    call = Call(None, name.rpartition(".")[2], "", None, 0, tuple(map(_argument, held.args)), keywords)
    random = tuple(f"{place} {use}" for use, _ in random_uses([(name, 0)], [(call, name)]))
    read = tuple(f"{place} {use}" for use, _ in outside_uses([(name, 0)], [(call, name)]))
    return Held(random, read)


def statements_in(value: object) -> tuple[str, ...]:
    """The SQL of the transformers in a value."""
    stages = [stage for stage in stages_in(value) if "SQLTransformer" in spark_classes(stage)]
    settings = [(param.name, setting) for stage in stages for param, setting in stage._paramMap.items()]
    return tuple(setting for name, setting in settings if name == "statement" and isinstance(setting, str))


def _argument(value: object) -> Argument:
    return Argument(repr(value)) if type(value) in _CONSTANTS else Argument()


def _plain(name: str) -> str:
    return name.removeprefix("builtins.")
