"""Lookups of code by what is no syntax: ``import_module("helpers")``, ``globals()["clean"]``, ``eval``, frames.

A module that is imported by a constant name is followed like any other. What else is looked up at run time is not
known, so such a function is never reused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from helix_spark.identity.functions.code_form import CodeForm, Free, Imported, compiled
from helix_spark.identity.objects.references import Edge, dotted

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

_MODULES = "sys.modules"


def dynamic_lookups(form: CodeForm, edges: Sequence[Edge]) -> tuple[list[Free], list[tuple[str, int]]]:
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
        name = dotted(edges[use.slot]) if use.slot is not None else None
        phrase = _phrase(name) if name is not None else None
        if name is None or phrase is None:
            continue
        constant = use.text if use.is_call else None
        if constant and name in _IMPORTS and not constant.startswith("."):
            modules.append(Free(Imported(constant)))
        elif not (constant and _EVALUATES.match(name) and compiled(constant) is not None):
            unfollowed.append((phrase, use.line))
    return list(dict.fromkeys(modules)), list(dict.fromkeys(unfollowed))


def _phrase(name: str) -> str | None:
    """Return what to say of a dotted name that looks something up; None for any other."""
    if name in _IMPORTS:
        return "imports a module by a name"
    if name == _MODULES or name.startswith(f"{_MODULES}."):
        return f"reads {_MODULES}"
    if name == "builtins.globals" or _EVALUATES.match(name) or _UNSEEN.match(name):
        return f"calls {name.removeprefix('builtins.')}"
    return None
