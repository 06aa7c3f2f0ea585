"""Types written as text (``"a int, b array<string>"``), parsed without a JVM.

Only the common part of Spark's grammar; Spark parses texts that raise `UnknownTypeError`.
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
_KEYWORDS = frozenset({"not", "null", "comment", "collate", "default", "generated", "interval"})


class UnknownTypeError(ValueError):
    """A text that only Spark can parse."""


def parse_type(text: str, settings: Mapping[str, str]) -> Any:
    """Parse the type of a column, or of a table if the text names columns. The setting `spark.sql.timestampType`
    decides the type of timestamps. Raises UnknownTypeError if only Spark can parse the text.

    >>> parse_type("a int, b array<string>", {}).simpleString()
    'struct<a:int,b:array<string>>'
    >>> parse_type("decimal(10, 2)", {}).simpleString()
    'decimal(10,2)'
    """
    simple = _SIMPLE
    if settings.get("spark.sql.timestampType", "").upper() == "TIMESTAMP_NTZ":
        simple = {**_SIMPLE, "timestamp": "TimestampNTZType"}
    for read in (_one_type, _columns) if not _TOKEN.sub("", text).strip() else ():
        tokens = _TOKEN.findall(text)
        with suppress(UnknownTypeError, IndexError):
            parsed = read(tokens, simple)
            if not tokens:
                return parsed
    raise UnknownTypeError(text)


def _one_type(tokens: list[str], simple: Mapping[str, str]) -> Any:
    """Remove the first type from the tokens and return it."""
    from pyspark.sql import types

    match name := tokens.pop(0).lower():
        case "decimal" | "dec" | "numeric":
            digits = re.findall(r"\d+", tokens.pop(0)) if tokens and tokens[0].startswith("(") else []
            precision, scale = map(int, (*digits, *("10", "0")[len(digits):]))  # Spark's defaults
            if precision > 38 or scale > precision:
                raise UnknownTypeError(name)
            return types.DecimalType(precision, scale)
        case "array" | "map":
            _expect(tokens, "<")
            parts = [_one_type(tokens, simple)]
            if name == "map":
                _expect(tokens, ",")
                parts.append(_one_type(tokens, simple))
            _expect(tokens, ">")
            return (types.MapType if name == "map" else types.ArrayType)(*parts)
        case "struct":
            _expect(tokens, "<")
            struct = _columns(tokens, simple, ">")
            _expect(tokens, ">")
            return struct
    if name not in simple:
        raise UnknownTypeError(name)
    return getattr(types, simple[name])()


def _columns(tokens: list[str], simple: Mapping[str, str], end: str = "") -> Any:
    """Remove the columns up to the token `end` from the tokens and return them."""
    from pyspark.sql import types

    fields: list[types.StructField] = []
    while tokens and tokens[0] != end:
        if fields:
            _expect(tokens, ",")
        name = _name(tokens.pop(0))
        if tokens[0] == ":":
            tokens.pop(0)
        kind = _one_type(tokens, simple)
        is_required = [token.lower() for token in tokens[:2]] == ["not", "null"]
        if is_required:
            del tokens[:2]
        fields.append(types.StructField(name, kind, not is_required))
    if not fields and not end:
        raise UnknownTypeError("no column")
    return types.StructType(fields)


def _name(token: str) -> str:
    if token.startswith("`"):
        return token[1:-1].replace("``", "`")
    if token.lower() in _KEYWORDS or not (token[0].isalpha() or token[0] == "_"):
        raise UnknownTypeError(token)
    return token


def _expect(tokens: list[str], token: str) -> None:
    if tokens.pop(0) != token:
        raise UnknownTypeError(token)
