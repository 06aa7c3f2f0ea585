"""What `helix ui` does: serve pages, or write them into a file."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from helix_spark.catalog.catalog_reader import CatalogReader
from helix_spark.catalog.places.output_files import output_at
from helix_spark.cli.terminal import say
from helix_spark.errors import HelixError, SetupError, install
from helix_spark.sizes import format_size


def show_pages(catalog: str, host: str, port: int) -> None:
    """Serves until interrupted.

    Raises:
        SetupError: what serves pages is not installed, or the address is taken.
        CatalogError: there is no catalog.
    """
    records = CatalogReader.open(catalog, create=False)
    try:
        from helix_spark.ui.serving import bound, serve
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    opened = bound(host, port)
    names: list[str] = []
    if host not in ("127.0.0.1", "::1", "localhost"):
        names = [host, socket.gethostname(), socket.getfqdn()]
        say("whoever reaches this machine can read the catalog; nobody can change it", to_stderr=True)

    def started(address: str) -> None:
        say(f"{records.root} at {address} (Ctrl+C ends it)")

    with contextlib.suppress(KeyboardInterrupt):  # that is how it ends
        serve(records, opened, names, started)


def export_pages(catalog: str, file: Path, workflow: str, limit: int) -> None:
    """Writes one file.

    Raises:
        SetupError: what renders pages is not installed.
        CatalogError: there is no catalog.
        HelixError: the file cannot be written.
    """
    records = CatalogReader.open(catalog, create=False)
    try:
        from helix_spark.ui.one_file import exported
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    text = exported(records, workflow, limit)
    with output_at(file, replaces=True) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    say(f"wrote {file} ({format_size(len(text.encode()))})")


def _missing(error: ModuleNotFoundError) -> HelixError:
    return SetupError(f"the pages need {error.name}, which is not installed", remedy=install("ui"))
