"""The commands that show what a catalog holds: log, show, diff, storage; and what the commands are set to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from helix_spark.cli import options
from helix_spark.cli.config import DEFAULTS, settings_for
from helix_spark.cli.options import print_found, records, warn_of_misfits
from helix_spark.cli.terminal import say
from helix_spark.errors import ParameterError
from helix_spark.sizes import without_password

if TYPE_CHECKING:
    from helix_spark.views.storage_view import StorageView


@options.command(
    click.argument("workflow", required=False), options.named_workflow, options.limit("How many, newest first."),
    click.option("-v", "--verbose", is_flag=True, help="More outputs, messages and edits: several lines an iteration."),
    options.place, options.json_wanted,
)
def log(
    workflow: str | None, named: str | None, limit: int, verbose: bool, as_json: bool, **given: Any
) -> None:
    """List iterations, newest first."""
    from helix_spark.cli.printing import print_log
    from helix_spark.cli.schema import iteration_json
    from helix_spark.history.iteration_lookup import check_workflow
    from helix_spark.history.states import proofs_of_several

    known, wanted = records(**given), _workflow_from(workflow, named)
    check_workflow(known, wanted)
    iterations = known.iterations(wanted, limit)

    def logged() -> list[dict[str, Any]]:
        proofs = proofs_of_several([known.nodes(one) for one in iterations], known)
        return [iteration_json(one) | {"proofs": each} for one, each in zip(iterations, proofs, strict=True)]

    print_found(as_json, logged, lambda: print_log(iterations, verbose=verbose))
    warn_of_misfits(known)


@options.command(
    click.argument("number", type=int), click.argument("workflow", required=False),
    click.option("--node", metavar="NAME", help="One node of it: code, first rows, what a fit gave."),
    options.named_workflow, options.place, options.json_wanted,
)
def show(
    number: int, workflow: str | None, node: str | None, named: str | None, as_json: bool, **given: Any
) -> None:
    """Show one iteration: outputs, what ran and why, seconds; or one node of it."""
    from helix_spark.cli.printing import print_iteration, print_node_view
    from helix_spark.cli.schema import node_view_json, show_json
    from helix_spark.history.iteration_lookup import find_iteration, newest_recorded
    from helix_spark.views.iteration_view import recorded_view
    from helix_spark.views.node_view import node_view

    known = records(**given)
    iteration = find_iteration(known, _workflow_from(workflow, named), number)
    if node is not None:
        before = newest_recorded(known.iterations(iteration.workflow), number)
        view = node_view(known, iteration, node, before, known.last_event)
        print_found(as_json, lambda: node_view_json(view), lambda: print_node_view(view))
    else:
        print_found(
            as_json, lambda: show_json(iteration, known), lambda: print_iteration(recorded_view(iteration, known))
        )
    warn_of_misfits(known)


@options.command(
    click.argument("before", type=int), click.argument("after", type=int), click.argument("workflow", required=False),
    options.named_workflow, options.place, options.json_wanted,
)
def diff(before: int, after: int, workflow: str | None, named: str | None, as_json: bool, **given: Any) -> None:
    """Say how two iterations differ, in code and in results."""
    from helix_spark.cli.printing import print_comparison
    from helix_spark.cli.schema import diff_json
    from helix_spark.history.comparison import compare
    from helix_spark.history.iteration_lookup import find_iteration
    from helix_spark.history.table_preview import table_differences, tables_of
    from helix_spark.views.comparison_view import comparison_view

    known = records(**given)
    one, other = (find_iteration(known, _workflow_from(workflow, named), number) for number in (before, after))
    compared = compare(known, one, other)
    tables = table_differences(tables_of(one, known), tables_of(other, known))
    print_found(
        as_json, lambda: diff_json(compared, tables), lambda: print_comparison(comparison_view(compared, tables))
    )
    warn_of_misfits(known)


@options.command(options.limit("How many results."), options.place, options.json_wanted)
def storage(limit: int, as_json: bool, **given: Any) -> None:
    """Show what is stored, those results first that save most per byte."""
    from helix_spark.cli.schema import storage_json
    from helix_spark.views.storage_view import storage_of

    known = records(**given)
    iterations = [known.iterations(name) for name in known.workflows()]
    view = storage_of(known, known.last_events(), known.loads(), iterations)
    print_found(as_json, lambda: storage_json(view), lambda: _print_storage(view, limit))


@options.command(
    click.option("--show-origin", is_flag=True, help="Say who set each: an argument, the environment, the project."),
    options.deciding, click.option("--mlflow", metavar="URI", help="As of `run`."), options.json_wanted,
)
def config(show_origin: bool, as_json: bool, **given: Any) -> None:
    """Print the settings as the commands would take them here.

    Arguments come before HELIX_CATALOG, HELIX_BUDGET, HELIX_POLICY and HELIX_MLFLOW, these before [tool.helix_spark]
    in the project's pyproject.toml, and that before defaults: the catalog ./catalog, no budget, the policy joint. A
    password in an address is shown as ***.
    """
    arguments = {name: value for name, value in given.items() if name in DEFAULTS}
    settings = settings_for(Path.cwd(), arguments, os.environ).values()
    values = {one.name: None if one.value is None else without_password(one.value) for one in settings}
    lines = [f"{one.name:8} {values[one.name] or 'none'}" + f"  ({one.origin})" * show_origin for one in settings]
    found = {one.name: {"value": values[one.name], "origin": one.origin} for one in settings}
    print_found(as_json, lambda: found, lambda: say("\n".join(lines)))


def _print_storage(view: StorageView, limit: int) -> None:
    from helix_spark.cli.tables import WIDE, console, table
    from helix_spark.sizes import seconds_text

    out = console()
    out.print(view.use)
    if not view.stored:
        return
    wide = out.width >= WIDE
    more = (("kind", "left"), ("to load", "right"), ("saves per MB", "right"), ("proof", "left")) if wide else ()
    shown = table(
        ("node", "left"), ("size", "right"), ("to have again", "right"), *more, ("loaded", "right"),
        ("made by", "left"), grow="made by",
    )
    for one in view.stored[:limit]:
        wider = (one.artifact.kind, seconds_text(one.load), one.saves_text, one.proof) if wide else ()
        shown.add_row(one.artifact.node, one.size_text, one.again_text, *wider, f"{one.loaded}x", one.made_text)
    out.print()
    out.print(shown)
    if len(view.stored) > limit:
        out.print(f"... {len(view.stored) - limit} more; --limit shows them")


def _workflow_from(argument: str | None, option: str | None) -> str | None:
    """Return the workflow that a command names by its argument or by --workflow."""
    if argument and option and argument != option:
        raise ParameterError(f"two workflows are named, {argument!r} and {option!r}", remedy="name one of them")
    return argument or option


reading_commands: tuple[click.Command, ...] = (log, show, diff, storage, config)
