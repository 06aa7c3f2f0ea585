"""The `helix` command: read arguments, call `Helix`, print."""

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
    """Iterate on Spark ML workflows: edit, run, and compute only what the edit affects."""


def on_file(*command_options: options.Decorator) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command on FILE[:FUNCTION] of a function that takes the file, the settings, and options of its own."""
    def decorate(function: Callable[..., None]) -> click.Command:
        own = inspect.signature(function).parameters

        @wraps(function)
        def command(target: str, arguments: Sequence[str], settings: Sequence[str], **values: Any) -> None:
            work = _find_target(target, arguments, settings)
            common = {name: values.pop(name) for name in values.keys() - own.keys()}
            function(work, options.read_settings(work.path, **common), **values)

        return options.command(*command_options, context_settings={"ignore_unknown_options": True})(command)

    return decorate


@on_file(
    options.target, options.running,
    click.option("--rerun-effects", is_flag=True, help="Repeat the writes of a plain program's earlier runs."),
)
def run(work: Work, settings: CommandSettings, message: str, quiet: bool, as_json: bool, rerun_effects: bool) -> None:
    """Run a workflow: compute what changed, reuse the rest. Or run a plain PySpark program with its ARGUMENTS: it runs
    as it would without Helix, and answers that are recorded are not requested from Spark again."""
    work.run(settings, message, quiet=quiet, as_json=as_json, rerun_effects=rerun_effects)


@on_file(options.target, options.parameters, options.deciding, options.spark, options.as_json)
def plan(work: Work, settings: CommandSettings, as_json: bool) -> None:
    """Print what a run would do, and why. Computes nothing, and starts no JVM unless the file itself needs one.

    For a plain PySpark program with its ARGUMENTS, print which answers are recorded, and the first request that Spark
    would have to answer. This runs the program's Python code.
    """
    work.plan(settings, as_json=as_json)


@on_file(
    options.target, options.parameters,
    click.option("--all", "everything", is_flag=True, help="Also compute results that are verified already."),
    click.option("--budget", "seconds", type=click.FloatRange(min=0), metavar="SECONDS",
                 help="The time that the audit is expected to take at most. Results with the most work at risk come "
                 "first."),
    options.catalog, options.spark, options.as_json,
)
def audit(work: Work, settings: CommandSettings, everything: bool, seconds: float | None, as_json: bool) -> None:
    """Compute stored results again, and compare. Exit code 1 if a result is different.

    Equal results are verified. Different results and their descendants are never reused again. A plain PySpark program
    is run again with its ARGUMENTS, silently and without reuse: Spark writes nothing, and the answers are compared.
    """
    from helix_spark.cli.schema import audit_json

    outcome = work.audit(settings, everything=everything, seconds=seconds)
    subject = "stored results" if isinstance(work, WorkflowFile) else "answers"
    options.print_result(as_json, lambda: audit_json(outcome), lambda: say(_audit_text(outcome, subject)))
    if outcome.ended:
        say(f"helix: {outcome.ended}", to_stderr=True)
    sys.exit(0 if outcome.sound else 1)


@on_file(
    click.argument("node"), options.target, options.parameters, options.deciding, options.spark, options.as_json
)
def explain(work: Work, settings: CommandSettings, node: str, as_json: bool) -> None:
    """Print all details of one NODE of the plan. Starts no JVM unless the file itself needs one. In a plain PySpark
    program with its ARGUMENTS, NODE is the name of an answer, as `helix show` lists it."""
    work.explain(node, settings, as_json=as_json)


@on_file(options.target, options.parameters, options.deciding, options.spark, options.tracking)
def watch(work: Work, settings: CommandSettings) -> None:
    """Run a workflow, or a plain PySpark program with its ARGUMENTS, at each save, in one warm session."""
    from helix_spark.cli.watching import watch_program, watch_workflow

    if isinstance(work, WorkflowFile):
        watch_workflow(work, settings)
    else:
        watch_program(work, settings)


@options.command(
    options.catalog,
    click.option("--port", default=8760, show_default=True, type=click.IntRange(0, 65535),
                 help="The port; 0 takes a free one."),
    click.option("--host", default="127.0.0.1", show_default=True,
                 help="The address to listen at; any other than a local one lets the network read the catalog."),
    click.option("--export", metavar="FILE.html", help="Write one file that needs no server instead."),
    click.option("--workflow", default="", metavar="NAME", help="Export only this workflow."),
    click.option("-n", "--limit", type=click.IntRange(min=1), default=30, show_default=True,
                 help="The number of iterations to export, newest first."),
)
def ui(port: int, host: str, export: str | None, workflow: str, limit: int, **common: Any) -> None:
    """Show the catalog as web pages. Read-only; starts no JVM and loads none of your code."""
    context = click.get_current_context()
    for name in ("workflow", "limit") if export is None else ("host", "port"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            why = "needs --export: the server shows the whole catalog" if export is None else \
                "cannot be combined with --export, which starts no server"
            remedy = "add --export FILE.html" if export is None else "leave out --export"
            raise ParameterError(f"--{name} {why}", remedy=f"{remedy}, or leave out --{name}")
    catalog = options.records(with_shared=True, **common)
    try:
        from helix_spark.ui.app import bind, serve
        from helix_spark.ui.one_file import export_pages
    except ModuleNotFoundError as error:
        raise SetupError(f"the web pages need {error.name}, which is not installed", remedy=install("ui")) from error
    if export is not None:
        write_pages(Path(export), export_pages(catalog, workflow, limit))
        return
    opened, names = bind(host, port), list[str]()
    if host not in ("127.0.0.1", "::1", "localhost"):
        names = [host, socket.gethostname(), socket.getfqdn()]
        say("everyone who can reach this machine can read the catalog; the pages cannot change it", to_stderr=True)
    with suppress(KeyboardInterrupt):  # the only end of the server
        serve(catalog, opened, names, lambda address: say(f"{catalog.root} at {address} (Ctrl-C stops the server)"))


@click.group()
def server() -> None:
    """Manage the Spark servers that stay between runs: one for each folder, two at most."""


@options.command(options.as_json)
def status(as_json: bool) -> None:
    """List the running servers: folder, state, age, memory, log file."""
    from helix_spark.engine.server.kept_servers import MeetingPoint

    servers = [status for point in MeetingPoint.all() if (status := point.status()) is not None]
    options.print_result(
        as_json, lambda: servers, lambda: say("\n".join(map(_server_text, servers)) or "no server is running")
    )


def _server_text(status: dict[str, Any]) -> str:
    """Return a line about a server, from its keeper's status."""
    size, idle = format_size(status["bytes"]), f"idle for {format_seconds(status['idle_seconds'])} s"
    if not status.get("spark", True):  # an earlier version has no such field
        state = f"Spark not started yet, {idle}"
    elif not status["ready"]:
        state = "starting"
    else:
        state = f"used by process {', '.join(map(str, status['runs']))}" if status["runs"] else idle
    tables = f", {format_size(status['rows_bytes'])} of it for {status['rows']} tables" if status["rows"] else ""
    minutes = (time.time() - status["started"]) / 60
    return f"{status['folder']}: {state}; {minutes:.0f} min old, {size} of memory{tables}; log {status['log']}"


