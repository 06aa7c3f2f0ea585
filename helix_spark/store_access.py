"""How an object store is reached: read once from the variables that its own tools read, then told to each library in
its own words.

Three libraries reach one store: obstore reads, lists and writes files, deltalake reads tables, and a file system of
Hadoop's works for Spark. The first two share their names of settings, as both are made of Rust's object_store.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from helix_spark.errors import CatalogError, NotACatalogError

if TYPE_CHECKING:
    from obstore.store import ObjectStore
    from pyarrow.fs import FileSystem

CONNECT_SECONDS, SILENT_SECONDS, REQUEST_SECONDS, TRIES = 5, 10, 60, 4
"""Seconds to reach a store, without a byte from it, and of a whole request; libraries would try for 15 minutes."""

_YES = frozenset({"1", "true", "yes", "on"})


def is_plain(access: StoreAccess) -> bool:
    """Return whether nothing is encrypted on the way."""
    return access.endpoint.startswith("http://")


@cache
def bucket_of(access: StoreAccess, bucket: str) -> ObjectStore:
    """Return obstore's client of a bucket."""
    from obstore import store

    options: dict[str, Any] = {
        "allow_http": is_plain(access), "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "timeout": timedelta(seconds=REQUEST_SECONDS), "read_timeout": timedelta(seconds=SILENT_SECONDS),
    }
    if authorities := getattr(access, "authorities", ""):
        options["root_certificate"] = Path(authorities).read_bytes()
    found: ObjectStore = getattr(store, access.store_class)(
        bucket, config=access.config(), client_options=options,
        retry_config={"max_retries": TRIES, "retry_timeout": timedelta(seconds=REQUEST_SECONDS)},
    )
    return found


def delta_options(access: StoreAccess) -> dict[str, str]:
    """Return the storage options of deltalake."""
    return {
        **access.config(), "allow_http": str(is_plain(access)).lower(), "connect_timeout": f"{CONNECT_SECONDS}s",
        "timeout": f"{REQUEST_SECONDS}s", "max_retries": str(TRIES), "retry_timeout": f"{REQUEST_SECONDS}s",
    }


def _set(**settings: str) -> dict[str, str]:
    return {name: value for name, value in settings.items() if value}


@dataclass(frozen=True, slots=True)
class S3Access:
    """Settings of an S3 store, with secrets that are never shown, nor told to Spark: its JVM reads the same variables.

    Attributes:
        store_class: the class of `obstore.store` that reaches it.
        variables: those that a person sets to be let in.
        endpoint: an address such as ``http://127.0.0.1:9000``; empty for the provider's own.
        key, secret, token: credentials; empty where the machine or the container has a role.
        virtual_hosts: whether buckets are part of the host's name, as AWS has them, and not of the path.
        authorities: file of the certificates that are trusted besides the system's.
    """

    store_class: ClassVar[str] = "S3Store"
    variables: ClassVar[str] = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, if any)"

    endpoint: str = ""
    region: str = "us-east-1"
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    virtual_hosts: bool = True
    authorities: str = ""

    @property
    def where(self) -> str:
        """Name of the store for people."""
        return self.endpoint or f"AWS, region {self.region}"

    def address(self, path: str) -> str:
        """Return the name of a place, from its bucket and the key below, as people and records have it."""
        return f"s3a://{path}"

    def config(self) -> dict[str, str]:
        """Return the settings of Rust's object_store by its names."""
        # That a new object replaces none rests on `aws_conditional_put`.
        return {
            **_set(
                aws_endpoint=self.endpoint, aws_access_key_id=self.key, aws_secret_access_key=self.secret,
                aws_session_token=self.token,
            ),
            "aws_region": self.region, "aws_virtual_hosted_style_request": str(self.virtual_hosts).lower(),
            "aws_conditional_put": "etag",
        }

    def marks(self) -> FileSystem:
        """Return pyarrow's client, which deletes Hadoop's marks of folders; None where obstore can delete them."""
        from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

        given = _set(
            access_key=self.key, secret_key=self.secret, session_token=self.token, endpoint_override=self.endpoint,
            tls_ca_file_path=self.authorities,
        )
        return S3FileSystem(
            **given, region=self.region, connect_timeout=CONNECT_SECONDS, request_timeout=SILENT_SECONDS,
            force_virtual_addressing=bool(self.endpoint) and self.virtual_hosts,
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=TRIES),
        )

    def hadoop(self, bucket: str) -> dict[str, str]:
        """Return Hadoop's settings for a bucket alone, as data in others may be in another store; ``fs.SCHEME.impl``
        names the class of its file system. None where Spark cannot reach the store."""
        plain = is_plain(self)
        found = {
            **_set(endpoint=self.endpoint), "endpoint.region": self.region,
            "path.style.access": str(not self.virtual_hosts).lower(),
            "connection.ssl.enabled": str(not plain).lower(),
            "connection.establish.timeout": f"{CONNECT_SECONDS}s", "connection.timeout": f"{SILENT_SECONDS}s",
            "connection.request.timeout": f"{REQUEST_SECONDS}s", "connection.part.upload.timeout": "5m",
            # Hadoop tries again what its client has tried so often: together as often as the others do.
            "attempts.maximum": "1", "retry.limit": str(TRIES),
        }
        return {
            "fs.s3a.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
            **{f"fs.s3a.bucket.{bucket}.{name}": value for name, value in found.items()},
        }


