"""The commands about servers that stay between runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from helix_spark.cli import options
from helix_spark.cli.options import print_found
from helix_spark.cli.terminal import say
from helix_spark.sizes import format_seconds, format_size


@click.group()
def server() -> None:
    """The Spark servers that stay between runs: one a folder, two at most."""


@options.command(options.json_wanted)
def status(as_json: bool) -> None:
    """Say which servers stay, for which folders, since when, and how much memory each holds."""
    from helix_spark.engine.server.kept_servers import status_of
    from helix_spark.engine.server.meeting import MeetingPoint

    found = [one for point in MeetingPoint.all() if (one := status_of(point)) is not None]
    print_found(as_json, lambda: found, lambda: say("\n".join(map(_line, found)) or "no server stays"))


@options.command(click.option("--all", "everywhere", is_flag=True, help="Those of all folders."))
def stop(everywhere: bool) -> None:
    """End the server of this folder. A run that uses it goes on with another one."""
    from helix_spark.engine.server.kept_servers import stop_server
    from helix_spark.engine.server.meeting import MeetingPoint

    points = MeetingPoint.all() if everywhere else [MeetingPoint.of(str(Path.cwd()))]
    ended = sum(map(stop_server, points))
    say(f"{ended} ended" if ended else "no server stays" + ("" if everywhere else f" for {Path.cwd()}"))


def _line(found: dict[str, Any]) -> str:
    runs, minutes = found["runs"], (time.time() - found["started"]) / 60
    if not found.get("spark", True):  # an earlier version does not say
        does = f"without Spark yet, idle for {format_seconds(found['idle_seconds'])} s"
    elif not found["ready"]:
        does = "is being started"
    elif runs:
        does = f"is used by process {', '.join(map(str, runs))}"
    else:
        does = f"idle for {format_seconds(found['idle_seconds'])} s"
    size = format_size(found["bytes"])
    tables = f", {found['rows']} tables of it in {format_size(found['rows_bytes'])}" if found["rows"] else ""
    return f"{found['folder']}: {does}; {minutes:.0f} min old, {size} of memory{tables}; log {found['log']}"


server.add_command(status)
server.add_command(stop)
