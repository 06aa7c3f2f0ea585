"""Where a function asks Spark where the files of rows lie, and when they were written: signatures know a source's files
by their content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from helix_spark.signature.functions.given_texts import Texts, constant_text
from helix_spark.signature.objects.edges import Reference
from helix_spark.signature.text.forms import Call, Chain, Lookup

_TAKES_COLUMNS = frozenset({"where", "filter"})

_METADATA = "_metadata"
_BY_CONTENT = frozenset({"file_name", "file_size", "file_block_start", "file_block_length", "row_index"})
"""Fields of Spark's hidden column that are the same wherever a file lies."""

_PLACE = re.compile(rf"\b{_METADATA}\b(?!`?\s*\.\s*`?({'|'.join(sorted(_BY_CONTENT))})\b)")


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


def places_read(
    calls: Sequence[tuple[Call, str | None]], texts: Texts, chains: Sequence[Chain] = (), lookups: Sequence[Lookup] = ()
) -> Iterator[int]:
    """The lines where a function asks where and when files were written. Arguments as for `random_uses`."""
    for chain in chains:
        if any(name == _METADATA and after not in _BY_CONTENT for name, after in pairwise((*chain.names, ""))):
            yield chain.line
    yield from (lookup.line for lookup in lookups if constant_text(lookup.key) == _METADATA)
    held = (edge.value for edge in texts.edges if isinstance(edge, Reference) and isinstance(edge.value, str))
    if any(map(names_place, (*texts.own, *held))):  # else no call can be given one, and most functions have none
        yield from (call.line for call, _ in calls if any(map(names_place, texts_given(call, texts))))
