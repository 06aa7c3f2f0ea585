"""How an S3 store is reached: read once from the standard AWS_ variables, then told to each library in its own words.

Four libraries reach one store: pyarrow reads, lists and writes files, obstore makes files that must not be there yet,
deltalake writes records, and Hadoop's S3A writes for Spark. Each has its own names for the same few settings.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from helix_spark.errors import CatalogError

CONNECT_SECONDS, SILENT_SECONDS, REQUEST_SECONDS, TRIES = 5, 10, 60, 4
"""Seconds until a store is reached, without a byte from it, and of a request altogether; the libraries would try for a
quarter of an hour."""

SCHEMES = ("s3a", "s3")
"""Two names of one place: S3A is what Hadoop calls its client, and the only name that Spark knows without settings."""

_YES = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True)
class S3Access:
    """Settings of one store. Secrets are never shown, nor told to Spark: its JVM reads the same variables.

    Attributes:
        endpoint: an address such as ``http://127.0.0.1:9000``; empty for AWS itself.
        region: of the bucket.
        key, secret, token: credentials; empty where the machine or the container has a role.
        virtual_hosts: whether buckets are part of the host's name, as AWS has them, and not of the path.
        authorities: file of the certificates that are trusted; empty for the system's.
    """

    endpoint: str = ""
    region: str = "us-east-1"
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    virtual_hosts: bool = True
    authorities: str = ""

    @property
    def where(self) -> str:
        return self.endpoint or f"AWS, region {self.region}"

    @property
    def plain(self) -> bool:
        """True if nothing is encrypted on the way."""
        return self.endpoint.startswith("http://")

    def arrow(self) -> dict[str, Any]:
        """Arguments of `pyarrow.fs.S3FileSystem`; its retry strategy apart."""
        return {
            **_set(
                access_key=self.key, secret_key=self.secret, session_token=self.token,
                endpoint_override=self.endpoint, tls_ca_file_path=self.authorities,
            ),
            "region": self.region, "connect_timeout": CONNECT_SECONDS, "request_timeout": SILENT_SECONDS,
            "force_virtual_addressing": bool(self.endpoint) and self.virtual_hosts,
            # A small file then takes one request and not three.
            "allow_delayed_open": True,
        }

    def delta(self) -> dict[str, str]:
        """Storage options of deltalake. That its commits exclude each other rests on `aws_conditional_put`."""
        return {
            **self._rust(), "allow_http": str(self.plain).lower(), "aws_conditional_put": "etag",
            "connect_timeout": f"{CONNECT_SECONDS}s", "timeout": f"{REQUEST_SECONDS}s", "max_retries": str(TRIES),
            "retry_timeout": f"{REQUEST_SECONDS}s",
        }

    def obstore(self) -> dict[str, Any]:
        """Arguments of `obstore.store.S3Store`."""
        return {
            "config": {**self._rust(), "aws_conditional_put": "etag"},
            "client_options": {
                "allow_http": self.plain, "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "timeout": timedelta(seconds=REQUEST_SECONDS),
            },
            "retry_config": {"max_retries": TRIES, "retry_timeout": timedelta(seconds=REQUEST_SECONDS)},
        }

    def hadoop(self, bucket: str) -> dict[str, str]:
        """Settings of Hadoop's S3A for one bucket, by Hadoop's names: data in other buckets may be in another store."""
        found = {
            **_set(endpoint=self.endpoint), "endpoint.region": self.region,
            "path.style.access": str(not self.virtual_hosts).lower(),
            "connection.ssl.enabled": str(not self.plain).lower(),
            "connection.establish.timeout": f"{CONNECT_SECONDS}s", "connection.timeout": f"{SILENT_SECONDS}s",
            "connection.request.timeout": f"{REQUEST_SECONDS}s", "connection.part.upload.timeout": "5m",
            # Hadoop tries again what its client has tried so often: together as often as the others do.
            "attempts.maximum": "1", "retry.limit": str(TRIES),
        }
        return {f"fs.s3a.bucket.{bucket}.{name}": value for name, value in found.items()}

    def _rust(self) -> dict[str, str]:
        """By the names that deltalake and obstore share."""
        return {
            **_set(
                aws_endpoint=self.endpoint, aws_access_key_id=self.key, aws_secret_access_key=self.secret,
                aws_session_token=self.token,
            ),
            "aws_region": self.region, "aws_virtual_hosted_style_request": str(self.virtual_hosts).lower(),
        }


def _set(**settings: str) -> dict[str, str]:
    return {name: value for name, value in settings.items() if value}


def access_from(environ: Mapping[str, str] = os.environ) -> S3Access:
    """Return what the AWS_ variables say. Raises CatalogError if half of the credentials is missing, or the endpoint is
    no address or is not encrypted unasked.

    >>> access_from({"AWS_ENDPOINT_URL": "https://s3.example.org/", "AWS_DEFAULT_REGION": "eu-north-1"})
    S3Access(endpoint='https://s3.example.org', region='eu-north-1', virtual_hosts=False, authorities='')
    """
    endpoint = (environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or "").rstrip("/")
    hosted = environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "" if endpoint else "true").lower() in _YES
    access = S3Access(
        endpoint, environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", ""),
        environ.get("AWS_SESSION_TOKEN", ""), hosted, environ.get("AWS_CA_BUNDLE", "") if endpoint else "",
    )
    if bool(access.key) != bool(access.secret):
        missing = "AWS_SECRET_ACCESS_KEY" if access.key else "AWS_ACCESS_KEY_ID"
        raise CatalogError(f"the credentials of the object store are incomplete: {missing} is not set",
                           remedy="set both, or neither where the machine has a role")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise CatalogError(f"the endpoint {endpoint!r} of the object store is no address",
                           remedy="set AWS_ENDPOINT_URL to an address that begins with https:// (or http://)")
    if access.plain and environ.get("AWS_ALLOW_HTTP", "").lower() not in _YES:
        raise CatalogError(f"the endpoint {endpoint} of the object store is not encrypted",
                           remedy="use https://, or set AWS_ALLOW_HTTP=true if that is meant")
    return access


def is_in_store(path: str) -> bool:
    """Return whether a path of Spark's is in an S3 store.

    >>> is_in_store("s3a://bucket/people.csv"), is_in_store("/data/people.csv")
    (True, False)
    """
    scheme, found, _ = path.partition("://")
    return bool(found) and scheme in SCHEMES


def is_reached_alike(path: str, settings: Mapping[str, str], access: S3Access | None = None) -> bool:
    """Return whether Spark, by its settings of S3A (whole names), looks for a path in the store of the AWS_ variables.

    >>> here = S3Access("http://127.0.0.1:9000")
    >>> is_reached_alike("s3a://b/x", {}, here)
    False
    >>> is_reached_alike("s3a://b/x", {"spark.hadoop.fs.s3a.endpoint": "http://127.0.0.1:9000/"}, here)
    True
    >>> is_reached_alike("s3a://b/x", {}, S3Access())
    True
    """
    bucket, _ = bucket_and_key(path)
    hadoop = {name.removeprefix("spark.hadoop."): value for name, value in settings.items()}
    said = hadoop.get(f"fs.s3a.bucket.{bucket}.endpoint", hadoop.get("fs.s3a.endpoint", ""))
    return _address(said) == _address((access or access_from()).endpoint)


def _address(endpoint: str) -> str:
    """Return an endpoint without its scheme; empty for AWS itself, which S3A also names by region."""
    plain = endpoint.partition("://")[2] or endpoint
    return "" if plain.rstrip("/").endswith("amazonaws.com") else plain.rstrip("/")


def bucket_and_key(path: str) -> tuple[str, str]:
    """Return the bucket and the key of a path.

    >>> bucket_and_key("s3a://bucket/data//people.csv/")
    ('bucket', 'data/people.csv')
    """
    bucket, _, key = path.partition("://")[2].partition("/")
    return bucket, re.sub("/+", "/", key).strip("/")


REST = 60.0
"""Seconds for which a store that did not answer is not asked again."""

_SILENT_SINCE: dict[str, float] = {}
"""By the name of the store, on the clock of `time.monotonic`."""

_SAID = ("TimedOut", "kind: Timeout", "Timeout was reached", "Operation too slow")


class StoreError(OSError):
    """The store did not answer, or refused: that tells nothing of what it holds."""


@contextmanager
def answering(store: str) -> Iterator[None]:
    """Send a request to a store. Soon after one that was not answered raises StoreError at once, or a run that stores
    thirty results would wait thirty times as long."""
    since = _SILENT_SINCE.get(store)
    if since is not None and time.monotonic() - since < REST:
        raise StoreError(errno.ETIMEDOUT, "the store took a request and did not answer; it is asked again in a minute")
    try:
        yield
    except Exception as error:
        if any(said in str(error) for said in _SAID):
            _SILENT_SINCE[store] = time.monotonic()
        raise
    _SILENT_SINCE.pop(store, None)
