"""Access to object stores: read from the variables of their own tools, then translated for each library.

Three libraries access a store: obstore reads, lists and writes files, deltalake reads tables, and Hadoop's file systems
serve Spark. The first two have the same names of settings, as both build on Rust's object_store.
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
"""Seconds to connect, between bytes, and for a request; and its tries. By default libraries try for 15 minutes."""

_TRUE_TEXTS = frozenset({"1", "true", "yes", "on"})


def is_plain(access: StoreAccess) -> bool:
    """Return whether the connection is not encrypted."""
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
    client: ObjectStore = getattr(store, access.store_class)(
        bucket, config=access.config(), client_options=options,
        retry_config={"max_retries": TRIES, "retry_timeout": timedelta(seconds=REQUEST_SECONDS)},
    )
    return client


def delta_options(access: StoreAccess) -> dict[str, str]:
    """Return the storage options of deltalake."""
    return {
        **access.config(), "allow_http": str(is_plain(access)).lower(), "connect_timeout": f"{CONNECT_SECONDS}s",
        "timeout": f"{REQUEST_SECONDS}s", "max_retries": str(TRIES), "retry_timeout": f"{REQUEST_SECONDS}s",
    }


def _non_empty(**settings: str) -> dict[str, str]:
    return {name: value for name, value in settings.items() if value}


@dataclass(frozen=True, slots=True)
class S3Access:
    """Settings of an S3 store. Its secrets are never shown, nor passed to Spark, whose JVM reads the same variables.

    Attributes:
        store_class: its class in `obstore.store`.
        variables: environment variables of the credentials, for messages.
        endpoint: an address such as ``http://127.0.0.1:9000``; empty for AWS.
        key, secret, token: credentials; empty if the machine or the container has a role.
        virtual_hosts: True if buckets are part of the host name, as in AWS, rather than of the path.
        authorities: file of certificates trusted in addition to the system's.
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
        """The store's name for messages."""
        return self.endpoint or f"AWS, region {self.region}"

    def address(self, path: str) -> str:
        """Return the URL of BUCKET/KEY, as messages and records have it."""
        return f"s3a://{path}"

    def config(self) -> dict[str, str]:
        """Return the settings of Rust's object_store."""
        # `aws_conditional_put` lets writes fail if the object exists.
        return {
            **_non_empty(
                aws_endpoint=self.endpoint, aws_access_key_id=self.key, aws_secret_access_key=self.secret,
                aws_session_token=self.token,
            ),
            "aws_region": self.region, "aws_virtual_hosted_style_request": str(self.virtual_hosts).lower(),
            "aws_conditional_put": "etag",
        }

    def marks(self) -> FileSystem:
        """Return pyarrow's client, to delete Hadoop's markers of folders; None if obstore can delete them."""
        from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

        settings = _non_empty(
            access_key=self.key, secret_key=self.secret, session_token=self.token, endpoint_override=self.endpoint,
            tls_ca_file_path=self.authorities,
        )
        return S3FileSystem(
            **settings, region=self.region, connect_timeout=CONNECT_SECONDS, request_timeout=SILENT_SECONDS,
            force_virtual_addressing=bool(self.endpoint) and self.virtual_hosts,
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=TRIES),
        )

    def hadoop(self, bucket: str) -> dict[str, str]:
        """Return Hadoop's settings for one bucket, as other buckets may be in another store; ``fs.SCHEME.impl`` is the
        class of the file system. Empty if Spark cannot reach the store."""
        settings = {
            **_non_empty(endpoint=self.endpoint), "endpoint.region": self.region,
            "path.style.access": str(not self.virtual_hosts).lower(),
            "connection.ssl.enabled": str(not is_plain(self)).lower(),
            "connection.establish.timeout": f"{CONNECT_SECONDS}s", "connection.timeout": f"{SILENT_SECONDS}s",
            "connection.request.timeout": f"{REQUEST_SECONDS}s", "connection.part.upload.timeout": "5m",
            # Hadoop and its client both retry: together as often as the other libraries.
            "attempts.maximum": "1", "retry.limit": str(TRIES),
        }
        return {
            "fs.s3a.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
            **{f"fs.s3a.bucket.{bucket}.{name}": value for name, value in settings.items()},
        }


