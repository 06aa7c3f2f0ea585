"""A stored result copied from another catalog: what it is made of and nothing else, checked before and after."""

from __future__ import annotations

import shutil
from pathlib import Path

from helix_spark.catalog.places.delta_log import DeltaLog
from helix_spark.catalog.places.place import Place
from helix_spark.catalog.places.side_checksums import check_all, write_checksums
from helix_spark.catalog.records import ArtifactRecord
from helix_spark.catalog.tables.model_files import checked_digest
from helix_spark.catalog.tables.table_check import check_table
from helix_spark.catalog.tables.table_reading import check_rows


def copy_result(record: ArtifactRecord, folder: Place, copy: Place) -> None:
    """Copies a table or a model, whose record nobody vouches for, and checks all of the copy against that record.

    Args:
        folder: where it lies; nothing in it is followed that leads elsewhere.
        copy: where nothing is yet.

    Raises DamagedArtifactError, ChecksumError, ValueError or OSError for what is not as its record says.
    """
    if record.kind == "model":
        files = [(path, str(path)[len(str(folder)) + 1 :]) for path in folder.files()]
        for path, name in files:
            if not path.name.startswith("."):
                _copy(path, copy, name)
    else:
        for path in check_table(folder, record).files:
            check_all(path)
            _copy(path, copy, path.name)
            write_checksums(copy / path.name)
        entry = DeltaLog(folder).entry(0)
        _copy(entry, copy, f"{entry.parent.name}/{entry.name}")
    check_copy(record, copy)


def check_copy(record: ArtifactRecord, folder: Place) -> None:
    """Checks all of a stored result against a record that nobody vouches for.

    Raises DamagedArtifactError, OSError or ValueError for one that is not what the record says.
    """
    if record.digest is None:
        raise ValueError("its record has no digest")
    if record.kind == "table":
        check_table(folder, record)
        check_rows(folder, record)
    elif checked_digest(folder) != record.digest:
        raise ValueError("its files are not those that were written")


def bytes_to_copy(folder: Place) -> int:
    """Bytes of the files that lie in a folder."""
    return sum(path.stat().st_size for path in folder.files())


def _copy(path: Place, copy: Place, name: str) -> None:
    target = copy
    for part in Path(name).parts:
        target = target / part
    target.parent.make_folder()
    with path.open_binary() as read, target.writable() as where:
        if isinstance(where, Path):
            with where.open("xb") as written:
                shutil.copyfileobj(read, written, 1 << 20)
        else:
            shutil.copyfileobj(read, where, 1 << 20)
