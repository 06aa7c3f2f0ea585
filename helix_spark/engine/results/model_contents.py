"""Digests of what models hold: of their files as Spark ML writes them, without the time of writing, and without names
that were drawn for their stages."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from helix_spark.catalog.catalog import Catalog
from helix_spark.catalog.places.place import LocalPath, Place
from helix_spark.catalog.tables.model_files import StrangeModelError, checked_files, is_metadata
from helix_spark.engine.results.contents import hash_of_rows
from helix_spark.engine.spark.borrowed import running_session
from helix_spark.engine.spark.connect import master_of
from helix_spark.engine.spark.settings import is_on_this_machine
from helix_spark.errors import CatalogError
from helix_spark.identity.parts import digest


def content_of_files(folder: Place) -> str | None:
    """Return the digest of a model that was written; None where its files are not what Spark ML writes."""
    try:
        return _content(dict(checked_files(folder)))
    except (StrangeModelError, OSError):
        return None


def content_of_model(model: Any, signature: str, catalog: Catalog) -> str | None:
    """Return the digest of a model in memory. It is written for that, and removed afterwards: into a folder of this
    machine's, or where it would be stored, which all machines see that write it. None where it cannot be written.

    It is that of `content_of_files` once the same model is stored.
    """
    if is_written_here():
        with tempfile.TemporaryDirectory(prefix="helix-model-") as folder:
            return _content_once_written(model, LocalPath(folder) / "model")
    attempt = catalog.begin_attempt(signature, "model")
    try:
        assert attempt.path is not None
        return _content_once_written(model, attempt.path)
    finally:
        with suppress(CatalogError):  # `gc` finds what is left
            catalog.abandon(attempt)


def is_written_here() -> bool:
    """Return whether what Spark writes is written by this machine alone."""
    session = running_session()
    return session is not None and is_on_this_machine(master_of(session))


def _content_once_written(model: Any, place: Place) -> str | None:
    try:
        model.write().save(place.spark_uri)
    except Exception:  # noqa: BLE001 - the writer of a class that is not Spark's may raise anything, or not be there
        return None
    return content_of_files(place)


def _content(files: dict[str, bytes]) -> str | None:
    told = {
        name: json.loads(content) for name, content in files.items()
        if is_metadata(name.rpartition("/")[0]) and content
    }
    drawn = [one["uid"] for one in told.values() if "uid" in one]
    parts: list[str | bytes] = []
    for name, content in files.items():
        if name in told:
            kept = {key: value for key, value in told[name].items() if key != "timestamp"}
            held: bytes | None = _without(drawn, json.dumps(kept, sort_keys=True)).encode()
        elif content:
            held = _of_table(content)
        else:
            continue  # a mark that all is written
        if held is None:
            return None
        parts += [_without(drawn, name.rpartition("/")[0]), held]
    return digest("model", *parts)


def _of_table(content: bytes) -> bytes | None:
    import pyarrow.parquet as pq

    return hash_of_rows(pq.read_table(io.BytesIO(content)).replace_schema_metadata(None))


def _without(drawn: Iterable[str], text: str) -> str:
    """Replace each random name in a text by its place in their order."""
    for place, name in enumerate(drawn):
        text = text.replace(name, f"stage {place}")
    return text
