"""Real servers of object stores on this machine: one of S3, one of Azure's, one of Google's. `make test-stores`.

    python -m tests.stores.servers install

Versity's gateway is a server of S3 on a folder; Azurite is Microsoft's own emulator. No server that can be had speaks
the XML that clients in Rust speak with Google: fake-gcs-server answers Google's JSON, so requests in XML that write or
list are translated.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

FOLDER = Path(__file__).resolve().parents[2] / ".venv" / "stores"
_ROOT = Path(__file__).resolve().parents[2]
_AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Of the account devstoreaccount1, as Azurite's manual has it."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can be installed and started.

    Attributes:
        package: as its registry names it; the program is the last word of it, but for Azurite.
        version: that is installed.
        command: gives the arguments of the program for a port and a folder of data.
        variables: gives the environment by which Helix reaches the server at an address.
        make_bucket: makes a bucket in the server at an address.
        root: the address of a catalog in a bucket.
    """

    package: str
    version: str
    command: Callable[[str, str], list[str]]
    variables: Callable[[str], dict[str, str]]
    make_bucket: Callable[[str, str], None]
    root: str

    @property
    def program(self) -> Path:
        name = self.package.rpartition("/")[2]
        folder = FOLDER / f"{name}-{self.version}"
        return folder / ("node_modules/.bin/azurite-blob" if name == "azurite" else name)

    def install(self) -> None:
        """Install it, unless it is there."""
        if self.program.exists():
            return
        if self.package == "azurite":
            folder = self.program.parents[2]
            folder.mkdir(parents=True, exist_ok=True)
            npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
            subprocess.run([*npm, f"{self.package}@{self.version}"], check=True)
            return
        go = shutil.which("go") or "/usr/local/go/bin/go"
        environ = {**os.environ, "GOBIN": str(self.program.parent)}
        subprocess.run([go, "install", f"{self.package}@{self.version}"], check=True, env=environ)

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """The address of a new, empty server."""
        with tempfile.TemporaryDirectory(prefix="helix-store-") as data:
            port = free_port()
            with _process([str(self.program), *self.command(port, data)], port):
                if "gcs" not in self.package:
                    yield f"http://127.0.0.1:{port}" + ("/devstoreaccount1" if self.package == "azurite" else "")
                    return
                front = free_port()
                with _process([sys.executable, "-m", "tests.stores.servers", "translate", port, front], front):
                    yield f"http://127.0.0.1:{front}"


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@contextlib.contextmanager
def _process(command: list[str], port: str) -> Iterator[None]:
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until and process.poll() is None:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", int(port))).close()
                    break
                time.sleep(0.05)
            yield
        finally:
            process.kill()


def _s3_bucket(address: str, name: str) -> None:
    import boto3  # type: ignore[import-untyped]  # its stubs are a package of their own

    boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    ).create_bucket(Bucket=name)


def _azure_container(address: str, name: str) -> None:
    date, version, path = formatdate(usegmt=True), "2021-08-06", f"{urlsplit(address).path}/{name}"
    headers = "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{version}\n"
    signed = f"PUT{headers}/devstoreaccount1{path}\nrestype:container"
    digest = hmac.new(base64.b64decode(_AZURITE_KEY), signed.encode(), hashlib.sha256).digest()
    _ask(address, "PUT", f"{path}?restype=container", headers={
        "x-ms-date": date, "x-ms-version": version,
        "Authorization": f"SharedKey devstoreaccount1:{base64.b64encode(digest).decode()}",
    })


def _google_bucket(address: str, name: str) -> None:
    _ask(address, "POST", "/storage/v1/b", json.dumps({"name": name}), {"content-type": "application/json"})


def _ask(address: str, method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None) -> None:
    connection = http.client.HTTPConnection(urlsplit(address).netloc)
    connection.request(method, path, body, dict(headers or {}))
    answer = connection.getresponse()
    if answer.status >= 300:
        raise OSError(f"{method} {path}: {answer.status} {answer.read().decode(errors='replace')[:200]}")


