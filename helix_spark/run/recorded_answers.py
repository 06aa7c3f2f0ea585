"""What the catalog has of a program's earlier runs: answers, what effects left, and models."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from helix_spark.answers.questions import Question, Signer
from helix_spark.answers.stored_tables import can_be_files, partitions_of
from helix_spark.answers.watched_functions import reads_of
from helix_spark.catalog.answer_ledger import AnswersRead
from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.records import AnswerRecord, ArtifactRecord
from helix_spark.catalog.tables.spark_types import foreign_classes
from helix_spark.catalog.tables.table_check import CheckedTable, DamagedArtifactError
from helix_spark.engine.results.loading import checked
from helix_spark.engine.spark.settings import results_settings
from helix_spark.errors import CatalogError
from helix_spark.identity.environment import package_version
from helix_spark.identity.parts import digest

READ_AHEAD = 5_000
"""Answers of a program that are looked up at its start. Others are looked up one by one."""


@dataclass(slots=True)
class RecordedAnswers:
    """Recorded answers, as an `Answerer` looks them up.

    Attributes:
        workflow: the program's name in the catalog.
        elsewhere: the other machine that Spark runs on, which cannot read what is stored here; empty for this one.
        tell: prints a line for people.
        is_unread: True if nothing at all is reused.
    """

    catalog: Catalog
    workflow: str
    elsewhere: str = ""
    tell: Callable[[str], None] = lambda _: None
    is_unread: bool = False
    _read: AnswersRead | None = None
    _refused: set[str] = field(default_factory=set)
    _has_told: bool = False

    def meet(self, question: Question, signer: Signer) -> None:
        pass

    def answer(self, identity: str) -> str | None:
        if self.is_unread or identity in self._refused:
            return None
        found = self._read_record(identity)
        return None if found is None or found.doubt else found.answer or None

    def refuse(self, identity: str, why: str) -> None:
        self._refused.add(identity)
        self.catalog.answers.reject(identity, why)
        self._tell_of_misfits()

    def _tell_of_misfits(self) -> None:
        answers = self.catalog.answers
        if not self._has_told and answers.rejections:
            self._has_told = True
            self.tell(
                f"recorded answers that do not fit are requested again ({answers.rejections[0]}); `helix verify` lists "
                "them"
            )

    def doubt(self, identity: str) -> str:
        found = self._read_record(identity)
        return "" if found is None else found.doubt

    def left(self, identity: str) -> str | None:
        found = self._read_record(identity)
        return None if found is None else found.left or None

    def seconds(self, identity: str) -> float:
        """Return the seconds that the answer took Spark; 0.0 if unknown."""
        return self._answers.seconds(identity)

    def is_kept(self, identity: str) -> bool:
        """Return whether Spark is not asked a question again, or an effect repeated, as long as it stays the same."""
        return self.answer(identity) is not None or self.left(identity) is not None

    def reads(self, code: str) -> str:
        """Return what a Python function was seen to read in workers, as a text; empty if that is not recorded."""
        found = self._read_record(reads_of(code))
        return "" if found is None else found.reads

    def model(self, identity: str) -> tuple[str, str] | None:
        record = self._stored(identity) or self._stored_by_node(identity)
        if record is None or record.kind != "model":
            return None
        path = self.catalog.path_of(record)
        assert path is not None
        try:
            folder: Place = checked(record, path) or path
        except CatalogError as error:
            self.tell(f"{error.what}; it is fitted again")
            return None
        return _class_of(folder), folder.spark_uri

    def table(self, identity: str) -> CheckedTable | None:
        record = self._stored(identity)
        if record is None or record.kind != "table":
            return None
        try:
            found = self.catalog.check_table(record)
            if foreign_classes(found.schema) or not can_be_files(found.schema):
                raise CatalogError("it has a column of a type that none of Helix's has")
            return found if partitions_of(found) else None
        except (CatalogError, DamagedArtifactError, ValueError) as error:
            self.tell(f"the stored table of {record.node!r} cannot be used, and is computed again: {error}")
            return None

    def _stored(self, identity: str) -> ArtifactRecord | None:
        if self.elsewhere or self.is_unread or self.doubt(identity):
            return None
        return self.catalog.artifact(identity)

    def _stored_by_node(self, identity: str) -> ArtifactRecord | None:
        """Return the stored result of a workflow's node that stands for a fit."""
        if self.elsewhere or self.is_unread or self.doubt(identity):
            return None
        found = self.catalog.results((identity,))
        stands = (one for one in found.stood_for.get(identity, ()) if not found.measured[one].random)
        return next(filter(None, map(self.catalog.artifact, stands)), None)

    @property
    def _answers(self) -> AnswersRead:
        self._read = self._read or AnswersRead(self.catalog.answers, self.workflow, READ_AHEAD)
        return self._read

    def _read_record(self, identity: str) -> AnswerRecord | None:
        found = self._answers.of(identity)
        self._tell_of_misfits()
        return found


_SAYS_NOTHING = ("spark.app.name", "spark.driver.", "spark.executor.memory", "spark.ui.", "spark.log", "spark.eventLog")
"""Settings that begin so change no answer."""


def around_script(initial: Mapping[str, str], given: Mapping[str, str]) -> str:
    """The identity of what is around a script: versions, the settings that change results, and whatever is given.

    Args:
        initial: settings of its session: the master, and those that change results.
        given: those that somebody gave.
    """
    settings = results_settings(initial) | {"spark.master": initial["spark.master"]} | {
        name: value for name, value in given.items() if not name.startswith(_SAYS_NOTHING)
    }
    return digest(
        package_version("pyspark"), package_version("delta-spark"), ".".join(platform.python_version_tuple()[:2]),
        os.environ.get("PYTHONHASHSEED", ""), str(os.cpu_count()),
        *(part for pair in sorted(settings.items()) for part in pair),
    )


def _class_of(folder: Place) -> str:
    (part,) = (path for path in (folder / "metadata").files() if path.name.startswith("part-"))
    return str(json.loads(part.read_at_most(_LARGEST_METADATA))["class"])


_LARGEST_METADATA = 16 << 20
