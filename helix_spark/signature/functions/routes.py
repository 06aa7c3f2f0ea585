"""Routes to code by names that are no syntax: ``import_module("helpers")``, ``globals()["clean"]``, frames.

Where the name is known before the code runs, it is followed like any other. Where it is not, nothing says which code
the result depends on.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from helix_spark.signature.functions.evaluated import EXECUTES, evaluated_text, form_of_text
from helix_spark.signature.functions.given_texts import Texts
from helix_spark.signature.functions.names import Names
from helix_spark.signature.objects.edges import Edge, Named, dotted
from helix_spark.signature.text.forms import Argument, Call, Free, FunctionForm
from helix_spark.signature.text.scopes import Imported

_IMPORTS = frozenset({"importlib.import_module", "importlib.__import__", "builtins.__import__"})
_LOCATES = re.compile(r"pydoc\.locate$|pkgutil\.resolve_name$|hydra\.utils\.get_(class|method|object)$")
_UNSEEN = re.compile(
    r"sys\._(getframe|current_frames)$|inspect\.(currentframe|stack|trace|get(outer|inner)frames|getmodule)$"
    r"|hydra\.(\w+\.)*(instantiate|call)$|runpy\.\w+$"
    r"|importlib\.(util\.spec_from_file_location|(_bootstrap_external|machinery)\.\w+FileLoader)$"
)
"""Functions that lead to code by what is there at run time alone: frames, a configuration, a file."""

_AROUND = frozenset({"__globals__", "f_globals", "f_locals", "f_builtins", "f_back", "tb_frame", "gi_frame"})
"""Attributes that lead from a function, or a frame, to everything around it."""

_GLOBALS, _MODULES = "builtins.globals", "sys.modules"
_MAIN = "__main__"
_PATH = re.compile(r"[A-Za-z_]\w*([.:][A-Za-z_]\w*)*$")


@dataclass(frozen=True, slots=True)
class Routes:
    """Where a function's routes by names lead.

    Attributes:
        edges: to what they lead to.
        used: full names of what that is outside the project, each with a line.
        lost: those that cannot be followed: phrases with the line each was seen at.
    """

    edges: tuple[Edge, ...] = ()
    used: tuple[tuple[str, int], ...] = ()
    lost: tuple[tuple[str, int], ...] = ()


@dataclass(slots=True)
class _Found:
    """What one function's routes are found to lead to, each with its line."""

    names: Names
    texts: Texts
    free: list[tuple[Free, int]]
    lost: list[tuple[str, int]]

    def add(self, what: str, line: int, free: Free | None) -> None:
        if free is None:
            self.lost.append((what, line))
        else:
            self.free.append((free, line))


def routes(form: FunctionForm, names: Names, texts: Texts) -> Routes:
    """The routes of one function.

    Args:
        form: of the function.
        names: that it can see.
        texts: that are passed.
    """
    found = _Found(names, texts, [], [])
    for slot, edge in enumerate(texts.edges):
        name, line = dotted(edge) or "", form.lines[slot]
        calls = [call for call in form.calls if call.slot == slot]
        if name in EXECUTES | _IMPORTS or _LOCATES.match(name):
            _through_calls(found, name, calls)
            if slot in form.passed or not calls:  # who calls it is not known
                found.lost.append((_phrase(name), line))
        elif name == _GLOBALS:
            _through_globals(found, form, slot, calls)
        elif name == _MODULES or name.startswith(f"{_MODULES}."):
            _through_modules(found, form, slot, calls)
        elif _UNSEEN.match(name):
            found.lost.append((_phrase(name), line))
    found.lost += _around(form)
    edges = [names.resolve(free) for free, _ in found.free]
    used = [(of, line) for edge, (_, line) in zip(edges, found.free, strict=True) if (of := dotted(edge))]
    return Routes(tuple(edges), (*used, *_of_modules(used, form)), tuple(dict.fromkeys(found.lost)))


