"""The classes that a saved Spark ML model names: loading it imports them, so none but Spark ML's own may be there."""

from __future__ import annotations

import json

from helix_spark.catalog.places.place import Place

_SPARKS = ("org.apache.spark.ml.", "pyspark.ml.")


def foreign_class(folder: Place) -> str | None:
    """A class that is not Spark ML's and that a model in a folder names, itself or in one of its stages.

    Raises:
        OSError: the folder cannot be read.
        ValueError: the metadata is not there, or is none.
    """
    metadata = sorted(folder.rglob("metadata/part-*"), key=str)
    if not metadata:
        raise ValueError("it has no metadata")
    for file in metadata:
        told = json.loads(file.read_text(encoding="utf-8"))
        named = told.get("class") if isinstance(told, dict) else None
        if not isinstance(named, str):
            raise ValueError("its metadata names no class")
        if not named.startswith(_SPARKS):
            return named
    return None
