"""Thrift's compact form, in which parquet files describe themselves, as Python's values: structs as dicts by field
number.

Read here and not by a library that reads parquet files, for these make room for what a file says before they look at
what it has (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

_DEEPEST = 20
_LONGEST_NUMBER = 10
"""Bytes of a number of 64 bits."""


class Thrift:
    """Reads one value after the other.

    Args:
        data: the bytes.
        at: where the first value begins.

    >>> Thrift(bytes([0x15, 0x54, 0x18, 0x02, 0x68, 0x69, 0x00])).struct()
    {1: 42, 2: b'hi'}
    """

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data, self.at = data, at

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """A struct. Raises ValueError for what is none, IndexError where the bytes end before it does."""
        if depth > _DEEPEST:
            raise ValueError("it is nested too deep")
        found: dict[int, Any] = {}
        number = 0
        while header := self._byte():
            step, kind = header >> 4, header & 0x0F
            number = number + step if step else self._zigzag()
            found[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        read = _READERS.get(kind)
        if read is None:
            raise ValueError(f"it has a field of the kind {kind}, which there is none of")
        return read(self, depth + 1)

    def _list(self, depth: int) -> list[Any]:
        header = self._byte()
        size, kind = header >> 4, header & 0x0F
        if size == 15:
            size = self._varint()
        if size > len(self._data) - self.at:
            raise IndexError("it has less bytes than values")
        if kind in (1, 2):
            return [self._byte() == 1 for _ in range(size)]
        return [self._value(kind, depth) for _ in range(size)]

    def _map(self, depth: int) -> dict[Any, Any]:
        size = self._varint()
        if size > len(self._data) - self.at:
            raise IndexError("it has less bytes than values")
        kinds = self._byte() if size else 0
        return {self._value(kinds >> 4, depth): self._value(kinds & 0x0F, depth) for _ in range(size)}

    def _binary(self, _depth: int) -> bytes:
        return self._taken(self._varint())

    def _double(self, _depth: int) -> float:
        return float(struct.unpack("<d", self._taken(8))[0])

    def _taken(self, size: int) -> bytes:
        start, self.at = self.at, self.at + size
        if self.at > len(self._data):
            raise IndexError("it ends too early")
        return self._data[start : self.at]

    def _byte(self) -> int:
        value = self._data[self.at]
        self.at += 1
        return value

    def _varint(self) -> int:
        value = 0
        for place in range(_LONGEST_NUMBER):
            byte = self._byte()
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value
        raise ValueError("it has a number of more than 64 bits")

    def _zigzag(self, _depth: int = 0) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)


_READERS: dict[int, Callable[[Thrift, int], Any]] = {
    3: lambda self, _: self._byte(), 4: Thrift._zigzag, 5: Thrift._zigzag, 6: Thrift._zigzag, 7: Thrift._double,
    8: Thrift._binary, 9: Thrift._list, 10: Thrift._list, 11: Thrift._map, 12: Thrift.struct,
}
