"""Which objects of an S3 store Spark reads at a path, and which contents they have, by what the store says of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from helix_spark.errors import HelixError, Location, SourceError, install
from helix_spark.s3_access import SCHEMES, S3Access, access_from, answering

_WILD = re.compile(r"[*?\[{]")


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """Paths of Spark's in the store that the AWS_ variables name."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a store.

    Attributes:
        name: below the path that was asked for; empty for the object at the path itself.
        bytes: its size.
        tag: differs with what it holds (an ETag, or the time of its last change where a store has none).
    """

    name: str
    bytes: int
    tag: str


def is_in_store(path: str) -> bool:
    """Return whether a path of Spark's is in an S3 store.

    >>> is_in_store("s3a://bucket/people.csv"), is_in_store("/data/people.csv")
    (True, False)
    """
    scheme, found, _ = path.partition("://")
    return bool(found) and scheme in SCHEMES


def is_reached_alike(path: str, settings: Mapping[str, str], access: S3Access | None = None) -> bool:
    """Return whether Spark, by its settings of S3A, looks for a path in the store that the AWS_ variables name.

    Args:
        settings: of Spark, by their whole names.

    >>> here = S3Access("http://127.0.0.1:9000")
    >>> is_reached_alike("s3a://b/x", {}, here)
    False
    >>> is_reached_alike("s3a://b/x", {"spark.hadoop.fs.s3a.endpoint": "http://127.0.0.1:9000/"}, here)
    True
    >>> is_reached_alike("s3a://b/x", {}, S3Access())
    True
    """
    bucket, _ = _parts(path)
    hadoop = {name.removeprefix("spark.hadoop."): value for name, value in settings.items()}
    said = hadoop.get(f"fs.s3a.bucket.{bucket}.endpoint", hadoop.get("fs.s3a.endpoint", ""))
    return _address(said) == _address((access or access_from()).endpoint)


def _address(endpoint: str) -> str:
    """Return an endpoint without its scheme; empty for AWS itself, which S3A also names by region."""
    plain = endpoint.partition("://")[2] or endpoint
    return "" if plain.rstrip("/").endswith("amazonaws.com") else plain.rstrip("/")


def objects_at(path: str, is_skipped: Callable[[str], bool], where: Location | None = None) -> tuple[StoredObject, ...]:
    """Return what Spark reads at a path, by name: an object, or all that are below it. Of a pattern these are all below
    the folder of its first wildcard, so that none which it matches is missing.

    Args:
        is_skipped: tells of a name of a file or folder whether Spark passes over it.

    Raises:
        SourceError: nothing is there, or the store cannot be asked.
    """
    bucket, key = _parts(path)
    if wild := _WILD.search(key):
        key = key[: wild.start()].rpartition("/")[0]
    try:
        found = sorted(_listed(access_from(), bucket, key), key=lambda one: one.name)
    except HelixError:
        raise
    except Exception as error:
        raise SourceError(
            f"{path!r} cannot be read: {str(error).strip().splitlines()[0][:200]}", where=where,
            remedy="check the path, the AWS_ variables and the network",
        ) from error
    kept = tuple(one for one in found if not any(is_skipped(part) for part in one.name.split("/") if part))
    if not any(one.bytes for one in kept):
        raise SourceError(f"{path}: there is no data in it", where=where, remedy="check the path and the objects")
    return kept


def _listed(access: S3Access, bucket: str, key: str) -> Iterator[StoredObject]:
    try:
        import obstore
        from obstore.store import S3Store
    except ImportError as error:
        raise SourceError("data in an S3 store needs the package obstore, which is not installed",
                          remedy=install("s3")) from error
    store = S3Store(bucket, **access.obstore())
    with answering(access.where):
        if key:
            with suppress(FileNotFoundError):
                yield _object("", obstore.head(store, key))
        for page in obstore.list(store, key or None):
            for found in page:
                yield _object(found["path"].removeprefix(key).lstrip("/"), found)


def _object(name: str, found: Any) -> StoredObject:
    return StoredObject(name, found["size"], found["e_tag"] or found["last_modified"].isoformat())


def _parts(path: str) -> tuple[str, str]:
    """Return the bucket and the key of a path.

    >>> _parts("s3a://bucket/data//people.csv/")
    ('bucket', 'data/people.csv')
    """
    bucket, _, key = path.partition("://")[2].partition("/")
    return bucket, re.sub("/+", "/", key).strip("/")