@options.command(click.option("--all", "everywhere", is_flag=True, help="Stop the servers of all folders."))
def stop(everywhere: bool) -> None:
    """Stop the server of this folder. A run that uses it continues with a new server."""
    from helix_spark.engine.server.kept_servers import MeetingPoint

    points = MeetingPoint.all() if everywhere else [MeetingPoint.for_folder(str(Path.cwd()))]
    count = sum(map(MeetingPoint.stop, points))
    say(f"{count} stopped" if count else "no server is running" + ("" if everywhere else f" for {Path.cwd()}"))


def _audit_text(outcome: Audit, subject: str) -> str:
    lines = []
    for result in outcome.results:
        if result.verdict != "verified":
            lines.append(f"  {result.node}: {result.verdict}: {result.why}")
        if result.heirs:
            lines.append(f"    never reused again, with its descendants: {', '.join(result.heirs)}")
    counts = Counter(result.verdict for result in outcome.results)
    verdicts = ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in ("verified", "different", "not compared") if counts[verdict]
    )
    lines.append(f"{len(outcome.results)} {subject} computed again in {format_seconds(outcome.seconds)} s"
                 + (f": {verdicts}" if verdicts else ""))
    if outcome.verified:
        lines.append(f"verified before: {', '.join(outcome.verified)} (--all computes these again)")
    if outcome.left:
        lines.append(f"not computed within the time: {', '.join(outcome.left)}")
    return "\n".join(lines)


def _find_target(target: str, arguments: Sequence[str], settings: Sequence[str]) -> Work:
    from helix_spark.cli.author_file import build, find_factory, load_file, split_target
    from helix_spark.program.program_text import is_plain_program

    path, function = split_target(target)
    if function is not None or not is_plain_program(path):
        if arguments:
            raise ParameterError(
                f"a workflow takes no argument {arguments[0]!r}", remedy="set its parameters by --set NAME=VALUE"
            )
        return WorkflowFile(path, lambda: build(find_factory(load_file(path), path, function), path, settings))
    if settings:
        raise ParameterError(
            f"{path} is a script, which takes arguments instead of --set {settings[0]}",
            remedy=f"write `helix run {path} ARGUMENTS`, and read them from sys.argv, for example with argparse; "
            "options after `--` go to the script",
        )
    from helix_spark.cli.programs import ScriptFile

    return ScriptFile(path, arguments)


server.add_command(status)
server.add_command(stop)
for _command in (run, plan, audit, explain, watch, *catalog_commands, checkout, export, history, ui, server):
    helix.add_command(_command)


def main(factory: Factory | Workflow | None = None) -> None:
    """Run the `helix` command; or, with a workflow's function, `helix run` of it: for a file that runs itself.

    No-op while a command loads that file: the command then runs or plans it.

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
    from helix_spark.cli.author_file import argument_of_main, build

    with AUTHOR_SEEDS.untouched():
        with options.report_errors():
            declare, name, path = argument_of_main(factory)
            options.fix_hash_seed(path)

        @options.command(
            options.running, help=f"Run {name}: compute what changed, reuse the rest.", epilog=options.EXIT_CODES
        )
        def command(settings: Sequence[str], message: str, quiet: bool, as_json: bool, **values: Any) -> None:
            work = WorkflowFile(path, lambda: build(declare, path, settings), runs_itself=True)
            work.run(options.read_settings(path, **values), message, quiet=quiet, as_json=as_json)

        command(obj=process_start())


if __name__ == "__main__":
    main()
