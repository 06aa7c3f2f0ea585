"""A server before an object store that passes requests on, and loses the answers to some that write: the store has
carried them out, and whoever asked is not told.

    python -m tests.faults.lossy_front STORE HOW NAMES EVERY

HOW is `closed` (the connection ends without an answer) or `failed` (an answer says that the store had an error, as
stores do whose own answer was lost within). It is done to every EVERY-th request that writes an object whose name
matches NAMES, a regular expression. HOW is `expired` for credentials that are refused once EVERY such objects were
written. Prints its port; then a line for each answer that it lost.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.faults.processes import start_python

HOW = ("closed", "failed")
_FAILED = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>We encountered an error.</Message></Error>"
_EXPIRED = b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>It has expired.</Message></Error>"


@contextlib.contextmanager
def lossy_front(store: str, how: str, names: str, every: int = 1) -> Iterator[tuple[str, list[str]]]:
    """The address of such a server, and the names of the objects of which it lost the answers.

    A process of its own: libraries wait for answers without giving way to other threads.
    """
    with start_python("-m", "tests.faults.lossy_front", store, how, names, every, stderr=None) as server:
        assert server.stdout is not None
        port, lost = server.stdout.readline().strip(), list[str]()
        reader = threading.Thread(target=lambda: lost.extend(map(str.strip, server.stdout or ())), daemon=True)
        reader.start()
        try:
            yield f"http://127.0.0.1:{port}{urlsplit(store).path}", lost
        finally:
            server.kill()
            reader.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store = how = ""
    names = re.compile("")
    every = 1
    seen = 0
    lock = threading.Lock()

    def passed_on(self) -> None:
        body = self._body()
        if self.how == "expired" and self._is_expired():
            self._send(400, {"content-type": "application/xml", "content-length": str(len(_EXPIRED))}, _EXPIRED)
            return
        connection = http.client.HTTPConnection(urlsplit(self.store).netloc)
        connection.request(self.command, self.path, body, dict(self.headers.items()))
        answer = connection.getresponse()
        content = answer.read()
        if self.command == "PUT" and answer.status < 300 and self.how != "expired" and self._is_lost():
            print(self.path, flush=True)
            if self.how == "closed":
                self.close_connection = True
                return
            self._send(500, {"content-type": "application/xml", "content-length": str(len(_FAILED))}, _FAILED)
            return
        kept = {
            name: value for name, value in answer.getheaders()
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date")
        }
        length = answer.getheader("content-length") if self.command == "HEAD" else None
        self._send(answer.status, kept | {"content-length": length or str(len(content))}, content)

    def _body(self) -> bytes:
        """As it came: pieces with their lengths, if it was sent in such."""
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while True:
            line = self.rfile.readline()
            length = int(line.split(b";")[0], 16)
            body += line + self.rfile.read(length)
            if not length:
                break
            body += self.rfile.readline()
        while (trailer := self.rfile.readline()) != b"\r\n":
            body += trailer
        return body + trailer

    def _is_expired(self) -> bool:
        with self.lock:
            type(self).seen += self.command == "PUT" and bool(self.names.search(self.path))
            return self.seen > self.every

    def _is_lost(self) -> bool:
        if not self.names.search(self.path):
            return False
        with self.lock:
            type(self).seen += 1
            return self.seen % self.every == 0

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = passed_on  # noqa: N815  # the names that the server looks for

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of who left before its answer came."""


def main() -> None:
    _Handler.store, _Handler.how, names, every = sys.argv[1:]
    _Handler.names, _Handler.every = re.compile(names), int(every)
    server = _Server(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