def _through_calls(found: _Found, name: str, calls: Sequence[Call]) -> None:
    """Calls that are given a name, or a text that is code."""
    for call in calls:
        if name in EXECUTES:
            text = evaluated_text(call, found.texts.edges)
            if text is None or form_of_text(text) is None:
                found.lost.append((_phrase(name), call.line))
        else:
            reads = _imported if name in _IMPORTS else _located
            found.add(_phrase(name), call.line, reads(call, found.names, found.texts))


def _through_globals(found: _Found, form: FunctionForm, slot: int, calls: Sequence[Call]) -> None:
    """``globals()["clean"]`` and ``globals().get("clean")``."""
    keys = [(lookup.key, lookup.line) for lookup in form.lookups if lookup.maker == slot]
    keys += [
        (call.arguments[0], call.line) for call in form.calls
        if call.maker == slot and call.method == "get" and call.arguments
    ]
    known = [(text, line) for key, line in keys if (text := found.texts.known(key)) is not None]
    found.free += [(Free(text), line) for text, line in known]
    lines = [line for _, line in known]
    for call in calls:
        if call.line in lines:
            lines.remove(call.line)
        else:
            found.lost.append((_phrase(_GLOBALS), call.line))
    if slot in form.passed:
        found.lost.append((_phrase(_GLOBALS), form.lines[slot]))


def _through_modules(found: _Found, form: FunctionForm, slot: int, calls: Sequence[Call]) -> None:
    """``sys.modules["helpers"]`` and ``sys.modules.get("helpers")``."""
    keys = [(lookup.key, lookup.line) for lookup in form.lookups if lookup.slot == slot]
    keys += [(argument, call.line) for call in calls if call.method == "get" for argument in call.arguments[:1]]
    for key, line in keys:
        found.add(f"reads {_MODULES}", line, _module_named(found.texts.known(key)))
    if not keys:
        found.lost.append((f"reads {_MODULES}", form.lines[slot]))


def _phrase(name: str) -> str:
    return "imports a module by a name" if name in _IMPORTS else f"calls {name.removeprefix('builtins.')}"


def _around(form: FunctionForm) -> Iterator[tuple[str, int]]:
    read = [(free.attributes, line) for free, line in zip(form.free, form.lines, strict=True)]
    read += [(chain.names, chain.line) for chain in form.chains]
    for names, line in read:
        yield from ((f"reads {name}", line) for name in names if name in _AROUND)


def _imported(call: Call, names: Names, texts: Texts) -> Free | None:
    """The module that a call imports; None where its name is not known."""
    given = call.arguments[0] if call.arguments else call.keyword("name")
    name = texts.known(given) if given is not None else None
    if name is None or not name.startswith("."):
        return _module_named(name)
    package = call.arguments[1] if len(call.arguments) > 1 else call.keyword("package")
    try:
        return _module_named(importlib.util.resolve_name(name, _package_named(package, names, texts)))
    except ImportError:
        return None


def _module_named(name: str | None) -> Free | None:
    """A module as a whole. The one that is run as a script holds what nothing identifies: sessions, workflows."""
    return Free(Imported(name)) if name and name != _MAIN else None


def _package_named(argument: Argument | None, names: Names, texts: Texts) -> str | None:
    if argument is None:
        return None
    edge = texts.edges[argument.slot] if argument.slot is not None else None
    if isinstance(edge, Named) and edge.text in ("__package__", "__name__"):
        return str(names.function.__globals__.get(edge.text) or "")
    return texts.known(argument)


def _located(call: Call, _names: Names, texts: Texts) -> Free | None:
    """What a call finds by a dotted path; None where that is not known."""
    path = texts.known(call.arguments[0]) if call.arguments else None
    if path is None or not _PATH.match(path):
        return None
    first, *rest = path.replace(":", ".").split(".")
    return Free(Imported(first), tuple(rest))


def _of_modules(used: Sequence[tuple[str, int]], form: FunctionForm) -> Iterator[tuple[str, int]]:
    """What may be read of what was found by a name: ``import_module("random").random()``."""
    for name, _ in used:
        yield from ((".".join((name, *chain.names)), chain.line) for chain in form.chains)
