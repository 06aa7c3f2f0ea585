"""What a program's session holds beside its data: settings, views, functions. What it is asked rests on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from helix_spark.identity.data_version import SignedData
from helix_spark.identity.parts import digest


@dataclass(frozen=True, slots=True)
class View:
    """A temporary view.

    Attributes:
        shows: its relation.
        views: those that there were when it was made, by their names in lower case: names in the relation mean these.
            None where they mean what they mean where the view is named.
    """

    shows: Any
    views: Mapping[str, View] | None


@dataclass(frozen=True, slots=True)
class Binding:
    """What names and settings mean at a moment. A table means what they meant when it was built.

    Attributes:
        settings: what the program set, by name.
        views: by their names in lower case.
        functions: the identity of each Python function, by the name that it is registered by, in lower case.
        code: of these functions, by the same names.
        unknown: what was done to the session before that nobody follows, in words; empty if nothing was.
        data: the versions of the files that one step reads, by the message that reads them.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unknown: str = ""
    data: Mapping[bytes, tuple[SignedData, ...]] = field(default_factory=dict)

    def settings_identity(self, *, of_analysis: bool = False) -> str:
        """Return the identity of what the program set; of an analysis, without settings that count when a plan runs."""
        return digest(*(
            part for pair in sorted(self.settings.items()) if not of_analysis or counts_at_analysis(pair[0])
            for part in pair
        ))


@dataclass(slots=True)
class SessionState:
    """The state of one session, as the program has brought it about.

    Attributes:
        now: what names and settings mean now.
        requests: what brought it about, in order: whoever starts a server later has it do the same. Each is a request,
            or sends some.
    """

    now: Binding = field(default_factory=Binding)
    requests: list[Any | Callable[[], None]] = field(default_factory=list)

    def set(self, settings: Mapping[str, str | None]) -> None:
        """Note settings; None unsets one."""
        changed: dict[str, str | None] = {**self.now.settings, **settings}
        self.now = replace(self.now, settings={name: one for name, one in changed.items() if one is not None})

    def show(self, name: str, view: View) -> None:
        self.now = replace(self.now, views={**self.now.views, name: view})


_AT_EXECUTION = (
    "spark.sql.shuffle.", "spark.sql.adaptive.", "spark.sql.autobroadcastjointhreshold", "spark.sql.execution.",
    "spark.sql.files.", "spark.sql.repl.", "spark.sql.broadcasttimeout", "spark.sql.parquet.", "spark.sql.sources.",
    "spark.sql.cbo.", "spark.sql.inmemorycolumnarstorage.", "spark.sql.join.", "spark.sql.codegen.",
    "spark.sql.streaming.", "spark.sql.optimizer.", "spark.app.", "spark.ui.", "spark.driver.", "spark.executor.",
)


def counts_at_analysis(setting: str) -> bool:
    """True unless a setting is known to count when a plan runs, and not when it is analysed.

    >>> counts_at_analysis("spark.sql.ansi.enabled"), counts_at_analysis("spark.sql.shuffle.partitions")
    (True, False)
    """
    return not setting.lower().startswith(_AT_EXECUTION)
