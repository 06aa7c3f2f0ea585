"""What the catalog has of a program's earlier runs: answers, what effects left, and models."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.known_results import AnswersRead
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.records import AnswerRecord, ArtifactRecord
from helix_spark.catalog.tables.spark_types import foreign_classes
from helix_spark.catalog.tables.table_check import DamagedArtifactError
from helix_spark.engine.results.loading import checked
from helix_spark.engine.spark.table_files import READ_FILES, can_be_files
from helix_spark.errors import CatalogError
from helix_spark.program.live_answers import LiveAnswers
from helix_spark.program.stored_tables import StoredTable
from helix_spark.program.watched_functions import reads_of

READ_AHEAD = 5_000
"""Answers of a program that are read at its start. Others are looked for one by one."""

DOUBT = "in doubt: "
"""Begins what is on record in the place of an answer that is not to be given again. No answer begins so: they are in
base 64."""


@dataclass(slots=True)
class RecordedAnswers:
    """The record that an `Answerer` asks.

    Attributes:
        workflow: the program's name in the catalog.
        elsewhere: the machine that Spark runs on, where that is another one: it cannot read what is stored here.
        warnings: what was found damaged, in words.
        live: answers of a run that is under way; None if there is none.
    """

    catalog: Catalog
    workflow: str
    elsewhere: str = ""
    warnings: list[str] = field(default_factory=list)
    live: LiveAnswers | None = None
    _read: AnswersRead | None = None

    def answer(self, identity: str) -> str | None:
        found = self._of(identity)
        if found is not None and found.answer.startswith(DOUBT):
            return None
        known = None if found is None else found.answer or None
        return known or (None if self.live is None else self.live.answer(identity))

    def doubt(self, identity: str) -> str:
        found = self._of(identity)
        return found.answer.removeprefix(DOUBT) if found is not None and found.answer.startswith(DOUBT) else ""

    def left(self, identity: str) -> str | None:
        found = self._of(identity)
        return None if found is None else found.left or None

    def seconds(self, identity: str) -> float:
        """What the answer took Spark; 0.0 if it is not known."""
        found = self._of(identity)
        return 0.0 if found is None else found.seconds

    def is_kept(self, identity: str) -> bool:
        """Whether Spark is not asked a question again, or an effect had again, as long as it stays the same."""
        return self.answer(identity) is not None or self.left(identity) is not None

    def reads(self, code: str) -> str:
        """What a Python function was seen to read in workers, as a text; empty if nothing is on record."""
        found = self._of(reads_of(code))
        return "" if found is None else found.answer

    def model(self, identity: str) -> tuple[str, str] | None:
        record = self._stored(identity)
        if record is None or record.kind != "model":
            return None
        path = self.catalog.path_of(record)
        assert path is not None
        try:
            found = checked(record, path)
        except CatalogError as error:
            self.warnings.append(f"{error.what}; it is fitted again")
            return None
        folder: Place = found.copy or found.folder
        return _class_of(folder), folder.spark_uri

    def table(self, identity: str) -> StoredTable | None:
        record = self._stored(identity)
        if record is None or record.kind != "table":
            return None
        try:
            found = self.catalog.check_table(record)
            if foreign_classes(found.schema) or not can_be_files(found.schema):
                raise CatalogError("it has a column of a type that none of Helix's has")
            table = StoredTable(tuple(file.spark_uri for file in found.files), found.schema, READ_FILES)
            return table if table.partitions else None
        except (CatalogError, DamagedArtifactError, ValueError) as error:
            self.warnings.append(f"the stored table of {record.node!r} cannot be used, and is computed again: {error}")
            return None

    def _stored(self, identity: str) -> ArtifactRecord | None:
        return None if self.elsewhere else self.catalog.artifact(identity)

    def _of(self, identity: str) -> AnswerRecord | None:
        if self._read is None:
            self._read = self.catalog.answers.read(self.workflow, READ_AHEAD)
        return self._read.of(identity)


@dataclass(frozen=True, slots=True)
class Unread:
    """A record of which nothing is reused.

    Attributes:
        known: what there is.
    """

    known: RecordedAnswers

    def answer(self, identity: str) -> str | None:
        return None

    def left(self, identity: str) -> str | None:
        return self.known.left(identity)

    def doubt(self, identity: str) -> str:
        return self.known.doubt(identity)

    def model(self, identity: str) -> tuple[str, str] | None:
        return None

    def table(self, identity: str) -> StoredTable | None:
        return None


def _class_of(folder: Place) -> str:
    """The class that a checked model's metadata name."""
    (part,) = (path for path in (folder / "metadata").files() if path.name.startswith("part-"))
    return str(json.loads(part.read_at_most(_LARGEST_METADATA))["class"])


_LARGEST_METADATA = 16 << 20
