"""Code of the project that a library finds by a name it was registered under: ``nlp.add_pipe("shout")``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from helix_spark.signature.bytecode import nested
from helix_spark.signature.objects.edges import Edge, Named, edge_to
from helix_spark.signature.objects.holders import closure_of, is_project

_SETS_EXTENSIONS = "set_extension"


def found_by_name(names: frozenset[str], label: str, code: CodeType | None = None) -> Iterator[Edge]:
    """What is registered under names that code mentions, or texts of a value.

    Args:
        names: the names.
        label: of what mentions them.
        code: of the function that mentions them. What it registers itself when it runs is part of it already.
    """
    for look in _REGISTRIES:
        for name, value in look(names):
            own = nested(code) if code is not None else ()
            if frozenset(_codes(value)).isdisjoint(own):
                yield Named(f"registered {name}")
                yield edge_to(value, name, role="registered", owner=label)


def _codes(value: object) -> Iterator[CodeType]:
    """The code of the functions in what is registered, and of those that these are made around."""
    match value:
        case tuple() | dict():
            for one in value.values() if isinstance(value, dict) else value:
                yield from _codes(one)
        case FunctionType():
            yield value.__code__
            yield from (one.__code__ for one in closure_of(value).values() if isinstance(one, FunctionType))


def _in_catalogues(names: frozenset[str]) -> Iterator[tuple[str, object]]:
    """Of the registries that `catalogue` keeps, as spaCy's and thinc's are: components, layers, readers."""
    entries: Mapping[Any, object] = getattr(sys.modules.get("catalogue"), "REGISTRY", {})
    told: Any = getattr(getattr(sys.modules.get("spacy.language"), "Language", None), "_factory_meta", {})
    for key in sorted(key for key in entries if str(key[-1]).rpartition(".")[2] in names):
        if is_project(entries[key]):
            default = dict(getattr(told.get(key[-1]), "default_config", {}))
            yield ".".join(key), (entries[key], default) if default else entries[key]


def _extensions(names: frozenset[str]) -> Iterator[tuple[str, object]]:
    """Attributes that spaCy's documents, spans and tokens were given, ``doc._.country``: default, method, getter,
    setter. Code that gives them itself does that when it runs, and may have run."""
    kind = getattr(sys.modules.get("spacy.tokens.underscore"), "Underscore", None)
    for of in ("doc", "span", "token"):
        entries: Mapping[str, tuple[object, ...]] = getattr(kind, f"{of}_extensions", {})
        for name in sorted(entries.keys() & names):
            code = [one for one in entries[name] if callable(one)]
            if all(map(is_project, code)) and (code or _SETS_EXTENSIONS not in names):
                yield f"{of}._.{name}", entries[name]


_REGISTRIES: tuple[Callable[[frozenset[str]], Iterator[tuple[str, object]]], ...] = (_in_catalogues, _extensions)