SERVERS: Mapping[str, Server] = {
    "s3": Server(
        "github.com/versity/versitygw/cmd/versitygw", "v1.8.0",
        lambda port, data: ["--access", "key", "--secret", "secret", "--port", f"127.0.0.1:{port}", "posix", data],
        lambda address: {
            "AWS_ENDPOINT_URL": address, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ALLOW_HTTP": "true",
        },
        _s3_bucket, "s3a://{}/catalog",
    ),
    "azure": Server(
        "azurite", "3.37.0",
        lambda port, data: [
            "--blobHost", "127.0.0.1", "--blobPort", port, "--location", data, "--silent", "--skipApiVersionCheck",
            "--disableTelemetry",
        ],
        lambda address: {
            "AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1", "AZURE_STORAGE_ACCOUNT_KEY": _AZURITE_KEY,
            "AZURE_STORAGE_ENDPOINT": address, "AZURE_ALLOW_HTTP": "true",
        },
        _azure_container, "az://{}/catalog",
    ),
    "google": Server(
        "github.com/fsouza/fake-gcs-server", "v1.56.1",
        lambda port, data: ["-scheme", "http", "-host", "127.0.0.1", "-port", port, "-backend", "memory",
                            "-public-host", f"127.0.0.1:{port}"],
        lambda address: {"STORAGE_EMULATOR_HOST": address}, _google_bucket, "gs://{}/catalog",
    ),
}


class _Translator(BaseHTTPRequestHandler):
    """Server that passes requests on to one of Google's JSON, and translates those in XML that this does not know."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    port = 0

    def _passed_on(self) -> None:
        self._send(*self._requested(self.command, self.path, self._body(), dict(self.headers.items())))

    def _put(self) -> None:
        bucket, _, key = unquote(self.path.removeprefix("/").partition("?")[0]).partition("/")
        if self.path.startswith(("/storage/", "/upload/")):
            self._passed_on()
            return
        condition = self.headers.get("x-goog-if-generation-match")
        asked = f"&ifGenerationMatch={condition}" if condition is not None else ""
        path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe='')}{asked}"
        status, _, content = self._requested("POST", path, self._body(), {"content-type": "application/octet-stream"})
        written = json.loads(content) if status == 200 else {}
        headers = {"etag": f'"{written.get("etag", "")}"', "x-goog-generation": str(written.get("generation", ""))}
        self._send(status, headers, b"" if status == 200 else _error(status))

    def _get(self) -> None:
        parts = urlsplit(self.path)
        if "list-type" not in parts.query:
            self._passed_on()
            return
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        names = {"prefix": "prefix", "delimiter": "delimiter", "continuation-token": "pageToken",
                 "max-keys": "maxResults"}
        query = "&".join(f"{new}={quote(asked[old], safe='')}" for old, new in names.items() if old in asked)
        path = f"/storage/v1/b/{parts.path.strip('/')}/o?{query}"
        status, _, content = self._requested("GET", path, b"", {})
        self._send(status, {"content-type": "application/xml"}, _listing(json.loads(content)) if status == 200
                   else _error(status))

    def _requested(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        given = {name: value for name, value in headers.items() if name.lower() not in ("host", "content-length")}
        connection.request(method, path, body, given)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _send(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name not in ("content-length", "transfer-encoding", "connection", "date"):
                self.send_header(name, value)
        length = headers.get("content-length") if self.command == "HEAD" else None
        self.send_header("content-length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET, do_PUT = _get, _put  # noqa: N815  # the names that the server looks for
    do_HEAD = do_POST = do_DELETE = _passed_on  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def _error(status: int) -> bytes:
    code = {404: "NoSuchBucket", 412: "PreconditionFailed"}.get(status, "InternalError")
    return f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()


def _listing(found: Mapping[str, list[Mapping[str, str]]]) -> bytes:
    objects = "".join(
        f"<Contents><Key>{escape(one['name'])}</Key><Size>{one['size']}</Size><ETag>{one['etag']}</ETag>"
        f"<LastModified>{one['updated']}</LastModified></Contents>" for one in found.get("items", [])
    )
    prefixes = "".join(
        f"<CommonPrefixes><Prefix>{escape(str(one))}</Prefix></CommonPrefixes>" for one in found.get("prefixes", [])
    )
    more = found.get("nextPageToken", "")
    token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    return f"<?xml version='1.0'?><ListBucketResult>{token}{objects}{prefixes}</ListBucketResult>".encode()


def main() -> None:
    if sys.argv[1:] == ["install"]:
        for server in SERVERS.values():
            server.install()
        return
    _Translator.port = int(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[3])), _Translator).serve_forever()


if __name__ == "__main__":
    main()