def s3_access(environ: Mapping[str, str] = os.environ) -> S3Access:
    """Return the settings of the AWS_ variables. Raises CatalogError for incomplete credentials or a bad endpoint.

    >>> s3_access({"AWS_ENDPOINT_URL": "https://s3.example.org/", "AWS_DEFAULT_REGION": "eu-north-1"})
    S3Access(endpoint='https://s3.example.org', region='eu-north-1', virtual_hosts=False, authorities='')
    """
    endpoint = _endpoint("AWS_ALLOW_HTTP", environ, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    virtual_hosts = environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "" if endpoint else "true").lower() in _TRUE_TEXTS
    access = S3Access(
        endpoint, environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", ""),
        environ.get("AWS_SESSION_TOKEN", ""), virtual_hosts, environ.get("AWS_CA_BUNDLE", "") if endpoint else "",
    )
    if bool(access.key) != bool(access.secret):
        missing = "AWS_SECRET_ACCESS_KEY" if access.key else "AWS_ACCESS_KEY_ID"
        raise CatalogError(f"the credentials of the object store are incomplete: {missing} is not set",
                           remedy="set both, or neither if the machine has a role")
    return access


def _endpoint(http_variable: str, environ: Mapping[str, str], *variables: str) -> str:
    """Return the endpoint in the first variable that is set. Raises CatalogError if it is no URL, or is not encrypted
    although `http_variable` does not allow that."""
    variable = next((name for name in variables if environ.get(name)), "")
    endpoint = environ.get(variable, "").rstrip("/")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise CatalogError(f"the endpoint {endpoint!r} of the object store is no URL",
                           remedy=f"set {variable} to a URL that begins with https:// (or http://)")
    if endpoint.startswith("http://") and environ.get(http_variable, "").lower() not in _TRUE_TEXTS:
        raise CatalogError(f"the endpoint {endpoint} of the object store is not encrypted",
                           remedy=f"use https://, or set {http_variable}=true to allow this")
    return endpoint


@dataclass(frozen=True, slots=True)
class AzureAccess:
    """Settings of an Azure storage account, see `S3Access`. Access is by the account's key, a shared access signature,
    or an application's id and secret; without these by the machine's identity."""

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
        scheme = "abfs" if is_plain(self) else "abfss"  # Hadoop encrypts `abfss` only
        return f"{scheme}://{container}@{self.account}{_AZURE_DOMAIN}/{key}"

    def config(self) -> dict[str, str]:
        return _non_empty(
            azure_storage_account_name=self.account, azure_storage_endpoint=self.endpoint,
            azure_storage_account_key=self.key, azure_storage_sas_key=self.signature,
            azure_storage_client_id=self.client, azure_storage_client_secret=self.secret,
            azure_storage_tenant_id=self.tenant,
        )

    def marks(self) -> None:
        """Return None, as Hadoop's markers have the names of their folders here, and obstore deletes them."""

    def hadoop(self, bucket: str) -> dict[str, str]:
        """Return Hadoop's settings; they name secrets by their variables, which Hadoop reads itself."""
        oauth = "org.apache.hadoop.fs.azurebfs.oauth2"
        if self.key:
            account_settings = {"account.key": "${env.AZURE_STORAGE_ACCOUNT_KEY}"}
        elif self.signature:
            account_settings = {"account.auth.type": "SAS", "sas.fixed.token": "${env.AZURE_STORAGE_SAS_TOKEN}"}
        elif self.client:
            account_settings = {
                "account.auth.type": "OAuth", "account.oauth.provider.type": f"{oauth}.ClientCredsTokenProvider",
                "account.oauth2.client.endpoint": f"https://login.microsoftonline.com/{self.tenant}/oauth2/token",
                "account.oauth2.client.id": self.client,
                "account.oauth2.client.secret": "${env.AZURE_STORAGE_CLIENT_SECRET}",
            }
        else:
            account_settings = {
                "account.auth.type": "OAuth", "account.oauth.provider.type": f"{oauth}.MsiTokenProvider",
            }
        endpoint_settings = {
            "fs.azure.abfs.endpoint": self.endpoint.partition("://")[2].partition("/")[0],
            "fs.azure.account.hns.enabled": "false", "fs.azure.always.use.https": str(not is_plain(self)).lower(),
        }
        scheme, kind = ("abfs", "") if is_plain(self) else ("abfss", "Secure")
        return {
            f"fs.{scheme}.impl": f"org.apache.hadoop.fs.azurebfs.{kind}AzureBlobFileSystem",
            # Hadoop's own committer for Azure needs the id of a job before Spark has set it.
            f"mapreduce.outputcommitter.factory.scheme.{scheme}":
                "org.apache.hadoop.mapreduce.lib.output.FileOutputCommitterFactory",
            **{f"fs.azure.{name}.{self.account}{_AZURE_DOMAIN}": value for name, value in account_settings.items()},
            # An account without a hierarchical namespace is accessed as blobs, as by all other clients.
            "fs.azure.fns.account.service.type": "BLOB", "fs.azure.networking.library": "JDK_HTTP_URL_CONNECTION",
            **(endpoint_settings if self.endpoint else {}),
            "fs.azure.io.retry.max.retries": str(TRIES),
            "fs.azure.http.connection.timeout": str(1000 * CONNECT_SECONDS),
            "fs.azure.http.read.timeout": str(1000 * REQUEST_SECONDS),
        }


