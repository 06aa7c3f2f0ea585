"""The `helix` command. Exit codes: 0 well, 1 the run failed, 2 the input makes no sense, 3 the catalog or machine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from helix_spark.cli.interrupts import INTERRUPTED, TERMINATED, Terminated, interruptible, leave
from helix_spark.errors import CatalogError, HelixError, NodeError, SetupError

if TYPE_CHECKING:
    from helix_spark.cli.loading import Factory
    from helix_spark.engine.iteration import Iteration
    from helix_spark.helix import Helix
    from helix_spark.workflow.workflow import Workflow

RUN_FAILED, BAD_INPUT, BAD_PLACE = 1, 2, 3


def exit_code(error: HelixError) -> int:
    """Which exit code an error has."""
    if isinstance(error, NodeError):
        return RUN_FAILED
    return BAD_PLACE if isinstance(error, CatalogError | SetupError) else BAD_INPUT


def told(command: Callable[..., None]) -> Callable[..., None]:
    """Prints a HelixError to stderr and ends with its exit code."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            with interruptible():
                command(*args, **kwargs)
        except HelixError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(exit_code(error))
        except KeyboardInterrupt as error:
            print("interrupted; what was stored before is kept", file=sys.stderr)
            leave(TERMINATED if isinstance(error, Terminated) else INTERRUPTED)

    return run


