"""The commands that read what a catalog holds: log, show, diff, checkout, storage; and what the commands are set to."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from helix_spark.cli import options
from helix_spark.cli.config import DEFAULTS, settings_for
from helix_spark.cli.options import print_found, records, warn_of_misfits
from helix_spark.cli.terminal import say
from helix_spark.errors import HelixError, ParameterError
from helix_spark.sizes import without_password

if TYPE_CHECKING:
    from helix_spark.catalog.records import IterationRecord
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


@options.command(
    click.argument("number", type=int), click.argument("file", required=False, type=click.Path(path_type=Path)),
    options.named_workflow, options.place, short_help="Write the workflow's file as an iteration had it.",
)
def checkout(number: int, file: Path | None, named: str | None, **given: Any) -> None:
    """Write the workflow's file as iteration NUMBER had it, never over another: beside FILE; else beside where it was,
    if that is below the current folder; else into the current folder.
    """
    from helix_spark.history.iteration_lookup import find_iteration

    known = records(start=file, **given)
    if file is not None:
        check_file(file, known.workflows())
    iteration = find_iteration(known, named, number)
    path, written = write_file(iteration, known.file_text(iteration.file_digest), file)
    say(f"{'wrote' if written else 'already there:'} {path}")


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


# The file of an iteration

_ODD = re.compile(r"[^\w.-]+")
_LONGEST_STEM = 100


def check_file(file: Path, workflows: Collection[str]) -> None:
    """Raise ParameterError for a file that is not there and has no name of a Python file.

    Args:
        workflows: of the catalog; one of them may have been meant.
    """
    if file.suffix != ".py" and not file.is_file():
        is_workflow = str(file) in workflows
        remedy = f"the workflow is named by an option: --workflow {file}" if is_workflow else "name the workflow's file"
        raise ParameterError(f"there is no file {str(file)!r}", remedy=remedy)


def write_file(record: IterationRecord, text: str | None, file: Path | None) -> tuple[Path, bool]:
    """Write an iteration's file; return where it is, and whether it was written or was there already.

    Args:
        text: what was recorded of it; None if nothing was.
        file: the workflow's file now; None for where it was then, if that is below the current folder.

    Raises:
        HelixError: nothing was recorded, or it cannot be written.
        ParameterError: something else has the name that it would get.
    """
    from helix_spark.cli.output_files import output_at

    if text is None:
        why = "its file is too long, or is not text" if record.file else "it was declared in no file"
        raise HelixError(
            f"the file of iteration {record.number} is not recorded: {why}",
            remedy=f"git has it at {record.commit}" if record.commit else "`helix show` has the code of its functions",
        )
    beside = file or where_it_was(record.file, Path.cwd())
    if not beside.parent.is_dir():
        raise ParameterError(f"there is no folder {beside.parent}", remedy="name a file in one that is there")
    path = beside.with_name(f"{beside.stem}.iteration-{record.number}{beside.suffix}")
    if os.path.lexists(path):
        if _holds(path, text):
            return path, False
        raise ParameterError(f"{path} exists and has another text", remedy="rename or remove it; nothing was written")
    with output_at(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as opened:
        opened.write(text)
    return path, True


def where_it_was(file: str, below: Path) -> Path:
    """Return where a workflow's file was, as far as its record may say.

    The record may be a stranger's, so this is a Python file of a plain name: in its own folder if that is below another
    one, else in that.

    >>> where_it_was("/etc/cron.d/job.sh", Path("/home/me")), where_it_was("/home/me/../x/-rf *.pth", Path("/home/me"))
    (PosixPath('/home/me/job.py'), PosixPath('/home/me/rf_.py'))
    """
    was, plain = Path(file), _ODD.sub("_", Path(file).stem).strip(".-")[:_LONGEST_STEM]
    name = f"{plain or 'workflow'}.py"
    try:
        folder = was.parent.resolve()
        if folder.is_dir() and folder.is_relative_to(below.resolve()):
            inside = folder.relative_to(below.resolve()).parts
            if not any(part.startswith(".") for part in inside):
                return below.joinpath(*inside) / name
    except (OSError, ValueError, RuntimeError):  # Python before 3.13 says so of links that lead round
        pass  # no path at all
    return below / name


def _holds(path: Path, text: str) -> bool:
    from helix_spark.catalog.places.place import LocalPath

    try:
        return LocalPath(path).read_at_most(len(text.encode())) == text.encode()
    except OSError:
        return False


reading_commands: tuple[click.Command, ...] = (log, show, diff, checkout, storage, config)
