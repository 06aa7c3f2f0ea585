"""Digests of what models hold: of their files as Spark ML writes them, without the time of writing, and without names
that were drawn for their stages."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterable
from typing import Any

from helix_spark.catalog.places.place import LocalPath, Place
from helix_spark.catalog.tables.model_files import StrangeModelError, checked_files, is_metadata
from helix_spark.engine.results.contents import hash_of_rows
from helix_spark.signature.parts import digest


def content_of_files(folder: Place) -> str | None:
    """The digest of a model that was written; None where its files are not what Spark ML writes."""
    try:
        return _content(dict(checked_files(folder)))
    except (StrangeModelError, OSError):
        return None


def content_of_model(model: Any) -> str | None:
    """The digest of a model in memory, which is written for that, into a folder that is gone afterwards. None where it
    cannot be written, or where other machines would write it.

    It is that of `content_of_files` once the same model is stored.
    """
    from pyspark import SparkContext

    context = SparkContext._active_spark_context
    if context is None or not (context.master or "").startswith("local"):
        return None
    with tempfile.TemporaryDirectory(prefix="helix-model-") as folder:
        place = LocalPath(folder) / "model"
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
    """A text with the place of each drawn name in its order in the name's stead."""
    for place, name in enumerate(drawn):
        text = text.replace(name, f"stage {place}")
    return text
