"""An S3 store on this machine, for tests: moto's, made to decide a condition and write in one step, as S3 does.

moto looks whether an object is there, and writes it in a second step, for several requests at once. On a busy machine
two writers could both make what only one may make, and a record was lost that no real store loses.

    python tests/fakes/local_store.py PORT
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from threading import Lock
from typing import Any


def is_here() -> bool:
    """Whether moto is installed."""
    return importlib.util.find_spec("moto") is not None


@contextlib.contextmanager
def local_store() -> Iterator[str]:
    """The address of a new, empty store. A process of its own: libraries wait for it without Python's lock."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, __file__, str(port)]
    short_lists = {**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": "100"}  # S3 answers with at most 1,000 names
    with subprocess.Popen(command, env=short_lists, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def _serve(port: str) -> None:
    from moto.s3.responses import S3Response
    from moto.server import main

    put_object, lock = S3Response.put_object, Lock()

    def one_at_a_time(request: S3Response) -> tuple[int, dict[str, Any], str | bytes]:
        with lock:
            return put_object(request)

    S3Response.put_object = one_at_a_time  # type: ignore[method-assign,assignment]  # moto takes no other class for it
    main(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    _serve(sys.argv[1])