_AZURE_DOMAIN = ".dfs.core.windows.net"


def azure_access(account: str = "", environ: Mapping[str, str] = os.environ) -> AzureAccess:
    """Return the settings of the AZURE_STORAGE_ variables for an account, by default the account of the variables.
    Raises CatalogError if there is no account, or for a bad endpoint.

    >>> azure_access(environ={"AZURE_STORAGE_ACCOUNT_NAME": "team"}).address("study/catalog")
    'abfss://study@team.dfs.core.windows.net/catalog'
    """
    account = account or environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
    if not account:
        raise CatalogError("the address names no storage account of Azure",
                           remedy="set AZURE_STORAGE_ACCOUNT_NAME, or give abfss://CONTAINER@ACCOUNT" + _AZURE_DOMAIN)
    return AzureAccess(
        account, _endpoint("AZURE_ALLOW_HTTP", environ, "AZURE_STORAGE_ENDPOINT"),
        environ.get("AZURE_STORAGE_ACCOUNT_KEY", ""), environ.get("AZURE_STORAGE_SAS_TOKEN", ""),
        environ.get("AZURE_STORAGE_CLIENT_ID", ""), environ.get("AZURE_STORAGE_CLIENT_SECRET", ""),
        environ.get("AZURE_STORAGE_TENANT_ID", ""),
    )


@dataclass(frozen=True, slots=True)
class GoogleAccess:
    """Settings of Google Cloud Storage, see `S3Access`. Access is by a file of credentials, by default those of
    `gcloud` or of the machine. An emulator needs none."""

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
            anonymous = {"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": True}
            return {"google_service_account_key": json.dumps({**anonymous, "gcs_base_url": self.endpoint})}
        return _non_empty(google_application_credentials=self.credentials)

    def marks(self) -> FileSystem:
        from pyarrow.fs import GcsFileSystem

        scheme, _, host = self.endpoint.partition("://")
        settings = {"scheme": scheme, "endpoint_override": host, "anonymous": True} if host else {}
        return GcsFileSystem(**settings, retry_time_limit=timedelta(seconds=REQUEST_SECONDS))

    def hadoop(self, bucket: str) -> dict[str, str]:
        """Return nothing for an emulator, as Hadoop's file system supports Google's endpoint only."""
        if self.endpoint:
            return {}
        return {
            "fs.gs.impl": "org.apache.hadoop.fs.gs.GoogleHadoopFileSystem", "fs.gs.auth.type": "APPLICATION_DEFAULT",
        }


