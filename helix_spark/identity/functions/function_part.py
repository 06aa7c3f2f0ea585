"""The part of a function of the project: its form, and what each slot of it stands for."""

from __future__ import annotations

import re
from types import FunctionType

from helix_spark.identity.functions.chance_in_code import random_uses
from helix_spark.identity.functions.code_form import CodeForm, form_of
from helix_spark.identity.functions.dynamic_lookups import dynamic_lookups
from helix_spark.identity.functions.named_in_texts import functions_called, is_put_together, named_in
from helix_spark.identity.functions.names import Names
from helix_spark.identity.objects.references import Described, Reference, Said, dotted
from helix_spark.identity.parts import Group, encode
from helix_spark.plans.sql_words import MAKES_VIEW
from helix_spark.since_python_311 import own_name

_CALLS_BY_NAME = frozenset({"call_udf", "call_function"})
_REGISTERS = frozenset({"register", "registerFunction"})
_CREATES_VIEW = re.compile(r"\bcreate\b.*\bview\b", re.IGNORECASE | re.DOTALL)
_MADE_NAMES = "has names looked up in a text that is made at run time"


def describe_function(reference: Reference, home: str) -> Described:
    """A function of the project.

    Args:
        reference: to the function.
        home: the module of the traced function, whose names need no prefix.
    """
    function = reference.value
    assert isinstance(function, FunctionType)
    names = Names(function, label_of(function, home, reference.label), home)
    form = form_of(function.__code__)
    edges = [names.resolve(free, passed=slot in form.passed) for slot, free in enumerate(form.free)]
    modules, unfollowed = dynamic_lookups(form, edges)
    by_name = [*map(names.resolve, modules)]
    used = [(name, form.line_of(slot)) for slot, edge in enumerate(edges) if (name := dotted(edge)) is not None]
    used += [(name, function.__code__.co_firstlineno) for edge in by_name if (name := dotted(edge)) is not None]
    # A class that gives its objects a hash orders sets by it, and no more.
    chance = random_uses(form, edges, used) if function.__name__ != "__hash__" else ()
    unfollowed += [(_MADE_NAMES, function.__code__.co_firstlineno)] if is_put_together(function, form) else []
    return Described(
        Group.CODE, names.label, encode("function", form.text),
        (*edges, *by_name, *named_in(form, edges, names), *names.held()),
        random=tuple(dict.fromkeys(_sentence(names, *use) for use in chance)),
        unfollowed=tuple(_sentence(names, *one) for one in unfollowed),
        checked=len(edges) + len(by_name),
        texts=form.texts, said=_said(form),
    )


def _said(form: CodeForm) -> Said:
    """Collect what a function says that counts where it runs."""
    words = frozenset(text for text in form.texts if text.isidentifier())
    registers = words if form.mentioned & _REGISTERS else frozenset()
    return Said(
        calls=functions_called(form.texts) | (words if form.mentioned & _CALLS_BY_NAME else frozenset()),
        registers=registers,
        in_turns=bool(registers or form.mentioned & MAKES_VIEW) or any(map(_CREATES_VIEW.search, form.texts)),
    )


def label_of(function: FunctionType, home: str, fallback: str) -> str:
    """How people call a function: ``accuracy``, ``helpers.clean``; a lambda as the variable that holds it."""
    name = own_name(function).rpartition("<locals>.")[2]
    module = str(function.__globals__.get("__name__", ""))
    if name == "<lambda>":
        return fallback or "lambda"
    return name if module == home else f"{module}.{name}"


def _sentence(names: Names, what: str, line: int) -> str:
    """Say what a function does at a line."""
    return f"`{names.label}` {what} ({names.place(line)})"
