"""The `helix` command: reads arguments, calls `Helix`, prints."""

from __future__ import annotations

import inspect
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from helix_spark.cli import options
from helix_spark.cli.catalog_commands import catalog_commands
from helix_spark.cli.options import CommandSettings, say
from helix_spark.cli.output_files import checkout, export, history, write_pages
from helix_spark.cli.process_state import process_start
from helix_spark.cli.workflow_runs import WorkflowFile
from helix_spark.errors import ParameterError, SetupError, install
from helix_spark.hermetic.generators import AUTHOR_SEEDS
from helix_spark.loaded_sources import is_loading
from helix_spark.sizes import format_seconds, format_size

if TYPE_CHECKING:
    from helix_spark.cli.author_file import Factory
    from helix_spark.cli.programs import ScriptFile
    from helix_spark.run.audit import Audit
    from helix_spark.workflow.workflow import Workflow

    Work = WorkflowFile | ScriptFile


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=options.EXIT_CODES)
@click.version_option(package_name="helix-spark")
def helix() -> None:
    """Iterate on Spark ML workflows: edit, run, and compute only what the edit touched."""


def on_file(*given_options: options.Decorator) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function of a file, its settings and further options a command, which is given FILE[:FUNCTION]."""
    def make(function: Callable[..., None]) -> click.Command:
        own = inspect.signature(function).parameters

        @wraps(function)
        def command(target: str, arguments: Sequence[str], settings: Sequence[str], **given: Any) -> None:
            work = _find_target(target, arguments, settings)
            place = options.read_settings(work.path, **{name: one for name, one in given.items() if name not in own})
            function(work, place, **{name: one for name, one in given.items() if name in own})

        return options.command(*given_options, context_settings={"ignore_unknown_options": True})(command)

    return make


@on_file(
    options.target, options.running,
    click.option("--rerun-effects", is_flag=True, help="Of a plain program: write again what it wrote before."),
)
def run(work: Work, place: CommandSettings, message: str, quiet: bool, as_json: bool, rerun_effects: bool) -> None:
    """Run a workflow: compute what changed, reuse the rest. Or a plain PySpark program, with its ARGUMENTS: it runs as
    by itself, and what Spark answered it before is not asked again."""
    work.run(place, message, quiet=quiet, as_json=as_json, rerun_effects=rerun_effects)


@on_file(options.target, options.parameters, options.deciding, options.spark, options.json_wanted)
def plan(work: Work, place: CommandSettings, as_json: bool) -> None:
    """Say what a run would do, and why. Runs nothing, starts no JVM unless the file itself needs one. Of a plain
    PySpark program with its ARGUMENTS, what is on record, and what Spark would be asked first: that runs its Python."""
    work.plan(place, as_json=as_json)


@on_file(
    options.target, options.parameters,
    click.option("--all", "everything", is_flag=True, help="Look again at what is verified, too."),
    click.option("--budget", "seconds", type=click.FloatRange(min=0), metavar="SECONDS",
                 help="How long it may take, as far as that is known; what is dearest if it is wrong comes first."),
    options.place, options.spark, options.json_wanted,
)
def audit(work: Work, place: CommandSettings, everything: bool, seconds: float | None, as_json: bool) -> None:
    """Compute stored results again, and compare; exit code 1 if one came out different.

    What comes out the same is verified. What does not is never reused again, nor what is made of it. A plain PySpark
    program is run once more with its ARGUMENTS, unheard, from scratch: Spark writes nothing, and its answers are
    compared.
    """
    from helix_spark.cli.schema import audit_json

    found = work.audit(place, everything=everything, seconds=seconds)
    what = "stored results" if isinstance(work, WorkflowFile) else "answers"
    options.print_found(as_json, lambda: audit_json(found), lambda: say(_audit_text(found, what)))
    if found.ended:
        say(f"helix: {found.ended}", to_stderr=True)
    sys.exit(0 if found.sound else 1)


@on_file(
    click.argument("node"), options.target, options.parameters, options.deciding, options.spark, options.json_wanted
)
def explain(work: Work, place: CommandSettings, node: str, as_json: bool) -> None:
    """Say everything that a plan knows of one NODE. Starts no JVM unless the file itself needs one. Of a plain PySpark
    program with its ARGUMENTS, NODE is what `helix show` calls an answer."""
    work.explain(node, place, as_json=as_json)


@on_file(options.target, options.parameters, options.deciding, options.spark, options.tracking)
def watch(work: Work, place: CommandSettings) -> None:
    """Run at each save, in one warm session: a workflow, or a plain PySpark program with its ARGUMENTS."""
    from helix_spark.cli.watching import watch_program, watch_workflow

    if isinstance(work, WorkflowFile):
        watch_workflow(work, place)
    else:
        watch_program(work, place)


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
    catalog = options.records(with_shared=True, **given)
    try:
        from helix_spark.ui.app import bound, serve
        from helix_spark.ui.one_file import exported
    except ModuleNotFoundError as error:
        raise SetupError(f"the pages need {error.name}, which is not installed", remedy=install("ui")) from error
    if export is not None:
        write_pages(Path(export), exported(catalog, workflow, limit))
        return
    opened, names = bound(host, port), list[str]()
    if host not in ("127.0.0.1", "::1", "localhost"):
        names = [host, socket.gethostname(), socket.getfqdn()]
        say("whoever reaches this machine can read the catalog; nobody can change it", to_stderr=True)
    with suppress(KeyboardInterrupt):  # that is how it ends
        serve(catalog, opened, names, lambda address: say(f"{catalog.root} at {address} (Ctrl+C ends it)"))


@click.group()
def server() -> None:
    """The Spark servers that stay between runs: one a folder, two at most."""


@options.command(options.json_wanted)
def status(as_json: bool) -> None:
    """Say which servers stay, for which folders, since when, and how much memory each holds."""
    from helix_spark.engine.server.kept_servers import MeetingPoint

    found = [one for point in MeetingPoint.all() if (one := point.status()) is not None]
    options.print_found(as_json, lambda: found, lambda: say("\n".join(map(_server_text, found)) or "no server stays"))


def _server_text(found: dict[str, Any]) -> str:
    """Return a line about a server, by what its keeper says of it."""
    size, idle = format_size(found["bytes"]), f"idle for {format_seconds(found['idle_seconds'])} s"
    if not found.get("spark", True):  # an earlier version does not say
        does = f"without Spark yet, {idle}"
    elif not found["ready"]:
        does = "is being started"
    else:
        does = f"is used by process {', '.join(map(str, found['runs']))}" if found["runs"] else idle
    tables = f", {found['rows']} tables of it in {format_size(found['rows_bytes'])}" if found["rows"] else ""
    minutes = (time.time() - found["started"]) / 60
    return f"{found['folder']}: {does}; {minutes:.0f} min old, {size} of memory{tables}; log {found['log']}"


@options.command(click.option("--all", "everywhere", is_flag=True, help="Those of all folders."))
def stop(everywhere: bool) -> None:
    """End the server of this folder. A run that uses it goes on with another one."""
    from helix_spark.engine.server.kept_servers import MeetingPoint

    points = MeetingPoint.all() if everywhere else [MeetingPoint.for_folder(str(Path.cwd()))]
    ended = sum(map(MeetingPoint.stop, points))
    say(f"{ended} ended" if ended else "no server stays" + ("" if everywhere else f" for {Path.cwd()}"))


def _audit_text(found: Audit, what: str) -> str:
    lines = []
    for one in found.results:
        if one.verdict != "verified":
            lines.append(f"  {one.node}: {one.verdict}: {one.why}")
        if one.heirs:
            lines.append(f"    never reused again, nor what is made of it: {', '.join(one.heirs)}")
    counts = Counter(one.verdict for one in found.results)
    verdicts = ", ".join(f"{counts[one]} {one}" for one in ("verified", "different", "not compared") if counts[one])
    lines.append(f"{len(found.results)} {what} computed again in {format_seconds(found.seconds)} s"
                 + (f": {verdicts}" if verdicts else ""))
    if found.verified:
        lines.append(f"verified before: {', '.join(found.verified)} (--all looks again)")
    if found.left:
        lines.append(f"not looked at within the time: {', '.join(found.left)}")
    return "\n".join(lines)


def _find_target(target: str, arguments: Sequence[str], settings: Sequence[str]) -> Work:
    from helix_spark.cli.author_file import split_target
    from helix_spark.program.program_text import is_plain_program

    path, function = split_target(target)
    if function is not None or not is_plain_program(path):
        if arguments:
            raise ParameterError(
                f"a workflow has no argument {arguments[0]!r}", remedy="its parameters are set by --set NAME=VALUE"
            )
        return WorkflowFile(path, function, settings)
    if settings:
        raise ParameterError(
            f"{path} is a script, which has arguments and no parameter for --set {settings[0]}",
            remedy=f"write `helix run {path} ARGUMENTS`, and read them from sys.argv, for example by argparse; options "
            "behind `--` are the script's own",
        )
    from helix_spark.cli.programs import ScriptFile

    return ScriptFile(path, arguments)


server.add_command(status)
server.add_command(stop)
for _command in (run, plan, audit, explain, watch, *catalog_commands, checkout, export, history, ui, server):
    helix.add_command(_command)


def main(factory: Factory | Workflow | None = None) -> None:
    """Run the `helix` command; or, given a workflow's function, `helix run` of it: for a file that runs itself.

    No-op where a command loads that file: then the command has it run, or plans it.

    Args:
        factory: a function that returns a workflow, a `functools.partial` of one, or a workflow (no `--set` then).

    Raises:
        SystemExit: at the end, with the exit code.
    """
    if is_loading():
        return
    if factory is None:
        options.fix_hash_seed()
        helix(obj=process_start())
        return
    from helix_spark.cli.author_file import given_to_main

    with AUTHOR_SEEDS.untouched():
        with options.report_errors():
            build, name, path = given_to_main(factory)
            options.fix_hash_seed(path)

        @options.command(
            options.running, help=f"Run {name}: compute what changed, reuse the rest.", epilog=options.EXIT_CODES
        )
        def command(settings: Sequence[str], message: str, quiet: bool, as_json: bool, **given: Any) -> None:
            named = WorkflowFile(path, None, settings, build)
            named.run(options.read_settings(path, **given), message, quiet=quiet, as_json=as_json)

        command(obj=process_start())


if __name__ == "__main__":
    main()