def s3_access(environ: Mapping[str, str] = os.environ) -> S3Access:
    """Return what the AWS_ variables say. Raises CatalogError if half of the credentials is missing, or the endpoint is
    no address or is not encrypted unasked.

    >>> s3_access({"AWS_ENDPOINT_URL": "https://s3.example.org/", "AWS_DEFAULT_REGION": "eu-north-1"})
    S3Access(endpoint='https://s3.example.org', region='eu-north-1', virtual_hosts=False, authorities='')
    """
    endpoint = _endpoint("AWS_ALLOW_HTTP", environ, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
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
    return access


def _endpoint(allowing: str, environ: Mapping[str, str], *names: str) -> str:
    """Return the endpoint in the first variable that is set. Raises CatalogError if it is none, or is not encrypted
    without the variable `allowing`."""
    name = next((one for one in names if environ.get(one)), "")
    endpoint = environ.get(name, "").rstrip("/")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise CatalogError(f"the endpoint {endpoint!r} of the object store is no address",
                           remedy=f"set {name} to an address that begins with https:// (or http://)")
    if endpoint.startswith("http://") and environ.get(allowing, "").lower() not in _YES:
        raise CatalogError(f"the endpoint {endpoint} of the object store is not encrypted",
                           remedy=f"use https://, or set {allowing}=true if that is meant")
    return endpoint


@dataclass(frozen=True, slots=True)
class AzureAccess:
    """Settings of a storage account of Azure, see `S3Access`: by its key, a shared access signature, or the id and
    secret of an application; by the machine's identity where none of them is given."""

    store_class: ClassVar[str] = "AzureStore"
    variables: ClassVar[str] = (
        "AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_STORAGE_CLIENT_ID, _CLIENT_SECRET and _TENANT_ID"
    )

    account: str
    endpoint: str = ""
    key: str = field(default="", repr=False)
    signature: str = field(default="", repr=False)
    client: str = ""
    secret: str = field(default="", repr=False)
    tenant: str = ""

    @property
    def where(self) -> str:
        return self.endpoint or f"Azure, account {self.account}"

    def address(self, path: str) -> str:
        container, _, key = path.partition("/")
        scheme = "abfs" if is_plain(self) else "abfss"  # what has no `s` Hadoop does not encrypt
        return f"{scheme}://{container}@{self.account}{_OF_AZURE}/{key}"

    def config(self) -> dict[str, str]:
        return _set(
            azure_storage_account_name=self.account, azure_storage_endpoint=self.endpoint,
            azure_storage_account_key=self.key, azure_storage_sas_key=self.signature,
            azure_storage_client_id=self.client, azure_storage_client_secret=self.secret,
            azure_storage_tenant_id=self.tenant,
        )

    def marks(self) -> None:
        """Return None: Hadoop's marks have the names of their folders here, and obstore deletes them."""

    def hadoop(self, bucket: str) -> dict[str, str]:
        """Name secrets as variables, whose values Hadoop takes itself."""
        oauth = "org.apache.hadoop.fs.azurebfs.oauth2"
        if self.key:
            of_account = {"account.key": "${env.AZURE_STORAGE_ACCOUNT_KEY}"}
        elif self.signature:
            of_account = {"account.auth.type": "SAS", "sas.fixed.token": "${env.AZURE_STORAGE_SAS_TOKEN}"}
        elif self.client:
            of_account = {
                "account.auth.type": "OAuth", "account.oauth.provider.type": f"{oauth}.ClientCredsTokenProvider",
                "account.oauth2.client.endpoint": f"https://login.microsoftonline.com/{self.tenant}/oauth2/token",
                "account.oauth2.client.id": self.client,
                "account.oauth2.client.secret": "${env.AZURE_STORAGE_CLIENT_SECRET}",
            }
        else:
            of_account = {"account.auth.type": "OAuth", "account.oauth.provider.type": f"{oauth}.MsiTokenProvider"}
        elsewhere = {
            "fs.azure.abfs.endpoint": self.endpoint.partition("://")[2].partition("/")[0],
            "fs.azure.account.hns.enabled": "false", "fs.azure.always.use.https": str(not is_plain(self)).lower(),
        }
        scheme, kind = ("abfs", "") if is_plain(self) else ("abfss", "Secure")
        return {
            f"fs.{scheme}.impl": f"org.apache.hadoop.fs.azurebfs.{kind}AzureBlobFileSystem",
            # Hadoop's own for Azure asks for the number of a job before Spark has given one.
            f"mapreduce.outputcommitter.factory.scheme.{scheme}":
                "org.apache.hadoop.mapreduce.lib.output.FileOutputCommitterFactory",
            **{f"fs.azure.{name}.{self.account}{_OF_AZURE}": value for name, value in of_account.items()},
            # An account without folders of its own is reached as blobs, as every other client does.
            "fs.azure.fns.account.service.type": "BLOB", "fs.azure.networking.library": "JDK_HTTP_URL_CONNECTION",
            **(elsewhere if self.endpoint else {}),
            "fs.azure.io.retry.max.retries": str(TRIES),
            "fs.azure.http.connection.timeout": str(1000 * CONNECT_SECONDS),
            "fs.azure.http.read.timeout": str(1000 * REQUEST_SECONDS),
        }


_OF_AZURE = ".dfs.core.windows.net"


def azure_access(account: str = "", environ: Mapping[str, str] = os.environ) -> AzureAccess:
    """Return what the AZURE_STORAGE_ variables say, with the account that an address names. Raises CatalogError where
    none is named, or the endpoint is no address or is not encrypted unasked.

    >>> azure_access(environ={"AZURE_STORAGE_ACCOUNT_NAME": "team"}).address("study/catalog")
    'abfss://study@team.dfs.core.windows.net/catalog'
    """
    account = account or environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
    if not account:
        raise CatalogError("the address names no storage account of Azure",
                           remedy="set AZURE_STORAGE_ACCOUNT_NAME, or give abfss://CONTAINER@ACCOUNT" + _OF_AZURE)
    return AzureAccess(
        account, _endpoint("AZURE_ALLOW_HTTP", environ, "AZURE_STORAGE_ENDPOINT"),
        environ.get("AZURE_STORAGE_ACCOUNT_KEY", ""), environ.get("AZURE_STORAGE_SAS_TOKEN", ""),
        environ.get("AZURE_STORAGE_CLIENT_ID", ""), environ.get("AZURE_STORAGE_CLIENT_SECRET", ""),
        environ.get("AZURE_STORAGE_TENANT_ID", ""),
    )


@dataclass(frozen=True, slots=True)
class GoogleAccess:
    """Settings of Google Cloud Storage, see `S3Access`: by a file of credentials; by what `gcloud` or the machine has
    where none is given. An emulator wants none."""

    store_class: ClassVar[str] = "GCSStore"
    variables: ClassVar[str] = "GOOGLE_APPLICATION_CREDENTIALS to a file of credentials"

    endpoint: str = ""
    credentials: str = ""

    @property
    def where(self) -> str:
        return self.endpoint or "Google Cloud Storage"

    def address(self, path: str) -> str:
        return f"gs://{path}"

    def config(self) -> dict[str, str]:
        if self.endpoint:
            nobody = {"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": True}
            return {"google_service_account_key": json.dumps({**nobody, "gcs_base_url": self.endpoint})}
        return _set(google_application_credentials=self.credentials)

    def marks(self) -> FileSystem:
        from pyarrow.fs import GcsFileSystem

        scheme, _, host = self.endpoint.partition("://")
        given = {"scheme": scheme, "endpoint_override": host, "anonymous": True} if host else {}
        return GcsFileSystem(**given, retry_time_limit=timedelta(seconds=REQUEST_SECONDS))

    def hadoop(self, bucket: str) -> dict[str, str]:
        """Return none for an emulator: Hadoop's file system knows no other endpoint than Google's."""
        if self.endpoint:
            return {}
        return {
            "fs.gs.impl": "org.apache.hadoop.fs.gs.GoogleHadoopFileSystem", "fs.gs.auth.type": "APPLICATION_DEFAULT",
        }


def google_access(environ: Mapping[str, str] = os.environ) -> GoogleAccess:
    """Return what the variables of Google's own libraries say.

    >>> google_access({"STORAGE_EMULATOR_HOST": "localhost:4443"})
    GoogleAccess(endpoint='http://localhost:4443', credentials='')
    """
    emulator = environ.get("STORAGE_EMULATOR_HOST", "").rstrip("/")
    return GoogleAccess(
        f"http://{emulator}" if emulator and "://" not in emulator else emulator,
        environ.get("GOOGLE_APPLICATION_CREDENTIALS", ""),
    )


StoreAccess: TypeAlias = S3Access | AzureAccess | GoogleAccess

_ACCESSES: Mapping[str, Callable[[], StoreAccess]] = {
    "s3a": lambda: s3_access(), "s3": lambda: s3_access(), "az": lambda: azure_access(), "gs": lambda: google_access(),
}


def parse_address(address: str) -> tuple[StoreAccess, str]:
    """Return the access to the store that an address names, and its path there: the bucket and the key. Raises
    NotACatalogError for what is no address; CatalogError."""
    scheme, _, rest = address.partition("://")
    path = re.sub("/+", "/", rest).strip("/")
    if scheme in ("abfs", "abfss"):
        container, _, host = path.partition("/")[0].partition("@")
        path = f"{container}/{path.partition('/')[2]}".strip("/") if host.endswith(_OF_AZURE) else ""
    if not path or ".." in path.split("/") or scheme not in (*_ACCESSES, "abfs", "abfss"):
        addresses = f"s3a://BUCKET/PATH, abfss://CONTAINER@ACCOUNT{_OF_AZURE}/PATH, az://CONTAINER/PATH or gs://BUCKET/PATH"
        raise NotACatalogError(f"the catalog {address!r} is neither a local folder nor a place in an object store",
                               remedy=f"give a folder's path, or {addresses}")
    if odd := sorted(set(re.findall(r"[^A-Za-z0-9/._=-]", path))):
        raise NotACatalogError(f"the catalog {address!r} has {' '.join(odd)!r} in its name",
                               exists="libraries write such letters in addresses in different ways",
                               remedy="use letters, digits, and . _ = - only")
    return (_ACCESSES[scheme]() if scheme in _ACCESSES else azure_access(host.removesuffix(_OF_AZURE))), path


def is_in_s3(path: str) -> bool:
    """Return whether a path of Spark's is in an S3 store.

    >>> is_in_s3("s3a://bucket/people.csv"), is_in_s3("/data/people.csv")
    (True, False)
    """
    # S3A is what Hadoop calls its client, and the only name that Spark knows without settings.
    return path.startswith(("s3a://", "s3://"))


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
    return _host(said) == _host((access or s3_access()).endpoint)


def _host(endpoint: str) -> str:
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


_SILENT_SINCE: dict[str, float] = {}
"""By the name of the store, on the clock of `time.monotonic`."""


class StoreError(OSError):
    """The store did not answer, or refused: that tells nothing of what it holds."""


@contextmanager
def answering(store: str) -> Iterator[None]:
    """Send a request to a store. Soon after one that was not answered raises StoreError at once, or a run that stores
    thirty results would wait thirty times as long."""
    if (since := _SILENT_SINCE.get(store)) is not None and time.monotonic() - since < 60.0:
        raise StoreError(errno.ETIMEDOUT, "the store took a request and did not answer; it is asked again in a minute")
    try:
        yield
    except Exception as error:
        if "TimedOut" in str(error) or "kind: Timeout" in str(error):
            _SILENT_SINCE[store] = time.monotonic()
        raise
    _SILENT_SINCE.pop(store, None)
