"""Routes to code by names that are no syntax: ``import_module("helpers")``, ``globals()["clean"]``, frames.

Where the name is written there, it is followed like any other. Where it is not, nothing says which code the result
depends on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from helix_spark.signature.functions.code_form import CodeForm, Free, Imported, Use, compiled
from helix_spark.signature.functions.names import Names
from helix_spark.signature.objects.edges import Edge, dotted

_IMPORTS = frozenset({"importlib.import_module", "importlib.__import__", "builtins.__import__"})
_EVALUATES = re.compile(r"builtins\.(eval|exec)$|pandas\.(\w+\.)*eval$|numexpr\.(\w+\.)*evaluate$")
_UNSEEN = re.compile(
    r"sys\._(getframe|current_frames)$|inspect\.(currentframe|stack|trace|get(outer|inner)frames|getmodule)$"
    r"|hydra\.(\w+\.)*(instantiate|call|get_(class|method|object))$|runpy\.\w+$|pydoc\.locate$|pkgutil\.resolve_name$"
    r"|importlib\.(util\.spec_from_file_location|(_bootstrap_external|machinery)\.\w+FileLoader)$"
)
"""Functions that lead to code by what is there at run time alone: frames, a configuration, a file, a path."""

_AROUND = frozenset({"__globals__", "f_globals", "f_locals", "f_builtins", "f_back", "tb_frame", "gi_frame"})
"""Attributes that lead from a function, or a frame, to everything around it."""

_GLOBALS, _MODULES = "builtins.globals", "sys.modules"
_MAIN = "__main__"
"""The module that is run as a script holds what nothing identifies: sessions, workflows."""


@dataclass(frozen=True, slots=True)
class Routes:
    """Where a function's routes by names lead.

    Attributes:
        edges: to what they lead to.
        lost: those that cannot be followed: phrases with the line each was seen at.
    """

    edges: tuple[Edge, ...] = ()
    lost: tuple[tuple[str, int], ...] = ()


def routes(form: CodeForm, edges: Sequence[Edge], names: Names) -> Routes:
    """The routes of one function.

    Args:
        edges: what the slots of its form stand for.
        names: that it can see.
    """
    found: list[Free] = []
    lost: list[tuple[str, int]] = []
    for use in form.uses:
        path = (*(form.free[use.slot].attributes if use.slot is not None else ()), *use.names)
        lost += [(f"reads {name}", use.line) for name in path if name in _AROUND]
        name = dotted(edges[use.slot]) if use.slot is not None else None
        phrase = _phrase(name, form.free[use.slot or 0], names) if name is not None else None
        if name is None or phrase is None:
            continue
        if _EVALUATES.match(name):
            known = use.is_call and use.text is not None and compiled(use.text) is not None
        else:
            free = _followed(name, form.free[use.slot or 0], use)
            found += [free] if free is not None else []
            known = free is not None
        lost += [] if known else [(phrase, use.line)]
    return Routes(tuple(map(names.resolve, dict.fromkeys(found))), tuple(dict.fromkeys(lost)))


def _phrase(name: str, free: Free, names: Names) -> str | None:
    """What is said of a route; None where a name is none."""
    if name in _IMPORTS:
        return "imports a module by a name"
    if name == _MODULES or name.startswith(f"{_MODULES}."):
        return f"reads {_MODULES}"
    if name == _GLOBALS or _EVALUATES.match(name) or _UNSEEN.match(name):
        return f"calls {name.removeprefix('builtins.')}"
    return None


def _followed(name: str, free: Free, use: Use) -> Free | None:
    """What a route leads to; None where that is not known."""
    if name == _GLOBALS:
        return Free(use.text) if use.is_call and use.text is not None else None
    if name in _IMPORTS:
        known = use.text if use.is_call else None
    elif name.startswith(_MODULES):
        known = next(_keys(free), None)
    else:
        known = None
    return Free(Imported(known)) if known and known != _MAIN and not known.startswith(".") else None


def _keys(free: Free) -> Iterator[str]:
    return (step[2:-2] for step in free.attributes if step.startswith("["))
