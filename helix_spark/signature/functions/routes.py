"""Routes to code by names that are no syntax: ``import_module("helpers")``, ``globals()["clean"]``, frames.

Where the name is written there, it is followed like any other. Where it is not, nothing says which code the result
depends on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from helix_spark.signature.functions.code_form import CodeForm, Free, Imported, Use, compiled
from helix_spark.signature.objects.edges import Edge, dotted

_IMPORTS = frozenset({"importlib.import_module", "importlib.__import__", "builtins.__import__"})
_EVALUATES = re.compile(r"builtins\.(eval|exec)$|pandas\.(\w+\.)*eval$|numexpr\.(\w+\.)*evaluate$")
_UNSEEN = re.compile(
    r"sys\._(getframe|current_frames)$|inspect\.(currentframe|stack|trace|get(outer|inner)frames|getmodule|getdoc)$"
    r"|runpy\.\w+$|pydoc\.(locate|getdoc|render_doc)$|pkgutil\.resolve_name$"
    r"|importlib\.(util\.spec_from_file_location|(_bootstrap_external|machinery)\.\w+FileLoader)$"
)
"""Functions of Python's that lead to what is there at run time alone: frames, files, paths, docstrings. A library that
imports the author's code by its name is seen while it does."""

UNFOLLOWED = frozenset({
    "__globals__", "f_globals", "f_locals", "f_builtins", "f_back", "tb_frame", "gi_frame", "__doc__", "__subclasses__",
})
"""Attributes that lead from a function, a class or a frame to what counts for nobody else."""

_GLOBALS, _MODULES = "builtins.globals", "sys.modules"
_MAIN = "__main__"
"""The module that is run as a script holds what nothing identifies: sessions, workflows."""


def routes(form: CodeForm, edges: Sequence[Edge]) -> tuple[list[Free], list[tuple[str, int]]]:
    """What the routes of one function lead to; and those that cannot be followed, as phrases with the line of each.

    Args:
        edges: what the slots of its form stand for.
    """
    found: list[Free] = []
    first = min((use.line for use in form.uses), default=0)
    lost = [(f"names {text}", first) for text in form.texts if text in UNFOLLOWED]
    for use in form.uses:
        path = (*(form.free[use.slot].attributes if use.slot is not None else ()), *use.names)
        lost += [(f"reads {name}", use.line) for name in path if name in UNFOLLOWED]
        name = dotted(edges[use.slot]) if use.slot is not None else None
        phrase = _phrase(name) if name is not None else None
        if use.slot is None or name is None or phrase is None:
            continue
        if _EVALUATES.match(name):
            is_known = use.is_call and use.text is not None and compiled(use.text) is not None
        else:
            free = _followed(name, form.free[use.slot], use)
            found += [free] if free is not None else []
            is_known = free is not None
        lost += [] if is_known else [(phrase, use.line)]
    return list(dict.fromkeys(found)), list(dict.fromkeys(lost))


def _phrase(name: str) -> str | None:
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
    given = use.text if use.is_call else None
    if name == _GLOBALS:
        return Free(given) if given is not None else None
    keys = [step[2:-2] for step in free.attributes if step.startswith("[")] if name.startswith(_MODULES) else []
    known = given if name in _IMPORTS else next(iter(keys), "")
    return Free(Imported(known)) if known and known != _MAIN and not known.startswith(".") else None
