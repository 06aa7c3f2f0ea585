"""The part of a function of the project: its form, what each slot of it stands for, and routes to code that are no
syntax: ``import_module("helpers")``, ``globals()["clean"]``, ``eval``, frames.

A module that is imported by a constant name is followed like any other. What else is looked up at run time is not
known, so such a function is never reused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import FunctionType

from helix_spark.identity.functions.chance_in_code import random_uses
from helix_spark.identity.functions.code_form import CodeForm, Free, Imported, form_of
from helix_spark.identity.functions.named_in_texts import functions_called, is_put_together
from helix_spark.identity.functions.names import Names
from helix_spark.identity.objects.references import Described, Edge, Reference, dotted_name
from helix_spark.identity.parts import Group, encode
from helix_spark.plans.sql_words import MAKES_VIEW
from helix_spark.since_python_311 import own_name

UNFOLLOWED = frozenset({
    "__globals__", "f_globals", "f_locals", "f_builtins", "f_back", "tb_frame", "gi_frame", "__doc__", "__subclasses__",
})
"""Attributes that lead from a function, a class or a frame to what counts for nobody else."""

_IMPORTS = frozenset({"importlib.import_module", "importlib.__import__", "builtins.__import__"})
_EVALUATES_TEXT = re.compile(r"pandas\.(\w+\.)*eval$|numexpr\.(\w+\.)*evaluate$")
"""Functions that look up the words of a text as variables, which are known of a constant text."""

_UNSEEN = re.compile(
    r"builtins\.(eval|exec|globals)$"
    r"|sys\._(getframe|current_frames)$|inspect\.(currentframe|stack|trace|get(outer|inner)frames|getmodule|getdoc)$"
    r"|runpy\.\w+$|pydoc\.(locate|getdoc|render_doc)$|pkgutil\.resolve_name$"
    r"|importlib\.(util\.spec_from_file_location|(_bootstrap_external|machinery)\.\w+FileLoader)$"
)
"""Functions of Python's that lead to what is there at run time alone: frames, files, paths, docstrings. A library that
imports the author's code by its name is seen while it does."""

_MODULES = "sys.modules"
_CALLS_BY_NAME = frozenset({"call_udf", "call_function"})
_REGISTERS = frozenset({"register", "registerFunction"})
_CREATES_VIEW = re.compile(r"\bcreate\b.*\bview\b", re.IGNORECASE | re.DOTALL)
_MADE_NAMES = "has names looked up in a text that is made at run time"


def describe_function(reference: Reference, home: str) -> Described:
    """Describe a function of the project.

    Args:
        reference: to the function.
        home: the module of the traced function, whose names need no prefix.
    """
    function = reference.value
    assert isinstance(function, FunctionType)
    names = Names(function, label_of(function, home, reference.label), home)
    form = form_of(function.__code__)
    edges = [names.resolve(free, passed=slot in form.passed) for slot, free in enumerate(form.free)]
    modules, unfollowed = _dynamic_lookups(form, edges)
    by_name = [*map(names.resolve, modules)]
    # A class that gives its objects a hash orders sets by it, and no more.
    chance = random_uses(form, edges) if function.__name__ != "__hash__" else ()
    unfollowed += [(_MADE_NAMES, function.__code__.co_firstlineno)] if is_put_together(function, form) else []
    words = frozenset(text for text in form.texts if text.isidentifier())
    registers = words if form.mentioned & _REGISTERS else frozenset()
    return Described(
        Group.CODE, names.label, encode("function", form.text), (*edges, *by_name, *names.held()),
        checked=len(edges) + len(by_name), texts=form.texts,
        random=tuple(dict.fromkeys(_sentence(names, *use) for use in chance)),
        unfollowed=tuple(_sentence(names, *one) for one in unfollowed),
        calls=functions_called(form.texts) | (words if form.mentioned & _CALLS_BY_NAME else frozenset()),
        registers=registers,
        in_turns=bool(registers or form.mentioned & MAKES_VIEW) or any(map(_CREATES_VIEW.search, form.texts)),
    )


def label_of(function: FunctionType, home: str, fallback: str) -> str:
    """Return how people call a function: ``accuracy``, ``helpers.clean``; a lambda as the variable that holds it."""
    name = own_name(function).rpartition("<locals>.")[2]
    module = str(function.__globals__.get("__name__", ""))
    if name == "<lambda>":
        return fallback or "lambda"
    return name if module == home else f"{module}.{name}"


def _sentence(names: Names, what: str, line: int) -> str:
    return f"`{names.label}` {what} ({names.place(line)})"


def _dynamic_lookups(form: CodeForm, edges: Sequence[Edge]) -> tuple[list[Free], list[tuple[str, int]]]:
    """Return the modules that a function imports by a constant name; and other lookups, as phrases each with its line.

    Args:
        edges: what the slots of its form stand for.
    """
    modules: list[Free] = []
    first = min((use.line for use in form.uses), default=0)
    unfollowed = [(f"names {text}", first) for text in form.texts if text in UNFOLLOWED]
    for use in form.uses:
        path = (*(form.free[use.slot].attributes if use.slot is not None else ()), *use.names)
        unfollowed += [(f"reads {name}", use.line) for name in path if name in UNFOLLOWED]
        name = dotted_name(edges[use.slot]) or "" if use.slot is not None else ""
        constant = use.text if use.is_call else None
        if name in _IMPORTS:
            if constant and not constant.startswith("."):
                modules.append(Free(Imported(constant)))
            else:
                unfollowed.append(("imports a module by a name", use.line))
        elif name == _MODULES or name.startswith(f"{_MODULES}."):
            unfollowed.append((f"reads {_MODULES}", use.line))
        elif _UNSEEN.match(name) or (_EVALUATES_TEXT.match(name) and not constant):
            unfollowed.append((f"calls {name.removeprefix('builtins.')}", use.line))
    return list(dict.fromkeys(modules)), list(dict.fromkeys(unfollowed))
