"""What the normal form of a function consists of, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from helix_spark.signature.scopes import Imported


@dataclass(frozen=True, slots=True)
class Free:
    """A name the function does not bind, with the attributes read from it: ``helpers.sub.clean``."""

    base: str | Imported
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Argument:
    """What is passed at one place of a call: a constant, a slot, or something else (both None).

    Attributes:
        constant: the source of the constant, as Python would print it.
        slot: the slot.
        made: "call" for what a call returns, "text" for a text that is put together, "lambda" for a function without a
            name.
    """

    constant: str | None = None
    slot: int | None = None
    made: Literal["", "call", "text", "lambda"] = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: of a slot, or of a method of some local value.

    Attributes:
        slot: the slot called, or None.
        method: the last attribute of the callee, empty if there is none.
        owner: the attribute before that one, ``read`` in ``rows.sparkSession.read.csv(...)``; empty if there is none.
        maker: the slot of what was called to get what is called, or what its method is called of, as `Path` in
            ``Path("a").open()``.
        line: in the file.
        arguments: the positional ones.
        keywords: names and values; ``**`` has the name "".
    """

    slot: int | None
    method: str
    owner: str
    maker: int | None
    line: int
    arguments: tuple[Argument, ...]
    keywords: tuple[tuple[str, Argument], ...]

    @property
    def given(self) -> tuple[Argument, ...]:
        """All that is passed."""
        return (*self.arguments, *(value for _, value in self.keywords))


@dataclass(frozen=True, slots=True)
class Chain:
    """Attributes that are read one of the other, as far as they go, of something without a slot: ``sparkSession.conf``
    of `rows`.

    Attributes:
        names: of the attributes, in order.
        line: in the file.
    """

    names: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class FunctionForm:
    """Normal form of one function.

    Attributes:
        text: the form itself; its slots are numbered in order of first appearance.
        free: what each slot is called.
        lines: the line each slot first appears at.
        passed: the slots that are used in other ways than being called.
        calls: all calls, in order, for what is watched for: randomness, dynamic routes.
        annotations: source of the annotations that say how rows are passed; empty if none does.
        texts: the texts in it, docstrings aside, in order; of one that is put together, the pieces.
        chains: the attributes that it reads of what has no slot.
    """

    text: str
    free: tuple[Free, ...]
    lines: tuple[int, ...]
    passed: frozenset[int]
    calls: tuple[Call, ...]
    annotations: str
    texts: tuple[str, ...] = ()
    chains: tuple[Chain, ...] = ()

    def mentions(self, name: str) -> bool:
        """Whether the function reads an attribute of that name, of whatever, or has the name as a text."""
        read = any(name in free.attributes for free in self.free)
        return read or name in self.texts or f"str {name!r};" in self.text
