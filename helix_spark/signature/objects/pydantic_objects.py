"""Canonical fields of pydantic's own objects. Knows its classes by name only and never imports it."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helix_spark.signature.objects.encoder import Encoder


def fields(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Fields of a `TypeAdapter`: its type and its settings, of which it compiles what is out of sight; None for any
    other object, and where the type is a name that only pydantic could look up."""
    if type(value).__name__ != "TypeAdapter" or _is_looked_up(value._type):
        return None
    return "pydantic.TypeAdapter", encoder(value._type, "._type"), encoder(value._config, "._config")


def _is_looked_up(hint: object) -> bool:
    """Whether a type is or holds one that is named by a text.

    >>> _is_looked_up(list["Row"]), _is_looked_up(dict[str, typing.Literal["Row"]])
    (True, False)
    """
    if typing.get_origin(hint) is typing.Literal:
        return False
    return isinstance(hint, str | typing.ForwardRef) or any(map(_is_looked_up, typing.get_args(hint)))
