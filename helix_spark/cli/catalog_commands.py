"""The commands about what a catalog holds: log, show, diff, storage, verify, gc, repair, forget, publish; and config
and doctor, about what the commands are set to and the machine."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from helix_spark.cli import options
from helix_spark.cli.config import DEFAULTS, settings_for
from helix_spark.cli.options import BAD_PLACE, print_found, read_settings, records, say, warn_of_misfits
from helix_spark.errors import ParameterError, nearest
from helix_spark.sizes import format_size, seconds_text, without_password

if TYPE_CHECKING:
    from helix_spark.catalog.catalog_reader import CatalogReader
    from helix_spark.catalog.forgetting import Forgetting
    from helix_spark.catalog.records import IterationRecord
    from helix_spark.catalog.verification import Repair, Verification
    from helix_spark.views.storage_view import StorageShare, StorageView

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@options.command(
    click.argument("workflow", required=False), options.named_workflow, options.limit("How many, newest first."),
    click.option("-v", "--verbose", is_flag=True,
                 help="More outputs, messages, edits, users and commits: several lines an iteration."),
    click.option("--user", metavar="NAME", help="Only what this user ran."),
    options.place, options.json_wanted,
)
def log(
    workflow: str | None, named: str | None, limit: int, verbose: bool, user: str | None, as_json: bool, **given: Any
) -> None:
    """List iterations, newest first."""
    from helix_spark.cli.printing import print_log
    from helix_spark.cli.schema import iteration_json
    from helix_spark.history.iteration_lookup import iterations_of
    from helix_spark.history.states import proofs_of, still_unproven

    known = records(**given)
    iterations, pinned = iterations_of(known, _workflow_from(workflow, named), user, limit), known.pinned()

    def logged() -> list[dict[str, Any]]:
        return [iteration_json(one, pinned) | {"proofs": proofs_of(known.nodes(one), known)} for one in iterations]

    print_found(as_json, logged, lambda: print_log(
        iterations, pinned, still_unproven(iterations, known), verbose=verbose
    ))
    warn_of_misfits(known)


@options.command(
    click.argument("number", type=int, required=False), click.argument("workflow", required=False),
    click.option("--node", metavar="NAME", help="One node of it: code, first rows, what a fit gave."),
    options.named_workflow, options.place, options.json_wanted,
)
def show(
    number: int | None, workflow: str | None, node: str | None, named: str | None, as_json: bool, **given: Any
) -> None:
    """Show one iteration, the newest if no other is named: outputs, what ran and why, seconds; or one node of it."""
    from helix_spark.cli.printing import print_iteration, print_node_view
    from helix_spark.cli.schema import node_view_json, show_json
    from helix_spark.history.iteration_lookup import newest_recorded
    from helix_spark.views.iteration_view import recorded_view
    from helix_spark.views.node_view import node_view

    known = records(with_shared=True, **given)
    iteration = _iteration(known, _workflow_from(workflow, named), number)
    if node is not None:
        before = newest_recorded(known.iterations(iteration.workflow), iteration.number)
        view = node_view(known, iteration, node, before)
        print_found(as_json, lambda: node_view_json(view), lambda: print_node_view(view))
    else:
        print_found(
            as_json, lambda: show_json(iteration, known), lambda: print_iteration(recorded_view(iteration, known))
        )
    warn_of_misfits(known)


@options.command(
    click.argument("before", type=int, required=False), click.argument("after", type=int, required=False),
    click.argument("workflow", required=False), options.named_workflow, options.place, options.json_wanted,
)
def diff(
    before: int | None, after: int | None, workflow: str | None, named: str | None, as_json: bool, **given: Any
) -> None:
    """Say how two iterations differ, in code and in results: the newest and the one before it, if none are named."""
    from helix_spark.cli.printing import print_comparison
    from helix_spark.cli.schema import diff_json
    from helix_spark.history.comparison import compare
    from helix_spark.history.iteration_lookup import newest_iteration
    from helix_spark.history.table_preview import table_differences, tables_of
    from helix_spark.views.comparison_view import ComparisonView

    known = records(**given)
    chosen = _workflow_from(workflow, named)
    other = _iteration(known, chosen, after)
    one = (
        newest_iteration(known, other.workflow, other.number) if before is None
        else _iteration(known, other.workflow, before)
    )
    compared = compare(known, one, other)
    tables = table_differences(tables_of(one, known), tables_of(other, known))
    print_found(
        as_json, lambda: diff_json(compared, tables), lambda: print_comparison(ComparisonView(compared, tables))
    )
    warn_of_misfits(known)


@options.command(
    click.option("--by", type=click.Choice(["user", "workflow"]), help="Sum up by who made it, or by which workflow."),
    options.limit("How many results."), options.place, options.json_wanted,
)
def storage(by: Literal["user", "workflow"] | None, limit: int, as_json: bool, **given: Any) -> None:
    """Show what is stored, those results first that save most per byte."""
    from helix_spark.cli.schema import storage_json
    from helix_spark.views.storage_view import shares_by, storage_of

    known = records(**given)
    iterations = [known.iterations(name) for name in known.workflows()]
    view = storage_of(known, known.last_events(), known.loads(), iterations)
    shares = shares_by(by, view, iterations) if by else None
    print_found(as_json, lambda: storage_json(view, shares), lambda: _print_storage(view, limit, by or "", shares))


@options.command(
    click.option("--show-origin", is_flag=True, help="Say who set each: an argument, the environment, the project."),
    options.deciding, click.option("--mlflow", metavar="URI", help="As of `run`."), options.json_wanted,
)
def config(show_origin: bool, as_json: bool, **given: Any) -> None:
    """Print the settings as the commands would take them here.

    Arguments come before HELIX_CATALOG, HELIX_SHARED, HELIX_BUDGET and their like, these before [tool.helix_spark]
    in the project's pyproject.toml, and that before defaults: the catalog ./catalog, no budget, the policy joint. A
    password in an address is shown as ***.
    """
    arguments = {name: value for name, value in given.items() if name in DEFAULTS}
    settings = settings_for(Path.cwd(), arguments, os.environ).values()
    values = {one.name: None if one.value is None else without_password(one.value) for one in settings}
    lines = [f"{one.name:8} {values[one.name] or 'none'}" + f"  ({one.origin})" * show_origin for one in settings]
    found = {one.name: {"value": values[one.name], "origin": one.origin} for one in settings}
    print_found(as_json, lambda: found, lambda: say("\n".join(lines)))


def _print_storage(view: StorageView, limit: int, by: str, shares: Sequence[StorageShare] | None) -> None:
    from helix_spark.cli.printing import WIDE, console, table

    out = console()
    out.print(view.use)
    if not view.stored:
        return
    if shares is not None:
        summed = table(by, "results", "size", right=("results", "size"))
        for share in shares:
            summed.add_row(share.name or "not recorded", f"{share.results:,}", format_size(share.bytes))
        out.print()
        out.print(summed)
        return
    wide = out.width >= WIDE
    more = ("kind", "to load", "saves per MB", "proof") if wide else ()
    right = ("size", "to have again", "to load", "saves per MB", "loaded")
    shown = table("node", "size", "to have again", *more, "loaded", "made by", right=right, grow="made by")
    for one in view.stored[:limit]:
        wider = (one.artifact.kind, seconds_text(one.load), one.saves_text, one.proof) if wide else ()
        shown.add_row(one.artifact.node, one.size_text, one.again_text, *wider, f"{one.loaded}x", one.made_text)
    out.print()
    out.print(shown)
    if len(view.stored) > limit:
        out.print(f"... {len(view.stored) - limit} more; --limit shows them")


def _iteration(known: CatalogReader, workflow: str | None, number: int | None) -> IterationRecord:
    """Return the iteration of a number; the newest without one."""
    from helix_spark.history.iteration_lookup import find_iteration, newest_iteration

    return newest_iteration(known, workflow) if number is None else find_iteration(known, workflow, number)


def _workflow_from(argument: str | None, option: str | None) -> str | None:
    if argument and option and argument != option:
        raise ParameterError(f"two workflows are named, {argument!r} and {option!r}", remedy="name one of them")
    return argument or option


@options.command(
    click.option("--deep", is_flag=True, help="Read every page and compare every checksum."), options.place,
    options.json_wanted,
)
def verify(deep: bool, as_json: bool, **given: Any) -> None:
    """Compare what is stored with what is recorded. Changes nothing; exit code 3 if something is damaged."""
    from helix_spark.catalog.verification import verify as compare
    from helix_spark.cli.schema import verify_json

    found = compare(records(**given), deep=deep)
    print_found(as_json, lambda: verify_json(found), lambda: say(_verify_text(found)))
    sys.exit(0 if found.sound else BAD_PLACE)


@options.command(
    click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing."),
    click.option("--grace", default="3d", show_default=True, metavar="TIME",
                 help="How long data whose writer may only have been stopped must lie untouched: 90s, 10m, 24h, 3d."),
    options.place, options.json_wanted,
)
def gc(dry_run: bool, grace: str, as_json: bool, **given: Any) -> None:
    """Delete data that no record refers to: of writers that died, and evicted or damaged results."""
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.cli.schema import gc_json

    catalog = Catalog.open(read_settings(Path.cwd(), **given).catalog, create=False)
    leftovers = catalog.gc(dry_run=dry_run, grace_seconds=parse_grace(grace))
    lines = [
        f"  {format_size(one.bytes):>8}  {one.attempt.kind} {one.attempt.signature[:12]}/{one.attempt.attempt[:8]}  "
        f"{one.why}" for one in leftovers
    ]
    folders = "1 folder" if len(leftovers) == 1 else f"{len(leftovers)} folders"
    total = format_size(sum(one.bytes for one in leftovers))
    lines.append(f"{folders}, {total}, {'would be ' * dry_run}deleted" if leftovers else "nothing to delete")
    print_found(as_json, lambda: gc_json(leftovers, dry_run=dry_run), lambda: say("\n".join(lines)))


@options.command(
    click.option("--dry-run", is_flag=True, help="Say what would be done and what is lost, and change nothing."),
    options.place, options.json_wanted,
)
def repair(dry_run: bool, as_json: bool, **given: Any) -> None:
    """Make a damaged catalog usable again: keep what can be read, move aside what cannot, say what is lost.

    Nothing is deleted. Until then runs go on without what is damaged, and say so.
    """
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.cli.schema import repair_json

    found = Catalog.open(read_settings(Path.cwd(), **given).catalog, create=False).repair(dry_run=dry_run)
    print_found(as_json, lambda: repair_json(found), lambda: say(_repair_text(found)))


@options.command(
    click.argument("what", required=False, metavar="[WORKFLOW[@N]]"),
    click.option("--node", metavar="NAME", help="Only what this node made; the iterations stay."),
    click.option("--downstream", is_flag=True, help="With --node: also all that was made of it."),
    click.option("--source", metavar="PATH", help="Only what was made of this file, folder, pattern or table, with all "
                 "that was made of that; the iterations stay."),
    click.option("--older-than", metavar="TIME", help="Only of iterations that began so long ago: 24h, 90d."),
    click.option("--dry-run", is_flag=True, help="Say what would go, and delete nothing."),
    options.place, options.json_wanted,
)
def forget(
    what: str | None, node: str | None, downstream: bool, source: str | None, older_than: str | None, dry_run: bool,
    as_json: bool, **given: Any,
) -> None:
    """Delete a workflow, one of its iterations, what a node made, or what was made of a source, with all records of it,
    for good.

    No byte of it is left in the catalog. What another iteration has as well stays, and is said. Exported files, copies
    in MLflow and rows in the memory of a server are not the catalog's: `helix server stop` ends the last.
    """
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.catalog.forgetting import Selection
    from helix_spark.cli.schema import forget_json
    from helix_spark.history.iteration_lookup import check_workflow, find_iteration

    if what is None and node is None and older_than is None and not source:
        raise ParameterError("nothing is named to forget", remedy="name a workflow, --node, --source or --older-than")
    if node is not None and source is not None:
        raise ParameterError("--node and --source name two things to forget", remedy="forget one after the other")
    if downstream and node is None:
        raise ParameterError("--downstream goes with --node", remedy="name the node")
    catalog = Catalog.open(read_settings(Path.cwd(), **given).catalog, create=False)
    workflow, _, number = (what or "").partition("@")
    if number:
        find_iteration(catalog, workflow, int(number) if number.isdecimal() else 0)
    check_workflow(catalog, workflow or None)
    before = None if older_than is None else time.time() - parse_grace(older_than)
    selection = Selection(workflow or None, int(number) if number else None, before, node, downstream, source)
    found = catalog.forget(selection, dry_run=dry_run)
    if source is not None and not found.runs:
        raise ParameterError(
            f"nothing on record was read from {source!r}", exists=nearest(source, found.sources),
            remedy=_untold_text(found) or None,
        )
    print_found(as_json, lambda: forget_json(found, dry_run=dry_run), lambda: say(_forget_text(found, dry_run=dry_run)))
    if (aside := catalog.root / "damaged").exists():
        say(f"warning: what `helix repair` moved aside may hold it still: {aside}", to_stderr=True)


@options.command(
    click.argument("number", type=int), click.argument("workflow", required=False),
    click.option("--remove", is_flag=True, help="It is not pinned any more."), options.named_workflow, options.place,
    options.json_wanted,
)
def pin(number: int, workflow: str | None, named: str | None, remove: bool, as_json: bool, **given: Any) -> None:
    """Pin an iteration: what is stored of it is never evicted, whatever the budget is, and it does not expire."""
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.history.iteration_lookup import find_iteration

    catalog = Catalog.open(read_settings(Path.cwd(), **given).catalog, create=False)
    iteration = find_iteration(catalog, _workflow_from(workflow, named), number)
    catalog.pin(iteration, pinned=not remove)
    nodes = catalog.nodes(iteration)
    live = catalog.live_among({one.signature for one in nodes})
    gone = [one.name for one in nodes if one.output and one.signature not in live]
    size = sum(one.bytes for one in live.values())
    what = f"iteration {number} of {iteration.workflow} is {'not pinned any more' if remove else 'pinned'}"
    there = f"{len(live):,} stored results, {format_size(size)}"
    lost = f"; not stored: {', '.join(gone)}" if gone and not remove else ""
    found = {"workflow": iteration.workflow, "iteration": number, "pinned": not remove, "stored": sorted(live),
             "bytes": size, "not_stored": gone}
    print_found(as_json, lambda: found, lambda: say(f"{what} ({there}{lost})"))


@options.command(
    click.argument("number", type=int), click.argument("workflow", required=False),
    click.option("--to", required=True, metavar="DIR", help="The shared catalog, or s3a://BUCKET/PATH; made if new."),
    options.named_workflow, options.place, options.json_wanted,
)
def publish(number: int, workflow: str | None, to: str, named: str | None, as_json: bool, **given: Any) -> None:
    """Copy one iteration into a shared catalog: its stored results, its answers, and what is recorded of them.

    Each result is checked before it counts there. What is there already stays, so a second time copies what is missing.
    Others read it by --shared, HELIX_SHARED or the project's `shared`. Exit code 3 if a result was damaged, and left.
    """
    from helix_spark.catalog.catalog import Catalog
    from helix_spark.catalog.publishing import publish_iteration
    from helix_spark.cli.schema import publish_json
    from helix_spark.history.iteration_lookup import find_iteration

    known = records(with_shared=True, **given)
    iteration = find_iteration(known, _workflow_from(workflow, named), number)
    target = Catalog.open(to, create=True)
    target.check_writable()
    found = publish_iteration(known, target, iteration)
    lines = [
        f"iteration {number} of {iteration.workflow} is iteration {found.number} in {target.root}: "
        f"{len(found.copied):,} results copied, {len(found.there):,} were there; {found.answers:,} answers copied",
        *([f"not stored, so others compute it when they need it: {', '.join(found.missing)}"] if found.missing else []),
        *(f"not copied: {name} is damaged: {why}" for name, why in found.damaged.items()),
    ]
    print_found(as_json, lambda: publish_json(found), lambda: say("\n".join(lines)))
    warn_of_misfits(known)
    sys.exit(BAD_PLACE if found.damaged else 0)


@options.command(options.place, options.json_wanted)
def doctor(as_json: bool, **given: Any) -> None:
    """Check Java, Spark, Delta, the jars, the solver, the disk."""
    from helix_spark.engine.spark.checks import doctor as examine

    checks = examine(read_settings(Path.cwd(), **given).catalog)
    lines = [
        f"{'ok ' if one.ok else 'BAD'}  {one.name:16} {one.found}" + ("" if one.ok else f"\n     {'':16} {one.remedy}")
        for one in checks
    ]
    print_found(as_json, lambda: [asdict(check) for check in checks], lambda: say("\n".join(lines)))
    sys.exit(0 if all(check.ok for check in checks) else BAD_PLACE)


def parse_grace(text: str) -> float:
    """Return seconds of a time such as "10m"; a bare number is seconds.

    >>> parse_grace("10m"), parse_grace("3d"), parse_grace("0")
    (600.0, 259200.0, 0.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if found is None:
        raise ParameterError(f"{text!r} is not a time", remedy="write a number and s, m, h or d, such as 24h")
    return float(found[1]) * _SECONDS[found[2] or "s"]


def _verify_text(found: Verification) -> str:
    lines = [f"  {finding}" for finding in found.findings if finding.verdict != "sound"]
    looked = "every page and checksum" if found.deep else "logs, sizes and footers; --deep reads every page"
    counts: Counter[str] = Counter(finding.verdict for finding in found.findings)
    verdicts = ", ".join(
        f"{counts[one]} {one}" for one in ("sound", "partly checked", "not reached", "damaged") if counts[one]
    )
    lines += [
        f"{len(found.findings)} stored results: {verdicts or 'none'} ({looked})",
        f"{found.iterations} iterations recorded",
        *([f"{found.answers} answers recorded"] if found.answers else []),
        *(f"  a record does not fit: {why}" for why in found.rejections),
    ]
    if any(finding.bad for finding in found.findings):
        lines.append("damaged results are never used: a run that needs one puts it aside and computes it again")
    return "\n".join(lines)


def _forget_text(found: Forgetting, *, dry_run: bool) -> str:
    if not found.runs:
        return "nothing of that is recorded"
    verb = "would forget" if dry_run else "forgot"
    iterations = ", ".join(f"{one.workflow} {one.number}" for one in found.runs.values())
    nodes = ", ".join(sorted(set().union(*found.names.values())))
    what = f"{verb} {iterations}" if found.whole else f"{verb} what {nodes or 'no node'} made in {iterations}"
    shared = f"; {len(found.shared):,} results stay, which other iterations have as well" if found.shared else ""
    lines = [f"{what}: {len(found.signatures):,} results{shared}"]
    lines += [f"read from {', '.join(found.places)}"] if found.places else []
    return "\n".join(filter(None, (*lines, _untold_text(found))))


def _untold_text(found: Forgetting) -> str:
    """Name the iterations of which not all sources are recorded; empty if there are none."""
    if not found.untold:
        return ""
    named = ", ".join(f"{one.workflow}@{one.number}" for one in found.untold)
    return f"of {named} not all sources are recorded, as of tables made in Python: forget them by name if they had it"


def _repair_text(found: Repair) -> str:
    if not found.is_needed:
        return "nothing to repair"
    lines = []
    for title, sentences in (
        ("damaged:", found.damage),
        ("recorded again:" if found.done else "would be recorded again:", found.saved),
        ("lost:" if found.done else "would be lost:", found.lost),
    ):
        if sentences:
            lines += [title, *(f"  {sentence}" for sentence in sentences)]
    if not found.lost:
        lines.append("nothing is lost")
    if found.aside:
        lines.append(f"what was set aside lies in {found.aside}")
    lines.append("repaired" if found.done else "nothing was changed; `helix repair` does this")
    return "\n".join(lines)


catalog_commands: tuple[click.Command, ...] = (
    log, show, diff, storage, config, verify, gc, repair, forget, pin, publish, doctor,
)
