"""Canonical fields of type hints as values: ``list[int]``, ``Optional[Row]``, ``TypeVar``; and of what pydantic, which
is known by name only and never imported, makes of one."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from helix_spark.identity.objects.encoder import Encoder


def fields(encoder: Encoder, value: object) -> Iterable[bytes | str] | None:
    """The fields of an object of `typing` or `types`; None for any other.

    >>> from helix_spark.identity.objects.encoder import canonical
    >>> canonical(typing.Literal[1]) == canonical(typing.Literal[True])
    False
    """
    if type(value).__module__ not in ("typing", "types", "collections.abc") or is_class(value):
        return None
    origin = typing.get_origin(value)
    if origin is not None:
        metadata = getattr(value, "__metadata__", ())  # of Annotated
        return "hint", encoder(origin), *(encoder(one) for one in (*typing.get_args(value), *metadata))
    if isinstance(value, typing.TypeVar | typing.ParamSpec):
        limits = [value.__bound__, *getattr(value, "__constraints__", ())]
        variance = f"{value.__covariant__:d}{value.__contravariant__:d}"
        return "hint", type(value).__qualname__, str(value.__name__), variance, *map(encoder, limits)
    if isinstance(value, typing.ForwardRef):
        return "hint", "forward", value.__forward_arg__
    if isinstance(value, typing.NewType):
        return "hint", "NewType", encoder(value.__supertype__)
    name = getattr(value, "_name", None)
    if isinstance(name, str):
        return "hint", f"typing.{name}"
    if isinstance(value, types.UnionType):
        return "hint", "union", *(encoder(one) for one in typing.get_args(value))
    return None


def is_class(value: object) -> TypeGuard[type]:
    """Whether something is a class itself. To `isinstance`, ``list[int]`` is one in Python 3.10.

    >>> is_class(list), is_class(list[int])
    (True, False)
    """
    return isinstance(value, type) and not isinstance(value, types.GenericAlias)


def type_adapter(encoder: Encoder, value: Any) -> Iterable[bytes | str] | None:
    """Fields of pydantic's `TypeAdapter`: its type and its settings, of which it compiles what is out of sight. None
    for any other object, and where the type is a name that only pydantic could look up."""
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
