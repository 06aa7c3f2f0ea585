"""Types that are written as text (``"a int, b array<string>"``), read without a JVM.

The part of Spark's grammar that people write; what is beyond it is a question, which Spark answers when it runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(r"\s*(`(?:[^`]|``)+`|[A-Za-z_][A-Za-z0-9_]*|\d+|'[^']*'|\"[^\"]*\"|[<>(),:])")
_SIMPLE = {
    "boolean": "BooleanType", "tinyint": "ByteType", "byte": "ByteType", "smallint": "ShortType",
    "short": "ShortType", "int": "IntegerType", "integer": "IntegerType", "bigint": "LongType", "long": "LongType",
    "float": "FloatType", "real": "FloatType", "double": "DoubleType", "date": "DateType", "string": "StringType",
    "binary": "BinaryType", "timestamp_ntz": "TimestampNTZType", "timestamp_ltz": "TimestampType", "void": "NullType",
}
_MOST_DIGITS = 38
_WORDS_OF_SPARK = frozenset({"not", "null", "comment", "collate", "default", "generated", "interval"})


class UnknownTypeError(ValueError):
    """A text that only Spark can read."""


def parse_type(text: str, settings: Mapping[str, str]) -> Any:
    """The type that a text means: of one column, or of a table where the text names columns.

    Args:
        settings: Spark's; `spark.sql.timestampType` says what a timestamp is.

    Raises:
        UnknownTypeError: only Spark knows.

    >>> parse_type("a int, b array<string>", {}).simpleString()
    'struct<a:int,b:array<string>>'
    >>> parse_type("decimal(10, 2)", {}).simpleString()
    'decimal(10,2)'
    """
    for read in (_Reader.one_type, _Reader.table):
        reader = _Reader(_tokens(text), settings)
        try:
            found = read(reader)
        except (UnknownTypeError, IndexError):
            continue
        if not reader.tokens:
            return found
    raise UnknownTypeError(text)


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    place, text = 0, text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise UnknownTypeError(text)
        found.append(match[1])
        place = match.end()
    return found


class _Reader:
    def __init__(self, tokens: list[str], settings: Mapping[str, str]) -> None:
        self.tokens, self._settings = tokens, settings

    def one_type(self) -> Any:
        from pyspark.sql import types

        name = self._take().lower()
        if name in _SIMPLE:
            return getattr(types, _SIMPLE[name])()
        match name:
            case "timestamp":
                ntz = self._settings.get("spark.sql.timestampType", "").upper() == "TIMESTAMP_NTZ"
                return types.TimestampNTZType() if ntz else types.TimestampType()
            case "decimal" | "dec" | "numeric":
                return types.DecimalType(*self._numbers())
            case "array":
                return types.ArrayType(self._within(self.one_type))
            case "map":
                return types.MapType(*self._within(self._pair))
            case "struct":
                return self._within(lambda: self._fields(">"))
        raise UnknownTypeError(name)

    def table(self) -> Any:
        """The columns of a table, to the end of the text."""
        return self._fields("")

    def _fields(self, end: str) -> Any:
        from pyspark.sql import types

        found: list[types.StructField] = []
        while self.tokens and self.tokens[0] != end:
            if found:
                self._expect(",")
            name = self._name()
            if self.tokens and self.tokens[0] == ":":
                self._take()
            found.append(types.StructField(name, self.one_type(), self._nullable()))
        if not found and not end:
            raise UnknownTypeError("no column")
        return types.StructType(found)

    def _nullable(self) -> bool:
        if [token.lower() for token in self.tokens[:2]] == ["not", "null"]:
            del self.tokens[:2]
            return False
        return True

    def _pair(self) -> tuple[Any, Any]:
        key = self.one_type()
        self._expect(",")
        return key, self.one_type()

    def _within(self, read: Callable[[], Any]) -> Any:
        self._expect("<")
        found = read()
        self._expect(">")
        return found

    def _numbers(self) -> tuple[int, ...]:
        """Precision and scale, as far as they are said; Spark's are 10 and 0."""
        if not self.tokens or self.tokens[0] != "(":
            return ()
        self._take()
        found = [self._number()]
        if self.tokens[0] == ",":
            self._take()
            found.append(self._number())
        self._expect(")")
        precision, scale = (*found, 0)[:2]
        if precision > _MOST_DIGITS or scale > precision:
            raise UnknownTypeError("decimal")
        return tuple(found)

    def _number(self) -> int:
        token = self._take()
        if not token.isdigit():
            raise UnknownTypeError(token)
        return int(token)

    def _name(self) -> str:
        token = self._take()
        if token.startswith("`"):
            return token[1:-1].replace("``", "`")
        if token.lower() in _WORDS_OF_SPARK or not (token[0].isalpha() or token[0] == "_"):
            raise UnknownTypeError(token)
        return token

    def _take(self) -> str:
        return self.tokens.pop(0)

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise UnknownTypeError(token)
