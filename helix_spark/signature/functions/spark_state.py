"""What a function asks of Spark itself, which no signature covers: settings, its context, where the files of rows lie.

Signatures have those settings alone that change what a query answers, and know a source's files by their content.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from helix_spark.signature.functions.given_texts import Texts, constant_text
from helix_spark.signature.objects.edges import Reference
from helix_spark.signature.text.forms import Argument, Call, Chain, Lookup

_CONFS = frozenset({"conf", "_conf"})
_CONF_READS = frozenset({"get", "getAll", "contains"})
_GIVE_SETTINGS = frozenset({"getAll", "getConf"})
"""Attributes of sessions and their settings alone; of a session `getAll` is no method."""

_OF_CONTEXT = frozenset({"defaultParallelism", "defaultMinPartitions", "applicationId", "uiWebUrl", "sparkUser"})
"""Attributes that nothing but a context of Spark has."""

_COLUMNS, _CONTEXT = frozenset({"applicationId"}), "sparkContext"
"""Of these, what a column may well be called, too, where a function has nothing to do with a session."""

_OF_NAMED_CONTEXT = frozenset({"appName", "master", "startTime"})
"""Attributes of a context that columns may be called, too."""

_ASKED = _CONF_READS | _GIVE_SETTINGS | _OF_CONTEXT | _OF_NAMED_CONTEXT
"""All attributes by which any of that is asked."""

_SESSIONS = frozenset({"sparkSession", "sparkContext", "SparkSession", "SparkContext"})
_CONF_KEY = "spark."
_CONF_BY_NAME = re.compile(
    rf"pyspark\.(\w+\.)+(getConf|_?conf\.(get|getAll|contains)|{'|'.join(sorted(_OF_CONTEXT))})$"
)
_CONF_CLASS = re.compile(r"pyspark\.(conf\.)?SparkConf$")
_SETTING_IN_SQL = re.compile(r"\$\{[^}]*\}|^\s*SET(\s+(-v|[\w.`]+))?\s*;?\s*$", re.IGNORECASE)
_SQL, _TAKES_COLUMNS = "sql", frozenset({"where", "filter"})

_METADATA = "_metadata"
_BY_CONTENT = frozenset({"file_name", "file_size", "file_block_start", "file_block_length", "row_index"})
"""Fields of Spark's hidden column that are the same wherever a file lies."""

_PLACE = re.compile(rf"\b{_METADATA}\b(?!`?\s*\.\s*`?({'|'.join(sorted(_BY_CONTENT))})\b)")


def spark_state_read(
    names: Sequence[tuple[str, int]], calls: Sequence[tuple[Call, str | None]], texts: Texts,
    chains: Sequence[Chain] = (), lookups: Sequence[Lookup] = (),
) -> Iterator[tuple[str, int]]:
    """Where a function asks for Spark's settings by itself, or for where and when files were written: phrases with the
    line each was seen at. Arguments as for `random_uses`."""
    found: dict[int, str] = {}
    for call, called in calls:
        read = _setting_read(call, texts) if called is None else _settings_made(call, called)
        if read is not None:
            found.setdefault(call.line, read)
    words = {word for name, _ in names for word in name.split(".")}.union(*(chain.names for chain in chains))
    has_session = not _SESSIONS.isdisjoint(words)
    apart = frozenset[str]() if has_session else _COLUMNS
    for chain in chains if not _ASKED.isdisjoint(words) else ():
        if (read := _settings_in(chain, apart)) is not None:
            found.setdefault(chain.line, read)
    for name, line in names:
        if _CONF_BY_NAME.match(name):
            found.setdefault(line, name)
    found = found or (dict(_settings_held(chains)) if has_session else {})
    yield from ((f"reads Spark's settings ({read})", line) for line, read in found.items())
    lines = dict.fromkeys(_places_read(calls, texts, chains, lookups))
    yield from ((f"reads paths or times of files ({_METADATA})", line) for line in lines)


def texts_given(call: Call, texts: Texts) -> Iterator[str]:
    """The texts that a call is given. Where one is not known, any of the function's may be part of it."""
    yield from texts.of(call)
    if call.method not in _TAKES_COLUMNS and texts.unknown(call):
        yield from texts.own


def names_place(text: str) -> bool:
    """Whether a text names what Spark's hidden column says of a file's path or time.

    >>> names_place("_metadata.file_path AS p"), names_place("_metadata.file_name"), names_place("file_metadata")
    (True, False, False)
    """
    return _METADATA in text and _PLACE.search(text) is not None


def _places_read(
    calls: Sequence[tuple[Call, str | None]], texts: Texts, chains: Sequence[Chain], lookups: Sequence[Lookup]
) -> Iterator[int]:
    for chain in chains:
        if any(name == _METADATA and after not in _BY_CONTENT for name, after in pairwise((*chain.names, ""))):
            yield chain.line
    yield from (lookup.line for lookup in lookups if constant_text(lookup.key) == _METADATA)
    held = (edge.value for edge in texts.edges if isinstance(edge, Reference) and isinstance(edge.value, str))
    if any(map(names_place, (*texts.own, *held))):  # else no call can be given one, and most functions have none
        yield from (call.line for call, _ in calls if any(map(names_place, texts_given(call, texts))))


def _settings_made(call: Call, called: str) -> str | None:
    """How a call of a library gives Spark's settings; None if it does not."""
    defaults = call.arguments[0] if call.arguments else call.keyword("loadDefaults")
    return "SparkConf()" if _CONF_CLASS.match(called) and defaults != Argument("False") else None


def _settings_in(chain: Chain, apart: frozenset[str]) -> str | None:
    """Where in a chain of attributes Spark's settings are asked, or its context; None if they are not.

    Args:
        apart: attributes that are not taken for a context's.
    """
    for before, name in pairwise(("", *chain.names)):
        of_context = name in _OF_CONTEXT - apart or (before == _CONTEXT and name in _OF_NAMED_CONTEXT)
        if of_context or name in _GIVE_SETTINGS or (before in _CONFS and name in _CONF_READS):
            return f".{before}.{name}" if before else f".{name}"
    return None


def _settings_held(chains: Sequence[Chain]) -> Iterator[tuple[int, str]]:
    """Where a function takes hold of Spark's settings: they may be asked for anything then, here or elsewhere. A column
    may be called `conf`, too, but few functions that read one have to do with a session."""
    return ((chain.line, f".{chain.names[-1]}") for chain in chains if chain.names[-1] in _CONFS)


def _setting_read(call: Call, texts: Texts) -> str | None:
    """How a method asks for Spark's settings; None if it does not. A dict has a `get`, too: which one it is shows in
    what it is called of, or in the key."""
    if call.slot is not None:  # of a module or a class; a session is never one that a function finds outside
        return None
    if call.method == "getConf":
        return ".getConf()"
    if call.owner in _CONFS and call.method in _CONF_READS:
        return f".{call.owner}.{call.method}()"
    if call.method == "get":
        return next((f".get({key!r})" for key in texts.of(call) if key.startswith(_CONF_KEY)), None)
    queries: Iterable[str] = texts_given(call, texts) if call.method == _SQL else ()
    asked = (_SETTING_IN_SQL.search(text) for text in queries)
    return next((f"{found[0].strip()} in SQL" for found in asked if found is not None), None)
