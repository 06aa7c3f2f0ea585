"""The state of a program's session: settings, views, functions. The identities of its questions include it."""

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
        views: the views that existed when it was created, by name in lower case: names in the relation mean these. None
            if these names have the meaning of the place where the view is used.
    """

    shows: Any
    views: Mapping[str, View] | None


@dataclass(frozen=True, slots=True)
class Binding:
    """The meaning of names and settings at a moment; for a table, when it was built.

    Attributes:
        settings: settings of the program, by name; None for one that it unset.
        statements: identities of its SQL statements that may have set something else.
        views: views by name in lower case.
        functions: identities of registered Python functions, by name in lower case.
        code: the code of these functions, by the same names.
        unknown: an earlier change of the session with untracked effects, in words; empty if there was none.
        data: versions of the files of one step, by the message that reads them.
    """

    settings: Mapping[str, str | None] = field(default_factory=dict)
    statements: tuple[str, ...] = ()
    views: Mapping[str, View] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unknown: str = ""
    data: Mapping[bytes, tuple[SignedData, ...]] = field(default_factory=dict)

    def settings_identity(self, *, of_analysis: bool = False) -> str:
        """Return the identity of the settings; for an analysis, without those that count when a plan runs."""
        return digest(*self.statements, *(
            part for name, value in sorted(self.settings.items()) if not of_analysis or counts_at_analysis(name)
            for part in ((f"unset {name}",) if value is None else (name, value))
        ))

    def over(self, initial: Mapping[str, str]) -> dict[str, str]:
        """Return the settings of a session that started with the `initial` ones; `statements` may have set others."""
        return {name: value for name, value in {**initial, **self.settings}.items() if value is not None}


@dataclass(slots=True)
class SessionState:
    """The state of one session.

    Attributes:
        now: the current binding.
        requests: requests that led to it, or functions that send some, in order: a server that starts later gets them.
    """

    now: Binding = field(default_factory=Binding)
    requests: list[Any | Callable[[], None]] = field(default_factory=list)

    def set(self, settings: Mapping[str, str | None]) -> None:
        """Note settings; None unsets a setting."""
        self.now = replace(self.now, settings={**self.now.settings, **settings})

    def show(self, name: str, view: View) -> None:
        self.now = replace(self.now, views={**self.now.views, name: view})


_AT_EXECUTION = (
    "spark.sql.shuffle.", "spark.sql.adaptive.", "spark.sql.autobroadcastjointhreshold", "spark.sql.execution.",
    "spark.sql.repl.", "spark.sql.broadcasttimeout", "spark.sql.files.max", "spark.sql.files.minpartitionnum",
    "spark.sql.files.opencost", "spark.sql.parquet.compression.codec", "spark.sql.parquet.filterpushdown",
    "spark.sql.parquet.enablevectorizedreader", "spark.sql.parquet.columnarreaderbatchsize",
    "spark.sql.sources.partitionoverwritemode", "spark.sql.sources.parallelpartitiondiscovery.",
    "spark.sql.cbo.", "spark.sql.inmemorycolumnarstorage.", "spark.sql.join.", "spark.sql.codegen.",
    "spark.sql.streaming.", "spark.sql.optimizer.", "spark.app.", "spark.ui.", "spark.driver.", "spark.executor.",
)


def counts_at_analysis(setting: str) -> bool:
    """Return False if a setting is known to affect only the execution of a plan, and not its analysis.

    >>> counts_at_analysis("spark.sql.parquet.mergeSchema"), counts_at_analysis("spark.sql.shuffle.partitions")
    (True, False)
    """
    return not setting.lower().startswith(_AT_EXECUTION)
