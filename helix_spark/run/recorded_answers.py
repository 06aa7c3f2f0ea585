"""The recorded answers of a program, with its effects' files, doubts, models and tables."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from helix_spark.answers.questions import AnsweredQuestion
from helix_spark.answers.stored_tables import can_be_files, partitions_of
from helix_spark.answers.watched_functions import reads_of
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.records import AnswerRecord, ArtifactRecord
from helix_spark.catalog.tables.spark_types import foreign_classes
from helix_spark.catalog.tables.table_reading import CheckedTable, DamagedArtifactError
from helix_spark.engine.results.stored_results import checked
from helix_spark.engine.spark.settings import results_settings
from helix_spark.errors import CatalogError
from helix_spark.identity.environment import package_version
from helix_spark.identity.parts import digest
from helix_spark.plans.answer_gate import with_identity

KEPT_BYTES = 16 << 20
"""The most bytes of answers that a run caches."""

_LARGEST_METADATA = 16 << 20

_UNRECORDED = AnswerRecord("", "", 0, 0.0)


@dataclass(slots=True)
class RecordedAnswers:
    """Lookups of recorded answers for an `Answerer`, and their recording. If Spark runs `elsewhere`, on another
    machine, it cannot read stored results. Nothing is reused if `is_unread`."""

    catalog: Catalog
    workflow: str
    elsewhere: str = ""
    tell: Callable[[str], None] = lambda _: None
    is_unread: bool = False
    _kept: dict[str, AnswerRecord] = field(default_factory=dict)
    _kept_bytes: int = 0
    _refused: set[str] = field(default_factory=set)
    _equal: dict[str, str] = field(default_factory=dict)
    _reported: set[str] = field(default_factory=set)

    def append(
        self, iteration: int, answers: Iterable[tuple[str, AnsweredQuestion]] = (), *,
        reads: Iterable[tuple[str, str]] = (), doubts: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Record answers, effects and doubts by identity, and observed reads of Python functions by code."""
        def records() -> Iterable[tuple[str, dict[str, Any]]]:
            for identity, answered in answers:
                if answered.answer or answered.left:
                    text = answered.answer or ""
                    if identity != (first := answered.question.identity):
                        text = with_identity(text, first, identity)
                    yield identity, {"seconds": answered.seconds, "answer": text, "left": answered.left}
            yield from ((reads_of(code), {"reads": text}) for code, text in reads)
            yield from ((identity, {"doubt": why}) for identity, why in doubts)

        now = time.time()
        self.catalog.answers.append([
            AnswerRecord(identity, self.workflow, iteration, now, **fields) for identity, fields in records()
        ])

    def equate(self, identity: str, alias: str) -> None:
        self._equal[identity] = alias

    def identities(self, identity: str) -> tuple[str, ...]:
        """Return all identities of a request, by its first one."""
        return (identity, self._equal[identity]) if identity in self._equal else (identity,)

    def answer(self, identity: str) -> str | None:
        if self.is_unread or self.doubt(identity):
            return None
        for name in self.identities(identity):
            if name not in self._refused and (answer := self._read_record(name).answer):
                return with_identity(answer, name, identity)
        return None

    def refuse(self, identity: str, why: str) -> None:
        for name in self.identities(identity):
            self._refused.add(name)
            self.catalog.answers.reject(name, why)
        self._report_problems()

    def _report_problems(self) -> None:
        problems = list(self.catalog.shared.problems)
        if rejections := self.catalog.answers.rejections:
            problems.append(
                f"invalid recorded answers are requested again ({rejections[0]}); `helix verify` lists them"
            )
        for problem in problems:
            if problem not in self._reported:
                self._reported.add(problem)
                self.tell(problem)

    def doubt(self, identity: str) -> str:
        return next(filter(None, (self._read_record(name).doubt for name in self.identities(identity))), "")

    def left(self, identity: str) -> str | None:
        return self._read_record(identity).left or None

    def seconds(self, identity: str) -> float:
        """Return Spark's seconds for the answer; 0.0 if unknown."""
        return self._read_record(identity).seconds

    def is_kept(self, identity: str) -> bool:
        """Return whether the answer of a request is reused, or its effect skipped."""
        return self.answer(identity) is not None or self.left(identity) is not None

    def shared_in(self, identity: str) -> str:
        """Return the shared catalog with the answer or table of a request; empty if the own catalog has it."""
        if (origin := self.catalog.answers.origins.get(identity)) or not self.catalog.shared.names:
            return origin or ""
        stored = self.catalog.artifact(identity)
        return "" if stored is None or self._read_record(identity) is not _UNRECORDED else stored.shared

    def reads(self, code: str) -> str:
        """Return the recorded text of a Python function's reads in workers; empty without one."""
        return self._read_record(reads_of(code)).reads

    def model(self, identity: str) -> tuple[str, str] | None:
        record = self._stored(identity, is_fit=True)
        if record is None or record.kind != "model":
            return None
        path = self.catalog.path_of(record)
        assert path is not None
        try:
            folder: Place = checked(record, path) or path
        except CatalogError as error:
            self.tell(f"{error.what}; it is fitted again")
            return None
        (part,) = (file for file in (folder / "metadata").files() if file.name.startswith("part-"))
        return str(json.loads(part.read_at_most(_LARGEST_METADATA))["class"]), folder.spark_uri

    def table(self, identity: str) -> CheckedTable | None:
        record = self._stored(identity)
        if record is None or record.kind != "table":
            return None
        try:
            table = self.catalog.check_table(record)
            if foreign_classes(table.schema) or not can_be_files(table.schema):
                raise CatalogError("a column has a type that Helix never stores")
            return table if partitions_of(table) else None
        except (CatalogError, DamagedArtifactError, ValueError) as error:
            self.tell(f"the stored table of {record.node!r} cannot be used, and is computed again: {error}")
            return None

    def rows_key(self, identity: str) -> str:
        is_unused = not self.catalog.id or self.elsewhere or self.is_unread or self.doubt(identity)
        return "" if is_unused else self.catalog.id + identity

    def _stored(self, identity: str, *, is_fit: bool = False) -> ArtifactRecord | None:
        """Return the stored result of a request; for a fit also the equivalent model of a workflow's node."""
        if self.elsewhere or self.is_unread or self.doubt(identity):
            return None
        names = self.identities(identity)
        record = next(filter(None, map(self.catalog.artifact, names)), None)
        if record is not None or not is_fit:
            return record
        results = self.catalog.results(names)
        signatures = (signature for name in names for signature in results.effective.get(name, ()))
        models = (signature for signature in signatures if not results.measured[signature].random)
        return next(filter(None, map(self.catalog.artifact, models)), None)

    def _read_record(self, identity: str) -> AnswerRecord:
        """Read a record; cache it for the run, up to `KEPT_BYTES` in all."""
        if identity in self._kept:
            return self._kept[identity]
        record = self.catalog.answers.newest(identity, is_fresh=not self._kept) or _UNRECORDED
        if self._kept_bytes + len(record.answer) <= KEPT_BYTES:
            self._kept[identity] = record
            self._kept_bytes += len(record.answer)
        self._report_problems()
        return record


_IRRELEVANT = ("spark.app.name", "spark.driver.", "spark.executor.memory", "spark.ui.", "spark.log", "spark.eventLog")
"""Prefixes of settings that change no answer."""


def script_environment(initial: Mapping[str, str], author_settings: Mapping[str, str]) -> str:
    """Return a digest of the environment of a script: versions, cores and settings."""
    settings = results_settings(initial) | {"spark.master": initial["spark.master"]} | {
        name: value for name, value in author_settings.items() if not name.startswith(_IRRELEVANT)
    }
    return digest(
        package_version("pyspark"), package_version("delta-spark"), ".".join(platform.python_version_tuple()[:2]),
        os.environ.get("PYTHONHASHSEED", ""), str(os.cpu_count()),
        *(part for pair in sorted(settings.items()) for part in pair),
    )