_catalog = click.option(
    "--catalog", default=lambda: os.environ.get("HELIX_CATALOG", "catalog"), metavar="DIR",
    help="The folder of prior results (HELIX_CATALOG, else ./catalog).",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON; its schema is in helix_spark/cli/schema.py.")
_set = click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a parameter of the workflow.")
_budget = click.option("--budget", metavar="SIZE", help='How much may be stored in all, such as "2 GiB".')
_policy = click.option("--policy", default="joint", show_default=True, help="What decides what to keep.")
_quiet = click.option("-q", "--quiet", is_flag=True, help="No progress.")
_message = click.option("-m", "--message", default="", help="What this iteration is about.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="helix-spark")
def helix() -> None:
    """Iterate on Spark ML workflows: edit, run, and compute only what the edit touched."""


@helix.command()
@click.argument("target", metavar="FILE[:FUNCTION]")
@_set
@_catalog
@_budget
@_policy
@_message
@_quiet
@_json
@told
def run(
    target: str, settings: Sequence[str], catalog: str, budget: str | None, policy: str, message: str, quiet: bool,
    as_json: bool,
) -> None:
    """Run a workflow: compute what changed, reuse the rest."""
    from helix_spark.cli.loading import split_target

    path, function = split_target(target)
    _run(path, function, None, settings, catalog, budget, policy, message, quiet, as_json)


@helix.command()
@click.argument("target", metavar="FILE[:FUNCTION]")
@_set
@_catalog
@_budget
@_policy
@_json
@told
def plan(
    target: str, settings: Sequence[str], catalog: str, budget: str | None, policy: str, as_json: bool
) -> None:
    """Say what a run would do, and why. Runs nothing, starts no JVM."""
    from helix_spark.cli.loading import split_target
    from helix_spark.cli.schema import plan_json, to_text

    path, function = split_target(target)
    with _helix(catalog, budget, policy, quiet=True) as engine:
        made = engine.plan(workflow_of(path, function, settings, engine))
        print(to_text(plan_json(made)) if as_json else made)


@helix.command()
@click.argument("node")
@click.argument("target", metavar="FILE[:FUNCTION]")
@_set
@_catalog
@_budget
@_policy
@_json
@told
def explain(
    node: str, target: str, settings: Sequence[str], catalog: str, budget: str | None, policy: str, as_json: bool
) -> None:
    """Say everything that a plan knows of one NODE."""
    from helix_spark.cli.loading import split_target
    from helix_spark.cli.schema import plan_json, to_text
    from helix_spark.planner.explain import node_text
    from helix_spark.planner.influence import influence_lines, left_out_as, left_out_text

    path, function = split_target(target)
    with _helix(catalog, budget, policy, quiet=True) as engine:
        made = engine.plan(workflow_of(path, function, settings, engine))
        left_out = left_out_as(made, node)
        if left_out is not None:
            entry = plan_json(made)["left_out"][made.left_out.index(left_out)]
            print(to_text(entry) if as_json else f"{node}\n  {left_out_text(left_out)}")
            return
        planned = made[node]
        if as_json:
            print(to_text(next(entry for entry in plan_json(made)["nodes"] if entry["name"] == planned.name)))
        else:
            print("\n".join([node_text(planned), *influence_lines(made, planned.name)]))


@helix.command()
@click.argument("target", metavar="FILE[:FUNCTION]")
@_set
@_catalog
@_budget
@_policy
@told
def watch(target: str, settings: Sequence[str], catalog: str, budget: str | None, policy: str) -> None:
    """Run at each save, in one warm session."""
    from helix_spark.cli.loading import split_target
    from helix_spark.cli.watching import watch_file

    path, function = split_target(target)
    with _helix(catalog, budget, policy, quiet=False) as engine:
        watch_file(path, function, settings, engine)


@helix.command()
@click.argument("workflow", required=False)
@click.option("-n", "--limit", default=20, show_default=True, help="How many, newest first.")
@_catalog
@_json
@told
def log(workflow: str | None, limit: int, catalog: str, as_json: bool) -> None:
    """List iterations, newest first."""
    from helix_spark.cli.history import log_json, log_text
    from helix_spark.cli.schema import to_text

    iterations = _records(catalog).iterations(workflow, limit)
    print(to_text(log_json(iterations)) if as_json else log_text(iterations))


@helix.command()
@click.argument("number", type=int)
@click.argument("workflow", required=False)
@_catalog
@_json
@told
def show(number: int, workflow: str | None, catalog: str, as_json: bool) -> None:
    """Show one iteration: outputs, what ran and why, predicted and actual seconds."""
    from helix_spark.cli.history import find_iteration, show_json, show_text
    from helix_spark.cli.schema import to_text

    records = _records(catalog)
    iteration = find_iteration(records, workflow, number)
    nodes = records.nodes(iteration.run)
    print(to_text(show_json(iteration, nodes)) if as_json else show_text(iteration, nodes))


@helix.command()
@click.argument("before", type=int)
@click.argument("after", type=int)
@click.argument("workflow", required=False)
@_catalog
@_json
@told
def diff(before: int, after: int, workflow: str | None, catalog: str, as_json: bool) -> None:
    """Say how two iterations differ: code, parameters, nodes, outputs, seconds."""
    from helix_spark.cli.history import compare, diff_json, diff_text, find_iteration
    from helix_spark.cli.schema import to_text

    records = _records(catalog)
    one, other = (find_iteration(records, workflow, number) for number in (before, after))
    compared = compare(one, records.nodes(one.run), other, records.nodes(other.run))
    print(to_text(diff_json(compared)) if as_json else diff_text(compared))


@helix.command()
@click.option("--deep", is_flag=True, help="Read every page and compare every checksum.")
@_catalog
@_json
@told
def verify(deep: bool, catalog: str, as_json: bool) -> None:
    """Compare what is stored with what is recorded. Changes nothing; exit code 3 if something is damaged."""
    from helix_spark.catalog.verification import verify as compare
    from helix_spark.cli.keeping import verify_json, verify_text
    from helix_spark.cli.schema import to_text

    found = compare(_records(catalog), deep=deep)
    print(to_text(verify_json(found)) if as_json else verify_text(found))
    sys.exit(0 if found.sound else BAD_PLACE)


@helix.command()
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@click.option(
    "--grace", default="24h", show_default=True, metavar="TIME",
    help="How long data whose writer is not known must lie untouched: 90s, 10m, 24h, 3d.",
)
@_catalog
@_json
@told
def gc(dry_run: bool, grace: str, catalog: str, as_json: bool) -> None:
    """Delete data that no record refers to: of writers that died, and evicted or damaged results."""
    from helix_spark.cli.keeping import gc_json, gc_text, parse_grace
    from helix_spark.cli.schema import to_text

    leftovers = _records(catalog).gc(dry_run=dry_run, grace_seconds=parse_grace(grace))
    print(to_text(gc_json(leftovers, dry_run=dry_run)) if as_json else gc_text(leftovers, dry_run=dry_run))


@helix.command()
@_catalog
@_json
@told
def doctor(catalog: str, as_json: bool) -> None:
    """Check Java, Spark, Delta, the jars, the solver, the disk."""
    from helix_spark.cli.schema import to_text
    from helix_spark.engine.checks import doctor as examine

    checks = examine(Path(catalog))
    if as_json:
        print(to_text([{"name": c.name, "ok": c.ok, "found": c.found, "remedy": c.remedy} for c in checks]))
    else:
        for check in checks:
            print(f"{'ok ' if check.ok else 'BAD'}  {check.name:16} {check.found}")
            if not check.ok:
                print(f"     {'':16} {check.remedy}")
    sys.exit(0 if all(check.ok for check in checks) else BAD_PLACE)


@helix.command()
@_catalog
@click.option("--port", default=8760, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; other than this, all may read.")
@click.option("--export", metavar="FILE.html", help="Write one file that needs no server instead.")
@click.option("--workflow", default="", metavar="NAME", help="Only this one is exported.")
@click.option("-n", "--limit", default=30, show_default=True, help="How many iterations are exported, newest first.")
@told
def ui(catalog: str, port: int, host: str, export: str | None, workflow: str, limit: int) -> None:
    """Show the catalog as web pages. Reads only, starts no JVM, loads no code of yours."""
    from helix_spark.cli.pages import export_pages, show_pages

    if export is not None:
        export_pages(catalog, Path(export), workflow, limit)
    else:
        show_pages(catalog, host, port)


def main(factory: Factory | None = None) -> None:
    """The `helix` command; or, given a workflow's function, `helix run` of it: for a file that runs itself."""
    if factory is None:
        helix()
    else:
        _own_command(factory)()


def _own_command(factory: Factory) -> click.Command:
    @click.command(help=f"Run {factory.__name__}: compute what changed, reuse the rest.")
    @_set
    @_catalog
    @_budget
    @_policy
    @_message
    @_quiet
    @_json
    @told
    def command(
        settings: Sequence[str], catalog: str, budget: str | None, policy: str, message: str, quiet: bool,
        as_json: bool,
    ) -> None:
        path = Path(factory.__code__.co_filename)
        _run(path, None, factory, settings, catalog, budget, policy, message, quiet, as_json)

    return command


def _helix(catalog: str, budget: str | None, policy: str, *, quiet: bool) -> Helix:
    from helix_spark.cli.progress import observer_for
    from helix_spark.helix import Helix

    return Helix(catalog, budget=budget, policy=policy, observer=observer_for(quiet=quiet))


def workflow_of(
    path: Path, function: str | None, settings: Sequence[str], engine: Helix, factory: Factory | None = None
) -> Workflow:
    """The file's workflow; a file that builds Spark objects while it is loaded gets a session, and is told so."""
    from helix_spark.cli.loading import NeedsSessionError, build, find_factory, load_file

    def made() -> Workflow:
        return build(factory or find_factory(load_file(path), path, function), path, settings)

    try:
        return made()
    except NeedsSessionError as error:
        engine.observer.warning(f"{error.what} (at {error.where}), so Spark is started first")
        engine.sessions.get()
        return made()


def _run(
    path: Path, function: str | None, factory: Factory | None, settings: Sequence[str], catalog: str,
    budget: str | None, policy: str, message: str, quiet: bool, as_json: bool,
) -> None:
    from helix_spark.cli.schema import run_json, to_text

    with _helix(catalog, budget, policy, quiet=quiet or as_json) as engine:
        workflow = workflow_of(path, function, settings, engine, factory)
        iteration = run_and_tell(engine, workflow, message, print_answer=not as_json)
        if as_json:
            stored = iteration.wait()
            print(to_text(run_json(
                iteration.plan, seconds=iteration.seconds, message=message, outputs=iteration.outputs,
                node_seconds=iteration.node_seconds, stored=stored, used=engine.catalog.bytes_used(),
            )))


def run_and_tell(engine: Helix, workflow: Workflow, message: str, *, print_answer: bool) -> Iteration:
    """Runs a workflow and prints its answer beside the previous one."""
    from helix_spark.cli.answers import answer_text

    before: dict[str, Any] = {}
    if print_answer:
        done = [r for r in engine.catalog.iterations(workflow.name, 5) if r.status == "done"]
        before = json.loads(done[0].outputs) if done else {}
    try:
        iteration = engine.run(workflow, message)
    finally:
        _close(engine.observer)
    if print_answer:
        print(answer_text(iteration, before), flush=True)
    return iteration


def _close(observer: Any) -> None:
    close = getattr(observer, "close", None)
    if close is not None:
        close()


def _records(catalog: str) -> Any:
    from helix_spark.catalog.catalog import Catalog

    return Catalog.open(catalog, create=False)


if __name__ == "__main__":
    main()
