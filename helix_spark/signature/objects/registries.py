"""Code of the project that a library finds by a name it was registered under: ``nlp.add_pipe("shout")``. Which one that
is, no code says."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from helix_spark.signature.objects.holders import closure_of, is_project

FINDS = "has a library find {} by a name it was registered under"


def registered(names: frozenset[str], own: frozenset[CodeType] = frozenset()) -> list[str]:
    """What of the project's is registered under names that code mentions, with spaCy and thinc or as an extension of
    spaCy's documents.

    Args:
        own: code that is part of what mentions them, and may have registered itself.
    """
    entries: Mapping[Any, object] = getattr(sys.modules.get("catalogue"), "REGISTRY", {})
    found = [(str(key[-1]).rpartition(".")[2], value) for key, value in entries.items()]
    kind = getattr(sys.modules.get("spacy.tokens.underscore"), "Underscore", None)
    for of in ("doc", "span", "token"):
        found += [*getattr(kind, f"{of}_extensions", {}).items()]
    return sorted({
        name for name, value in found if name in names and own.isdisjoint(_in(value)) and _is_ours(value, names)
    })


def _is_ours(value: object, names: frozenset[str]) -> bool:
    code = [one for one in value if callable(one)] if isinstance(value, tuple) else [value]
    # Plain data, the default of an extension, may be that of code which has run by now.
    return all(map(is_project, code)) and (bool(code) or "set_extension" not in names)


def _in(value: object) -> Iterator[CodeType]:
    """The code of the functions in what is registered, and of those that these are made around."""
    if isinstance(value, FunctionType):
        yield value.__code__
        yield from (one.__code__ for one in closure_of(value).values() if isinstance(one, FunctionType))
    elif isinstance(value, tuple):
        for one in value:
            yield from _in(one)