def google_access(environ: Mapping[str, str] = os.environ) -> GoogleAccess:
    """Return the settings of the variables of Google's own libraries.

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
    """Return access to a store, and the path: BUCKET/KEY. Raises NotACatalogError if it is no address; CatalogError."""
    scheme, _, location = address.partition("://")
    path = re.sub("/+", "/", location).strip("/")
    if scheme in ("abfs", "abfss"):
        container, _, host = path.partition("/")[0].partition("@")
        path = f"{container}/{path.partition('/')[2]}".strip("/") if host.endswith(_AZURE_DOMAIN) else ""
    if not path or ".." in path.split("/") or scheme not in (*_ACCESSES, "abfs", "abfss"):
        azure = f"abfss://CONTAINER@ACCOUNT{_AZURE_DOMAIN}/PATH or az://CONTAINER/PATH"
        raise NotACatalogError(f"the catalog {address!r} is neither a local folder nor an address in an object store",
                               remedy=f"give a folder's path, s3a://BUCKET/PATH, {azure}, or gs://BUCKET/PATH")
    if characters := sorted(set(re.findall(r"[^A-Za-z0-9/._=-]", path))):
        raise NotACatalogError(f"the catalog {address!r} has {' '.join(characters)!r} in its name",
                               exists="libraries encode such characters in different ways",
                               remedy="use letters, digits, and . _ = - only")
    return (_ACCESSES[scheme]() if scheme in _ACCESSES else azure_access(host.removesuffix(_AZURE_DOMAIN))), path


def is_in_s3(path: str) -> bool:
    """Return whether a path of Spark's is in an S3 store.

    >>> is_in_s3("s3a://bucket/people.csv"), is_in_s3("/data/people.csv")
    (True, False)
    """
    # S3A is Hadoop's client, and the only scheme that Spark knows without settings.
    return path.startswith(("s3a://", "s3://"))


def is_reached_alike(path: str, settings: Mapping[str, str], access: S3Access | None = None) -> bool:
    """Return whether Spark, with these settings, reads a path from the store of the AWS_ variables.

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
    endpoint = hadoop.get(f"fs.s3a.bucket.{bucket}.endpoint", hadoop.get("fs.s3a.endpoint", ""))
    return _host(endpoint) == _host((access or s3_access()).endpoint)


def _host(endpoint: str) -> str:
    """Return an endpoint without its scheme; empty for AWS, which S3A also names by region."""
    host = (endpoint.partition("://")[2] or endpoint).rstrip("/")
    return "" if host.endswith("amazonaws.com") else host


def bucket_and_key(path: str) -> tuple[str, str]:
    """Return the bucket and the key of a path.

    >>> bucket_and_key("s3a://bucket/data//people.csv/")
    ('bucket', 'data/people.csv')
    """
    bucket, _, key = path.partition("://")[2].partition("/")
    return bucket, re.sub("/+", "/", key).strip("/")


_SILENT_SINCE: dict[str, float] = {}
"""The time of the last unanswered request by store, on the clock of `time.monotonic`."""


class StoreError(OSError):
    """The store did not answer, or refused, so that its content is unknown."""


@contextmanager
def answering(store: str) -> Iterator[None]:
    """Send a request to a store. For a minute after an unanswered one, raise StoreError at once: no result waits."""
    if (since := _SILENT_SINCE.get(store)) is not None and time.monotonic() - since < 60.0:
        raise StoreError(errno.ETIMEDOUT, "the store did not answer the last request; Helix tries again in a minute")
    try:
        yield
    except Exception as error:
        if "TimedOut" in str(error) or "kind: Timeout" in str(error):
            _SILENT_SINCE[store] = time.monotonic()
        raise
    _SILENT_SINCE.pop(store, None)
