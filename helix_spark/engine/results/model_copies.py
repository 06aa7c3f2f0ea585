"""Copies of stored models that hold what was checked and nothing else, for Spark to load.

Between a look at a catalog's files and Spark's reading of them somebody else may write there; and Spark reads whatever
lies in a folder. In a folder of this process it reads the bytes that were checked. Where Spark's workers are other
machines, which do not see such a folder, and of a very large model, it reads the catalog's.
"""

from __future__ import annotations

import atexit
import tempfile
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from uuid import uuid4

from helix_spark.catalog.places.place import LocalPath, Place
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.model_files import checked_digest
from helix_spark.engine.spark.transport import transport_of
from helix_spark.forks import Birthplace, remove_own

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LARGEST = 256 << 20
"""Bytes of a model that is copied, which takes half a second."""


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A model of which it is known that it is one of Spark ML's own.

    Attributes:
        folder: where it is stored.
        copy: where it is as it was checked; None if it was not copied.
    """

    folder: Place
    digest: str
    copy: LocalPath | None

    def address(self, spark: SparkSession) -> str:
        """Where Spark is to load it from."""
        if self.copy is None or not transport_of(spark).master.startswith("local"):
            return self.folder.spark_uri
        return self.copy.spark_uri


def checked_model(folder: Place, record: ArtifactRecord) -> CheckedModel:
    """The model in a folder, checked and copied; see `model_files.checked_digest`, also for what is raised."""
    # A name of its own for each: of some models, as ALS's, Spark reads the files when rows are asked for.
    copy = _private() / uuid4().hex if record.bytes <= _LARGEST else None
    return CheckedModel(folder, checked_digest(folder, copy), copy)


@cache
def _private() -> LocalPath:
    """A folder that nobody else writes to, for as long as this process lives."""
    folder = LocalPath(tempfile.mkdtemp(prefix="helix-models-"))
    atexit.register(remove_own, folder, Birthplace())
    return folder
