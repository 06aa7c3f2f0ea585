"""What a program's session holds beside its data: settings, views, functions. What it is asked rests on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from helix_spark.signature.parts import digest


@dataclass(slots=True)
class SessionState:
    """The state of one session, as the program has brought it about.

    Attributes:
        settings: what it set, by name.
        views: by the name of a temporary view, in lower case, the identity of what it shows.
        functions: by the name that a Python function is registered by, in lower case, its identity.
        requests: what brought it about, in order: whoever starts a server later has it do the same.
        unknown: what was done to it that nobody follows, in words; empty if nothing was.
    """

    settings: dict[str, str] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    requests: list[Any] = field(default_factory=list)
    unknown: str = ""

    def settings_identity(self) -> str:
        """Of what the program set."""
        return _of(self.settings)

    def names_identity(self, names: frozenset[str]) -> str:
        """Of the views and functions among some names."""
        return digest(
            _of({name: one for name, one in self.views.items() if name in names}),
            _of({name: one for name, one in self.functions.items() if name in names}),
        )


def _of(named: Mapping[str, str]) -> str:
    return digest(*(part for pair in sorted(named.items()) for part in pair))
