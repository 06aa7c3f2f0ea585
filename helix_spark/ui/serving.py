"""`helix ui` as a server: one process, one catalog, until it is stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import uvicorn

from helix_spark.errors import SetupError
from helix_spark.ui.app import make_app

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; port 0 takes a free one.

    Raises:
        SetupError: the address is not to be had.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        raise SetupError(
            f"the pages cannot be served at {host}, port {port}: {error.strerror or error}",
            remedy="stop what is there, or name another with --port (0 takes a free one)",
        ) from error
    return opened


def serve(
    records: CatalogReader, opened: socket.socket, names: Collection[str], started: Callable[[str], None]
) -> None:
    """Serve until interrupted.

    Args:
        names: further host names to answer to.
        started: is told the address once it is served.
    """
    host, port = opened.getsockname()[:2]
    config = uvicorn.Config(
        make_app(records, names), log_level="warning", access_log=False, lifespan="off", server_header=False,
        loop="asyncio", http="h11", ws="none",  # others would be imported, and waited for
    )
    opened.listen(128)
    started(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
    uvicorn.Server(config).run(sockets=[opened])
