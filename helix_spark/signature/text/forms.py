"""What the normal form of a function consists of, as frozen data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from helix_spark.signature.text.scopes import Imported


def key_step(key: str) -> str:
    """A key as a step of a path, which no attribute is called: ``['reg']``."""
    return f"[{key!r}]"


def path_text(path: Sequence[str]) -> str:
    """Attributes and keys as they are written behind a name.

    >>> path_text(("model", key_step("reg"), "real"))
    ".model['reg'].real"
    """
    return "".join(step if step.startswith("[") else f".{step}" for step in path)


@dataclass(frozen=True, slots=True)
class Free:
    """A name the function does not bind, with the attributes read from it: ``helpers.sub.clean``.

    Attributes:
        base: the name.
        attributes: in order; a constant key that is read, as of ``CFG.model["reg"]``, is one of them: see `key_step`.
    """

    base: str | Imported
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Argument:
    """What is passed at one place of a call: a constant, a slot, or something else (both None).

    Attributes:
        constant: the source of the constant, as Python would print it.
        slot: the slot.
        made: "call" for what a call returns, "text" for a text that is put together, "lambda" for a function without a
            name, "function" for one that is defined there, "several" for a list, tuple, set or dict that is made there,
            "data" for one of constants.
        maker: of what a call returns, the slot of what is called, if it has one.
        template: of a text that is put together, with a NUL for each thing that is put in.
    """

    constant: str | None = None
    slot: int | None = None
    made: Literal["", "call", "text", "lambda", "function", "several", "data"] = ""
    template: str = ""
    maker: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call: of a slot, or of a method of some local value; ``getattr(rows, "query")(...)`` is one of a method.

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

    def keyword(self, name: str) -> Argument | None:
        """What is passed by a keyword; None if nothing is."""
        return next((value for keyword, value in self.keywords if keyword == name), None)


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
class Lookup:
    """What is looked up by a key: ``sys.modules["helpers"]``, ``globals()["clean"]``.

    Attributes:
        slot: in which slot, or None.
        maker: the slot of what was called to get what it is looked up in, or None.
        key: the key.
        line: in the file.
    """

    slot: int | None
    maker: int | None
    key: Argument
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
        texts: the texts in it, docstrings aside, in order; of one that is put together, the pieces.
        chains: the attributes that it reads of what has no slot.
        lookups: what it looks up by a key.
    """

    text: str
    free: tuple[Free, ...]
    lines: tuple[int, ...]
    passed: frozenset[int]
    calls: tuple[Call, ...]
    texts: tuple[str, ...] = ()
    chains: tuple[Chain, ...] = ()
    lookups: tuple[Lookup, ...] = ()

    def mentions(self, name: str) -> bool:
        """Whether the function reads an attribute of that name, of whatever, or has the name as a text."""
        if name in self.texts or f"str {name!r};" in self.text:
            return True
        return name in {attribute for free in self.free for attribute in free.attributes}
