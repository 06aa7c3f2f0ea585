"""`helix ui`: serve pages, or write them into a file."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from helix_spark.cli import options
from helix_spark.cli.options import records, say
from helix_spark.errors import HelixError, ParameterError, SetupError, install
from helix_spark.sizes import format_size


@options.command(
    options.place,
    click.option("--port", default=8760, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."),
    click.option("--host", default="127.0.0.1", show_default=True,
                 help="Where to listen; other than this, all may read."),
    click.option("--export", metavar="FILE.html", help="Write one file that needs no server instead."),
    click.option("--workflow", default="", metavar="NAME", help="Only this one is exported."),
    click.option("-n", "--limit", type=click.IntRange(min=1), default=30, show_default=True,
                 help="How many iterations are exported, newest first."),
)
def ui(port: int, host: str, export: str | None, workflow: str, limit: int, **given: Any) -> None:
    """Show the catalog as web pages. Reads only, starts no JVM, loads no code of yours."""
    context = click.get_current_context()
    for name in ("workflow", "limit") if export is None else ("host", "port"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            why = "an export; pages that are served show the whole catalog" if export is None else \
                "pages that are served, and --export serves none"
            other = "add --export FILE.html" if export is None else "leave out --export"
            raise ParameterError(f"--{name} is for {why}", remedy=f"{other}, or leave out --{name}")
    catalog = records(with_shared=True, **given)
    try:
        from helix_spark.ui.app import bound, serve
        from helix_spark.ui.one_file import exported
    except ModuleNotFoundError as error:
        raise SetupError(f"the pages need {error.name}, which is not installed", remedy=install("ui")) from error
    if export is not None:
        _write_pages(Path(export), exported(catalog, workflow, limit))
        return
    opened, names = bound(host, port), list[str]()
    if host not in ("127.0.0.1", "::1", "localhost"):
        names = [host, socket.gethostname(), socket.getfqdn()]
        say("whoever reaches this machine can read the catalog; nobody can change it", to_stderr=True)
    with contextlib.suppress(KeyboardInterrupt):  # that is how it ends
        serve(catalog, opened, names, lambda address: say(f"{catalog.root} at {address} (Ctrl+C ends it)"))


def _write_pages(file: Path, text: str) -> None:
    from helix_spark.catalog.places.place import sync_path
    try:
        file.write_text(text, encoding="utf-8")
        if file.is_file():  # no terminal or pipe: it survives a power cut once it is said to be written
            sync_path(file)
            with contextlib.suppress(PermissionError):  # a user who may write into a folder may not always list it
                sync_path(file.absolute().parent)
    except OSError as error:
        raise HelixError(f"{file} cannot be written: {error.strerror or error}") from error
    say(f"wrote {file} ({format_size(len(text.encode()))})")
