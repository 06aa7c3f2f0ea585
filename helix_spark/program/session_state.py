"""What a program's session holds beside its data: settings, views, functions. What it is asked rests on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from helix_spark.signature.parts import digest


@dataclass(frozen=True, slots=True)
class View:
    """A temporary view.

    Attributes:
        shows: its relation.
        views: those that there were when it was made, by their names in lower case: names in the relation mean these.
    """

    shows: Any
    views: Mapping[str, View]


@dataclass(slots=True)
class SessionState:
    """The state of one session, as the program has brought it about.

    Attributes:
        settings: what it set, by name.
        views: by their names in lower case.
        functions: by the name that a Python function is registered by, in lower case, its identity.
        requests: what brought it about, in order: whoever starts a server later has it do the same.
        unknown: what was done to it that nobody follows, in words; empty if nothing was.
    """

    settings: dict[str, str] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    code: dict[str, tuple[str, ...]] = field(default_factory=dict)
    requests: list[Any] = field(default_factory=list)
    unknown: str = ""

    def settings_identity(self) -> str:
        """Of what the program set."""
        return _of(self.settings)

    def functions_identity(self, names: frozenset[str]) -> str:
        """Of the functions among some names."""
        return _of({name: one for name, one in self.functions.items() if name in names})


def _of(named: Mapping[str, str]) -> str:
    return digest(*(part for pair in sorted(named.items()) for part in pair))
