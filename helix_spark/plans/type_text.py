"""Types that are written as text (``"a int, b array<string>"``), read without a JVM.

The part of Spark's grammar that people write; what is beyond it is a question, which Spark answers when it runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

_TOKEN = re.compile(r"\s*(`(?:[^`]|``)+`|[A-Za-z_][A-Za-z0-9_]*|\(\s*\d+\s*(?:,\s*\d+\s*)?\)|[<>,:])")
_SIMPLE = {
    "boolean": "BooleanType", "tinyint": "ByteType", "byte": "ByteType", "smallint": "ShortType",
    "short": "ShortType", "int": "IntegerType", "integer": "IntegerType", "bigint": "LongType", "long": "LongType",
    "float": "FloatType", "real": "FloatType", "double": "DoubleType", "date": "DateType", "string": "StringType",
    "binary": "BinaryType", "timestamp_ntz": "TimestampNTZType", "timestamp_ltz": "TimestampType", "void": "NullType",
    "timestamp": "TimestampType",
}
_WORDS_OF_SPARK = frozenset({"not", "null", "comment", "collate", "default", "generated", "interval"})


class UnknownTypeError(ValueError):
    """A text that only Spark can read."""


def parse_type(text: str, settings: Mapping[str, str]) -> Any:
    """Return the type that a text means: of one column, or of a table where the text names columns. Of Spark's settings
    `spark.sql.timestampType` says what a timestamp is. Raises UnknownTypeError where only Spark knows.

    >>> parse_type("a int, b array<string>", {}).simpleString()
    'struct<a:int,b:array<string>>'
    >>> parse_type("decimal(10, 2)", {}).simpleString()
    'decimal(10,2)'
    """
    known = _SIMPLE
    if settings.get("spark.sql.timestampType", "").upper() == "TIMESTAMP_NTZ":
        known = {**_SIMPLE, "timestamp": "TimestampNTZType"}
    for read in (_one_type, _columns) if not _TOKEN.sub("", text).strip() else ():
        tokens = _TOKEN.findall(text)
        with suppress(UnknownTypeError, IndexError):
            found = read(tokens, known)
            if not tokens:
                return found
    raise UnknownTypeError(text)


def _one_type(tokens: list[str], known: Mapping[str, str]) -> Any:
    """Return the type that tokens begin with, and take it from them."""
    from pyspark.sql import types

    match name := tokens.pop(0).lower():
        case "decimal" | "dec" | "numeric":
            said = re.findall(r"\d+", tokens.pop(0)) if tokens and tokens[0].startswith("(") else []
            precision, scale = map(int, (*said, *("10", "0")[len(said):]))  # as Spark has it where nothing is said
            if precision > 38 or scale > precision:
                raise UnknownTypeError(name)
            return types.DecimalType(precision, scale)
        case "array" | "map":
            _expect(tokens, "<")
            parts = [_one_type(tokens, known)]
            if name == "map":
                _expect(tokens, ",")
                parts.append(_one_type(tokens, known))
            _expect(tokens, ">")
            return (types.MapType if name == "map" else types.ArrayType)(*parts)
        case "struct":
            _expect(tokens, "<")
            found = _columns(tokens, known, ">")
            _expect(tokens, ">")
            return found
    if name not in known:
        raise UnknownTypeError(name)
    return getattr(types, known[name])()


def _columns(tokens: list[str], known: Mapping[str, str], end: str = "") -> Any:
    """Return the columns that tokens begin with, to the end, and take them from these."""
    from pyspark.sql import types

    found: list[types.StructField] = []
    while tokens and tokens[0] != end:
        if found:
            _expect(tokens, ",")
        name = _name(tokens.pop(0))
        if tokens[0] == ":":
            tokens.pop(0)
        kind = _one_type(tokens, known)
        is_required = [token.lower() for token in tokens[:2]] == ["not", "null"]
        if is_required:
            del tokens[:2]
        found.append(types.StructField(name, kind, not is_required))
    if not found and not end:
        raise UnknownTypeError("no column")
    return types.StructType(found)


def _name(token: str) -> str:
    if token.startswith("`"):
        return token[1:-1].replace("``", "`")
    if token.lower() in _WORDS_OF_SPARK or not (token[0].isalpha() or token[0] == "_"):
        raise UnknownTypeError(token)
    return token


def _expect(tokens: list[str], token: str) -> None:
    if tokens.pop(0) != token:
        raise UnknownTypeError(token)
